//! Records that wait for what became of their verdicts: the kernel tells that behind the program's end, in a record of its own.

use crate::bpf::{Outcome, Record, Tells, Told};
use crate::event::Verdict;

/// How long behind a run's end its outcome comes at most, in nanoseconds: it is told on the same CPU, and nothing else runs
/// there in between but what interrupts it.
const SLACK_NS: u64 = 1_000_000;

/// Records that wait, in their order on each CPU.
#[derive(Debug, Default)]
pub struct Held {
    /// By the CPU.
    waiting: Vec<Vec<Kept>>,
    count: usize,
    /// Buffers that were used before, and a list.
    spare: Vec<Vec<u8>>,
    list: Vec<Kept>,
}

/// A record that waits, out of the ring.
#[derive(Debug)]
pub struct Kept {
    cpu: u32,
    record: Record,
    /// Its packet as it left, as it arrived, and the metadata, one behind the other.
    bytes: Vec<u8>,
    ends: [usize; 2],
    outcome: Option<Outcome>,
}

impl Kept {
    /// The record as it was in the ring, and what became of its verdict.
    pub fn told(&self) -> (Told<'_>, Option<&Outcome>) {
        let (packet, metadata) = self.bytes.split_at(self.ends[1]);
        let (bytes, arrived) = packet.split_at(self.ends[0]);
        (Told { cpu: self.cpu, record: self.record, bytes, arrived, metadata }, self.outcome.as_ref())
    }

    /// When its run ended, by CLOCK_MONOTONIC in nanoseconds.
    fn ended_ns(&self) -> u64 {
        let (told, _) = self.told();
        let is_timed = told.tells(Tells::TOLD_ENTRY) && told.tells(Tells::TOLD_EXIT);
        self.record.time_ns.saturating_add(if is_timed { self.record.latency_ns } else { 0 })
    }
}

impl Held {
    /// Whether none waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether those of this CPU wait for nothing more once a record of this target comes: then another run has begun.
    pub fn is_over(&self, told: &Told<'_>) -> bool {
        let waiting = self.waiting.get(told.cpu as usize).map_or(&[][..], Vec::as_slice);
        // Of one run there may be several: of a dispatcher, and of its components.
        let has_verdict = told.tells(Tells::TOLD_VERDICT) && Verdict(told.record.verdict).has_outcome();
        !has_verdict || waiting.iter().any(|one| one.record.target == told.record.target)
    }

    /// Has a record wait.
    pub fn hold(&mut self, told: &Told<'_>) {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        let ends = [told.bytes, told.arrived].map(|part| {
            bytes.extend_from_slice(part);
            bytes.len()
        });
        bytes.extend_from_slice(told.metadata);
        let kept = Kept { cpu: told.cpu, record: told.record, bytes, ends, outcome: None };
        self.of(told.cpu).push(kept);
        self.count += 1;
    }

    /// Notes what became of the verdict of one that waits: what is told first, for a driver may say once more that a redirect
    /// failed, and less of it.
    pub fn note(&mut self, cpu: u32, outcome: Outcome) {
        let is_of = |one: &&mut Kept| one.record.target == outcome.target && one.record.serial == outcome.serial;
        if let Some(one) =
            self.of(cpu).iter_mut().find(is_of).filter(|one| is_about(one.record.verdict, outcome.action))
        {
            one.outcome.get_or_insert(outcome);
        }
    }

    /// When, by CLOCK_MONOTONIC in nanoseconds, the first run began of those that wait; None: none waits.
    pub fn oldest_ns(&self) -> Option<u64> {
        self.waiting.iter().flatten().map(|one| one.record.time_ns).min()
    }

    /// Takes out those of this CPU.
    pub fn take(&mut self, cpu: u32) -> Vec<Kept> {
        let list = std::mem::take(&mut self.list);
        let taken = std::mem::replace(self.of(cpu), list);
        self.count -= taken.len();
        taken
    }

    /// Takes out those whose outcome would have come: on CPUs that had nothing more to send at `flushed_ns`, by CLOCK_MONOTONIC.
    pub fn take_settled(&mut self, flushed_ns: u64, is_settled: impl Fn(u32) -> bool) -> Vec<Kept> {
        let mut taken = Vec::new();
        for (cpu, waiting) in self.waiting.iter_mut().enumerate().filter(|(cpu, _)| is_settled(*cpu as u32)) {
            debug_assert!(waiting.iter().all(|one| one.cpu as usize == cpu));
            let count = waiting.iter().take_while(|one| one.ended_ns().saturating_add(SLACK_NS) <= flushed_ns).count();
            taken.extend(waiting.drain(..count));
        }
        self.count -= taken.len();
        taken
    }

    /// Takes back what was taken out, for its memory.
    pub fn reuse(&mut self, mut kept: Vec<Kept>) {
        /// As many as CPUs are likely to wait at a time.
        const MOST: usize = 64;
        let room = MOST.saturating_sub(self.spare.len());
        self.spare.extend(kept.drain(..).take(room).map(|one| one.bytes));
        self.list = kept;
    }

    fn of(&mut self, cpu: u32) -> &mut Vec<Kept> {
        let cpu = cpu as usize;
        if self.waiting.len() <= cpu {
            self.waiting.resize_with(cpu + 1, Vec::new);
        }
        &mut self.waiting[cpu]
    }
}

/// Whether what the kernel tells is about this verdict: a program that calls others may have made another one of theirs. A
/// bond makes a redirect of its members' XDP_TX.
fn is_about(verdict: u32, action: u32) -> bool {
    verdict == action || (Verdict(verdict), Verdict(action)) == (Verdict::TX, Verdict::REDIRECT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(cpu: u32, target: u32, serial: u32, verdict: Verdict) -> Told<'static> {
        let told = (Tells::TOLD_EXIT.0 | Tells::TOLD_VERDICT.0) as u16;
        let record = Record { time_ns: 10, told, target, serial, verdict: verdict.0, ..Record::default() };
        Told { cpu, record, bytes: b"left", arrived: b"as it came", metadata: b"mark" }
    }

    fn outcome(target: u32, serial: u32, action: Verdict) -> Outcome {
        Outcome { target, serial, action: action.0, error: -100, ..Outcome::default() }
    }

    fn errors(kept: &[Kept]) -> Vec<Option<i32>> {
        kept.iter().map(|one| one.told().1.map(|outcome| outcome.error)).collect()
    }

    #[test]
    fn an_outcome_is_that_of_the_same_run_on_the_same_cpu() {
        let mut held = Held::default();
        for (cpu, serial) in [(0, 7), (1, 7), (1, 8)] {
            held.hold(&told(cpu, 3, serial, Verdict::REDIRECT));
        }
        held.note(1, outcome(3, 8, Verdict::REDIRECT));
        held.note(1, outcome(4, 7, Verdict::REDIRECT));
        held.note(0, outcome(3, 8, Verdict::REDIRECT));
        held.note(0, outcome(3, 7, Verdict::ABORTED));
        held.note(1, Outcome { error: 0, ..outcome(3, 8, Verdict::REDIRECT) });
        assert_eq!(errors(&held.take(1)), [None, Some(-100)]);
        let kept = held.take(0);
        assert_eq!(errors(&kept), [None], "it is about another verdict");
        let (told, _) = kept[0].told();
        assert_eq!((told.bytes, told.arrived, told.metadata), (&b"left"[..], &b"as it came"[..], &b"mark"[..]));
        assert!(held.is_empty());
    }

    #[test]
    fn records_wait_until_another_run_begins() {
        let mut held = Held::default();
        held.hold(&told(0, 3, 7, Verdict::TX));
        // The dispatcher's, and then the component's next one.
        assert!(!held.is_over(&told(0, 4, 1, Verdict::TX)));
        assert!(held.is_over(&told(0, 3, 8, Verdict::TX)));
        assert!(held.is_over(&told(0, 4, 1, Verdict::PASS)));
    }

    #[test]
    fn records_wait_no_longer_than_their_outcome_could() {
        let mut held = Held::default();
        held.hold(&told(0, 3, 7, Verdict::TX));
        held.hold(&told(1, 3, 7, Verdict::TX));
        assert_eq!(held.take_settled(10 + SLACK_NS - 1, |_| true).len(), 0);
        assert_eq!(held.take_settled(10 + SLACK_NS, |cpu| cpu == 1).len(), 1);
        assert_eq!(held.take_settled(u64::MAX, |cpu| cpu == 0).len(), 1);
        assert!(held.is_empty());
    }
}
