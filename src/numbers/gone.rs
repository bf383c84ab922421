//! Devices that come and go: what is kept of those that have gone, and for how long. Where they never cease to come, neither memory
//! nor Prometheus' series may grow without end, and yet all that was counted has to add up.
//!
//! By its name, because a series goes by that: if one of two devices of a name were forgotten, their series would go down, and a
//! rate of it count packets twice. So a name is forgotten as a whole, and not as long as a device has it.

use std::collections::{BTreeMap, BTreeSet};

use super::Port;
use crate::event::Standing;

/// Names of devices that have gone which are kept.
pub const KEPT: usize = 64;

/// Devices that have gone, by their network namespace's inode number and their index, with the names that they had, if known.
#[derive(Debug, Clone, Default)]
pub struct Gone(BTreeMap<(u32, u32), Option<String>>);

impl Gone {
    /// These.
    pub(super) fn new<'name>(devices: impl IntoIterator<Item = ((u32, u32), Option<&'name str>)>) -> Self {
        Self(devices.into_iter().map(|(device, name)| (device, name.map(str::to_owned))).collect())
    }

    /// Those that had gone before, too.
    pub fn since(&self, before: &Self) -> Self {
        Self(self.0.iter().filter(|(device, _)| before.0.contains_key(device)).map(|(k, v)| (*k, v.clone())).collect())
    }

    /// Whether this device has gone.
    pub fn has(&self, netns: u32, ifindex: u32) -> bool {
        self.0.contains_key(&(netns, ifindex))
    }

    /// What stands for it instead; None: it hasn't gone.
    pub(super) fn instead_of(&self, port: &Port) -> Option<Port> {
        let name = self.0.get(&(port.netns, port.ifindex)).filter(|_| port.is_one())?;
        Some(Port { standing: Standing::Gone, name: name.clone(), ..Port::default() })
    }
}

/// The names of devices that have gone, in the order in which they went.
#[derive(Debug, Default)]
pub struct Former(Vec<String>);

impl Former {
    /// The first ones of too many that are no device's any more, and are to be forgotten. `gone`: all there are now.
    pub fn forget(&mut self, gone: &BTreeSet<String>, in_use: &BTreeSet<String>) -> BTreeSet<String> {
        self.0.retain(|name| gone.contains(name));
        let new: Vec<String> = gone.iter().filter(|name| !self.0.contains(name)).cloned().collect();
        self.0.extend(new);
        let too_many = self.0.len().saturating_sub(KEPT);
        let forgotten = self.0.iter().filter(|name| !in_use.contains(*name)).take(too_many).cloned().collect();
        self.0.retain(|name| !BTreeSet::contains(&forgotten, name));
        forgotten
    }
}

/// What stands for devices of forgotten names.
pub(super) fn forgotten(port: &Port, names: &BTreeSet<String>) -> Option<Port> {
    let is_it = port.standing == Standing::Gone && port.name.as_ref().is_some_and(|name| names.contains(name));
    is_it.then(|| Port { standing: Standing::Forgotten, ..Port::default() })
}

/// What stands for those that can't be told to be there.
pub(super) fn nameless() -> Port {
    Port { standing: Standing::Gone, ..Port::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
        numbers.into_iter().map(|number| format!("veth{number:03}")).collect()
    }

    #[test]
    fn names_are_forgotten_in_the_order_in_which_they_went_but_not_in_use() {
        let mut order = Former::default();
        assert_eq!(order.forget(&names(100..160), &names([])), names([]));
        assert_eq!(order.forget(&names((0..3).chain(100..160)), &names([])), names([]));
        assert_eq!(order.forget(&names((0..6).chain(100..160)), &names([100])), names([101, 102]));
        assert_eq!(order.0.len(), KEPT);
        // One that is a device's once more, and has gone again, is kept from then on.
        let all = names((0..6).chain([100]).chain(103..160));
        assert_eq!(order.forget(&all, &names([])), names([]));
        assert_eq!(order.forget(&names([7]), &names([])), names([]));
        assert_eq!(order.0, ["veth007"]);
    }

    #[test]
    fn only_a_device_that_has_gone_is_replaced() {
        let before = Gone::new([((7, 2), Some("eth0")), ((7, 3), Some("eth1"))]);
        let gone = Gone::new([((7, 3), Some("eth1")), ((7, 4), Some("eth2"))]).since(&before);
        assert_eq!(
            [(7, 2), (7, 3), (7, 4), (8, 3)].map(|(netns, index)| gone.has(netns, index)),
            [false, true, false, false]
        );
        let one = |ifindex| Port { netns: 7, ifindex, ..Port::default() };
        let eth1 = gone.instead_of(&one(3));
        assert_eq!(eth1.as_ref().map(Port::shown).as_deref(), Some("eth1 (gone)"));
        assert_eq!((gone.instead_of(&one(4)), eth1.and_then(|port| gone.instead_of(&port))), (None, None));
    }
}
