//! The default output: one line a packet.

use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};

use super::Sink;
use super::localtime::LocalTime;
use crate::bpf::HEAD_LEN;
use crate::event::{Event, Frame};
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
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn packet(&mut self, event: &Event<'_>) -> io::Result<()> {
        let out = &mut self.0;
        match LocalTime::new(event.time_ns) {
            Some(time) => write!(out, "{}", time.time_of_day())?,
            None => write!(out, "?")?,
        }
        // Names may hold anything but blanks and slashes, and go to a terminal.
        let device = event.device.and_then(|device| device.name).unwrap_or("?").escape_default();
        write!(out, " {device} {}", event.function.unwrap_or("?").escape_default())?;
        match event.program_id {
            Some(id) => write!(out, "#{id}")?,
            None if event.function.is_some() => write!(out, "#?")?,
            None => {}
        }
        match event.verdict {
            Some(verdict) => write!(out, " {verdict}")?,
            None => write!(out, " ?")?,
        }
        match event.latency_ns {
            Some(latency) => write!(out, " {latency}ns")?,
            None => write!(out, " ?")?,
        }
        match event.packet() {
            Some(frame) => write!(out, " {}", Headers::parse(frame.bytes))?,
            None => write!(out, " ?")?,
        }
        if event.changed == Some(true) {
            write!(out, " {}", Change(event))?;
        }
        writeln!(out)
    }
}

/// `[cut 4]`, `[pushed 20]`, `[popped 4]`, `[metadata pushed 8]`, or `[changed in the first 128 bytes]`; `[4 shorter]` or
/// `[20 longer]` where it isn't known at which end.
struct Change<'event>(&'event Event<'event>);

impl Display for Change<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let lengths = self.0.before.and_then(|frame| frame.length).zip(self.0.after.and_then(|frame| frame.length));
        let moved = i64::from(self.0.moved.unwrap_or(0));
        let cut = lengths.map_or(0, |(before, after)| i64::from(before) - i64::from(after) - moved);
        let metadata = |frame: Option<Frame<'_>>| frame.map_or(0, |frame| i64::from(frame.metadata));
        let marked = metadata(self.0.after) - metadata(self.0.before);
        if self.0.moved.is_none() && cut != 0 {
            return write!(f, "[{} {}]", cut.unsigned_abs(), if cut > 0 { "shorter" } else { "longer" });
        }
        let parts = [
            ("pushed", -moved),
            ("popped", moved),
            ("cut", cut),
            ("grown", -cut),
            ("metadata pushed", marked),
            ("metadata popped", -marked),
        ];
        let words: Vec<String> =
            parts.iter().filter(|(_, by)| *by > 0).map(|(word, by)| format!("{word} {by}")).collect();
        match words.is_empty() {
            true => write!(f, "[changed in the first {HEAD_LEN} bytes]"),
            false => write!(f, "[{}]", words.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::event::{Device, Verdict};

    const NOTHING_KNOWN: Event<'_> = Event {
        time_ns: 0,
        monotonic_ns: Some(0),
        packet_id: Some(1),
        device: None,
        queue: None,
        egress: None,
        cpu: Some(0),
        function: Some("xdp_lb"),
        program_id: Some(12),
        verdict: None,
        latency_ns: None,
        before: None,
        after: None,
        moved: None,
        changed: None,
        metadata: &[],
    };

    fn device(name: &str) -> Option<Device<'_>> {
        Some(Device { netns: 1, ifindex: 2, name: Some(name) })
    }

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
        assert_eq!(line(&Event { program_id: None, ..NOTHING_KNOWN }), "? xdp_lb#? ? ? ?\n");
        assert_eq!(line(&Event { function: None, program_id: None, ..NOTHING_KNOWN }), "? ? ? ? ?\n");
    }

    #[test]
    fn the_packet_is_shown_as_it_arrived() {
        let lldp = [&[0; 12][..], &[0x88, 0xcc]].concat();
        let before = Frame { length: Some(14), metadata: 0, bytes: &lldp };
        let after = Frame { length: Some(0), metadata: 0, bytes: &[] };
        let event = Event {
            device: device("eth0"),
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
    fn what_changed_is_in_brackets() {
        let frame = |length, bytes| Some(Frame { length: Some(length), metadata: 0, bytes });
        let changed = |before, after, moved| {
            let (before, after) = (frame(before, &[]), frame(after, &[]));
            line(&Event { before, after, moved: Some(moved), changed: Some(true), ..NOTHING_KNOWN })
        };
        assert!(changed(98, 98, 0).ends_with(" [changed in the first 128 bytes]\n"));
        assert!(changed(98, 94, 0).ends_with(" [cut 4]\n"));
        assert!(changed(98, 118, -20).ends_with(" [pushed 20]\n"));
        assert!(changed(98, 100, 4).ends_with(" [popped 4, grown 6]\n"));
        let somewhere = |before, after| {
            let (before, after) = (frame(before, &[]), frame(after, &[]));
            line(&Event { before, after, changed: Some(true), ..NOTHING_KNOWN })
        };
        assert!(somewhere(98, 94).ends_with(" [4 shorter]\n"));
        assert!(somewhere(98, 118).ends_with(" [20 longer]\n"));
        assert!(somewhere(98, 98).ends_with(" [changed in the first 128 bytes]\n"));
        // Nothing of the packet itself is then known to differ.
        let [none, some] = [0, 8].map(|metadata| Some(Frame { length: Some(98), metadata, bytes: &[] }));
        let marked =
            |before, after| line(&Event { before, after, moved: Some(0), changed: Some(true), ..NOTHING_KNOWN });
        assert!(marked(none, some).ends_with(" [metadata pushed 8]\n"));
        assert!(marked(some, none).ends_with(" [metadata popped 8]\n"));
    }

    #[test]
    fn names_cannot_command_the_terminal() {
        let event = Event { device: device("\u{1b}[2J"), ..NOTHING_KNOWN };
        assert_eq!(line(&event), "\\u{1b}[2J xdp_lb#12 ? ? ?\n");
    }
}
