//! From a record to the sink: what its numbers stand for, and what became of it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bpf::Told;
use crate::event::{Delivered, Event, Origin, Verdict};
use crate::follow::Traced;
use crate::numbers::Numbers;
use crate::outlet::{Ended, Outlet};
use crate::reader;
use crate::sink::{self, Notice, Sink};
use crate::target::{Names, Place, Target};

/// How long a clock that was set may go unnoticed.
const CLOCK_EVERY: Duration = Duration::from_millis(100);

/// How long a run lasts at most whose beginning is to stand in its place in a file: it is told of at its end.
const SLACK: Duration = Duration::from_millis(10);

/// Hands records on to a sink.
#[allow(missing_debug_implementations)]
pub struct Delivery<'run> {
    sink: &'run mut dyn Sink,
    /// The first is what counts.
    outputs: &'run [&'run Outlet],
    names: Names,
    /// The targets that the numbers in records stand for.
    targets: BTreeMap<u32, Recipient>,
    boot_ns: u64,
    boot_read: Instant,
    listening: bool,
    /// Events to hand on, at most.
    limit: u64,
    /// Events handed to the sink.
    handed: u64,
    /// How many of them had which verdict: the actions, and what is none.
    actions: [u64; Verdict::ACTIONS.len()],
    others: BTreeMap<Verdict, u64>,
    /// The first write that failed; nothing is written after it.
    broken: Option<io::Error>,
}

/// A target, and what has been delivered of it.
#[derive(Debug)]
struct Recipient {
    function: String,
    program_id: u32,
    program_name: String,
    has_queue: bool,
    delivered: Delivered,
}

impl<'run> Delivery<'run> {
    /// Hands on records to `sink`, `limit` at most, which writes to `outputs`, if to anything that may block. What isn't
    /// written to the first of them was not delivered.
    ///
    /// # Errors
    /// The kernel has no clock.
    pub fn new(sink: &'run mut dyn Sink, outputs: &'run [&'run Outlet], limit: Option<u64>) -> Result<Self> {
        Ok(Self {
            sink,
            outputs,
            names: Names::default(),
            targets: BTreeMap::new(),
            boot_ns: reader::boot_ns()?,
            boot_read: Instant::now(),
            listening: false,
            limit: limit.unwrap_or(u64::MAX),
            handed: 0,
            actions: Default::default(),
            others: BTreeMap::new(),
            broken: None,
        })
    }

    /// Hands on one record, unless there have been enough, or a write has failed before. False if the output takes no more
    /// for now.
    pub fn record(&mut self, told: &Told<'_>) -> bool {
        let number = told.record.target;
        // A record of no target is a defect; it counts as lost, because it is handed on to nobody.
        let Some(target) = self.targets.get_mut(&number).filter(|_| self.broken.is_none()) else {
            return true;
        };
        if self.handed >= self.limit || self.sink.is_over() {
            target.delivered.cut += 1;
            return true;
        }
        let Recipient { function, program_id, program_name, has_queue, .. } = &*target;
        let origin = Origin { function, program_id: *program_id, program_name, has_queue: *has_queue };
        let name = |netns, ifindex| self.names.of(netns, ifindex);
        let event = Event::new(told, origin, name, self.handed + 1, self.boot_ns);
        self.broken = self.sink.packet(&event).err();
        let verdict = event.verdict;
        // Also where that failed: what isn't written in the end is taken back.
        self.handed += 1;
        target.delivered.traced += 1;
        if let Some(verdict) = verdict {
            *self.with(verdict) += 1;
        }
        let ended = Ended { target: number, verdict };
        if !self.sink.end_event(ended)
            && let Some(output) = self.outputs.first()
        {
            output.end_event(ended);
        }
        self.has_room()
    }

    /// How many had this verdict.
    fn with(&mut self, verdict: Verdict) -> &mut u64 {
        match self.actions.get_mut(verdict.0 as usize) {
            Some(count) => count,
            None => self.others.entry(verdict).or_default(),
        }
    }

    /// Whether the output takes more for now.
    pub fn has_room(&self) -> bool {
        self.outputs.iter().all(|output| output.has_room())
    }

    /// Writes what has been handed on.
    pub fn flush(&mut self) {
        self.attempt(|sink| sink.flush());
    }

    /// Says that no record of before `until_ns`, by CLOCK_MONOTONIC, comes any more.
    pub fn settle(&mut self, until_ns: u64) {
        let until_ns = until_ns.saturating_add(self.boot_ns).saturating_sub(SLACK.as_nanos() as u64);
        self.attempt(|sink| sink.settle(until_ns));
    }

    /// Writes all that has been handed on, in whatever order.
    pub fn write_out(&mut self) {
        self.attempt(|sink| sink.settle(u64::MAX));
        self.flush();
    }

    /// Lets the sink see to what is due.
    pub fn tick(&mut self) {
        self.attempt(|sink| sink.tick());
    }

    /// Hands on numbers.
    pub fn numbers(&mut self, numbers: &Numbers) {
        self.attempt(|sink| sink.numbers(numbers));
    }

    /// What the sink waits for, besides.
    pub fn input(&self) -> Option<BorrowedFd<'_>> {
        self.sink.input()
    }

    /// Something has come from there.
    pub fn read_input(&mut self) {
        self.attempt(|sink| sink.read_input());
    }

    /// Has the sink open its file anew.
    pub fn reopen(&mut self) {
        self.attempt(|sink| sink.reopen());
    }

    /// Packets written behind later ones.
    pub fn late(&self) -> u64 {
        self.sink.late()
    }

    fn attempt(&mut self, action: impl FnOnce(&mut dyn Sink) -> io::Result<()>) {
        if self.broken.is_none() {
            self.broken = action(self.sink).err();
        }
    }

    /// What may change while packets come: the clock may be set and devices renamed.
    ///
    /// # Errors
    /// The kernel has no clock.
    pub fn refresh(&mut self, names: Names) -> io::Result<()> {
        self.names = names;
        if self.boot_read.elapsed() >= CLOCK_EVERY {
            self.boot_ns = reader::boot_ns()?;
            self.boot_read = Instant::now();
        }
        Ok(())
    }

    /// Records of these may come.
    pub fn take_in(&mut self, traced: &[Traced]) {
        for one in traced {
            self.take_in_target(one.number, &one.target);
        }
    }

    /// Records of `target` may come, by this number.
    pub fn take_in_target(&mut self, number: u32, target: &Target) {
        self.targets.entry(number).or_insert_with(|| Recipient {
            function: target.function.name.clone(),
            program_id: target.program,
            program_name: target.program_name.clone(),
            has_queue: target.place == Place::Device,
            delivered: Delivered::default(),
        });
    }

    /// What has been delivered of this one so far.
    pub fn delivered(&self, number: u32) -> Delivered {
        self.targets.get(&number).map(|target| target.delivered).unwrap_or_default()
    }

    /// Records of this one can't come any more: what has been delivered of it.
    pub fn let_go(&mut self, number: u32) -> Delivered {
        self.targets.remove(&number).map(|target| target.delivered).unwrap_or_default()
    }

    /// Whether all that was asked for has been handed on.
    pub fn is_complete(&self) -> bool {
        self.handed >= self.limit || self.sink.is_over()
    }

    /// How many of the events handed on had which verdict.
    pub fn verdicts(&self) -> BTreeMap<Verdict, u64> {
        let actions = (0..).map(Verdict).zip(self.actions);
        let others = self.others.iter().map(|(verdict, count)| (*verdict, *count));
        actions.chain(others).filter(|(_, count)| *count > 0).collect()
    }

    /// Hands on what happens to the tracer. What somebody asks for again and again, while nobody reads the output, is said
    /// on stderr alone: it is not to pile up.
    pub fn notice(&mut self, notice: &Notice) {
        if matches!(notice, Notice::SoFar(_)) && !self.has_room() {
            return sink::tell(notice);
        }
        self.attempt(|sink| sink.notice(notice));
    }

    /// Says, once, that everything is attached.
    pub fn notice_listening(&mut self) {
        if !std::mem::replace(&mut self.listening, true) {
            self.notice(&Notice::Listening);
        }
    }

    /// Whether a write has failed.
    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Notes that writing has failed.
    pub fn break_off(&mut self, error: io::Error) {
        self.broken.get_or_insert(error);
    }

    /// Writes what can be written, and takes what can't be back: that was not delivered.
    ///
    /// # Errors
    /// A write has failed; that nobody reads any more is no error.
    pub fn end(&mut self) -> io::Result<()> {
        // Also where a write has failed: the sink then says what it has kept until now.
        let settled = self.sink.settle(u64::MAX);
        self.attempt(|_| settled);
        self.flush();
        for output in self.outputs {
            let pushed = output.push_all();
            self.attempt(|_| pushed);
        }
        let unwritten = self.outputs.first().map(|output| output.take_unwritten()).unwrap_or_default();
        unwritten.into_iter().for_each(|event| self.take_back(event));
        match self.broken.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }

    fn take_back(&mut self, event: Ended) {
        // What came of a target that was let go of has been told already.
        let Some(target) = self.targets.get_mut(&event.target) else { return };
        target.delivered.traced -= 1;
        if let Some(verdict) = event.verdict {
            *self.with(verdict) -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
