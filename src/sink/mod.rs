//! Events → lines, or packets of a file. A sink knows [`Event`] and `Write`, and nothing of BPF.

mod bytes;
mod classic;
mod localtime;
mod pcapng;
mod stamp;
mod text;

use std::io::{self, Write};

pub use localtime::LocalTime;

use crate::event::{Counts, Event, Subject, Summary};
use crate::plan::{Output, Probes};

/// The JSON schema of what `--output json` prints.
pub const SCHEMA: &str = include_str!("schema.json");

/// What happens to the tracer itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A pass-through program was attached to this device.
    AttachedXdp(String),
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
    Told(Subject, Counts),
    /// Something that was asked for is not traced: what, and why.
    NotTraced(String),
    /// There is nothing to trace yet; what is waited for: `an XDP program on eth0`.
    Waiting(String),
    /// Everything is attached: from here on no packet is missed unseen.
    Listening,
    /// Nothing is attached any more, and this is where every run of the programs went.
    Ended(Summary),
}

/// Where events go.
pub trait Sink {
    /// One run of the program.
    fn packet(&mut self, event: &Event<'_>) -> io::Result<()>;

    /// Hands on what was gathered.
    fn flush(&mut self) -> io::Result<()>;

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
        Notice::Ended(summary) => writeln!(io::stderr(), "{summary}"),
        Notice::Told(subject, counts) => writeln!(io::stderr(), "{subject}: {counts}"),
        Notice::Attached { is_late: false, .. } => Ok(()),
        Notice::Attached { subject, missed: None, .. } => writeln!(io::stderr(), "attached to {subject}"),
        Notice::Attached { subject, missed: Some(missed), .. } => {
            writeln!(io::stderr(), "attached to {subject}: not traced {}", span(*missed))
        }
        Notice::Detached(subject) => writeln!(io::stderr(), "detached from {subject}"),
        Notice::NotTraced(what) => writeln!(io::stderr(), "not traced: {what}"),
        Notice::Waiting(what) => writeln!(io::stderr(), "waiting for {what}"),
        Notice::AttachedXdp(_) => Ok(()),
    };
}

/// `from 06:56:58.123456 to 06:56:58.199123 (76 ms)`
fn span((from, to): (u64, u64)) -> String {
    let time = |ns| LocalTime::new(ns).map_or_else(|| "?".into(), |time| time.time_of_day().to_string());
    format!("from {} to {} ({} ms)", time(from), time(to), to.saturating_sub(from).div_ceil(1_000_000))
}

/// The sink for `output`, writing to `out`; `snap_len` is how many bytes of a packet its events hold, at most.
pub fn open<'out>(output: &Output, snap_len: u32, out: impl Write + 'out) -> Box<dyn Sink + 'out> {
    match output {
        Output::Text(look) => Box::new(text::Text::new(out, look.clone())),
        Output::Json => Box::new(text::Text::new(out, Default::default())),
        Output::Classic => Box::new(classic::Classic::new(out)),
        Output::Pcapng(_) => Box::new(pcapng::Pcapng::new(out, snap_len)),
    }
}
