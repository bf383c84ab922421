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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::event::{Frame, Verdict};

    const NOTHING_KNOWN: Event<'_> = Event {
        time_ns: 0,
        device: None,
        ifindex: 7,
        queue: 0,
        cpu: 0,
        function: "xdp_lb",
        program_id: 12,
        verdict: None,
        latency_ns: None,
        before: None,
        after: None,
    };

    /// The line without its time, which depends on the time zone.
    fn line(event: &Event<'_>) -> String {
        let mut out = Vec::new();
        Text::new(&mut out).packet(event).unwrap();
        let line = String::from_utf8(out).unwrap();
        line.split_once(' ').unwrap().1.to_owned()
    }

    #[test]
    fn what_is_not_known_is_a_question_mark() {
        assert_eq!(line(&NOTHING_KNOWN), "? xdp_lb#12 ? ? ?\n");
    }

    #[test]
    fn the_packet_is_shown_as_it_arrived() {
        let lldp = [&[0; 12][..], &[0x88, 0xcc]].concat();
        let before = Frame { length: 14, metadata: 0, bytes: &lldp };
        let after = Frame { length: 0, metadata: 0, bytes: &[] };
        let event = Event {
            device: Some("eth0"),
            verdict: Some(Verdict(3)),
            latency_ns: Some(412),
            before: Some(before),
            after: Some(after),
            ..NOTHING_KNOWN
        };
        assert_eq!(line(&event), "eth0 xdp_lb#12 XDP_TX 412ns ethertype LLDP (0x88cc)\n");
        assert_eq!(line(&Event { before: None, ..event }), "eth0 xdp_lb#12 XDP_TX 412ns [|ether]\n");
    }

    #[test]
    fn names_cannot_command_the_terminal() {
        let event = Event { device: Some("\u{1b}[2J"), ..NOTHING_KNOWN };
        assert_eq!(line(&event), "\\u{1b}[2J xdp_lb#12 ? ? ?\n");
    }
}
