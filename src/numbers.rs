//! Numbers without events: what the BPF side has counted of the packets of traced programs, up to one moment.

mod book;
mod cells;
mod gone;
mod keys;
mod outcomes;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

pub use book::{Book, Reading, Shared};
pub use cells::tallied;
pub use gone::{Former, Gone, KEPT};
pub use keys::{Common, Protocol, first};
pub use outcomes::forwards;

pub use crate::event::{Forward, Path, Port, Standing};

use crate::event::{Counts, Overflow, Subject, Verdict};

/// What was counted of all programs up to one moment. All of it only grows while a program is traced.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Numbers {
    /// When it was read: nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// How long after the reading before, or, of the first one, after the start.
    pub took: Duration,
    /// Nothing is traced any more: the last reading.
    pub is_final: bool,
    /// Of each traced function, in the order in which they were attached to; each function of a program stands there once.
    pub programs: Vec<Program>,
    /// What the kernel tells of packets many at a time, which names no program: only where it was asked for.
    pub forwards: Vec<Forward>,
    /// What was not counted among failures and forwards.
    pub overflow: Overflow,
}

/// What was counted of one function of a program.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Program {
    /// Which.
    pub subject: Subject,
    /// What hands packets on to it; None: it is a device's own, or that isn't known.
    pub behind: Option<Behind>,
    /// Whether it is traced; else it has been let go of, and nothing is added any more.
    pub is_traced: bool,
    /// Where its runs went; `traced` are those in `traffic`.
    pub counts: Counts,
    /// By device and queue.
    pub traffic: Vec<Traffic>,
    /// Verdicts that the kernel could not follow, and XDP_ABORTED.
    pub failures: Vec<Failures>,
    /// By what was asked for (`--by`), the most packets first; None: by nothing.
    pub keys: Option<Keys>,
}

/// How a program comes to see packets that another one has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behind {
    /// The other's id; its own of a function within it.
    pub program_id: u32,
    /// By what it gets them: `component 0`.
    pub role: String,
}

/// Packets of one device and queue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    /// The receiving device, or all those that have gone. Not known of those for which the kernel side had no place left.
    pub device: Port,
    /// The receive queue; None: not known, as in programs of a cpumap.
    pub queue: Option<u32>,
    /// Packets and bytes by what the program returned.
    pub verdicts: BTreeMap<Returned, Tally>,
    /// How long the program took; None: it was not measured, as without fentry.
    pub latency: Option<Latency>,
}

/// What packets are counted by of a verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Returned {
    /// One of [`Verdict::ACTIONS`].
    Action(Verdict),
    /// A value that is no action.
    #[default]
    Other,
    /// Nothing: the function is void.
    Nothing,
}

/// Packets, and the bytes in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets.
    pub packets: u64,
    /// Bytes as the program left them, from the Ethernet header on, in all buffers.
    pub bytes: u64,
}

/// Latencies, as a base-2 logarithmic histogram: nanoseconds below 8 have a step each; from there on each octave has four.
/// The last one holds whatever took 2³³ ns and longer, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latency {
    /// Runs in each step.
    pub steps: Box<[u64; Self::STEPS]>,
    /// All of them together, in nanoseconds.
    pub sum_ns: u64,
    /// The longest, in nanoseconds.
    pub max_ns: u64,
}

/// Verdicts of a program for packets of one device with which it came to nothing, for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    /// The receiving device, or all those that have gone.
    pub device: Port,
    /// The verdict that the kernel was to follow.
    pub verdict: Returned,
    /// Why, in the kernel's word for it: `ENETDOWN`; None: it only says that it didn't (xdp_exception).
    pub error: Option<String>,
    /// How often.
    pub count: u64,
}

/// Packets by what was asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Keys {
    /// Those that the kernel's table holds, in the order of their keys and verdicts. They may be many, and whoever compares
    /// two readings keeps them: not as a copy.
    pub rows: Rc<Vec<Row>>,
    /// Those whose key had to leave the table for another, or found no room, or could not be read: with `rows`, all there are.
    pub other: Tally,
    /// … and of these, those that came since the reading before.
    pub others_came: Tally,
    /// How many keys have left the table, or found no room.
    pub evicted: u64,
}

/// Packets that have one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// What they have in common.
    pub key: Common,
    /// What the program returned.
    pub verdict: Returned,
    /// How many, since a CPU's table has held the key.
    pub tally: Tally,
    /// … and of these, those that came since the reading before.
    pub came: Tally,
}

impl Latency {
    /// How many steps there are: record.h's LATENCIES.
    pub const STEPS: usize = 128;

    /// The least and the first too large latency of a step, in nanoseconds.
    pub fn bounds(step: usize) -> (u64, u64) {
        let start = |step: usize| match step {
            0..8 => step as u64,
            step => (4 + (step as u64 & 3)) << ((step - 8) / 4 + 1),
        };
        (start(step), start(step + 1))
    }

    /// The step of a latency.
    pub fn step(ns: u64) -> usize {
        let octave = ns.max(1).ilog2() as usize;
        let step = if ns < 8 { ns as usize } else { (octave - 1) * 4 + (ns >> (octave - 2) & 3) as usize };
        step.min(Self::STEPS - 1)
    }

    /// Runs measured.
    pub fn count(&self) -> u64 {
        self.steps.iter().sum()
    }

    /// The latency that a share of all runs doesn't exceed: the end of the step that it is in, or the longest latency where
    /// that is less; at most a quarter too long from 8 ns on, for an octave has four steps. None: there were none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        let rank = ((count as f64 * share).ceil() as u64).clamp(1, count.max(1));
        let mut below = 0;
        let step = self.steps.iter().position(|runs| {
            below += runs;
            below >= rank
        })?;
        let (_, end) = Self::bounds(step);
        Some(Duration::from_nanos((end - 1).min(self.max_ns)))
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        self.steps.iter_mut().zip(other.steps.iter()).for_each(|(sum, runs)| *sum += runs);
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// What has come since an earlier reading; how long the longest of that took isn't known, so it stays.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut steps = self.steps.clone();
        steps.iter_mut().zip(earlier.steps.iter()).for_each(|(now, then)| *now = now.saturating_sub(*then));
        Self { steps, sum_ns: self.sum_ns.saturating_sub(earlier.sum_ns), max_ns: self.max_ns }
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self { steps: Box::new([0; Self::STEPS]), sum_ns: 0, max_ns: 0 }
    }
}

impl Tally {
    /// Adds what another has counted.
    pub fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }

    /// What has come since an earlier reading.
    pub fn since(self, earlier: Self) -> Self {
        Self { packets: self.packets.saturating_sub(earlier.packets), bytes: self.bytes.saturating_sub(earlier.bytes) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn steps_are_quarters_of_octaves() {
        let bounds = [0, 7, 8, 9, 11, 12, 16, 127].map(Latency::bounds);
        let expected = [(0, 1), (7, 8), (8, 10), (10, 12), (14, 16), (16, 20), (32, 40), (7 << 30, 8 << 30)];
        assert_eq!(bounds, expected);
        for step in 1..Latency::STEPS {
            let (start, end) = Latency::bounds(step);
            assert_eq!(Latency::bounds(step - 1).1, start);
            assert_eq!([start, end - 1].map(Latency::step), [step, step]);
        }
    }

    #[test]
    fn a_quantile_is_no_more_than_the_longest() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.5), None);
        (latency.steps[8], latency.steps[12], latency.max_ns) = (99, 1, 17);
        let ns = |share| latency.quantile(share).unwrap().as_nanos();
        assert_eq!([ns(0.0), ns(0.5), ns(0.99), ns(0.991), ns(1.0)], [9, 9, 9, 17, 17]);
    }
}
