//! Wires the rooms together: from a plan to the final counts. It alone knows everyone.

use std::cell::RefCell;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bpf::Record;
use crate::event::{Counts, Event};
use crate::failure::{self, Failure, Status};
use crate::passthrough::{self, Attached};
use crate::plan::Tracing;
use crate::privileges;
use crate::probe::Probe;
use crate::reader::{self, Reader};
use crate::refusal;
use crate::sink::{Notice, Sink};
use crate::target::{self, Device, Program, Target};

/// How long the reader sleeps at most before it looks at the stop flag and at its output.
const POLL: Duration = Duration::from_millis(100);

/// Traces until `stop` is set or the output's reader, if `watched`, has gone away; then tells the sink where
/// every run of the program went.
///
/// # Errors
/// Each with its remedy; whatever was attached is gone when this returns.
pub fn trace(plan: &Tracing, sink: &mut dyn Sink, watched: Option<BorrowedFd<'_>>, stop: &AtomicBool) -> Result<()> {
    refusal::capture_messages();
    privileges::check_tracing()?;
    let result = trace_name(plan, sink, watched, stop);
    // Where nothing could be traced anyway, that comes first: the target's fault isn't worth mending.
    if result.as_ref().is_err_and(|error| failure::status(error) == Status::NoTarget) {
        Probe::try_load()?;
    }
    result
}

fn trace_name(plan: &Tracing, sink: &mut dyn Sink, watched: Option<BorrowedFd<'_>>, stop: &AtomicBool) -> Result<()> {
    let device = Device::find(&plan.device)?;
    let passthrough = attach_where_none(plan, &device, sink)?;
    let traced = trace_device(plan, device, sink, watched, stop);
    // Also when tracing failed: the NIC is to be as it was.
    let restored = passthrough.map_or(Ok(()), Attached::detach);
    if let Ok(counts) = &traced {
        sink.notice(&Notice::Ended(*counts))?;
    }
    match (traced, restored) {
        (Err(error), Err(unrestored)) => Err(error.context(format!("{unrestored:#}"))),
        (traced, restored) => traced.map(|_| ()).and(restored),
    }
}

fn attach_where_none(plan: &Tracing, device: &Device, sink: &mut dyn Sink) -> Result<Option<Attached>> {
    let Some(mode) = plan.passthrough else {
        return Ok(None);
    };
    if target::find_program(device)?.is_some() {
        return Ok(None);
    }
    privileges::check_attaching()?;
    // Whoever closed stderr doesn't want to know.
    let _ = writeln!(io::stderr(), "{}", passthrough::warning(device));
    let attached = Attached::new(device, mode)?;
    // A closed pipe shows again at the next write, where the run can end in order.
    let _ = sink.notice(&Notice::AttachedXdp(device.name.clone()));
    Ok(Some(attached))
}

fn trace_device(
    plan: &Tracing,
    device: Device,
    sink: &mut dyn Sink,
    watched: Option<BorrowedFd<'_>>,
    stop: &AtomicBool,
) -> Result<Counts> {
    let id = target::find_program(&device)?.ok_or_else(|| {
        Failure::no_target(format!("no XDP program on {device}: --passthrough attaches one that passes everything"))
    })?;
    let mut target = Target { program: Program::open(id)?, device };
    let mut storage = MaybeUninit::uninit();
    let mut probe = Probe::load(&mut storage, &target, plan.filter)?;
    let delivery =
        RefCell::new(Delivery { sink, target: &mut target, boot_ns: reader::boot_ns()?, traced: 0, broken: None });
    let reader = Reader::new(probe.events(), |record| delivery.borrow_mut().record(record))?;

    probe.attach_fentry()?;
    delivery.borrow_mut().notice(&Notice::AttachedFentry);
    probe.attach_fexit()?;
    delivery.borrow_mut().notice(&Notice::AttachedFexit);
    probe.begin()?;
    delivery.borrow_mut().notice(&Notice::Listening);

    while !stop.load(Ordering::Relaxed) && delivery.borrow().broken.is_none() && !watched.is_some_and(is_closed) {
        delivery.borrow_mut().refresh()?;
        reader.poll(POLL)?;
    }
    probe.detach()?;
    reader.drain()?;
    drop(reader);

    let Delivery { traced, broken, .. } = delivery.into_inner();
    match broken {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("failed to write the output"),
        _ => Ok(Counts::new(probe.counted()?, traced)),
    }
}

/// The way from a record to the sink, and what became of it there.
struct Delivery<'run> {
    sink: &'run mut dyn Sink,
    target: &'run mut Target,
    boot_ns: u64,
    traced: u64,
    /// The first write that failed; nothing is written after it.
    broken: Option<io::Error>,
}

impl Delivery<'_> {
    fn record(&mut self, record: &Record) {
        if self.broken.is_some() {
            return;
        }
        let Target { device, program } = &*self.target;
        let name = device.name_of_member(record.netns, record.ifindex);
        let event = Event::new(record, name.as_deref(), &program.function, self.boot_ns);
        match self.sink.packet(&event) {
            Ok(()) => self.traced += 1,
            Err(error) => self.broken = Some(error),
        }
    }

    /// What may change while packets come: the clock may be set and the device renamed.
    fn refresh(&mut self) -> io::Result<()> {
        self.boot_ns = reader::boot_ns()?;
        self.target.device.refresh_name();
        Ok(())
    }

    fn notice(&mut self, notice: &Notice) {
        if self.broken.is_none() {
            self.broken = self.sink.notice(notice).err();
        }
    }
}

/// Whether `output` is a pipe or socket that nobody reads any more.
fn is_closed(output: BorrowedFd<'_>) -> bool {
    let mut poll = libc::pollfd { fd: output.as_fd().as_raw_fd(), events: 0, revents: 0 };
    // SAFETY: one pollfd, which outlives the call; it doesn't wait.
    let ready = unsafe { libc::poll(&mut poll, 1, 0) };
    ready > 0 && poll.revents & (libc::POLLERR | libc::POLLHUP) != 0
}
