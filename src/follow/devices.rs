//! Which devices' packets are let through.

use std::collections::{BTreeSet, VecDeque};

use crate::plan::Devices;
use crate::probe::Wanted;
use crate::target::Device;

/// What the probes are aimed at where `asked` was asked for, in this network namespace, and `devices` are there.
pub(super) fn wanted(asked: &Devices, netns: u32, devices: &[Device]) -> Wanted {
    match (asked, devices) {
        (Devices::Unnamed, _) => Wanted::All,
        (Devices::Any, _) => Wanted::Netns(netns),
        (Devices::Named(names), [only]) if names.len() == 1 && only.members.is_empty() => {
            Wanted::One { netns: only.netns, ifindex: only.ifindex }
        }
        (Devices::Named(_), _) => Wanted::Listed,
    }
}

/// The devices, with their members, by network namespace and index, where only those that were named are asked for: the kernel's list
/// has room for so many, and where all are, there may be more.
pub(super) fn listed(asked: &Devices, devices: &[Device]) -> BTreeSet<(u32, u32)> {
    let named = devices.iter().filter(|_| matches!(asked, Devices::Named(_)));
    let indexes = named.flat_map(|device| {
        [device.ifindex].into_iter().chain(device.members.iter().copied()).map(|ifindex| (device.netns, ifindex))
    });
    indexes.collect()
}

/// Devices whose packets are asked for because they, or what they are members of, were named; also those that have gone since, or are
/// called otherwise by now.
#[derive(Debug, Default)]
pub(super) struct Asked {
    now: BTreeSet<(u32, u32)>,
    before: VecDeque<(u32, u32)>,
}

/// Devices that have gone which are remembered.
const GONE: usize = 1024;

impl Asked {
    /// These it is now, by network namespace and index.
    pub(super) fn update(&mut self, now: &BTreeSet<(u32, u32)>) {
        self.before.extend(self.now.difference(now));
        self.before.retain(|device| !now.contains(device));
        self.before.drain(..self.before.len().saturating_sub(GONE));
        self.now.clone_from(now);
    }

    /// Whether it is, or was, one of them.
    pub(super) fn has(&self, netns: u32, ifindex: u32) -> bool {
        self.now.contains(&(netns, ifindex)) || self.before.contains(&(netns, ifindex))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(ifindex: u32, members: &[u32]) -> Device {
        Device { name: format!("eth{ifindex}"), ifindex, netns: 7, members: members.to_vec() }
    }

    #[test]
    fn devices_that_were_named_are_listed_with_their_members() {
        let devices = [device(2, &[]), device(3, &[4, 5])];
        let named = Devices::Named(vec!["eth2".into(), "eth3".into()]);
        assert_eq!(wanted(&named, 7, &devices), Wanted::Listed);
        assert_eq!(listed(&named, &devices), [2, 3, 4, 5].map(|ifindex| (7, ifindex)).into());
    }

    #[test]
    fn where_all_devices_are_asked_for_there_may_be_more_than_the_list_holds() {
        let devices: Vec<Device> = (1..=1025).map(|ifindex| device(ifindex, &[])).collect();
        for asked in [Devices::Any, Devices::Unnamed] {
            assert!(wanted(&asked, 7, &devices) != Wanted::Listed);
            assert!(listed(&asked, &devices).is_empty(), "{asked:?}");
        }
    }

    #[test]
    fn what_was_asked_for_and_has_gone_is_remembered_and_no_more_of_that_than_much() {
        let mut asked = Asked::default();
        assert!(!asked.has(7, 2));
        asked.update(&listed(&Devices::Named(vec!["bond0".into()]), &[device(2, &[4, 5])]));
        asked.update(&[(7, 2), (7, 5)].into());
        assert!([2, 4, 5].iter().all(|ifindex| asked.has(7, *ifindex)));
        assert!(!asked.has(7, 3) && !asked.has(8, 2));
        // It is back, and another one comes and goes all the time.
        for ifindex in 100..1200 {
            asked.update(&[(7, 2), (7, 4), (7, ifindex)].into());
        }
        assert!([2, 4, 1199, 200].iter().all(|ifindex| asked.has(7, *ifindex)) && !asked.has(7, 5));
        assert_eq!(asked.before.len(), GONE);
    }
}
