//! The article's output: a line at fentry, a line at fexit, among lines of a log.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::localtime::LocalTime;
use super::{Notice, Sink};
use crate::event::{Event, Frame};
use crate::packet::Headers;

/// `2023/07/15 06:56:58 Tracing packet: 192.168.1.12 -> 192.168.1.138 (fexit: XDP_PASS)`
#[derive(Debug)]
pub struct Classic<W>(W);

impl<W: Write> Classic<W> {
    pub fn new(out: W) -> Self {
        Self(out)
    }

    fn log(&mut self, time_ns: u64, words: impl Display) -> io::Result<()> {
        match LocalTime::new(time_ns) {
            Some(time) => writeln!(self.0, "{} {words}", time.date_and_time()),
            None => writeln!(self.0, "? {words}"),
        }
    }
}

impl<W: Write> Sink for Classic<W> {
    fn packet(&mut self, event: &Event<'_>) -> io::Result<()> {
        if let Some(frame) = event.before {
            self.log(event.time_ns, format_args!("Tracing packet: {} (fentry)", ends(frame)))?;
        }
        if let (Some(frame), Some(verdict)) = (event.after, event.verdict) {
            let end_ns = event.time_ns + event.latency_ns.unwrap_or(0);
            self.log(end_ns, format_args!("Tracing packet: {} (fexit: {verdict})", ends(frame)))?;
        }
        Ok(())
    }

    fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos() as u64);
        match notice {
            Notice::AttachedXdp(device) => self.log(now, format_args!("Attached xdp to {}", device.escape_default())),
            Notice::AttachedFentry => self.log(now, "Attached fentry(xdp)"),
            Notice::AttachedFexit => self.log(now, "Attached fexit(xdp)"),
            Notice::Listening => self.log(now, "Listening events..."),
        }
    }
}

/// `source -> destination` of an IP packet, what it is of any other.
fn ends(frame: Frame<'_>) -> String {
    match Headers::parse(frame.bytes) {
        Headers::Ip { source, destination, .. } => format!("{source} -> {destination}"),
        other => other.to_string(),
    }
}
