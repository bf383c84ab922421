//! What tracing costs a packet on this machine: measured on a program of our own that no NIC runs.

mod bench;

use std::time::Duration;

use anyhow::{Context, Result};

use self::bench::Bench;
use super::receiving::{Rate, Receiving};
use super::{Answer, Finding};
use crate::passthrough;
use crate::plan::{Counting, Devices, Probes, Selection, Tracing};
use crate::refusal;

/// Ways to trace, as the command line asks for them.
const WAYS: [(&str, Probes, bool); 4] = [
    ("trace --probe exit", Probes::Exit, false),
    ("trace", Probes::Both, false),
    ("stats --probe exit", Probes::Exit, true),
    ("stats", Probes::Both, true),
];

/// What each way costs, and what that means for the packets that the devices receive now. `works`: whether this machine can
/// trace at all.
pub(super) fn judge(devices: &Devices, works: bool) -> Vec<Finding> {
    if !works {
        return vec![unknown("cost", "not measured, for the reasons above")];
    }
    // Beside the measurement, which leaves all other CPUs to those who receive.
    let receiving = Receiving::begin(devices);
    let costs = match measure() {
        Ok(costs) => costs,
        Err(error) => return vec![unknown("cost", refusal::reason(&error))],
    };
    let rate = receiving.and_then(|receiving| receiving.end().ok());
    let named = WAYS.iter().map(|(way, ..)| format!("cost of {way}"));
    named.zip(costs).map(|(what, cost)| tell(what, cost, rate.as_ref())).collect()
}

fn unknown(what: impl Into<String>, why: impl Into<String>) -> Finding {
    Finding::by_the_way(what, Answer::Unknown, why)
}

/// Each way is compared with the untraced rounds before it and behind it: a processor's pace changes.
fn measure() -> Result<Vec<Result<Cost>>> {
    let program = passthrough::load()?;
    let bench = Bench::new(&program)?;
    let mut before = bench.untraced()?;
    let mut costs = Vec::new();
    for (_, probes, counts) in WAYS {
        let traced = bench.traced(&plan(probes, counts));
        let after = bench.untraced()?;
        let untraced = [before, after.clone()].concat();
        costs.push(traced.and_then(|traced| Cost::of(untraced, traced).context("no round was measured")));
        before = after;
    }
    Ok(costs)
}

fn plan(probes: Probes, counts: bool) -> Tracing {
    let selection = Selection { shown: probes, ..Selection::default() };
    let interval = Duration::default();
    let counting = Counting { interval, at_once: false, times: None, by: None, drops_a_second: None };
    Tracing { selection, counting: counts.then_some(counting), ..Tracing::default() }
}

/// Nanoseconds a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    /// What it takes longer with the probes: the difference of the middles of several rounds.
    ns: i64,
    /// How far apart rounds were that are of the same: the middle half of them.
    spread: i64,
}

impl Cost {
    fn of(untraced: Vec<u32>, traced: Vec<u32>) -> Option<Self> {
        let (before, after) = (Quartiles::of(untraced)?, Quartiles::of(traced)?);
        Some(Self { ns: after.middle - before.middle, spread: before.spread + after.spread })
    }

    /// Whether it is more than what rounds differ by anyway.
    fn is_clear(self) -> bool {
        self.ns > 0 && self.spread <= self.ns / 2
    }
}

struct Quartiles {
    middle: i64,
    spread: i64,
}

impl Quartiles {
    fn of(mut rounds: Vec<u32>) -> Option<Self> {
        rounds.sort_unstable();
        let at = |part: usize| rounds.get(rounds.len() * part / 4).copied().map(i64::from);
        Some(Self { middle: at(2)?, spread: at(3)? - at(1)? })
    }
}

fn tell(what: String, cost: Result<Cost>, rate: Option<&Rate>) -> Finding {
    let Cost { ns, spread } = match cost {
        Ok(cost) if cost.is_clear() => cost,
        Ok(Cost { ns, spread }) => {
            let words =
                format!("{ns} ns a packet where rounds differ by {spread}: try again when the machine is less busy");
            return unknown(what, words);
        }
        Err(error) => return unknown(what, refusal::reason(&error)),
    };
    let ns = ns.unsigned_abs();
    let numbers = [("ns_per_packet", ns), ("spread_ns", spread.unsigned_abs())];
    let packets = rate.map(|rate| ("packets_per_second", rate.packets));
    Finding::by_the_way(what, Answer::Note, words(ns, rate)).with(numbers.into_iter().chain(packets))
}

fn words(ns: u64, rate: Option<&Rate>) -> String {
    match rate {
        None => format!("about {ns} ns a packet"),
        Some(Rate { devices, packets: 0 }) => format!("about {ns} ns a packet; {devices} receives none now"),
        Some(Rate { devices, packets }) => {
            let share = share(ns * packets);
            format!("about {ns} ns a packet; at the {} that {devices} receives now {share} of a core", pace(*packets))
        }
    }
}

/// Of the nanoseconds of a second.
fn share(ns: u64) -> String {
    let percent = ns as f64 / 1e7;
    match percent {
        ..0.1 => "less than 0.1 %".into(),
        ..9.95 => format!("{percent:.1} %"),
        _ => format!("{percent:.0} %"),
    }
}

/// Packets a second.
fn pace(packets: u64) -> String {
    match packets {
        ..1000 => format!("{packets} packets/s"),
        1000..999_950 => format!("{:.1} kpps", packets as f64 / 1e3),
        _ => format!("{:.1} Mpps", packets as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests;
