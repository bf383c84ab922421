//! From a record to the sink: what its numbers stand for, and what became of it.

mod held;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bpf::{self, Source, Told};
use crate::event::{Delivered, Device, Event, Origin, Outcome, Reason, Status, Verdict, Way};
use crate::follow::Traced;
use crate::numbers::Numbers;
use crate::outlet::{Ended, Outlet};
use crate::reader;
use crate::sink::{self, Notice, Sink};
use crate::target::{Names, Place, Target};

use held::{Held, Kept};

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
    /// Records that wait for what became of their verdicts.
    held: Held,
    /// Whether the kernel is asked what becomes of verdicts.
    has_outcomes: bool,
    /// Bytes of a packet that are handed on, at most.
    snap_len: u32,
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
            held: Held::default(),
            has_outcomes: false,
            snap_len: u32::MAX,
        })
    }

    /// Has records of verdicts wait for what the kernel tells of them.
    pub fn with_outcomes(self) -> Self {
        Self { has_outcomes: true, ..self }
    }

    /// Hands on so many bytes of a packet at most.
    pub fn cut_to(self, snap_len: u32) -> Self {
        Self { snap_len, ..self }
    }

    /// Hands on one record, unless there have been enough, or a write has failed before; or has it wait for what became of its
    /// verdict. False if the output takes no more for now.
    #[inline]
    pub fn record(&mut self, told: &Told<'_>) -> bool {
        if !self.has_outcomes || (self.held.is_empty() && !told.may_have_outcome()) {
            self.hand_on(told, None);
        } else {
            self.join(told);
        }
        self.has_room()
    }

    /// Keeps the order of each CPU.
    fn join(&mut self, told: &Told<'_>) {
        if let Some(outcome) = told.outcome() {
            return self.held.note(told.cpu, outcome);
        }
        if self.held.is_over(told) {
            let over = self.held.take(told.cpu);
            self.release(over);
        }
        if told.may_have_outcome() {
            self.held.hold(told);
        } else {
            self.hand_on(told, None);
        }
    }

    fn release(&mut self, kept: Vec<Kept>) {
        for one in &kept {
            let (told, outcome) = one.told();
            self.hand_on(&told, outcome);
        }
        self.held.reuse(kept);
    }

    /// Hands on those whose outcome would have come: `flushed_ns`, by CLOCK_MONOTONIC, is when CPUs sent what they had, and those
    /// that `is_settled` names have had nothing more.
    pub fn release_settled(&mut self, flushed_ns: u64, is_settled: impl Fn(u32) -> bool) {
        if !self.held.is_empty() {
            let settled = self.held.take_settled(flushed_ns, is_settled);
            self.release(settled);
        }
    }

    fn hand_on(&mut self, told: &Told<'_>, outcome: Option<&bpf::Outcome>) {
        let number = told.record.target;
        // A record of no target is a defect; it counts as lost, because it is handed on to nobody.
        let Some(target) = self.targets.get_mut(&number).filter(|_| self.broken.is_none()) else {
            return;
        };
        if self.handed >= self.limit || self.sink.is_over() {
            target.delivered.cut += 1;
            return;
        }
        let Recipient { function, program_id, program_name, has_queue, .. } = &*target;
        let origin = Origin { function, program_id: *program_id, program_name, has_queue: *has_queue };
        let names = &self.names;
        let event = Event::new(told, origin, |netns, ifindex| names.of(netns, ifindex), self.handed + 1, self.boot_ns);
        let outcome = outcome.map(|outcome| outcome_of(outcome, event.verdict, names));
        self.broken = self.sink.packet(&Event { outcome, ..event }.cut_to(self.snap_len)).err();
        let verdict = event.verdict;
        // Also where that failed: what isn't written in the end is taken back.
        self.handed += 1;
        target.delivered.traced += 1;
        if let Some(verdict) = verdict {
            *self.with(verdict) += 1;
        }
        let ended = Ended { target: number, verdict };
        if self.sink.end_event(ended) {
            return;
        }
        if let Some(output) = self.outputs.first() {
            output.end_event(ended);
        }
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
        let until_ns = self.held.oldest_ns().map_or(until_ns, |oldest_ns| oldest_ns.min(until_ns));
        let until_ns = until_ns.saturating_add(self.boot_ns).saturating_sub(SLACK.as_nanos() as u64);
        self.attempt(|sink| sink.settle(until_ns));
    }

    /// Writes all that has been handed on, in whatever order.
    pub fn write_out(&mut self) {
        self.release_settled(u64::MAX, |_| true);
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
        self.release_settled(u64::MAX, |_| true);
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

/// What the kernel has told of a verdict.
fn outcome_of<'a>(outcome: &bpf::Outcome, verdict: Option<Verdict>, names: &'a Names) -> Outcome<'a> {
    let is_redirect = outcome.source != Source::SOURCE_EXCEPTION.0;
    let status = match Source(outcome.source) {
        Source::SOURCE_REDIRECT if verdict == Some(Verdict::TX) => Status::Redirected,
        Source::SOURCE_REDIRECT => Status::Accepted,
        Source::SOURCE_REDIRECT_ERR => Status::Failed,
        _ => Status::Exception,
    };
    let to = match status {
        Status::Redirected => names
            .master_of(outcome.netns, outcome.ifindex)
            .map(|name| Way::Device(Device { netns: outcome.netns, ifindex: 0, name: Some(name) })),
        _ if is_redirect => way_of(outcome, names),
        _ => None,
    };
    let error = (outcome.error != 0).then_some(Reason::Errno(outcome.error.wrapping_neg()));
    Outcome { status, to, error }
}

fn way_of<'a>(outcome: &bpf::Outcome, names: &'a Names) -> Option<Way<'a>> {
    let bpf::Outcome { map_type, map_id, map_index, to_netns, to_ifindex, .. } = *outcome;
    if to_ifindex != 0 {
        let name = names.of(to_netns, to_ifindex);
        return Some(Way::Device(Device { netns: to_netns, ifindex: to_ifindex, name }));
    }
    Some(Way::Map { kind: bpf::map_kind(map_type)?, id: map_id, index: map_index })
}

#[cfg(test)]
mod tests;
