//! Numbers instead of events: read at every interval, and handed on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::Run;
use crate::bpf::{Cell, ForwardPath};
use crate::delivery::Delivery;
use crate::event::Verdict;
use crate::follow::{self, Follow, Released, Traced};
use crate::numbers::{Book, Gone, Numbers, Reading, Returned, Shared};
use crate::plan;
use crate::probe::Maps;
use crate::target::{Names, Place, Target};

/// When numbers are read, and what has been counted.
#[derive(Debug)]
pub(super) struct Counting<'plan> {
    plan: &'plan plan::Counting,
    book: Book,
    /// The devices that had gone when numbers were read last.
    gone: Gone,
    /// When they were read last, and are to be read next.
    last: Instant,
    next: Instant,
    /// How often they were read.
    times: u64,
}

impl<'plan> Counting<'plan> {
    /// Begins now.
    pub(super) fn new(plan: &'plan plan::Counting) -> Self {
        let now = Instant::now();
        let next = if plan.at_once { now } else { now + plan.interval };
        let (book, gone) = (Book::new(plan.by.clone()), Gone::default());
        Self { plan, book, gone, last: now, next, times: 0 }
    }

    /// Whether numbers have been read as often as was asked for.
    pub(super) fn is_complete(&self) -> bool {
        self.plan.times.is_some_and(|times| self.times >= times)
    }

    /// How long until they are to be read.
    pub(super) fn due_in(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// What was let go of has counted this, and no more.
    ///
    /// # Errors
    /// The kernel's maps cannot be read.
    pub(super) fn close(&mut self, released: &Released, maps: &Maps, names: &Names) -> Result<()> {
        let Released { target, number, states, cells, recursion_misses, .. } = released;
        self.book.learn(cells.as_deref().unwrap_or_default(), |netns, ifindex| names.ask(netns, ifindex));
        let (states, cells) = (states.clone(), cells.clone().unwrap_or_default());
        let reading = Reading { states, cells, recursion_misses: *recursion_misses, ..of(target, *number) };
        let mut failures = maps.failures()?;
        failures.retain(|(outcome, _)| outcome.target == *number);
        maps.forget(&failures, &[])?;
        self.book.close(&reading, &failures);
        Ok(())
    }

    /// Reads what there is, at an interval's end.
    ///
    /// # Errors
    /// The kernel's maps cannot be read.
    pub(super) fn read(&mut self, follow: &mut Follow<'_>, names: &Names) -> Result<Numbers> {
        self.times += 1;
        // By the clock, however long anything takes; what was missed is in this one.
        while self.next <= Instant::now() {
            self.next += self.plan.interval;
        }
        self.read_now(follow, names)
    }

    /// Reads it at the end, when nothing is traced any more.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn read_last(&mut self, follow: &mut Follow<'_>, names: &Names) -> Result<Numbers> {
        Ok(Numbers { is_final: true, ..self.read_now(follow, names)? })
    }

    fn read_now(&mut self, follow: &mut Follow<'_>, names: &Names) -> Result<Numbers> {
        let keys = self.plan.by.as_ref().map_or(Ok(Vec::new()), |_| follow.maps().keys())?;
        let now = self.book.gone(|netns, ifindex| names.has_gone(netns, ifindex));
        // What their last packets came to was handed on at the reading before.
        let gone = now.since(&self.gone);
        self.gone = now;
        self.note(follow.traced_mut(), &gone)?;
        let shared = Shared { keys, ..self.outcomes(follow.maps(), &gone)? };
        self.book.settle(&gone);
        let (now, time_ns) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        let took = now - std::mem::replace(&mut self.last, now);
        Ok(Numbers {
            time_ns: time_ns.as_nanos() as u64,
            took,
            ..self.book.numbers(&shared, |netns, ifindex| names.ask(netns, ifindex))
        })
    }

    /// Reads what each target has counted, and makes room in it for devices to come where others have gone.
    fn note(&mut self, traced: &mut [Traced], gone: &Gone) -> Result<()> {
        let mut readings = traced.iter().map(read).collect::<Result<Vec<_>>>()?;
        let mut cells: Vec<&mut Vec<Cell>> = readings.iter_mut().map(|reading| &mut reading.cells).collect();
        let freed = follow::free(traced, &mut cells, |netns, ifindex| gone.has(netns, ifindex))?;
        for (reading, freed) in readings.iter().zip(&freed) {
            self.book.note(reading);
            self.book.keep(reading, freed);
        }
        Ok(())
    }

    /// Reads what became of verdicts, and makes room there, too.
    fn outcomes(&mut self, maps: &Maps, gone: &Gone) -> Result<Shared> {
        let has_gone = |path: &ForwardPath| path.devices().any(|(netns, ifindex)| gone.has(netns, ifindex));
        let (failed, failures) =
            maps.failures()?.into_iter().partition::<Vec<_>, _>(|(one, _)| gone.has(one.netns, one.ifindex));
        let (sent, forwards) = maps.forwards()?.into_iter().partition::<Vec<_>, _>(|(path, _)| has_gone(path));
        maps.forget(&failed, &sent)?;
        self.book.keep_outcomes(&failed, &sent, gone);
        Ok(Shared { failures, forwards, overflow: maps.overflow()?, ..Shared::default() })
    }

    /// How many runs, of all that were counted, had which verdict, and how many another one.
    fn verdicts(&self) -> (BTreeMap<Verdict, u64>, u64) {
        let verdicts = self.book.verdicts();
        let actions = verdicts.iter().filter_map(|(returned, count)| match returned {
            Returned::Action(verdict) => Some((*verdict, *count)),
            Returned::Other | Returned::Nothing => None,
        });
        (actions.collect(), verdicts.get(&Returned::Other).copied().unwrap_or_default())
    }
}

fn read(traced: &Traced) -> Result<Reading> {
    let (states, cells) = traced.counters()?;
    let recursion_misses = traced.recursion_misses();
    Ok(Reading { states, cells: cells.unwrap_or_default(), recursion_misses, ..of(&traced.target, traced.number) })
}

fn of(target: &Target, number: u32) -> Reading {
    let (subject, behind) = (target.subject(), target.behind.clone());
    Reading { number, subject, behind, has_queue: target.place == Place::Device, ..Reading::default() }
}

impl Run<'_> {
    pub(super) fn has_counted_enough(&self) -> bool {
        self.counting.as_ref().is_some_and(Counting::is_complete)
    }

    /// Hands on numbers where that is due, and the output takes more: what isn't read now is in what is read next.
    ///
    /// # Errors
    /// The kernel's maps cannot be read.
    pub(super) fn count(&mut self, delivery: &mut Delivery<'_>) -> Result<()> {
        let is_blocked = self.is_blocked();
        let due = self.counting.as_mut().filter(|counting| !is_blocked && counting.due_in().is_zero());
        if let Some(counting) = due {
            delivery.numbers(&counting.read(&mut self.follow, &self.watch.names())?);
            delivery.flush();
        }
        Ok(())
    }

    /// Hands on the last numbers: all there are.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub(super) fn count_last(&mut self, delivery: &mut Delivery<'_>) -> Result<()> {
        if let Some(counting) = &mut self.counting {
            delivery.numbers(&counting.read_last(&mut self.follow, &self.watch.names())?);
        }
        Ok(())
    }

    /// These were let go of: their numbers stay.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub(super) fn close(&mut self, released: &[Released]) -> Result<()> {
        let Some(counting) = &mut self.counting else { return Ok(()) };
        let (maps, names) = (self.follow.maps(), self.watch.names());
        released.iter().try_for_each(|released| counting.close(released, maps, &names))
    }

    /// How many runs had which verdict, and how many another one.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub(super) fn verdicts(&mut self, delivery: &Delivery<'_>) -> Result<(BTreeMap<Verdict, u64>, u64)> {
        let Some(counting) = &mut self.counting else {
            return Ok((delivery.verdicts(), 0));
        };
        counting.note(self.follow.traced_mut(), &Gone::default())?;
        Ok(counting.verdicts())
    }
}
