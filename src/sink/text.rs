//! The default output: one line a packet.

use std::io::{self, Write};

use super::Sink;
use super::localtime::LocalTime;
use crate::event::Event;
use crate::packet::Headers;

/// `06:56:58.123456 eth0 xdp_lb#12 XDP_TX 412ns IP 192.168.1.12 > 192.168.1.138: ICMP`; `?` for what is not known.
#[derive(Debug)]
pub struct Text<W>(W);

impl<W: Write> Text<W> {
    pub fn new(out: W) -> Self {
        Self(out)
    }
}

impl<W: Write> Sink for Text<W> {
    fn packet(&mut self, event: &Event<'_>) -> io::Result<()> {
        let out = &mut self.0;
        match LocalTime::new(event.time_ns) {
            Some(time) => write!(out, "{}", time.time_of_day())?,
            None => write!(out, "?")?,
        }
        // Names may hold anything but blanks and slashes, and go to a terminal.
        let device = event.device.unwrap_or("?").escape_default();
        write!(out, " {device} {}#{}", event.function.escape_default(), event.program_id)?;
        match event.verdict {
            Some(verdict) => write!(out, " {verdict}")?,
            None => write!(out, " ?")?,
        }
        match event.latency_ns {
            Some(latency) => write!(out, " {latency}ns")?,
            None => write!(out, " ?")?,
        }
        match event.packet() {
            Some(frame) => writeln!(out, " {}", Headers::parse(frame.bytes)),
            None => writeln!(out, " ?"),
        }
    }
}
