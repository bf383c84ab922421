//! One JSON object a line; schema.json describes them.

mod escaped;
mod numbers;
mod packet;
mod record;

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

pub use self::escaped::write;
use self::numbers::Stats;
use self::record::{Attached, Detached, Lost, Summary};
use super::localtime::UtcStamp;
use super::{Notice, Sink, tell};
use crate::event::Event;
use crate::numbers::Numbers;
use crate::plan::{By, Side};

/// `{"type":"packet","schema_version":1,"time":"2026-11-25T06:56:58.123456789Z",…}`
#[derive(Debug)]
pub struct Json<W> {
    out: W,
    /// Where packets were filtered, if they were.
    filtered_at: Option<Side>,
    /// By what packets are counted, if by anything.
    by: Option<By>,
    stamp: UtcStamp,
    line: Vec<u8>,
}

impl<W: Write> Json<W> {
    /// Writes to `out`.
    pub fn new(out: W, filtered_at: Option<Side>) -> Self {
        Self { out, filtered_at, by: None, stamp: UtcStamp::default(), line: Vec::new() }
    }

    /// Writes numbers to `out`.
    pub fn of_numbers(out: W, filtered_at: Option<Side>, by: Option<By>) -> Self {
        Self { by, ..Self::new(out, filtered_at) }
    }

    fn write(&mut self, record: &impl serde::Serialize) -> io::Result<()> {
        self.line.clear();
        write(&mut self.line, record)?;
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }
}

impl<W: Write> Sink for Json<W> {
    fn packet(&mut self, event: &Event<'_>) -> io::Result<()> {
        let time = self.stamp.at(event.time_ns);
        self.line.clear();
        packet::write(&mut self.line, event, &time, self.filtered_at)?;
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }

    fn numbers(&mut self, numbers: &Numbers) -> io::Result<()> {
        let (time, by) = (self.stamp.at(numbers.time_ns), self.by.take());
        let written = self.write(&Stats::new(&time, numbers, by.as_ref()));
        self.by = by;
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos() as u64);
        let time = self.stamp.at(now);
        let written = match notice {
            Notice::Attached { subject, probes, missed, .. } => {
                let missed = missed.map(|(from, to)| (self.stamp.at(from), self.stamp.at(to)));
                self.write(&Attached::new(&time, subject, *probes, missed.as_ref()))
            }
            Notice::Told(account) => self.write(&Detached::new(&time, account)),
            Notice::Lost(losses) => Lost::of(&time, losses).try_for_each(|lost| self.write(&lost)),
            Notice::SoFar(summary) => self.write(&Summary::new(&time, summary, false)),
            Notice::Ended(summary) => self.write(&Summary::new(&time, summary, true)),
            _ => Ok(()),
        };
        tell(notice);
        written?;
        match notice {
            Notice::Ended(_) => self.flush(),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
