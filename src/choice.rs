//! Which runs are asked for, where there is no kernel to ask: of those that were recorded. The BPF side decides the same
//! of live ones.

use anyhow::Result;

use crate::event::{Event, Frame, Verdict};
use crate::filter::{self, Program};
use crate::plan::{Selection, Side};

/// What a run must be.
#[derive(Debug)]
pub struct Choice {
    filter: Option<Program>,
    filter_at: Side,
    verdicts: Option<u32>,
    changed: bool,
    slower_ns: Option<u64>,
    queue: Option<u32>,
    only_failed: bool,
}

impl Choice {
    /// That of the command line.
    ///
    /// # Errors
    /// libpcap doesn't understand the filter.
    pub fn new(selection: &Selection) -> Result<Self> {
        let filter = Some(&selection.filter).filter(|filter| !filter.words.is_empty());
        Ok(Self {
            filter: filter.map(|filter| filter::compile_with(&filter.words, !filter.unoptimised)).transpose()?,
            filter_at: selection.filter_at,
            verdicts: selection.verdicts,
            changed: selection.changed,
            slower_ns: selection.slower.map(|slower| u64::try_from(slower.as_nanos()).unwrap_or(u64::MAX)),
            queue: selection.queue,
            only_failed: selection.only_failed,
        })
    }

    /// Whether `event` is asked for. What is not known of it is not what was asked for; only the filter makes do with the
    /// packet as the other probe saw it.
    pub fn takes(&self, event: &Event<'_>) -> bool {
        self.verdicts.is_none_or(|mask| event.verdict.is_some_and(|verdict| mask & bit(verdict) != 0))
            && self.queue.is_none_or(|queue| event.queue == Some(queue))
            && self.slower_ns.is_none_or(|least| event.latency_ns.is_some_and(|latency| latency >= least))
            && (!self.changed || event.changed == Some(true))
            && (!self.only_failed || event.outcome.is_some_and(|outcome| outcome.is_failure()))
            && self.filter.as_ref().is_none_or(|filter| accepts(filter, self.seen(event)))
    }

    fn seen<'a>(&self, event: &Event<'a>) -> Option<Frame<'a>> {
        match self.filter_at {
            Side::Entry => event.packet(),
            Side::Exit => event.after.or(event.before),
        }
    }
}

fn accepts(filter: &Program, frame: Option<Frame<'_>>) -> bool {
    frame.is_some_and(|Frame { bytes, length, .. }| filter.accepts(bytes, length.unwrap_or(bytes.len() as u32)))
}

/// [`Selection::verdicts`]' bit for this verdict.
fn bit(verdict: Verdict) -> u32 {
    1 << verdict.0.min(Verdict::ACTIONS.len() as u32)
}

#[cfg(test)]
mod tests;
