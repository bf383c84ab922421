//! Whole files, made block by block, → events.

#![allow(clippy::unwrap_used)]

use std::io;

use super::*;
use crate::event::Verdict;
use crate::plan::Selection;
use crate::sink::outcome::write_behind;

/// Blocks in either byte order.
#[derive(Clone, Copy)]
struct Writer {
    is_big: bool,
}

impl Writer {
    fn u32(self, value: u32) -> [u8; 4] {
        if self.is_big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u64(self, value: u64) -> [u8; 8] {
        if self.is_big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let halves =
            [code, value.len() as u16].map(|half| if self.is_big { half.to_be_bytes() } else { half.to_le_bytes() });
        let mut option = [&halves.concat(), value].concat();
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    fn block(self, kind: u32, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let length = self.u32(body.len() as u32 + 12);
        [&self.u32(kind)[..], &length, &body, &length].concat()
    }

    fn section(self) -> Vec<u8> {
        let version = self.option(1, &[]);
        self.block(0x0a0d_0d0a, &[&self.u32(0x1a2b_3c4d), &version, &[0xff; 8]])
    }

    fn interface(self, link_type: u8, name: &str, resolution: u8) -> Vec<u8> {
        let link_type = if self.is_big { [0, link_type, 0, 0] } else { [link_type, 0, 0, 0] };
        let options = [self.option(9, &[resolution]), self.option(2, name.as_bytes()), self.option(0, &[])].concat();
        self.block(1, &[&link_type, &[0; 4], &options])
    }

    fn packet(self, interface: u32, ticks: u64, bytes: &[u8], options: &[Vec<u8>]) -> Vec<u8> {
        let length = self.u32(bytes.len() as u32);
        let head =
            [self.u32(interface), self.u32((ticks >> 32) as u32), self.u32(ticks as u32), length, length].concat();
        let padding = [0; 3];
        self.block(6, &[&head, bytes, &padding[..bytes.len().wrapping_neg() % 4], &options.concat()])
    }

    fn verdict(self, action: u64) -> Vec<u8> {
        [&[2], &self.u64(action)[..]].concat()
    }
}

const LITTLE: Writer = Writer { is_big: false };
const BIG: Writer = Writer { is_big: true };

/// A sink that keeps a line of each event.
#[derive(Default)]
struct Lines(Vec<String>);

impl Sink for Lines {
    fn packet(&mut self, event: &Event<'_>) -> io::Result<()> {
        let Event { time_ns, packet_id, queue, function, program_id, verdict, latency_ns, changed, outcome, .. } =
            event;
        let device = event.device.and_then(|device| device.name);
        let bytes = event.packet().map(|frame| frame.bytes.len());
        let known = (device, function, program_id, packet_id, queue, verdict.map(|Verdict(action)| action));
        let mut line =
            format!("{time_ns} {known:?} {latency_ns:?} {changed:?} {bytes:?}").replace("Some", "").into_bytes();
        if let Some(outcome) = outcome {
            write_behind(&mut line, Verdict::REDIRECT, outcome);
        }
        self.0.push(String::from_utf8(line).unwrap());
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is shown of a file, and why there is no more.
fn read(file: &[u8]) -> (Vec<String>, Option<String>) {
    let (mut lines, stop) = (Lines::default(), Signals::default());
    let choice = Choice::new(&Selection::default()).unwrap();
    let show = Show { sink: &mut lines, choice, left: u64::MAX, stop: &stop };
    let ended = Recorded { source: Source::new(file), pipe: None, show }.read_all();
    let why = match ended {
        Ok(()) => None,
        Err(Ended::Unread(why)) => Some(format!("{why:#}")),
        Err(other) => Some(format!("{other:?}")),
    };
    (lines.0, why)
}

/// A run, with what is told of it in an order that is not ours.
fn run(writer: Writer, latency: &str) -> Vec<u8> {
    let id = writer.option(5, &writer.u64(1 << 40));
    let queue = writer.option(6, &writer.u32(3));
    let verdict = writer.option(7, &writer.verdict(3));
    let comment = writer.option(1, format!("of, my own, {latency}program 12").as_bytes());
    let behind_the_end = [writer.option(0, &[]), writer.option(1, b"program 13")].concat();
    [
        writer.section(),
        writer.interface(1, "e:f()@fexit", 6),
        writer.interface(1, "e:f()@fentry", 6),
        writer.packet(1, 5_000_000_000_000, &[1; 50], &[comment.clone(), id.clone()]),
        writer.block(5, &[&[0; 12]]),
        writer.packet(0, 5_000_000_000_007, &[2; 50], &[queue, verdict, id, comment, behind_the_end]),
    ]
    .concat()
}

#[test]
fn runs_are_read_in_either_byte_order_and_by_each_sections_own_interfaces() {
    let known = r#"5000000000000000 (("e"), ("f"), (12), (1099511627776), (3), (3))"#;
    for writer in [LITTLE, BIG] {
        assert_eq!(read(&run(writer, "")), (vec![format!("{known} None (true) (50)")], None));
        let (lines, _) = read(&run(writer, "latency 6543 ns, "));
        assert_eq!(lines, [format!("{known} (6543) (true) (50)")]);
    }
    let (lines, why) = read(&[run(LITTLE, ""), run(BIG, ""), run(LITTLE, "")].concat());
    assert_eq!((lines.len(), why), (3, None));
    assert!(lines.iter().all(|line| line.starts_with(known)), "{lines:?}");
}

#[test]
fn a_latency_is_known_by_fine_clocks_only_and_of_runs_alone() {
    let line = |resolutions: [u8; 2]| {
        let options = [LITTLE.option(5, &[1; 8])];
        let file = [
            LITTLE.section(),
            LITTLE.interface(1, "e:f()@fentry", resolutions[0]),
            LITTLE.interface(1, "e:f()@fexit", resolutions[1]),
            LITTLE.packet(0, 0, &[1; 50], &options),
            LITTLE.packet(1, 0, &[1; 50], &options),
        ];
        let (lines, why) = read(&file.concat());
        assert_eq!((lines.len(), why), (1, None));
        lines[0].contains(") (0) (false) (50)")
    };
    let known = [[9, 9], [9, 12], [6, 9], [9, 6], [0, 0], [0x80 | 20, 9]].map(line);
    assert_eq!(known, [true, true, false, false, false, false]);
}

#[test]
fn an_exit_alone_is_when_the_program_ended() {
    let comment = [LITTLE.option(1, b"latency 5 ns, program 7, cpu 3")];
    let head = [LITTLE.section(), LITTLE.interface(1, "e:f()@fexit", 9)].concat();
    let lines = read(&[head, LITTLE.packet(0, 17, &[1; 50], &comment)].concat()).0;
    assert_eq!(lines, [r#"17 (("e"), ("f"), (7), None, None, None) (5) None (50)"#]);
    // The same of a packet that no probe saw is a remark of somebody's.
    let head = [LITTLE.section(), LITTLE.interface(1, "e", 9)].concat();
    let lines = read(&[head, LITTLE.packet(0, 17, &[1; 50], &comment)].concat()).0;
    assert_eq!(lines, [r#"17 (("e"), None, None, None, None, None) None None (50)"#]);
}

#[test]
fn what_became_of_a_verdict_is_told_by_either_half() {
    let packet = |interface, id, comment: &str| {
        let options = [LITTLE.option(5, &LITTLE.u64(id)), LITTLE.option(1, comment.as_bytes())];
        LITTLE.packet(interface, 7, &[1; 50], &options)
    };
    let shown = |packets: &[Vec<u8>]| -> Vec<String> {
        let head = [LITTLE.section(), LITTLE.interface(1, "e:f()@fentry", 9), LITTLE.interface(1, "e:f()@fexit", 9)];
        let (lines, why) = read(&[head.concat(), packets.concat()].concat());
        assert_eq!(why, None);
        lines.iter().map(|line| line.split_once("(50)").unwrap().1.to_owned()).collect()
    };
    let (to, failed) = ("latency 0 ns, program 1, outcome accepted e,1", "outcome failed ENETDOWN eth1, my own, cpu 1");
    assert_eq!(shown(&[packet(0, 1, to), packet(1, 1, to)]), [" -> e,1"]);
    assert_eq!(shown(&[packet(0, 1, to)]), [" -> e,1"]);
    assert_eq!(shown(&[packet(1, 1, failed)]), [" -> failed: ENETDOWN (eth1)"]);
    // Runs that wait for each other keep their own.
    let [one, two] = ["program 1, outcome exception", "program 1"];
    let waiting = [packet(0, 1, two), packet(0, 2, one), packet(1, 2, one), packet(0, 3, failed), packet(1, 1, two)];
    assert_eq!(shown(&waiting), ["", " -> failed", " -> failed: ENETDOWN (eth1)"]);
    assert_eq!(shown(&[packet(1, 1, "outcome good"), packet(1, 2, "outcome failed at once")]), ["", ""]);
}

#[test]
fn a_packet_whose_beginning_moved_is_changed() {
    let line = |moved: &str| {
        let comment = format!("latency 7 ns, program 1, cpu 0{moved}");
        let options = [LITTLE.option(5, &[1; 8]), LITTLE.option(1, comment.as_bytes())];
        let file = [
            LITTLE.section(),
            LITTLE.interface(1, "e:f()@fentry", 9),
            LITTLE.packet(0, 10, &[1; 50], &options),
            LITTLE.interface(1, "e:f()@fexit", 9),
            LITTLE.packet(1, 17, &[1; 50], &options),
        ];
        read(&file.concat()).0.remove(0)
    };
    assert!(line("").ends_with("(7) (false) (50)"));
    assert!(line(", moved 4").ends_with("(7) (true) (50)"));
}

#[test]
fn packets_of_others_are_events_with_what_is_known() {
    let section = [LITTLE.section(), LITTLE.interface(1, "eth0", 9), LITTLE.interface(1, "", 9)].concat();
    let packets =
        [LITTLE.packet(0, 17, &[1; 50], &[]), LITTLE.packet(1, 16, &[1; 3], &[LITTLE.option(1, b"?")])].concat();
    let lines = [
        r#"17 (("eth0"), None, None, None, None, None) None None (50)"#,
        "16 (None, None, None, None, None, None) None None (3)",
    ];
    assert_eq!(read(&[section, packets].concat()), (lines.map(str::to_owned).to_vec(), None));
}

#[test]
fn options_that_can_not_be_read_are_passed_over() {
    for writer in [LITTLE, BIG] {
        let odd = |code, value: &[u8]| writer.option(code, value);
        let latin = b"Ger\xe4t";
        let section_options = [odd(1, latin), odd(3, latin), odd(2988, &[1; 3]), odd(4, b"x")];
        let interface_options = [
            odd(9, &[]),
            odd(14, &[1; 7]),
            odd(2, latin),
            odd(3, latin),
            odd(4, &[1; 7]),
            odd(8, &[1; 3]),
            odd(11, &[]),
            odd(2989, &[1; 2]),
            odd(9, &[9]),
            vec![0, 77, 0, 77],
        ];
        let link_type = if writer.is_big { [0, 1, 0, 0] } else { [1, 0, 0, 0] };
        let file = [
            writer.block(0x0a0d_0d0a, &[&writer.u32(0x1a2b_3c4d), &[0; 4], &[0xff; 8], &section_options.concat()]),
            writer.block(1, &[&link_type, &[0; 4], &interface_options.concat()]),
            writer.packet(0, 17, &[1; 50], &[]),
        ];
        let line = "17 ((\"Ger\u{fffd}t\"), None, None, None, None, None) None None (50)";
        assert_eq!(read(&file.concat()), (vec![line.to_owned()], None));
    }
}

#[test]
fn verdicts_of_other_hooks_and_damaged_options_are_not_known() {
    let exit = |options: &[Vec<u8>]| {
        let file =
            [LITTLE.section(), LITTLE.interface(1, "e:f()@fexit", 9), LITTLE.packet(0, 0, &[], options)].concat();
        let (lines, why) = read(&file);
        assert_eq!((lines.len(), why), (1, None));
        lines[0].clone()
    };
    let unknown = r#"0 (("e"), ("f"), None, None, None, None) None None (0)"#;
    let hooks = [[&[1][..], &[0; 8]].concat(), LITTLE.verdict(1 << 32), vec![2, 3], vec![]];
    for verdict in hooks {
        assert_eq!(exit(&[LITTLE.option(7, &verdict)]), unknown);
    }
    for comment in ["program ", "program -1", "program 4294967296", "latency ns", "latency 99999999999999999999 ns"] {
        assert_eq!(exit(&[LITTLE.option(1, comment.as_bytes())]), unknown, "{comment}");
    }
    assert_eq!(exit(&[LITTLE.option(5, &[1; 7]), LITTLE.option(6, &[1; 3]), vec![7, 0, 99, 0]]), unknown);
    assert!(exit(&[LITTLE.option(6, &LITTLE.verdict(1))]).contains("None, (1))"));
}

#[test]
fn what_can_not_be_read_is_said_with_its_place() {
    let head = [LITTLE.section(), LITTLE.interface(1, "e", 9)].concat();
    let good = LITTLE.packet(0, 0, &[1; 20], &[]);
    let why = |tail: &[u8]| {
        let (lines, why) = read(&[&head[..], &good, tail].concat());
        assert_eq!(lines.len(), 1);
        let why = why.unwrap();
        let place = format!("at byte {}", head.len() + good.len());
        assert!(why.contains(&place), "{why}");
        why.replace(&place, "").replace(": what is before it was shown", "")
    };
    assert_eq!(why(&good[..30]), "truncated ");
    assert_eq!(why(&[6, 0, 0, 0, 0xfc, 0xff, 0xff, 0xff]), "truncated ");
    assert!(why(&[6, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]).starts_with("broken , "));
    assert_eq!(why(&LITTLE.packet(1, 0, &[], &[])), "broken , a packet of interface 1, which isn't there");
    assert_eq!(why(&LITTLE.block(6, &[&[0; 8]])), "broken , a packet that is longer than its block");
    let lying = LITTLE.block(6, &[&[0; 12], &[0xff; 8], &[0; 40]]);
    assert_eq!(why(&lying), "broken , a packet that is longer than its block");
    let endless = [vec![6, 0, 0, 0, 0xfc, 0xff, 0xff, 0xff], vec![0; 2 * source::LONGEST_BLOCK]].concat();
    assert_eq!(why(&endless), "broken , a block of more than 16 MiB");
    let (lines, elsewhere) = read(&[LITTLE.section(), LITTLE.interface(113, "any", 9), good.clone()].concat());
    assert_eq!(lines.len(), 0);
    assert!(elsewhere.unwrap().contains("link type 113, and only Ethernet, 1, can be read"));
    let (lines, simple) = read(&[&head[..], &LITTLE.block(3, &[&[0; 8]]), &good].concat());
    assert_eq!((lines.len(), simple.unwrap().contains("1 packets were left out")), (1, true));
    let described = LITTLE.interface(1, &"x".repeat(60_000), 9).repeat(30);
    assert!(read(&[&head[..], &described].concat()).1.unwrap().contains("more than 1 MiB on a section"));
    for (writer, kind) in [(LITTLE, 1), (LITTLE, 0x0a0d_0d0a), (BIG, 0x0a0d_0d0a)] {
        let wordy = writer.block(kind, &[&writer.u32(0x1a2b_3c4d), &[0; 12], &[1; 2 << 20]]);
        assert!(read(&[&head[..], &wordy].concat()).1.unwrap().contains("more than 1 MiB on a section"), "{kind}");
        if kind != 1 {
            assert_eq!(read(&wordy).1.unwrap(), "more than 1 MiB on a section and its interfaces");
        }
    }
}

#[test]
fn the_older_format_is_read_with_its_clock_and_order() {
    let file = |writer: Writer, magic, link_type| {
        let head = [magic, if writer.is_big { 2 << 16 | 4 } else { 4 << 16 | 2 }, 0, 0, 0, link_type];
        let packet = [17, 5, 3, 60];
        let words = head.iter().chain(&packet).map(|word| writer.u32(*word));
        [words.collect::<Vec<_>>().concat(), b"abc".to_vec()].concat()
    };
    let line = |time_ns: u64| vec![format!("{time_ns} (None, None, None, None, None, None) None None (3)")];
    for writer in [LITTLE, BIG] {
        // With checksums of 4 bytes.
        assert_eq!(read(&file(writer, 0xa1b2_c3d4, 0x1400_0001)), (line(17_000_005_000), None));
        assert_eq!(read(&file(writer, 0xa1b2_c3d4, 1)), (line(17_000_005_000), None));
        assert_eq!(read(&file(writer, 0xa1b2_3c4d, 1)), (line(17_000_000_005), None));
        let (lines, why) = read(&file(writer, 0xa1b2_c3d4, 113));
        assert_eq!((lines.len(), why.unwrap().contains("link type 113")), (0, true));
        let whole = file(writer, 0xa1b2_c3d4, 1);
        assert_eq!(read(&whole[..42]).1.unwrap(), "truncated at byte 24: what is before it was shown");
    }
}

#[test]
fn no_cut_and_no_flipped_byte_is_more_than_an_error() {
    for file in [run(LITTLE, "latency 5 ns, "), run(BIG, ""), run(LITTLE, "outcome failed EIO cpu map 1[2], ")] {
        for at in 0..file.len() {
            read(&file[..at]);
            for flip in [1, 0x80, 0xff] {
                let mut other = file.clone();
                other[at] ^= flip;
                read(&other);
            }
        }
    }
}
