//! Events → lines, or packets of a file. A sink knows [`Event`] and `Write`, and nothing of BPF.

mod amount;
mod both;
mod bytes;
mod capture;
mod classic;
mod json;
mod localtime;
mod notice;
pub(crate) mod outcome;
mod pcap;
mod pcapng;
mod prometheus;
mod stamp;
mod stats;
mod text;
mod top;

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

pub use json::write as write_json;
pub use localtime::LocalTime;
pub use notice::Notice;
pub use prometheus::{Prometheus, names as metrics};
pub use top::outlet as terminal;

pub(crate) use notice::tell;

use both::Both;
use capture::Capture;
use pcap::Pcap;
use pcapng::Pcapng;
use top::Top;

use crate::event::Event;
use crate::numbers::Numbers;
use crate::outlet::{Ended, Files, Outlet};
use crate::plan::{self, By, Format, Output, Palette, Side};
use crate::stop::Signals;

/// The JSON schema of what `--output json` prints.
pub const SCHEMA: &str = include_str!("schema.json");

/// Where events go.
pub trait Sink {
    /// One run of the program.
    fn packet(&mut self, event: &Event<'_>) -> io::Result<()>;

    /// What was handed on last is this event. Whether the sink tells its output itself where
    /// events end, because it keeps them for a while.
    fn end_event(&mut self, _event: Ended) -> bool {
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

    /// Numbers have been read.
    fn numbers(&mut self, _numbers: &Numbers) -> io::Result<()> {
        Ok(())
    }

    /// What it waits for, besides: keys, say.
    fn input(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Reads from that, if something has come.
    fn read_input(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Something happened to the tracer. Data goes to the standard output, so by default this is said on stderr.
    fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        tell(notice);
        Ok(())
    }
}

/// The sink for lines, writing to `out`, of packets that were filtered there, if they were.
pub fn open<'out>(output: &Output, filtered_at: Option<Side>, out: impl Write + 'out) -> Box<dyn Sink + 'out> {
    match output {
        Output::Text(look) => Box::new(text::Text::new(out, look.clone())),
        Output::Json => Box::new(json::Json::new(out, filtered_at)),
        Output::Classic => Box::new(classic::Classic::new(out)),
    }
}

/// The sink for numbers, writing to `out`.
pub fn open_stats<'out>(stats: &plan::Stats, out: impl Write + 'out) -> Box<dyn Sink + 'out> {
    let by = stats.tracing.counting.as_ref().and_then(|counting| counting.by.clone());
    match stats.json {
        true => Box::new(json::Json::of_numbers(out, stats.tracing.selection.filtered_at(), by)),
        false => Box::new(stats::Tables::new(stats, out)),
    }
}

/// The sink for numbers on a terminal, `by` something as well; writing to `out`, which is that terminal.
///
/// # Errors
/// A signal handler cannot be set.
pub fn open_top<'out>(
    palette: Palette,
    by: Option<By>,
    out: &'out Outlet,
    signals: &Signals,
) -> io::Result<Box<dyn Sink + 'out>> {
    Ok(Box::new(Top::new(palette, by, out, signals)?))
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
