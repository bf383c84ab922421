//! Wires the rooms together: from a plan to the final counts. It alone knows everyone.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Error, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::batches::Batches;
use crate::delivery::Delivery;
use crate::event::{Account, Counts, Losses, Summary};
use crate::failure::{self, Failure, Status};
use crate::follow::{Follow, Released, Step, Traced};
use crate::kernel::{self, Kernel};
use crate::outlet::Outlet;
use crate::passthrough::{self, Attached};
use crate::plan::{Devices, Scope, Selector, Tracing};
use crate::privileges;
use crate::probe::{self, Filter, Maps};
use crate::promiscuous::Promiscuous;
use crate::reader::{self, Reader};
use crate::refusal;
use crate::sink::{Notice, Sink};
use crate::stop::Signals;
use crate::target::{self, Depth, Device, Guards, Refused, Target, View, Watch};

/// How long to sleep at most before looking at the stop flag, at the devices, at the clock and at what CPUs have gathered.
/// A record waits for two of these at most, and is not to be more than 100 ms late.
const TICK: Duration = Duration::from_millis(40);
/// What `--rate` counts anew.
const SECOND: Duration = Duration::from_secs(1);
/// How long to wait before starting anew because programs vanished while they were attached to, and how often to do so.
const PAUSE: Duration = Duration::from_millis(100);
const TRIES: u32 = 20;

/// Traces until a signal ends it or the reader of one of `outputs`, which the sink writes to, has gone away; then tells the sink
/// where every run of the programs went. Without any, the sink never blocks; what isn't written to the
/// first of them counts as lost.
///
/// # Errors
/// Each with its remedy; whatever was attached is gone when this returns.
pub fn trace(plan: &Tracing, sink: &mut dyn Sink, outputs: &[&Outlet], signals: &Signals) -> Result<()> {
    // What is wrong with the words comes before what is wrong with the machine.
    let filter = Filter::compile(&plan.selection.filter)?;
    refusal::capture_messages();
    privileges::check_tracing()?;
    if plan.promiscuous {
        privileges::check_promiscuous()?;
    }
    if !probe::can_read() && (filter.is_some() || plan.selection.changed) {
        return Err(Failure::unable(
            "a filter and --changed take reading packets, which kernel lockdown (confidentiality) forbids: leave them out, or boot \
             with lockdown=integrity or none",
        ));
    }
    let result = trace_scope(plan, filter, sink, outputs, signals);
    // Where nothing could be traced anyway, that comes first: the target's fault isn't worth mending.
    if result.as_ref().is_err_and(|error| failure::status(error) == Status::NoTarget) {
        probe::try_load()?;
    }
    result
}

fn trace_scope(
    plan: &Tracing,
    filter: Option<Filter>,
    sink: &mut dyn Sink,
    outputs: &[&Outlet],
    signals: &Signals,
) -> Result<()> {
    let guards = Guards::new(&Kernel::running(), &plan.allowed_hazards, &plan.selection)?;
    target::enter_netns(plan.scope.netns.as_deref())?;
    let mut passthrough = Vec::new();
    let traced = attach_where_none(plan, &mut passthrough, sink).and_then(|()| {
        let mut run = Run::new(plan, filter, guards, signals, outputs)?;
        run.trace(sink)
    });
    // Also when tracing failed: the NICs are to be as they were.
    let restored: Vec<Result<()>> = passthrough.into_iter().map(Attached::detach).collect();
    let restored = restored.into_iter().collect::<Result<()>>();
    match (traced, restored) {
        (Err(error), Err(unrestored)) => Err(error.context(format!("{unrestored:#}"))),
        (Err(error), Ok(())) => Err(error),
        (Ok((summary, ended)), restored) => {
            sink.notice(&Notice::Ended(summary))?;
            ended.and(restored)
        }
    }
}

fn attach_where_none(plan: &Tracing, attached: &mut Vec<Attached>, sink: &mut dyn Sink) -> Result<()> {
    let (Some(mode), Devices::Named(names)) = (plan.passthrough, &plan.scope.devices) else {
        return Ok(());
    };
    for name in names {
        let device = Device::find(name)?;
        if target::find_program(&device)?.is_some() {
            continue;
        }
        privileges::check_attaching()?;
        // Whoever closed stderr doesn't want to know.
        let _ = writeln!(io::stderr(), "{}", passthrough::warning(&device));
        attached.push(Attached::new(&device, mode)?);
        // A closed pipe shows again at the next write, where the run can end in order.
        let _ = sink.notice(&Notice::AttachedXdp(device.name.clone()));
    }
    Ok(())
}

/// A run, from the first look at the devices to the last record.
struct Run<'plan> {
    plan: &'plan Tracing,
    signals: &'plan Signals,
    outputs: &'plan [&'plan Outlet],
    watch: Watch<'plan>,
    follow: Follow<'plan>,
    promiscuous: Promiscuous,
    batches: Batches,
    /// What was seen last, while there is more to attach to.
    unfinished: Option<View>,
    /// Whether all that there was at the start, or that was waited for, has been attached to.
    is_settled: bool,
    /// Why the last look failed.
    look_error: Option<String>,
    /// There may be more in the rings.
    more: bool,
    /// When, by CLOCK_MONOTONIC, all records were in the rings that there were; until they have been read.
    flushed_ns: Option<u64>,
    /// When the batches were looked at last, and when the present second of the rate began.
    ticked: Instant,
    second: Instant,
    /// Let go of, while their records may still be in the rings.
    released: Vec<Released>,
    /// What came of those before.
    past: Counts,
}

impl<'plan> Run<'plan> {
    fn new(
        plan: &'plan Tracing,
        filter: Option<Filter>,
        guards: Guards,
        signals: &'plan Signals,
        outputs: &'plan [&'plan Outlet],
    ) -> Result<Self> {
        let watch = Watch::new(&plan.scope, guards, Depth::Needed)?;
        let maps = Maps::create()?;
        let batches = Batches::new(&maps)?;
        Ok(Self {
            plan,
            signals,
            outputs,
            follow: Follow::new(plan, filter, maps, watch.netns()),
            watch,
            promiscuous: Promiscuous::default(),
            batches,
            unfinished: None,
            is_settled: false,
            look_error: None,
            more: false,
            flushed_ns: None,
            ticked: Instant::now(),
            second: Instant::now(),
            released: Vec::new(),
            past: Counts::none(),
        })
    }

    /// The final counts, and why the run ended where that is an error.
    fn trace(&mut self, sink: &mut dyn Sink) -> Result<(Summary, Result<()>)> {
        let delivery = RefCell::new(Delivery::new(sink, self.outputs, self.plan.count)?);
        let reader = self.open_rings(&delivery)?;
        self.start(&delivery)?;
        let ends = self.plan.duration.and_then(|duration| Instant::now().checked_add(duration));
        let is_over = |delivery: &Delivery<'_>| {
            self.signals.stop()
                || delivery.is_broken()
                || delivery.is_complete()
                || ends.is_some_and(|ends| Instant::now() >= ends)
        };
        let mut ended = Ok(());
        while ended.is_ok() && !is_over(&delivery.borrow()) {
            if !self.wait(&reader)? {
                break;
            }
            // First, so that what it flushes is read now: too little to wake anybody, it would wait for the next time.
            self.tick()?;
            self.drain(&reader, &delivery)?;
            self.heed_signals(&delivery);
            ended = self.keep_up(&reader, &delivery)?;
        }
        let programs = self.follow.end()?;
        self.drain_all(&reader, &delivery)?;
        while self.more && !self.signals.stop() && self.wait(&reader)? {
            self.drain_all(&reader, &delivery)?;
        }
        drop(reader);
        let mut delivery = delivery.into_inner();
        let written = delivery.end().map_err(Error::new);
        Ok((self.summary(programs, &mut delivery), ended.and(written)))
    }

    /// What is due by the clock or was asked for by signals.
    fn heed_signals(&mut self, delivery: &RefCell<Delivery<'_>>) {
        let mut delivery = delivery.borrow_mut();
        delivery.tick();
        if self.signals.take_flush() {
            delivery.write_out();
        }
        if self.signals.take_reopen() {
            delivery.reopen();
        }
    }

    /// Rings of the size that was asked for; else of the default, or of what may be locked, which is little without
    /// CAP_IPC_LOCK.
    fn open_rings<'delivery>(&self, delivery: &'delivery RefCell<Delivery<'_>>) -> Result<Reader<'delivery>> {
        let mut bytes = ring_bytes(self.plan)?;
        loop {
            let opened = Reader::new(self.follow.maps().events(), bytes, |told| delivery.borrow_mut().record(told));
            match opened {
                Err(error) if self.plan.ring_kib.is_none() && failure::status(&error) == Status::Unable => {
                    bytes = reader::smaller(bytes).ok_or(error)?;
                }
                opened => return opened,
            }
        }
    }

    /// What came of all runs, and of those of `programs`, which were traced to the end.
    fn summary(&mut self, programs: Vec<Released>, delivery: &mut Delivery<'_>) -> Summary {
        let mut total = self.past.clone();
        for released in self.released.drain(..) {
            total.add(&account(&released, delivery).counts);
        }
        let programs: Vec<Account> = programs.iter().map(|one| account(one, delivery)).collect();
        programs.iter().for_each(|one| total.add(&one.counts));
        let losses = Losses { unwritten: delivery.unwritten(), ..self.batches.losses() };
        Summary { programs, total, verdicts: delivery.verdicts(), losses, late: delivery.late() }
    }

    fn is_blocked(&self) -> bool {
        self.outputs.iter().any(|output| output.is_blocked())
    }

    /// Delivers what the rings hold, as far as its turn goes. While the output is blocked, the rings have to hold it.
    fn drain(&mut self, reader: &Reader<'_>, delivery: &RefCell<Delivery<'_>>) -> Result<()> {
        for error in self.outputs.iter().filter_map(|output| output.push().err()) {
            delivery.borrow_mut().break_off(error);
        }
        self.more = true;
        if !self.is_blocked() {
            self.more = !reader.drain()?;
            let mut delivery = delivery.borrow_mut();
            if let Some(flushed_ns) = self.flushed_ns.filter(|_| !self.more) {
                delivery.settle(flushed_ns);
                self.flushed_ns = None;
            }
            delivery.flush();
            self.more |= self.is_blocked();
        }
        Ok(())
    }

    /// Delivers all that there is, also what CPUs are gathering; if more comes meanwhile, that as well, for a while.
    fn drain_all(&mut self, reader: &Reader<'_>, delivery: &RefCell<Delivery<'_>>) -> Result<()> {
        self.batches.flush_all(self.follow.maps().flush())?;
        loop {
            self.drain(reader, delivery)?;
            if !self.more || self.is_blocked() {
                return Ok(());
            }
        }
    }

    /// What has to be done now and then, however much there is to read.
    fn tick(&mut self) -> Result<()> {
        if self.ticked.elapsed() >= TICK {
            match self.plan.capture {
                // A file is in order up to the moment at which no CPU kept a record.
                Some(_) => {
                    self.flushed_ns = Some(reader::monotonic_ns()?);
                    self.batches.flush_all(self.follow.maps().flush())?;
                }
                None => self.batches.flush_waiting(self.follow.maps().flush())?,
            }
            self.ticked = Instant::now();
        }
        if self.plan.selection.rate.is_some() && self.second.elapsed() >= SECOND {
            self.follow.maps().release_brake()?;
            self.second = Instant::now();
        }
        Ok(())
    }

    /// Sleeps until there are records, word of a change, or it is time to look around; while the output is blocked, until
    /// it no longer is. False once the output is a pipe or socket that nobody reads any more.
    fn wait(&self, reader: &Reader<'_>) -> Result<bool> {
        let is_hurried = self.unfinished.is_some() || (self.more && !self.is_blocked());
        let timeout_ms = if is_hurried { 0 } else { TICK.as_millis() as u16 };
        let (records, output) = match self.is_blocked() {
            true => (PollFlags::empty(), PollFlags::POLLOUT),
            false => (PollFlags::POLLIN, PollFlags::empty()),
        };
        let mut fds = vec![PollFd::new(self.watch.as_fd(), PollFlags::POLLIN), PollFd::new(reader.as_fd(), records)];
        let files: Vec<Rc<File>> = self.outputs.iter().filter_map(|output| output.file()).collect();
        fds.extend(files.iter().map(|file| PollFd::new(file.as_fd(), output)));
        match poll(&mut fds, PollTimeout::from(timeout_ms)) {
            // A signal: whoever set the handler looks at its flag.
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("failed to wait for events"),
        }
        let mut closed = fds.iter().skip(2).filter_map(PollFd::revents);
        Ok(!closed.any(|events| events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP)))
    }

    /// Attaches what there is. Without anything to trace, and nothing to wait for, that is an error.
    fn start(&mut self, delivery: &RefCell<Delivery<'_>>) -> Result<()> {
        let mut refused = Vec::new();
        for _ in 0..TRIES {
            if let Some(view) = self.watch.look()? {
                let vanished = self.attach_all(&view, &mut refused)?;
                if self.plan.promiscuous {
                    self.promiscuous.hold(&view)?;
                }
                if !vanished {
                    break;
                }
            }
            thread::sleep(PAUSE);
        }
        delivery.borrow_mut().refresh(self.watch.names())?;
        delivery.borrow_mut().take_in(self.follow.traced());
        let mut delivery = delivery.borrow_mut();
        if self.follow.traced().is_empty() {
            if !self.plan.wait {
                return Err(nothing_traced(refused));
            }
            // What no program could be traced for is not worth waiting for.
            probe::try_load()?;
            delivery.notice(&Notice::Waiting(self.waited_for()));
            for (refused, _) in refused.iter().filter(|(refused, _)| refused.remedy.is_none()) {
                delivery.notice(&Notice::NotTraced(refused.to_string()));
            }
            return Ok(());
        }
        for traced in self.follow.traced() {
            self.tell_attached(traced, false, &mut delivery);
        }
        for (refused, _) in refused {
            delivery.notice(&Notice::NotTraced(refused.to_string()));
        }
        delivery.notice_listening();
        Ok(())
    }

    /// Whether a program vanished meanwhile.
    fn attach_all(&mut self, view: &View, refused: &mut Vec<(Refused, Status)>) -> Result<bool> {
        loop {
            let step = self.follow.step(view, false)?;
            self.watch.set_own(self.follow.own_programs());
            refused.extend(step.refused);
            if step.vanished || !step.more {
                self.is_settled = !self.follow.traced().is_empty();
                return Ok(step.vanished);
            }
        }
    }

    /// `an XDP program on eth0`
    fn waited_for(&self) -> String {
        let Scope { devices, narrowing, .. } = &self.plan.scope;
        let devices = match devices {
            Devices::Named(names) => names.join(", ").escape_default().to_string(),
            Devices::Any | Devices::Unnamed => "any device".into(),
        };
        let named: Vec<String> = narrowing.iter().map(ToString::to_string).collect();
        match narrowing.iter().any(|one| one.program == Selector::All) || named.is_empty() {
            true => format!("an XDP program on {devices}"),
            false => format!("program {} on {devices}", named.join(", ")),
        }
    }

    /// Attaches what has come since, and lets go of what has gone. An error within is the end of the run.
    fn keep_up(&mut self, reader: &Reader<'_>, delivery: &RefCell<Delivery<'_>>) -> Result<Result<()>> {
        let seen = match self.look(&mut delivery.borrow_mut()) {
            Ok(seen) => seen,
            Err(gone) => return Ok(Err(gone)),
        };
        delivery.borrow_mut().refresh(self.watch.names())?;
        let Some(view) = seen.or_else(|| self.unfinished.take()) else {
            self.settle(reader, delivery)?;
            return Ok(Ok(()));
        };
        if let Some(refused) = self.plan.promiscuous.then(|| self.promiscuous.keep(&view)).flatten() {
            delivery.borrow_mut().notice(&Notice::NotTraced(refused));
        }
        let step = self.follow.step(&view, self.is_settled && !self.plan.follow)?;
        self.watch.set_own(self.follow.own_programs());
        // The last records of what was let go of, and perhaps the first ones of what has come.
        delivery.borrow_mut().take_in(self.follow.traced());
        self.tell(&step, delivery);
        self.released.extend(step.detached);
        self.settle(reader, delivery)?;
        self.unfinished = step.more.then_some(view);
        let is_idle = self.follow.traced().is_empty();
        if self.is_settled && is_idle && !self.plan.follow {
            return Ok(Err(Failure::no_target(
                "what was traced is gone, and --no-follow leaves what has come instead untraced",
            )));
        }
        self.is_settled |= !step.more && !is_idle;
        Ok(Ok(()))
    }

    /// What there is to see, if that may have changed. The kernel's refusal, as where no descriptor is left, is said once
    /// and is no end: the next look may do better. Where there is nothing to look at any more, that is an error.
    fn look(&mut self, delivery: &mut Delivery<'_>) -> Result<Option<View>> {
        let (seen, error) = match self.watch.look() {
            Err(error) if failure::status(&error) == Status::NoTarget => return Err(error),
            Err(error) => (None, Some(format!("{error:#}"))),
            Ok(seen) => (seen, None),
        };
        if let Some(error) = error.as_ref().filter(|error| self.look_error.as_ref() != Some(error)) {
            delivery.notice(&Notice::NotTraced(format!("what has come since: {error}")));
        }
        self.look_error = error;
        Ok(seen)
    }

    /// Says what came of what was let go of, once all its records have been read: while the output is blocked, that waits.
    fn settle(&mut self, reader: &Reader<'_>, delivery: &RefCell<Delivery<'_>>) -> Result<()> {
        if self.released.is_empty() {
            return Ok(());
        }
        self.drain_all(reader, delivery)?;
        if self.more {
            return Ok(());
        }
        for released in self.released.drain(..) {
            let account = account(&released, &mut delivery.borrow_mut());
            self.past.add(&account.counts);
            delivery.borrow_mut().notice(&Notice::Told(account));
        }
        Ok(())
    }

    fn tell_attached(&self, traced: &Traced, is_late: bool, delivery: &mut Delivery<'_>) {
        let missed = traced.missed_since.map(|since| (wall_clock_ns(since), wall_clock_ns(traced.traced_since)));
        let Target { probes, devices, .. } = &traced.target;
        delivery.notice(&Notice::Attached { subject: traced.target.subject(), probes: *probes, is_late, missed });
        for device in devices.iter().filter(|_| self.plan.capture.is_some()) {
            // Not every driver says something.
            if let Ok(driver) = target::driver(device) {
                delivery.notice(&Notice::Driver { device: device.clone(), driver });
            }
        }
    }

    fn tell(&self, step: &Step, delivery: &RefCell<Delivery<'_>>) {
        let mut delivery = delivery.borrow_mut();
        if let Some(new) = self.follow.traced().last().filter(|_| step.attached) {
            self.tell_attached(new, true, &mut delivery);
        }
        for old in &step.detached {
            delivery.notice(&Notice::Detached(old.target.subject()));
        }
        for (refused, _) in &step.refused {
            delivery.notice(&Notice::NotTraced(refused.to_string()));
        }
        if !step.more && !self.follow.traced().is_empty() {
            delivery.notice_listening();
        }
    }
}

fn account(released: &Released, delivery: &mut Delivery<'_>) -> Account {
    let counts = Counts::new(&released.states, delivery.let_go(released.number), released.recursion_misses);
    Account { subject: released.target.subject(), counts }
}

fn ring_bytes(plan: &Tracing) -> Result<usize> {
    reader::ring_bytes(plan.ring_kib, plan.force, kernel::available_kib(), kernel::online_cpus())
}

/// One line for all that stood against tracing; several reasons have the status of the one that comes first.
fn nothing_traced(refused: Vec<(Refused, Status)>) -> anyhow::Error {
    let status = [Status::Unable, Status::Failed, Status::NoTarget];
    let status = status.into_iter().find(|status| refused.iter().any(|(_, one)| one == status));
    /// Reasons in one line, at most.
    const LIMIT: usize = 5;
    let reasons: Vec<String> = refused.iter().take(LIMIT).map(|(refused, _)| reason(refused)).collect();
    let more = refused.len() - reasons.len();
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let reasons =
        if reasons.is_empty() { "no XDP program on any device".to_owned() } else { reasons.join("; ") + &more };
    Failure::with(status.unwrap_or(Status::NoTarget), reasons)
}

fn reason(Refused { what, why, remedy }: &Refused) -> String {
    let cannot = if what.is_empty() { String::new() } else { format!("cannot trace {what}: ") };
    let remedy = remedy.map_or_else(String::new, |remedy| format!(": {remedy}"));
    format!("{cannot}{why}{remedy}")
}

fn wall_clock_ns(then: Instant) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(then.elapsed()).as_nanos() as u64
}
