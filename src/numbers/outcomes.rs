//! What the kernel told of what became of verdicts → failures and forwards.

use std::collections::BTreeMap;

use super::cells::returned;
use super::{Failures, Forward, Path, Port, Returned, gone};
use crate::bpf::{BatchKind, FailedOutcome, ForwardPath, Forwarded};
use crate::event::{self, Standing};

/// Verdicts that came to nothing, by the device, the verdict and the errno. Devices that are there have no names here.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Failed(BTreeMap<(Port, Returned, i32), u64>);

/// Packets sent on by way of devices that have gone, by the way and the errno.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent(BTreeMap<(Path, Option<String>), Forwarded>);

impl Failed {
    /// Adds what was counted of this.
    pub(super) fn note(&mut self, outcome: &FailedOutcome, count: u64) {
        let FailedOutcome { netns, ifindex, action, error, .. } = *outcome;
        let device = Port { netns, ifindex, ..Port::default() };
        let verdict = returned(action).unwrap_or(Returned::Other);
        *self.0.entry((device, verdict, error)).or_default() += count;
    }

    /// Adds another's.
    pub(super) fn add(&mut self, other: &Self) {
        for (failure, count) in &other.0 {
            *self.0.entry(failure.clone()).or_default() += count;
        }
    }

    /// Adds what is of one device to another, where `to` says so.
    pub(super) fn move_to(&mut self, to: impl Fn(&Port) -> Option<Port>) {
        for ((device, verdict, error), count) in std::mem::take(&mut self.0) {
            let device = to(&device).unwrap_or(device);
            *self.0.entry((device, verdict, error)).or_default() += count;
        }
    }

    /// Devices, some of them often.
    pub(super) fn devices(&self) -> impl Iterator<Item = &Port> {
        self.0.keys().map(|(device, ..)| device)
    }

    /// All of them.
    pub(super) fn into_failures(self) -> impl Iterator<Item = Failures> {
        self.0.into_iter().map(|((device, verdict, error), count)| Failures {
            device,
            verdict,
            error: error_name(error),
            count,
        })
    }
}

impl Sent {
    /// Adds what was counted of these, and what else is no one device's, by `to`.
    pub(super) fn note(&mut self, forward: Forward, to: impl Fn(&Port) -> Option<Port>) {
        let Forward { path, sent, dropped, error } = forward;
        let path = path.map(|port| to(&port).unwrap_or(port));
        // Nothing is told apart that goes from or to devices that are forgotten: there would be one for each at the other end.
        let is_forgotten = path.ports().any(|port| port.standing == Standing::Forgotten);
        let forgotten = |_| Port { standing: Standing::Forgotten, ..Port::default() };
        let path = if is_forgotten { path.map(forgotten) } else { path };
        let sums = self.0.entry((path, error)).or_default();
        sums.sent += sent;
        sums.dropped += dropped;
    }

    /// Adds what is of one device to another, where `to` says so.
    pub(super) fn move_to(&mut self, to: impl Fn(&Port) -> Option<Port>) {
        std::mem::take(self).into_forwards().for_each(|forward| self.note(forward, &to));
    }

    /// Devices, some of them often.
    pub(super) fn devices(&self) -> impl Iterator<Item = &Port> {
        self.0.keys().flat_map(|(path, _)| path.ports())
    }

    /// All of them.
    pub(super) fn into_forwards(self) -> impl Iterator<Item = Forward> {
        self.0.into_iter().map(|((path, error), Forwarded { sent, dropped })| Forward { path, sent, dropped, error })
    }
}

/// What stands for a device in what is kept of ways by devices that have gone; None: itself. One that isn't known by name can't be
/// told to be there.
pub(super) fn kept(port: &Port, gone: &gone::Gone, is_named: impl Fn(&Port) -> bool) -> Option<Port> {
    gone.instead_of(port).or_else(|| (port.is_one() && !is_named(port)).then(gone::nameless))
}

/// All that the kernel told of packets many at a time, with the names of devices.
pub fn forwards(told: &[(ForwardPath, Forwarded)], name: impl Fn(u32, u32) -> Option<String>) -> Vec<Forward> {
    let mut port = |netns, ifindex| Port { name: name(netns, ifindex), netns, ifindex, ..Port::default() };
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
