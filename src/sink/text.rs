//! The default output: one line a packet.

mod brackets;

use std::io::{self, Write};

use super::bytes::{action, digits, name, padded};
use super::stamp::Stamp;
use super::{Sink, outcome};
use crate::event::{Event, Frame, Verdict};
use crate::packet::{self, Change, Printer, Style};
use crate::plan::{Dump, Look};

/// `06:56:58.123456 eth0 xdp_lb#12 XDP_TX 412ns IP 192.168.1.12 > 192.168.1.138: ICMP`; `?` for what is not known.
#[derive(Debug)]
pub struct Text<W> {
    out: W,
    look: Look,
    stamp: Stamp,
    printer: Printer,
    line: Vec<u8>,
    /// Lines so far.
    count: u64,
}

impl<W: Write> Text<W> {
    pub fn new(out: W, look: Look) -> Self {
        let stamp = Stamp::new(look.times, look.nanoseconds);
        let printer = Printer::new(style(&look));
        Self { out, look, stamp, printer, line: Vec::new(), count: 0 }
    }

    /// What a line says of the packet itself: tcpdump's words, and what the program changed.
    pub fn body(&mut self, event: &Event<'_>) -> &[u8] {
        self.line.clear();
        self.write_body(event);
        &self.line
    }

    /// What stands in front of the packet.
    fn write_head(&mut self, event: &Event<'_>) {
        let line = &mut self.line;
        if self.look.numbered {
            number(line, self.count);
        }
        self.stamp.write(line, event.time_ns);
        or_unknown(line, event.device.and_then(|device| device.name), name);
        line.push(b' ');
        or_unknown(line, event.function, name);
        if event.function.is_some() {
            line.push(b'#');
            or_unknown(line, event.program_id, |line, id| digits(line, id.into()));
        }
        line.push(b' ');
        write_verdict(line, event.verdict, self.look.colored);
        if let Some((verdict, outcome)) = event.verdict.zip(event.outcome) {
            outcome::write_behind(line, verdict, &outcome);
        }
        line.push(b' ');
        or_unknown(line, event.latency_ns, |line, latency| {
            digits(line, latency);
            line.extend(b"ns");
        });
        line.push(b' ');
    }

    /// The packet, and what the program changed in it; the length of the link-layer header.
    fn write_body(&mut self, event: &Event<'_>) -> usize {
        let header = match event.packet() {
            Some(frame) if !frame.bytes.is_empty() => self.write_packet(frame),
            // Nothing was kept of it, or could be read.
            _ => {
                self.line.push(b'?');
                0
            }
        };
        if let Some(change) = Change::of(event) {
            brackets::write(&mut self.line, &change, bytes(event.before), bytes(event.after));
        }
        header
    }

    /// tcpdump's words, in one line unless -v asks for more than fits; the length of the link-layer header.
    fn write_packet(&mut self, frame: Frame<'_>) -> usize {
        let start = self.line.len();
        let captured = frame.bytes.len() as u32;
        let header = self.printer.print(&mut self.line, frame.bytes, frame.length.unwrap_or(captured));
        if self.look.verbosity == 0 {
            self.line.iter_mut().skip(start).filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        }
        // tcpdump leads on to a payload of which nothing is said here.
        while self.line.ends_with(b" ") || self.line.ends_with(b":") {
            self.line.pop();
        }
        if frame.length.is_none() {
            self.line.extend(b" (length ?)");
        }
        header
    }

    fn write_dump(&mut self, frame: Frame<'_>, header: usize) {
        let (form, with_header) = match self.look.dump {
            None => return,
            Some(Dump::Hex(with_header)) => (packet::Dump::Hex, with_header),
            Some(Dump::HexAscii(with_header)) => (packet::Dump::HexAscii, with_header),
            Some(Dump::Ascii(with_header)) => (packet::Dump::Ascii, with_header),
        };
        packet::dump(&mut self.line, frame.bytes, if with_header { 0 } else { header }, form);
    }
}

fn style(look: &Look) -> Style {
    Style {
        verbosity: look.verbosity,
        quiet: look.quiet,
        link_level: look.link_level,
        absolute_sequence: look.absolute_sequence,
        unchecked_sums: look.unchecked_sums,
        no_payload: look.verbosity == 0 || matches!(look.dump, Some(Dump::Hex(_) | Dump::HexAscii(_))),
    }
}

/// What is known, or `?`.
fn or_unknown<T>(line: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => write(line, value),
        None => line.push(b'?'),
    }
}

impl<W: Write> Sink for Text<W> {
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn packet(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.line.clear();
        self.count += 1;
        self.write_head(event);
        let header = self.write_body(event);
        if let Some(frame) = event.packet() {
            self.write_dump(frame, header);
        }
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }
}

fn bytes(frame: Option<Frame<'_>>) -> &[u8] {
    frame.map_or(&[], |frame| frame.bytes)
}

/// `    1  `, as tcpdump's -# has it.
fn number(line: &mut Vec<u8>, number: u64) {
    const WIDTH: u32 = 5;
    let width = number.checked_ilog10().map_or(1, |log| log + 1);
    line.extend(&b"     "[..WIDTH.saturating_sub(width) as usize]);
    padded(line, number, 1);
    line.extend(b"  ");
}

/// The verdict, or `?`; in the colour of a light: it passes, it is dropped, it goes elsewhere, something is wrong.
fn write_verdict(line: &mut Vec<u8>, verdict: Option<Verdict>, colored: bool) {
    /// SGR parameters, by the action.
    const COLORS: [&[u8]; 5] = [b"1;31", b"31", b"32", b"36", b"34"];
    const UNKNOWN: &[u8] = b"35";
    let Some(verdict) = verdict else {
        line.push(b'?');
        return;
    };
    if colored {
        line.extend(b"\x1b[");
        line.extend(*COLORS.get(verdict.0 as usize).unwrap_or(&UNKNOWN));
        line.push(b'm');
    }
    action(line, verdict);
    if colored {
        line.extend(b"\x1b[0m");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::event::{Device, Verdict};

    /// … but which program it was.
    const NOTHING_KNOWN: Event<'_> =
        Event { function: Some("xdp_lb"), program_id: Some(12), program_name: Some("xdp_lb"), ..Event::NOTHING_KNOWN };

    fn device(name: &str) -> Option<Device<'_>> {
        Some(Device { netns: 1, ifindex: 2, name: Some(name) })
    }

    /// The line without its time, which depends on the time zone.
    fn line(event: &Event<'_>) -> String {
        let mut out = Vec::new();
        Text::new(&mut out, Look::default()).packet(event).unwrap();
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
        assert_eq!(
            line(&event),
            "eth0 xdp_lb#12 XDP_TX 412ns 00:00:00:00:00:00 > 00:00:00:00:00:00, ethertype LLDP (0x88cc), length 14\n"
        );
        assert_eq!(line(&Event { before: None, ..event }), "eth0 xdp_lb#12 XDP_TX 412ns ?\n");
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
    fn what_explains_itself_is_left_out_of_the_brackets_and_nothing_else() {
        let ip = [0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17, 0xb6, 0xf1, 192, 168, 1, 12, 192, 168, 1, 138];
        let udp = [0x9c, 0x40, 0, 9, 0, 12, 0x12, 0x34, 1, 2, 3, 4];
        let before = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0][..], &ip, &udp].concat();
        let changed = |rewrite: &[(usize, u8)], metadata| {
            let mut after = before.clone();
            rewrite.iter().for_each(|(at, byte)| after[*at] = *byte);
            let frame = |bytes, metadata| Some(Frame { length: Some(46), metadata, bytes });
            let (before, after) = (frame(&before[..], 0), frame(&after[..], metadata));
            let shown = line(&Event { before, after, moved: Some(0), changed: Some(true), ..NOTHING_KNOWN });
            shown.rsplit_once(" [").unwrap().1.trim_end_matches("]\n").to_owned()
        };
        assert_eq!(changed(&[(22, 63), (24, 0xb7)], 0), "ttl 64->63");
        assert_eq!(changed(&[(24, 0xb7)], 0), "ipv4 checksum 0xb6f1->0xb7f1");
        assert_eq!(changed(&[(24, 0xb7)], 8), "metadata pushed 8, ipv4 checksum 0xb6f1->0xb7f1");
        assert_eq!(changed(&[(22, 63), (45, 9)], 0), "ttl 64->63, bytes from 45");
        assert_eq!(changed(&[(45, 9), (40, 0)], 0), "bytes from 45");
        assert_eq!(changed(&[(29, 99), (25, 0), (40, 0)], 0), "src 192.168.1.12->192.168.1.99");
        assert_eq!(changed(&[(37, 10), (40, 0)], 0), "dport 9->10");
        let other = changed(&[(5, 9), (12, 0x88), (13, 0xb5)], 0);
        assert_eq!(other, "dst mac 02:00:00:00:00:02->02:00:00:00:00:09, ethertype 0x0800->0x88b5");
    }

    #[test]
    fn names_cannot_command_the_terminal() {
        let event = Event { device: device("\u{1b}[2J"), ..NOTHING_KNOWN };
        assert_eq!(line(&event), "\\u{1b}[2J xdp_lb#12 ? ? ?\n");
        let event = Event { device: device("Ethernet 2"), ..NOTHING_KNOWN };
        assert_eq!(line(&event), "Ethernet\\u{20}2 xdp_lb#12 ? ? ?\n");
    }
}
