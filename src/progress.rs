//! How a run goes, while it goes: once a second what was lost since, and, for who watches a terminal, a line that is
//! overwritten; and at SIGUSR1 where all runs went so far.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bpf::State;
use crate::delivery::Delivery;
use crate::event::{Counts, Delivered, Losses, Summary};
use crate::follow::{Released, Traced};
use crate::numbers;
use crate::outlet::Outlet;
use crate::sink::Notice;

const SECOND: Duration = Duration::from_secs(1);

/// What was told last, and when.
#[derive(Debug)]
pub struct Progress {
    /// Whether somebody watches: where packets go to a file, and what is said to a terminal.
    is_watched: bool,
    told: Instant,
    traced: u64,
    losses: Losses,
    /// What has been lost on its way of the programs that were let go of: in [`Progress::past`] with the rest.
    past_losses: u64,
    past: Counts,
}

impl Progress {
    /// Of a run that writes to `outputs`.
    pub fn new(outputs: &[&Outlet]) -> Self {
        let is_to_files = !outputs.is_empty() && outputs.iter().all(|output| output.is_file());
        Self {
            is_watched: is_to_files && io::stderr().is_terminal(),
            told: Instant::now(),
            traced: 0,
            losses: Losses::default(),
            past_losses: 0,
            past: Counts::none(),
        }
    }

    /// What came of all programs that were let go of.
    pub fn past(&self) -> &Counts {
        &self.past
    }

    /// … and how much of that was lost on its way: neither decided against nor written.
    pub fn past_losses(&self) -> u64 {
        self.past_losses
    }

    /// All that came of one that was let go of.
    pub fn let_go(&mut self, released: &Released, counts: &Counts) {
        let counted: u64 = released.states.iter().map(|state| state.counts.lost).sum();
        self.past_losses += counts.lost.saturating_sub(counted);
        self.past.add(counts);
    }

    /// Whether a second has passed since it was told last.
    pub fn is_due(&self) -> bool {
        self.told.elapsed() >= SECOND
    }

    /// Says what was lost since the last time, and how the run goes.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub fn tell(&mut self, now: &Now<'_>, delivery: &mut Delivery<'_>) -> Result<()> {
        let took = std::mem::replace(&mut self.told, Instant::now()).elapsed();
        self.tell_losses(now.losses, delivery);
        if self.is_watched {
            let counts = self.counts(now, delivery)?;
            let more = counts.traced.saturating_sub(self.traced);
            self.traced = counts.traced;
            let rate = (more as f64 / took.as_secs_f64()).round() as u64;
            delivery.notice(&Notice::Progress { counts, rate });
        }
        Ok(())
    }

    /// Says what was lost since this was said last; later, where the output takes no more for now.
    pub fn tell_losses(&mut self, losses: Losses, delivery: &mut Delivery<'_>) {
        if !delivery.has_room() {
            return;
        }
        let new = losses.since(&self.losses);
        self.losses = losses;
        if new != Losses::default() {
            delivery.notice(&Notice::Lost(new));
        }
    }

    /// Where all runs went so far. What there was in the rings has been read.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub fn so_far(&self, now: &Now<'_>, delivery: &Delivery<'_>) -> Result<Summary> {
        let total = self.counts(now, delivery)?;
        let (verdicts, late) = (delivery.verdicts(), delivery.late());
        // Which of them has lost how much on its way isn't known before its end.
        Ok(Summary { programs: Vec::new(), total, verdicts, others: 0, losses: now.losses, late, forwards: None })
    }

    fn counts(&self, now: &Now<'_>, delivery: &Delivery<'_>) -> Result<Counts> {
        let mut total = self.past.clone();
        for Released { number, states, cells, freed, recursion_misses, .. } in now.released {
            let delivered = delivery.delivered(*number);
            let counted = cells.as_deref().map(|cells| numbers::tallied(cells) + freed);
            total.add(&so_far(counted, states, delivered, *recursion_misses));
        }
        for traced in now.traced {
            let ((states, cells), delivered) = (traced.counters()?, delivery.delivered(traced.number));
            let counted = cells.map(|cells| numbers::tallied(&cells) + traced.freed);
            total.add(&so_far(counted, &states, delivered, traced.recursion_misses()));
        }
        total.lose(now.losses.sum().saturating_sub(self.past_losses));
        Ok(total)
    }
}

/// `counted`: where runs are counted, how many have been.
fn so_far(counted: Option<u64>, states: &[State], delivered: Delivered, misses: Option<u64>) -> Counts {
    match counted {
        Some(counted) => Counts::counted(states, counted, misses),
        None => Counts::so_far(states, delivered, misses),
    }
}

/// What there is of a run at the moment.
#[derive(Debug, Clone, Copy)]
pub struct Now<'run> {
    /// Traced programs.
    pub traced: &'run [Traced],
    /// Those that were let go of, while their records may still be in the rings.
    pub released: &'run [Released],
    /// Records that were lost on their way.
    pub losses: Losses,
}
