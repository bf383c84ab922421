//! A run that was read → Event.

use super::half::Half;
use super::interface::{Interface, Interfaces};
use super::outcome;
use super::pairs::Run;
use crate::bpf::HEAD_LEN;
use crate::event::{Device, Event, Frame};

impl<'a> Run<'a> {
    /// Nothing is claimed that the file doesn't tell.
    #[inline]
    pub fn event(self, interfaces: &'a Interfaces) -> Event<'a> {
        let Self { entry, exit } = self;
        let either = |of: fn(&Half<&'a [u8]>) -> Option<u64>| entry.and_then(of).or(exit.and_then(of));
        let interface = entry.or(exit).and_then(|half| interfaces.get(half.interface));
        // A coarser clock doesn't tell.
        let is_fine = |half: &Half<_>| interfaces.get(half.interface).is_some_and(Interface::tells_nanoseconds);
        let timed = entry.zip(exit).filter(|(entry, exit)| is_fine(entry) && is_fine(exit));
        let apart_ns = timed.map(|(entry, exit)| exit.time_ns.saturating_sub(entry.time_ns));
        let [of_entry, of_exit] = entry.or(exit).map_or([0; 2], |half| half.metadata);
        let (before, after) = (entry.map(|half| frame(half, of_entry)), exit.map(|half| frame(half, of_exit)));
        let moved = entry.or(exit).and_then(Half::moved);
        let words = [exit, entry].into_iter().flatten().map(|half| half.outcome).find(|words| !words.is_empty());
        Event {
            time_ns: entry.or(exit).map_or(0, |half| half.time_ns),
            monotonic_ns: None,
            packet_id: either(|half| half.packet_id),
            device: interface.and_then(|interface| interface.device.as_deref()).map(device),
            queue: entry.and_then(|half| half.queue).or(exit.and_then(|half| half.queue)),
            egress: None,
            cpu: entry.and_then(|half| half.cpu).or(exit.and_then(|half| half.cpu)),
            function: interface.and_then(|interface| interface.function.as_deref()),
            program_name: None,
            program_id: entry.and_then(|half| half.program_id).or(exit.and_then(|half| half.program_id)),
            verdict: exit.and_then(|half| half.verdict),
            outcome: words.and_then(outcome::parse),
            latency_ns: either(|half| half.latency_ns).or(apart_ns),
            before,
            after,
            moved,
            changed: before.zip(after).and_then(|(before, after)| is_changed(before, after, moved)),
            metadata: &[],
        }
    }
}

/// It is known by its name alone.
fn device(name: &str) -> Device<'_> {
    Device { netns: 0, ifindex: 0, name: Some(name) }
}

fn frame<'a>(half: &Half<&'a [u8]>, metadata: u16) -> Frame<'a> {
    Frame { length: Some(half.length), metadata, bytes: half.bytes }
}

/// Whether the lengths, the beginnings or the first bytes differ; None where what was captured is the same, and is not all
/// that is compared.
fn is_changed(before: Frame<'_>, after: Frame<'_>, moved: Option<i32>) -> Option<bool> {
    let captured = before.bytes.len().min(after.bytes.len()).min(HEAD_LEN);
    let is_same = moved.unwrap_or(0) == 0
        && (before.length, before.metadata) == (after.length, after.metadata)
        && before.bytes.get(..captured) == after.bytes.get(..captured);
    let is_all = before.length.is_some_and(|length| captured >= HEAD_LEN.min(length as usize));
    (!is_same || is_all).then_some(!is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_as_far_as_both_were_captured() {
        let bytes = [7; 200];
        let mut other = bytes;
        other[128] = 8;
        let frame = |length, bytes| Frame { length: Some(length), metadata: 0, bytes };
        let table = [
            (frame(200, &bytes[..]), frame(200, &other[..]), Some(false)),
            (frame(200, &bytes[..127]), frame(200, &other[..]), None),
            (frame(200, &bytes[1..]), frame(200, &other[1..]), Some(true)),
            (frame(200, &bytes[..10]), frame(199, &bytes[..10]), Some(true)),
            (frame(60, &bytes[..60]), frame(60, &bytes[..60]), Some(false)),
            (frame(60, &bytes[..60]), frame(60, &bytes[..59]), None),
            (frame(60, &[]), frame(60, &bytes[..60]), None),
            (frame(0, &[]), frame(0, &[]), Some(false)),
        ];
        for (number, (before, after, changed)) in table.into_iter().enumerate() {
            for moved in [None, Some(0)] {
                assert_eq!(is_changed(before, after, moved), changed, "row {number}");
            }
            assert_eq!(is_changed(before, after, Some(4)), Some(true), "row {number}");
        }
    }
}
