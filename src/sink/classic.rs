//! The article's output: a line at fentry, a line at fexit, among lines of a log.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::localtime::LocalTime;
use super::{Notice, Sink, tell};
use crate::event::{Event, Frame};
use crate::packet::{Layers, Printer, Protocol, Style, write_value};
use crate::plan::Probes;

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
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn packet(&mut self, event: &Event<'_>) -> io::Result<()> {
        if let Some(frame) = event.before {
            self.log(event.time_ns, format_args!("Tracing packet: {} (fentry)", ends(frame)))?;
        }
        if let (Some(frame), Some(verdict)) = (event.after, event.verdict) {
            let end_ns = event.time_ns.saturating_add(event.latency_ns.unwrap_or(0));
            self.log(end_ns, format_args!("Tracing packet: {} (fexit: {verdict})", ends(frame)))?;
        }
        Ok(())
    }

    fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos() as u64);
        match notice {
            Notice::AttachedXdp(device) => self.log(now, format_args!("Attached xdp to {}", device.escape_default())),
            Notice::Attached { probes, .. } => {
                if *probes != Probes::Exit {
                    self.log(now, "Attached fentry(xdp)")?;
                }
                if *probes != Probes::Entry {
                    self.log(now, "Attached fexit(xdp)")?;
                }
                tell(notice);
                Ok(())
            }
            Notice::Listening => self.log(now, "Listening events..."),
            _ => {
                tell(notice);
                Ok(())
            }
        }
    }
}

/// `source -> destination` of an IP packet, tcpdump's words for any other.
fn ends(frame: Frame<'_>) -> String {
    let mut layers = Layers::new(frame.bytes);
    let mut words = Vec::new();
    match layers.find(|layer| matches!(layer.protocol, Protocol::Ipv4 | Protocol::Ipv6)) {
        Some(ip) => ip.fields(&mut |field| match (field.name, &field.value) {
            ("src", source) => write_value(&mut words, source),
            ("dst", destination) => {
                words.extend(b" -> ");
                write_value(&mut words, destination);
            }
            _ => {}
        }),
        None => {
            let style = Style { no_payload: true, ..Style::default() };
            let captured = frame.bytes.len() as u32;
            Printer::new(style).print(&mut words, frame.bytes, frame.length.unwrap_or(captured));
        }
    }
    String::from_utf8_lossy(&words).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::event::Verdict;

    #[test]
    fn each_probe_has_its_line_with_the_packet_as_it_saw_it() {
        let there = "020000000002020000000001080045000014000000004001000\
                     0c0a8010cc0a8018a";
        let back = "020000000001020000000002080045000014000000004001000\
                    0c0a8018ac0a8010c";
        let [there, back] = [there, back].map(|hex| {
            let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
            digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<u8>>()
        });
        let frame = |bytes| Some(Frame { length: Some(34), metadata: 0, bytes });
        let event = Event {
            time_ns: 0,
            monotonic_ns: Some(0),
            packet_id: Some(1),
            device: None,
            queue: None,
            egress: None,
            cpu: Some(0),
            function: Some("xdp_lb"),
            program_id: Some(12),
            program_name: Some("xdp_lb"),
            verdict: Some(Verdict(3)),
            outcome: None,
            latency_ns: Some(412),
            before: frame(&there),
            after: frame(&back),
            moved: Some(0),
            changed: Some(true),
            metadata: &[],
        };
        let mut out = Vec::new();
        Classic::new(&mut out).packet(&event).unwrap();
        let lines = String::from_utf8(out).unwrap();
        let words: Vec<&str> = lines.lines().map(|line| &line["1970/01/01 00:00:00 ".len()..]).collect();
        let expected = [
            "Tracing packet: 192.168.1.12 -> 192.168.1.138 (fentry)",
            "Tracing packet: 192.168.1.138 -> 192.168.1.12 (fexit: XDP_TX)",
        ];
        assert_eq!(words, expected);
    }
}
