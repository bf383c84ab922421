//! Wires the rooms together: from a plan to the final counts. It alone knows everyone.

mod counting;
mod giving_up;
mod outcomes;
mod rings;
mod targets;
mod waiting;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{Error, Result};

use self::counting::Counting;
use crate::batches::Batches;
use crate::delivery::Delivery;
use crate::event::{Account, Counts, Losses, Summary};
use crate::failure::{self, Failure, Status};
use crate::follow::{Follow, Released};
use crate::kernel::Kernel;
use crate::numbers;
use crate::outlet::{Outlet, Patience};
use crate::passthrough::{self, Attached};
use crate::plan::{Devices, Outcomes, Tracing};
use crate::privileges;
use crate::probe::{self, Filter, Maps};
use crate::progress::{Now, Progress};
use crate::promiscuous::Promiscuous;
use crate::reader::{self, Reader};
use crate::refusal;
use crate::sink::{Notice, Sink};
use crate::stop::Signals;
use crate::target::{self, Depth, Device, Guards, View, Watch};

/// How long to sleep at most before looking at the stop flag, at the devices, at the clock and at what CPUs have gathered.
/// A record waits for two of these at most, and is not to be more than 100 ms late.
const TICK: Duration = Duration::from_millis(40);
/// What `--rate` counts anew.
const SECOND: Duration = Duration::from_secs(1);

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
    let by_key = plan.counting.as_ref().is_some_and(|counting| counting.by.is_some());
    if !probe::can_read() && (filter.is_some() || plan.selection.changed || plan.selection.only_failed || by_key) {
        return Err(Failure::unable(
            "a filter, --changed, --only-failed and --by take reading the kernel's memory, which kernel lockdown (confidentiality) \
             forbids: leave them out, or boot with lockdown=integrity or none",
        ));
    }
    trace_scope(plan, filter, sink, outputs, signals)
}

fn trace_scope(
    plan: &Tracing,
    filter: Option<Filter>,
    sink: &mut dyn Sink,
    outputs: &[&Outlet],
    signals: &Signals,
) -> Result<()> {
    let guards = Guards::new(&Kernel::running(), &plan.allowed_hazards, &plan.selection)?;
    in_earnest(target::enter_netns(plan.scope.netns.as_deref()))?;
    let mut passthrough = Vec::new();
    let traced = in_earnest(attach_where_none(plan, &mut passthrough, sink)).and_then(|()| {
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
            let lost = summary.total.lost;
            sink.notice(&Notice::Ended(summary))?;
            ended.and(restored)?;
            match lost {
                1.. if plan.fail_on_loss => Err(Failure::with(
                    Status::Loss,
                    format!("{lost} lost, which --fail-on-loss makes a failure: larger rings (-B) or a filter help"),
                )),
                _ => Ok(()),
            }
        }
    }
}

/// Where nothing could be traced anyway, that comes first: the target's fault isn't worth mending.
fn in_earnest(prepared: Result<()>) -> Result<()> {
    match prepared {
        Err(error) if failure::status(&error) == Status::NoTarget => probe::try_probes().and(Err(error)),
        prepared => prepared,
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
    /// What of verdicts' outcomes was said not to be told.
    untold: BTreeSet<String>,
    /// When CPUs sent what they had gathered; until that has been read.
    flushed: Option<Flushed>,
    /// When the batches were looked at last, and when the present second of the rate began.
    ticked: Instant,
    second: Instant,
    /// Let go of, while their records may still be in the rings.
    released: Vec<Released>,
    progress: Progress,
    /// Numbers instead of events, from when everything is attached.
    counting: Option<Counting<'plan>>,
}

/// A flush of what CPUs had gathered.
#[derive(Debug)]
struct Flushed {
    /// When, by CLOCK_MONOTONIC in nanoseconds.
    ns: u64,
    /// The CPUs that had more.
    gathering: Vec<u32>,
    /// Those that another one has sent for: nobody knows by whose ring.
    elsewhere: Vec<u32>,
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
        let maps = Maps::create(plan)?;
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
            untold: BTreeSet::new(),
            flushed: None,
            ticked: Instant::now(),
            second: Instant::now(),
            released: Vec::new(),
            progress: Progress::new(outputs),
            counting: None,
        })
    }

    /// The final counts, and why the run ended where that is an error.
    fn trace(&mut self, sink: &mut dyn Sink) -> Result<(Summary, Result<()>)> {
        let delivery = Delivery::new(sink, self.outputs, self.plan.count)?.cut_to(self.plan.selection.snap_len);
        let has_outcomes = self.plan.selection.outcomes != Outcomes::Off && self.plan.counting.is_none();
        let delivery = RefCell::new(if has_outcomes { delivery.with_outcomes() } else { delivery });
        let reader = self.open_rings(&delivery)?;
        in_earnest(self.start(&delivery))?;
        self.counting = self.plan.counting.as_ref().map(Counting::new);
        let ends = self.plan.duration.and_then(|duration| Instant::now().checked_add(duration));
        let is_over = |delivery: &Delivery<'_>| {
            self.signals.stop()
                || delivery.is_broken()
                || delivery.is_complete()
                || ends.is_some_and(|ends| Instant::now() >= ends)
        };
        let mut ended = Ok(());
        while ended.is_ok() && !is_over(&delivery.borrow()) && !self.has_counted_enough() {
            if !self.wait(&reader, &delivery)? {
                break;
            }
            // First, so that what it flushes is read now: too little to wake anybody, it would wait for the next time.
            self.tick(&reader)?;
            self.drain(&reader, &delivery)?;
            self.heed_signals(&reader, &delivery)?;
            self.count(&mut delivery.borrow_mut())?;
            if self.progress.is_due() {
                let losses = self.losses()?;
                self.progress.tell(&now(&self.follow, &self.released, losses), &mut delivery.borrow_mut())?;
            }
            ended = self.keep_up(&reader, &delivery)?;
        }
        let programs = self.follow.end()?;
        self.close(&programs)?;
        self.drain_all(&reader, &delivery)?;
        let mut patience = Patience::new(self.outputs);
        while self.more && !self.signals.stop() && patience.lasts() && self.wait(&reader, &delivery)? {
            self.drain_all(&reader, &delivery)?;
        }
        // Whoever doesn't read the lines beside a file is not to cost it what the rings hold.
        for patient in [true, false] {
            if self.more {
                self.outputs.iter().skip(1).for_each(|lines| lines.give_up_unread(patient));
                self.drain_all(&reader, &delivery)?;
            }
        }
        drop(reader);
        let mut delivery = delivery.into_inner();
        self.count_last(&mut delivery)?;
        let written = delivery.end().map_err(Error::new);
        let summary = self.summary(programs, &mut delivery)?;
        self.progress.tell_losses(summary.losses, &mut delivery);
        Ok((summary, ended.and(written)))
    }

    /// What is due by the clock or was asked for by signals.
    fn heed_signals(&mut self, reader: &Reader<'_>, delivery: &RefCell<Delivery<'_>>) -> Result<()> {
        if self.signals.take_summary() {
            self.drain_for_a_while(reader, delivery)?;
            let now = now(&self.follow, &self.released, self.losses()?);
            let so_far = self.progress.so_far(&now, &delivery.borrow())?;
            let (verdicts, others) = self.verdicts(&delivery.borrow())?;
            delivery.borrow_mut().notice(&Notice::SoFar(Summary { verdicts, others, ..so_far }));
        }
        let mut delivery = delivery.borrow_mut();
        delivery.tick();
        if self.signals.take_flush() {
            delivery.write_out();
        }
        if self.signals.take_reopen() {
            delivery.reopen();
        }
        Ok(())
    }

    /// What came of all runs, and of those of `programs`, which were traced to the end.
    fn summary(&mut self, programs: Vec<Released>, delivery: &mut Delivery<'_>) -> Result<Summary> {
        let mut let_go = |released: &Released| {
            let account = account(released, delivery);
            self.progress.let_go(released, &account.counts);
            account
        };
        self.released.drain(..).for_each(|released| drop(let_go(&released)));
        let programs: Vec<Account> = programs.iter().map(let_go).collect();
        let losses = self.losses()?;
        // What the rings were given and the output hasn't got; the reasons add up to what is lost.
        let unwritten = self.progress.past_losses().saturating_sub(losses.sum());
        let (total, losses) = (self.progress.past().clone(), Losses { unwritten, ..losses });
        let (verdicts, others) = self.verdicts(delivery)?;
        let (late, forwards) = (delivery.late(), self.forwards()?);
        Ok(Summary { programs, total, verdicts, others, losses, late, forwards })
    }

    /// What has to be done now and then, however much there is to read.
    fn tick(&mut self, reader: &Reader<'_>) -> Result<()> {
        if self.ticked.elapsed() >= TICK {
            let ns = reader::monotonic_ns()?;
            match self.plan.capture {
                // A file is in order up to the moment at which no CPU kept a record.
                Some(_) => self.batches.flush_all(self.follow.maps().flush(), |cpu| reader.revive(cpu))?,
                None => self.batches.flush_waiting(self.follow.maps().flush(), |cpu| reader.revive(cpu))?,
            }
            self.flushed =
                Some(Flushed { ns, gathering: self.batches.gathering(), elsewhere: self.batches.elsewhere().to_vec() });
            reader.mark();
            self.ticked = Instant::now();
        }
        let tells_drops = self.plan.counting.as_ref().is_some_and(|counting| counting.drops_a_second.is_some());
        if (self.plan.selection.rate.is_some() || tells_drops) && self.second.elapsed() >= SECOND {
            self.follow.maps().release_brake()?;
            self.second = Instant::now();
        }
        Ok(())
    }
}

fn now<'run>(follow: &'run Follow<'_>, released: &'run [Released], losses: Losses) -> Now<'run> {
    Now { traced: follow.traced(), released, losses }
}

fn account(released: &Released, delivery: &mut Delivery<'_>) -> Account {
    let Released { target, number, states, cells, freed, recursion_misses } = released;
    let delivered = delivery.let_go(*number);
    let counts = match cells {
        Some(cells) => Counts::counted(states, numbers::tallied(cells) + freed, *recursion_misses),
        None => Counts::new(states, delivered, *recursion_misses),
    };
    Account { subject: target.subject(), counts }
}
