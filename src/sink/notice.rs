//! What happens to the tracer itself, and how it is said on stderr.

use std::fmt::{self, Display, Formatter};
use std::io::{self, IsTerminal, Write};

use super::LocalTime;
use crate::event::{Account, Counts, Losses, Subject, Summary};
use crate::plan::Probes;

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
    /// Where the runs of the programs went so far: somebody has asked.
    SoFar(Summary),
    /// How the run goes, for a terminal: to be overwritten by what is said next.
    Progress {
        /// Where the runs of the programs went so far.
        counts: Counts,
        /// Runs shown in the last second.
        rate: u64,
    },
    /// Nothing is attached any more, and this is where every run of the programs went.
    Ended(Summary),
}

/// Says on stderr what a user whose standard output holds data must know.
pub(crate) fn tell(notice: &Notice) {
    let is_terminal = io::stderr().is_terminal();
    let words = words(notice);
    // Whoever closed stderr doesn't want to know.
    let _ = match (notice, is_terminal) {
        _ if words.is_empty() => Ok(()),
        // The next words overwrite it.
        (Notice::Progress { .. }, _) => write!(io::stderr(), "{words}{ERASE_LINE}\r"),
        (_, true) => writeln!(io::stderr(), "{}", words.replace('\n', &format!("{ERASE_LINE}\n")) + ERASE_LINE),
        (_, false) => writeln!(io::stderr(), "{words}"),
    };
}

/// A notice's words; none where it isn't for people, or says nothing new.
pub(super) fn words(notice: &Notice) -> String {
    Words(notice).to_string()
}

/// From the cursor to the end of its line (ECMA-48, EL).
const ERASE_LINE: &str = "\x1b[K";

struct Words<'notice>(&'notice Notice);

impl Display for Words<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Notice::Listening => f.write_str("Listening events..."),
            Notice::SoFar(summary) | Notice::Ended(summary) => summary.fmt(f),
            Notice::Told(account) => account.fmt(f),
            Notice::Attached { is_late: true, subject, missed, .. } => {
                write!(f, "attached to {subject}")?;
                missed.map_or(Ok(()), |missed| write!(f, ": not traced {}", span(missed)))
            }
            Notice::Detached(subject) => write!(f, "detached from {subject}"),
            Notice::NotTraced(what) => write!(f, "not traced: {what}"),
            Notice::Waiting(what) => write!(f, "waiting for {what}"),
            Notice::Progress { counts, rate } => {
                write!(f, "{} packets, {rate}/s, {} lost", counts.traced, counts.lost)
            }
            Notice::AttachedXdp(_)
            | Notice::Driver { .. }
            | Notice::Lost(_)
            | Notice::Attached { is_late: false, .. } => Ok(()),
        }
    }
}

/// `from 06:56:58.123456 to 06:56:58.199123 (76 ms)`
fn span((from, to): (u64, u64)) -> String {
    let time = |ns| LocalTime::new(ns).map_or_else(|| "?".into(), |time| time.time_of_day().to_string());
    format!("from {} to {} ({} ms)", time(from), time(to), to.saturating_sub(from).div_ceil(1_000_000))
}
