//! Events → lines, or packets of a file. A sink knows [`Event`] and `Write`, and nothing of BPF.

mod both;
mod bytes;
mod capture;
mod classic;
mod json;
mod localtime;
mod pcap;
mod pcapng;
mod stamp;
mod text;

use std::io::{self, Write};

pub use localtime::LocalTime;

use both::Both;
use capture::Capture;
use pcap::Pcap;
use pcapng::Pcapng;

use crate::event::{Account, Event, Losses, Subject, Summary};
use crate::outlet::Files;
use crate::plan::{self, Format, Output, Probes, Side};

/// The JSON schema of what `--output json` prints.
pub const SCHEMA: &str = include_str!("schema.json");

/// What happens to the tracer itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A pass-through program was attached to this device.
    AttachedXdp(String),
    /// This is the driver of a device on whose path something is traced, in its own words.
    Driver {
        /// The device's name.
        device: String,
        /// `driver: "veth", version: "1.0", …`
        driver: String,
    },
    /// A program was attached to.
    Attached {
        /// Which.
        subject: Subject,
        /// By which probes.
        probes: Probes,
        /// After the start.
        is_late: bool,
        /// Between these two times, in nanoseconds since the Unix epoch, it may have run without being traced.
        missed: Option<(u64, u64)>,
    },
    /// A program runs no longer where it was traced, and was let go of.
    Detached(Subject),
    /// … and where its runs went.
    Told(Account),
    /// Something that was asked for is not traced: what, and why.
    NotTraced(String),
    /// There is nothing to trace yet; what is waited for: `an XDP program on eth0`.
    Waiting(String),
    /// Everything is attached: from here on no packet is missed unseen.
    Listening,
    /// So many records were lost since this was told last.
    Lost(Losses),
    /// Where the runs of the programs went so far.
    SoFar(Summary),
    /// Nothing is attached any more, and this is where every run of the programs went.
    Ended(Summary),
}

/// Where events go.
pub trait Sink {
    /// One run of the program.
    fn packet(&mut self, event: &Event<'_>) -> io::Result<()>;

    /// What was handed on last is an event of the target with this number. Whether the sink tells its output itself where
    /// events end, because it keeps them for a while.
    fn end_event(&mut self, _target: u32) -> bool {
        false
    }

    /// Hands on what was gathered.
    fn flush(&mut self) -> io::Result<()>;

    /// No event of before `until_ns`, in nanoseconds since the Unix epoch, comes any more, but for what is late.
    fn settle(&mut self, _until_ns: u64) -> io::Result<()> {
        Ok(())
    }

    /// Time has passed.
    fn tick(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Somebody has moved the file away: the next one has its name.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Whether it takes no more.
    fn is_over(&self) -> bool {
        false
    }

    /// Packets handed on behind later ones.
    fn late(&self) -> u64 {
        0
    }

    /// Something happened to the tracer. Data goes to the standard output, so by default this is said on stderr.
    fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        tell(notice);
        Ok(())
    }
}

/// Says on stderr what a user whose standard output holds data must know.
fn tell(notice: &Notice) {
    // Whoever closed stderr doesn't want to know.
    let _ = match notice {
        Notice::Listening => writeln!(io::stderr(), "Listening events..."),
        Notice::SoFar(summary) | Notice::Ended(summary) => writeln!(io::stderr(), "{summary}"),
        Notice::Told(account) => writeln!(io::stderr(), "{account}"),
        Notice::Attached { is_late: false, .. } => Ok(()),
        Notice::Attached { subject, missed: None, .. } => writeln!(io::stderr(), "attached to {subject}"),
        Notice::Attached { subject, missed: Some(missed), .. } => {
            writeln!(io::stderr(), "attached to {subject}: not traced {}", span(*missed))
        }
        Notice::Detached(subject) => writeln!(io::stderr(), "detached from {subject}"),
        Notice::NotTraced(what) => writeln!(io::stderr(), "not traced: {what}"),
        Notice::Waiting(what) => writeln!(io::stderr(), "waiting for {what}"),
        Notice::AttachedXdp(_) | Notice::Driver { .. } | Notice::Lost(_) => Ok(()),
    };
}

/// `from 06:56:58.123456 to 06:56:58.199123 (76 ms)`
fn span((from, to): (u64, u64)) -> String {
    let time = |ns| LocalTime::new(ns).map_or_else(|| "?".into(), |time| time.time_of_day().to_string());
    format!("from {} to {} ({} ms)", time(from), time(to), to.saturating_sub(from).div_ceil(1_000_000))
}

/// The sink for lines, writing to `out`, of packets that were filtered there, if they were.
pub fn open<'out>(output: &Output, filtered_at: Option<Side>, out: impl Write + 'out) -> Box<dyn Sink + 'out> {
    match output {
        Output::Text(look) => Box::new(text::Text::new(out, look.clone())),
        Output::Json => Box::new(json::Json::new(out, filtered_at)),
        Output::Classic => Box::new(classic::Classic::new(out)),
    }
}

/// The sink for `files`, and for `lines` beside them; `snap_len` is how many bytes of a packet its events hold, at most.
pub fn open_files<'out>(
    capture: &plan::Capture,
    snap_len: u32,
    files: Files<'out>,
    lines: Option<Box<dyn Sink + 'out>>,
) -> Box<dyn Sink + 'out> {
    match capture.format {
        Format::Pcapng => with_lines(Capture::new(files, Pcapng::new(snap_len), snap_len), lines),
        Format::Pcap { nanoseconds } => {
            with_lines(Capture::new(files, Pcap::new(snap_len, nanoseconds), snap_len), lines)
        }
    }
}

fn with_lines<'out, F: capture::Format + 'out>(
    file: Capture<'out, F>,
    lines: Option<Box<dyn Sink + 'out>>,
) -> Box<dyn Sink + 'out> {
    match lines {
        Some(lines) => Box::new(Both::new(file, lines)),
        None => Box::new(file),
    }
}
