//! What was read of each target → Numbers, which only grow: also where a target is let go of and attached to once more, or
//! another takes its place.

mod keeping;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::cells::ByQueue;
use super::gone;
use super::keys::Table;
use super::outcomes::{Failed, Sent};
use super::{Behind, Keys, Numbers, Port, Program, Returned, Row, Tally, tallied};
use crate::bpf::{Cell, FailedOutcome, ForwardPath, Forwarded, KeyEntry, State};
use crate::event::{Counts, Overflow, Subject};
use crate::plan::By;

/// What was read of one target.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// How keys and failures tell it from others.
    pub number: u32,
    /// Which function of which program it is.
    pub subject: Subject,
    /// What hands packets on to it.
    pub behind: Option<Behind>,
    /// Whether its packets' receive queue is known.
    pub has_queue: bool,
    /// What all CPUs have counted by device and queue.
    pub cells: Vec<Cell>,
    /// What each CPU is at, and has counted.
    pub states: Vec<State>,
    /// Runs that the kernel left out; None: it doesn't tell.
    pub recursion_misses: Option<u64>,
}

/// What was read of all targets together.
#[derive(Debug, Clone, Default)]
pub struct Shared {
    /// Packets by what was asked for, in the order of places, and each as often as CPUs have it: read before any cell.
    pub keys: Vec<KeyEntry>,
    /// Verdicts that came to nothing.
    pub failures: Vec<(FailedOutcome, u64)>,
    /// What was sent on.
    pub forwards: Vec<(ForwardPath, Forwarded)>,
    /// What these two had no room for.
    pub overflow: Overflow,
}

/// Keeps what was counted.
#[derive(Debug)]
pub struct Book {
    by: Option<By>,
    /// What packets had in common.
    table: Table,
    entries: Vec<Entry>,
    /// What devices were last called: those of which something is kept.
    names: BTreeMap<(u32, u32), String>,
    /// All those of which something was kept at the last reading.
    seen: BTreeSet<(u32, u32)>,
    /// What was sent on by way of devices that have gone.
    sent: Sent,
    gone: gone::Former,
}

/// A function of a program.
#[derive(Debug)]
struct Entry {
    subject: Subject,
    behind: Option<Behind>,
    /// The numbers of the targets that it was.
    numbers: Vec<u32>,
    is_traced: bool,
    /// Of targets that were let go of, and of devices that have gone.
    past: Sums,
    /// Of the one that is traced.
    present: Sums,
    /// Of these, too.
    past_failed: Failed,
    /// Of all, when the table was read last.
    failed: Failed,
    /// All packets at the last reading.
    told: Tally,
}

#[derive(Debug, Clone)]
struct Sums {
    counts: Counts,
    traffic: ByQueue,
    /// Keys that had to leave the table.
    evicted: u64,
}

/// Programs that are kept by themselves when they are traced no longer.
const PAST: usize = 64;

impl Book {
    /// Nothing counted yet; packets are counted `by` something, or nothing.
    pub fn new(by: Option<By>) -> Self {
        let (table, names, seen, sent, gone) = Default::default();
        Self { by, table, entries: Vec::new(), names, seen, sent, gone }
    }

    /// What a target that is traced has counted so far.
    pub fn note(&mut self, reading: &Reading) {
        let entry = self.entry(reading);
        entry.is_traced = true;
        entry.present = Sums::new(reading);
    }

    /// All that a target has counted that was let go of, and what of its verdicts came to nothing.
    pub fn close(&mut self, reading: &Reading, failures: &[(FailedOutcome, u64)]) {
        let entry = self.entry(reading);
        entry.is_traced = false;
        entry.present = Sums::none();
        entry.past.add(&Sums::new(reading));
        failures.iter().for_each(|(outcome, count)| entry.past_failed.note(outcome, *count));
    }

    /// What devices are called, before one of them goes.
    pub fn learn(&mut self, cells: &[Cell], name: impl Fn(u32, u32) -> Option<String>) {
        for cell in cells.iter().filter(|cell| cell.is_used != 0) {
            learn(&mut self.names, cell.netns, cell.ifindex, &name);
        }
    }

    /// Where all runs went.
    pub fn total(&self) -> Counts {
        let mut total = Counts::none();
        self.entries.iter().for_each(|entry| total.add(&entry.sums().counts));
        total
    }

    /// How many of them ended with what.
    pub fn verdicts(&self) -> BTreeMap<Returned, u64> {
        let mut all = BTreeMap::new();
        for sums in self.entries.iter().flat_map(|entry| [&entry.past, &entry.present]) {
            sums.traffic.verdicts().for_each(|(returned, packets)| *all.entry(returned).or_default() += packets);
        }
        all
    }

    /// All numbers, with the devices' names by `name`; when it is, whoever has read them knows.
    pub fn numbers(&mut self, shared: &Shared, name: impl Fn(u32, u32) -> Option<String>) -> Numbers {
        self.learn_all(shared, &name);
        self.forget();
        self.note_failures(&shared.failures);
        while self.past() > PAST && (self.merge() || self.forget_program()) {}
        let mut rows = self.rows(&shared.keys);
        let Self { by, entries, names, .. } = self;
        let named = |netns, ifindex| known(names, netns, ifindex);
        let programs = entries.iter_mut().enumerate().map(|(place, entry)| {
            let Sums { counts, traffic, evicted } = entry.sums();
            let rows = by.as_ref().map(|_| rows.remove(&place).unwrap_or_default());
            let total = traffic.total();
            let came = total.since(std::mem::replace(&mut entry.told, total));
            let keys = rows.map(|rows| Keys::new(rows, total, came, evicted));
            let mut program = Program {
                subject: entry.subject.clone(),
                behind: entry.behind.clone(),
                is_traced: entry.is_traced,
                counts,
                traffic: traffic.into_parts().collect(),
                failures: entry.failed.clone().into_failures().collect(),
                keys,
            };
            program.name_devices(named);
            program
        });
        let programs = programs.collect();
        Numbers { programs, forwards: self.forwards(shared), overflow: shared.overflow, ..Numbers::default() }
    }

    fn entry(&mut self, Reading { number, subject, behind, .. }: &Reading) -> &mut Entry {
        let is_it = |entry: &Entry| {
            (entry.subject.program_id, &entry.subject.function) == (subject.program_id, &subject.function)
        };
        let place = self.entries.iter().position(is_it).unwrap_or_else(|| {
            self.entries.push(Entry::new(subject.clone()));
            self.entries.len() - 1
        });
        let entry = &mut self.entries[place];
        entry.subject = subject.clone();
        entry.behind = behind.clone();
        if !entry.numbers.contains(number) {
            entry.numbers.push(*number);
        }
        // Where it is let go of and attached to again and again: packets by older ones' keys are others.
        let too_many = entry.numbers.len().saturating_sub(PAST);
        entry.numbers.drain(..too_many);
        entry
    }

    /// How many programs that are over are kept by themselves.
    fn past(&self) -> usize {
        self.entries.iter().filter(|entry| !entry.is_traced && entry.subject.is_one()).count()
    }

    /// Merges the first one that is over into the next one of the same name, and forgets its number; false where there is
    /// none.
    fn merge(&mut self) -> bool {
        let of_the_same_name = |first: usize| {
            let is_one =
                |entry: &Entry| !entry.is_traced && entry.subject.function == self.entries[first].subject.function;
            let rest = self.entries.iter().enumerate().skip(first + 1);
            rest.filter(|_| !self.entries[first].is_traced).find(|(_, entry)| is_one(entry)).map(|(place, _)| place)
        };
        let pair = (0..self.entries.len()).find_map(|first| Some((first, of_the_same_name(first)?)));
        let Some((first, second)) = pair else { return false };
        let old = self.entries.remove(first);
        self.entries[second - 1].take(&old);
        true
    }

    /// Merges the first one that is over into those of which nothing else is known, which come first; false where all names are in
    /// use: a series goes by it, and may not go down.
    fn forget_program(&mut self) -> bool {
        let in_use = |name: &str| self.entries.iter().any(|entry| entry.is_traced && entry.subject.function == name);
        let can_go = |entry: &Entry| !entry.is_traced && entry.subject.is_one() && !in_use(&entry.subject.function);
        let Some(place) = self.entries.iter().position(can_go) else { return false };
        let old = self.entries.remove(place);
        if self.entries.first().is_none_or(|first| first.subject.is_one()) {
            self.entries.insert(0, Entry::new(Subject::default()));
        }
        self.entries[0].take(&old);
        true
    }

    fn places(&self) -> HashMap<u32, usize> {
        let numbered = self.entries.iter().enumerate();
        numbered.flat_map(|(place, entry)| entry.numbers.iter().map(move |number| (*number, place))).collect()
    }

    /// The rows of each entry.
    fn rows(&mut self, entries: &[KeyEntry]) -> HashMap<usize, Vec<Row>> {
        let (mut all, places) = (HashMap::<usize, Vec<Row>>::new(), self.places());
        let Some(by) = &self.by else { return all };
        for (target, row) in self.table.read(by, entries) {
            if let Some(place) = places.get(&target) {
                all.entry(*place).or_default().push(row);
            }
        }
        all
    }

    fn note_failures(&mut self, table: &[(FailedOutcome, u64)]) {
        let places = self.places();
        self.entries.iter_mut().for_each(|entry| entry.failed.clone_from(&entry.past_failed));
        for (outcome, count) in table {
            if let Some(place) = places.get(&outcome.target) {
                self.entries[*place].failed.note(outcome, *count);
            }
        }
    }
}

impl Entry {
    fn new(subject: Subject) -> Self {
        let (past_failed, failed, told) = Default::default();
        Self {
            subject,
            behind: None,
            numbers: vec![],
            is_traced: false,
            past: Sums::none(),
            present: Sums::none(),
            past_failed,
            failed,
            told,
        }
    }

    /// Takes over what another one has counted that is over.
    fn take(&mut self, old: &Self) {
        self.past.add(&old.past);
        self.past_failed.add(&old.failed);
        self.failed.add(&old.failed);
        self.told.add(old.told);
    }

    fn sums(&self) -> Sums {
        let mut sums = self.past.clone();
        sums.add(&self.present);
        sums
    }
}

impl Sums {
    fn none() -> Self {
        Self { counts: Counts::none(), traffic: ByQueue::default(), evicted: 0 }
    }

    fn new(Reading { cells, states, has_queue, recursion_misses, .. }: &Reading) -> Self {
        let counts = Counts::counted(states, tallied(cells), *recursion_misses);
        let evicted = states.iter().map(|state| state.evicted).sum();
        Self { counts, traffic: ByQueue::new(cells, *has_queue), evicted }
    }

    fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.traffic.add(&other.traffic);
        self.evicted += other.evicted;
    }
}

impl Program {
    fn name_devices(&mut self, named: impl Fn(u32, u32) -> Port) {
        let devices = self.traffic.iter_mut().map(|traffic| &mut traffic.device);
        let devices = devices.chain(self.failures.iter_mut().map(|failures| &mut failures.device));
        for device in devices.filter(|device| device.is_one()) {
            *device = named(device.netns, device.ifindex);
        }
    }
}

/// A device that has gone is known by its name once more.
fn learn(
    names: &mut BTreeMap<(u32, u32), String>,
    netns: u32,
    ifindex: u32,
    name: impl Fn(u32, u32) -> Option<String>,
) {
    if let Some(name) = name(netns, ifindex) {
        names.insert((netns, ifindex), name);
    }
}

fn known(names: &BTreeMap<(u32, u32), String>, netns: u32, ifindex: u32) -> Port {
    Port { name: names.get(&(netns, ifindex)).cloned(), netns, ifindex, ..Port::default() }
}

#[cfg(test)]
pub(super) mod tests;
