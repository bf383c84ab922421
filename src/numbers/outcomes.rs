//! What the kernel told of what became of verdicts → failures and forwards.

use std::collections::BTreeMap;

use super::{Failures, Forward, Path, Port};
use crate::bpf::{BatchKind, FailedOutcome, ForwardPath, Forwarded};
use crate::event::{self, Verdict};

/// Verdicts that came to nothing, by the device, the verdict and the errno. Devices have no names here.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Failed(BTreeMap<(Port, Verdict, i32), u64>);

impl Failed {
    /// Adds what was counted of this.
    pub(super) fn note(&mut self, outcome: &FailedOutcome, count: u64) {
        let FailedOutcome { netns, ifindex, action, error, .. } = *outcome;
        let device = Port { name: None, netns, ifindex };
        *self.0.entry((device, Verdict(action), error)).or_default() += count;
    }

    /// Adds another's.
    pub(super) fn add(&mut self, other: &Self) {
        for (failure, count) in &other.0 {
            *self.0.entry(failure.clone()).or_default() += count;
        }
    }

    /// All of them.
    pub(super) fn into_failures(self) -> impl Iterator<Item = Failures> {
        self.0.into_iter().map(|((device, verdict, error), count)| Failures {
            device,
            verdict: Some(verdict),
            error: error_name(error),
            count,
        })
    }
}

/// All that the kernel told of packets many at a time, with the names of devices.
pub fn forwards(told: &[(ForwardPath, Forwarded)], name: impl Fn(u32, u32) -> Option<String>) -> Vec<Forward> {
    let mut port = |netns, ifindex| Port { name: name(netns, ifindex), netns, ifindex };
    told.iter().filter_map(|(path, sums)| forward(path, *sums, &mut port)).collect()
}

/// What was forwarded, with devices' names put in by `port`; None where it is of a kind that isn't known here.
pub(super) fn forward(
    path: &ForwardPath,
    Forwarded { sent, dropped }: Forwarded,
    mut port: impl FnMut(u32, u32) -> Port,
) -> Option<Forward> {
    let ForwardPath { kind, from_netns, from_ifindex, to_netns, to, cpu, error } = *path;
    let path = match BatchKind(kind) {
        BatchKind::BATCH_DEVMAP_XMIT => Path::Redirect { from: port(from_netns, from_ifindex), to: port(to_netns, to) },
        BatchKind::BATCH_BULK_TX => Path::Tx(port(from_netns, from_ifindex)),
        BatchKind::BATCH_CPUMAP_ENQUEUE => Path::Enqueue { map: to, cpu },
        BatchKind::BATCH_CPUMAP_KTHREAD => Path::Dequeue { map: to, cpu },
        _ => return None,
    };
    Some(Forward { path, sent, dropped, error: error_name(error) })
}

/// The kernel's word for a negative errno, `ENETDOWN`; None where it is no error.
fn error_name(error: i32) -> Option<String> {
    error.checked_neg().filter(|number| *number != 0).map(event::error_name)
}
