//! What is kept of devices that come and go, and for how long.

use std::collections::BTreeSet;

use super::{Book, Entry, Reading, Shared, known, learn};
use crate::bpf::{Cell, FailedOutcome, ForwardPath, Forwarded};
use crate::event::Counts;
use crate::numbers::cells::{ByQueue, tallied};
use crate::numbers::gone::{self, Gone, KEPT};
use crate::numbers::outcomes::{forward, kept};
use crate::numbers::{Forward, Port};

impl Book {
    /// What cells of a target held that were given back. They are in no later reading of it.
    pub fn keep(&mut self, reading: &Reading, freed: &[Cell]) {
        let (runs, has_queue) = (tallied(freed), reading.has_queue);
        let past = &mut self.entry(reading).past;
        past.counts.add(&Counts { seen: runs, traced: runs, ..Counts::none() });
        past.traffic.add(&ByQueue::new(freed, has_queue));
    }

    /// What was taken out of the tables of what became of verdicts.
    pub fn keep_outcomes(
        &mut self,
        failures: &[(FailedOutcome, u64)],
        forwards: &[(ForwardPath, Forwarded)],
        gone: &Gone,
    ) {
        let places = self.places();
        for (outcome, count) in failures {
            if let Some(place) = places.get(&outcome.target) {
                self.entries[*place].past_failed.note(outcome, *count);
            }
        }
        let Self { sent, names, .. } = self;
        let is_named = |port: &Port| names.contains_key(&(port.netns, port.ifindex));
        for (path, sums) in forwards {
            let forward = forward(path, *sums, |netns, ifindex| Port { netns, ifindex, ..Port::default() });
            forward.into_iter().for_each(|forward| sent.note(forward, |port| kept(port, gone, is_named)));
        }
    }

    /// Those of the devices of which something was kept at the last reading that have gone.
    pub fn gone(&self, has_gone: impl Fn(u32, u32) -> bool) -> Gone {
        let gone = self.seen.iter().filter(|(netns, ifindex)| has_gone(*netns, *ifindex));
        Gone::new(gone.map(|device| (*device, self.names.get(device).map(String::as_str))))
    }

    /// These devices have gone: what is kept of them goes by their names from now on.
    pub fn settle(&mut self, gone: &Gone) {
        self.move_past(|port| gone.instead_of(port));
    }

    /// What was sent on, also by way of devices that have gone.
    pub(super) fn forwards(&self, shared: &Shared) -> Vec<Forward> {
        let mut all = self.sent.clone();
        let one = |netns, ifindex| Port { netns, ifindex, ..Port::default() };
        shared
            .forwards
            .iter()
            .filter_map(|(path, sums)| forward(path, *sums, one))
            .for_each(|new| all.note(new, |_| None));
        let name = |port: Port| if port.is_one() { known(&self.names, port.netns, port.ifindex) } else { port };
        all.into_forwards().map(|forward| Forward { path: forward.path.map(name), ..forward }).collect()
    }

    /// Has what is kept of devices be that of others, where `to` says so.
    fn move_past(&mut self, to: impl Fn(&Port) -> Option<Port>) {
        for entry in &mut self.entries {
            entry.past.traffic.move_to(&to);
            entry.past_failed.move_to(&to);
        }
        self.sent.move_to(&to);
    }

    /// All devices of which something is kept, or in the tables; some of them often.
    fn devices<'book>(&'book self, shared: &'book Shared) -> impl Iterator<Item = (u32, u32)> + 'book {
        let of_entry = |entry: &'book Entry| {
            let counted = entry.past.traffic.devices().chain(entry.present.traffic.devices());
            counted.chain(entry.past_failed.devices())
        };
        let kept = self.entries.iter().flat_map(of_entry).chain(self.sent.devices());
        let failed = shared.failures.iter().map(|(outcome, _)| (outcome.netns, outcome.ifindex));
        let sent = shared.forwards.iter().flat_map(|(path, _)| path.devices());
        kept.filter(|port| port.is_one()).map(|port| (port.netns, port.ifindex)).chain(failed).chain(sent)
    }

    /// What these devices are called; the names of others are forgotten.
    pub(super) fn learn_all(&mut self, shared: &Shared, name: impl Fn(u32, u32) -> Option<String>) {
        let devices: BTreeSet<(u32, u32)> = self.devices(shared).collect();
        self.names.retain(|device, _| devices.contains(device));
        devices.iter().for_each(|(netns, ifindex)| learn(&mut self.names, *netns, *ifindex, &name));
        self.seen = devices;
    }

    /// Keeps no more of devices that have gone than of a few by themselves.
    pub(super) fn forget(&mut self) {
        let names = &self.names;
        let id = |port: &Port| (port.netns, port.ifindex);
        // What never was known to be a device's is no device that could have gone.
        let is_nameless = |port: &Port| port.is_one() && id(port) != (0, 0) && !names.contains_key(&id(port));
        let nameless = |port: &Port| is_nameless(port).then(gone::nameless);
        let are_too_many = |devices: &mut dyn Iterator<Item = &Port>| {
            devices.filter(|port| is_nameless(port)).map(id).collect::<BTreeSet<_>>().len() > KEPT
        };
        for Entry { past, past_failed, .. } in &mut self.entries {
            if are_too_many(&mut past.traffic.devices()) {
                past.traffic.move_to(nameless);
            }
            if are_too_many(&mut past_failed.devices()) {
                past_failed.move_to(nameless);
            }
        }
        let on_path = self.entries.iter().filter(|entry| entry.is_traced).flat_map(|entry| &entry.subject.devices);
        let in_use = on_path.chain(names.values()).cloned().collect();
        let forgotten = self.gone.forget(&self.gone_names(), &in_use);
        if !forgotten.is_empty() {
            self.move_past(|port| gone::forgotten(port, &forgotten));
        }
    }

    fn gone_names(&self) -> BTreeSet<String> {
        let counted = self.entries.iter().flat_map(|entry| entry.past.traffic.devices());
        let failed = self.entries.iter().flat_map(|entry| entry.past_failed.devices());
        let devices = counted.chain(failed).chain(self.sent.devices());
        devices.filter(|port| !port.is_one()).filter_map(|port| port.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
