//! What CPUs have counted of a target's packets → by device and queue.

use std::collections::BTreeMap;

use super::{Latency, Port, Returned, Tally, Traffic};
use crate::bpf::{Cell, Tallied, VerdictKind};
use crate::event::{Standing, Verdict};

/// Packets by device and queue. Devices have no names here.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ByQueue(BTreeMap<(Port, Option<u32>), Traffic>);

impl ByQueue {
    /// What all CPUs have counted, of a target whose packets have a known queue, or haven't.
    pub(super) fn new(cells: &[Cell], has_queue: bool) -> Self {
        let mut all = Self::default();
        for cell in cells.iter().filter(|cell| cell.is_used != 0) {
            let device = Port { netns: cell.netns, ifindex: cell.ifindex, ..Port::default() };
            // What had no place of its own is of any queue.
            let queue = (has_queue && cell.ifindex != 0).then_some(cell.queue);
            all.part(&device, queue).add(&Traffic { device: device.clone(), queue, ..Traffic::of(cell) });
        }
        all
    }

    /// Adds another's.
    pub(super) fn add(&mut self, other: &Self) {
        for ((device, queue), traffic) in &other.0 {
            self.part(device, *queue).add(traffic);
        }
    }

    /// Adds what is of one device to another, where `to` says so.
    pub(super) fn move_to(&mut self, to: impl Fn(&Port) -> Option<Port>) {
        let moved = self.0.keys().filter_map(|(port, queue)| Some(((port.clone(), *queue), to(port)?)));
        for (from, port) in moved.collect::<Vec<_>>() {
            let queue = from.1.filter(|_| port.standing != Standing::Forgotten);
            if let Some(traffic) = self.0.remove(&from) {
                self.part(&port, queue).add(&traffic);
            }
        }
    }

    /// Devices, each as often as it has queues.
    pub(super) fn devices(&self) -> impl Iterator<Item = &Port> {
        self.0.keys().map(|(device, _)| device)
    }

    /// All parts, in the order of devices and queues.
    pub(super) fn into_parts(self) -> impl Iterator<Item = Traffic> {
        self.0.into_values()
    }

    /// All packets.
    pub(super) fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.0.values().flat_map(|traffic| traffic.verdicts.values()).for_each(|tally| total.add(*tally));
        total
    }

    /// Packets by what the program returned.
    pub(super) fn verdicts(&self) -> impl Iterator<Item = (Returned, u64)> {
        let verdicts = self.0.values().flat_map(|traffic| &traffic.verdicts);
        verdicts.map(|(returned, tally)| (*returned, tally.packets))
    }

    fn part(&mut self, device: &Port, queue: Option<u32>) -> &mut Traffic {
        let new = || Traffic { device: device.clone(), queue, ..Traffic::default() };
        self.0.entry((device.clone(), queue)).or_insert_with(new)
    }
}

impl Traffic {
    fn of(cell: &Cell) -> Self {
        let tallies = (0..).zip(&cell.tallies).filter(|(_, tally)| tally.packets > 0);
        let verdicts = tallies.filter_map(|(kind, tally)| Some((returned(kind)?, Tally::from(*tally))));
        let (sum_ns, max_ns) = (cell.latency_sum_ns, cell.latency_max_ns);
        let latency = Latency { steps: Box::new(cell.latencies), sum_ns, max_ns };
        let latency = Some(latency).filter(|latency| latency.count() > 0);
        Self { verdicts: verdicts.collect(), latency, ..Self::default() }
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        for (returned, tally) in &other.verdicts {
            self.verdicts.entry(*returned).or_default().add(*tally);
        }
        if let Some(latency) = &other.latency {
            self.latency.get_or_insert_default().add(latency);
        }
    }
}

impl From<Tallied> for Tally {
    fn from(Tallied { packets, bytes }: Tallied) -> Self {
        Self { packets, bytes }
    }
}

/// What the BPF side's `enum verdict_kind` stands for; None: nothing.
pub(super) fn returned(kind: u32) -> Option<Returned> {
    match VerdictKind(kind) {
        VerdictKind::VERDICT_OTHER => Some(Returned::Other),
        VerdictKind::VERDICT_NONE => Some(Returned::Nothing),
        _ => (kind < Verdict::ACTIONS.len() as u32).then_some(Returned::Action(Verdict(kind))),
    }
}

/// How many runs stand in cells.
pub fn tallied(cells: &[Cell]) -> u64 {
    let used = cells.iter().filter(|cell| cell.is_used != 0);
    used.flat_map(|cell| &cell.tallies).map(|tally| tally.packets).sum()
}
