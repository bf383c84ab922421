//! From a record to the sink: what its numbers stand for, and what became of it.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bpf::Record;
use crate::event::Event;
use crate::follow::Traced;
use crate::outlet::Outlet;
use crate::reader;
use crate::sink::{Notice, Sink};
use crate::target::{Names, Probes};

/// How long a clock that was set may go unnoticed.
const CLOCK_EVERY: Duration = Duration::from_millis(100);

/// Hands records on to a sink.
#[allow(missing_debug_implementations)]
pub struct Delivery<'run> {
    sink: &'run mut dyn Sink,
    output: Option<&'run Outlet>,
    names: Names,
    /// The names of the functions that the numbers in records stand for.
    functions: HashMap<u32, String>,
    boot_ns: u64,
    boot_read: Instant,
    listening: bool,
    /// Events handed to the sink.
    handed: u64,
    /// The first write that failed; nothing is written after it.
    broken: Option<io::Error>,
}

impl<'run> Delivery<'run> {
    /// Hands records on to `sink`, which writes to `output`, if to anything that may block.
    ///
    /// # Errors
    /// The kernel has no clock.
    pub fn new(sink: &'run mut dyn Sink, output: Option<&'run Outlet>) -> Result<Self> {
        Ok(Self {
            sink,
            output,
            names: Names::default(),
            functions: HashMap::new(),
            boot_ns: reader::boot_ns()?,
            boot_read: Instant::now(),
            listening: false,
            handed: 0,
            broken: None,
        })
    }

    /// Hands on one record, unless a write has failed before.
    pub fn record(&mut self, record: &Record) {
        // A record of no target is a defect; it counts as lost, because it is handed on to nobody.
        let Some(function) = self.functions.get(&record.target).filter(|_| self.broken.is_none()) else {
            return;
        };
        let name = self.names.of(record.netns, record.ifindex);
        let event = Event::new(record, name, function, self.boot_ns);
        match self.sink.packet(&event) {
            Ok(()) => self.handed += 1,
            Err(error) => self.broken = Some(error),
        }
        self.output.inspect(|output| output.end_event());
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
        self.functions.extend(traced.iter().map(|one| (one.number, one.target.function.name.clone())));
    }

    /// Records of no others can come any more.
    pub fn forget_all_but(&mut self, traced: &[Traced]) {
        self.functions.retain(|number, _| traced.iter().any(|one| one.number == *number));
    }

    /// Hands on what happens to the tracer.
    pub fn notice(&mut self, notice: &Notice) {
        if self.broken.is_none() {
            self.broken = self.sink.notice(notice).err();
        }
    }

    /// Says that the probes of `traced` are on.
    pub fn notice_attached(&mut self, traced: &Traced) {
        if traced.target.probes == Probes::Both {
            self.notice(&Notice::AttachedFentry);
        }
        self.notice(&Notice::AttachedFexit);
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

    /// How many events the sink has, written whole as far as that is known.
    ///
    /// # Errors
    /// A write has failed; that nobody reads any more is no error.
    pub fn end(self) -> io::Result<u64> {
        match self.broken {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(self.output.map_or(self.handed, Outlet::delivered)),
        }
    }
}
