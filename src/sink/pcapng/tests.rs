//! What is in the file, block by block, and that tcpdump takes it.

#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Write};
use std::process::{Command, ExitStatus, Stdio};

use super::*;
use crate::event::{Device, Frame, Subject, Summary, Verdict};
use crate::outlet::Files;
use crate::outlet::tests::piped;
use crate::sink::Sink;
use crate::sink::capture::{Capture, tests as files};

/// An ARP request; what it asks for doesn't matter here.
const ARP: [u8; 42] = {
    let mut bytes = [0; 42];
    (bytes[12], bytes[13]) = (8, 6);
    (bytes[15], bytes[16], bytes[18], bytes[19], bytes[21]) = (1, 8, 6, 4, 1);
    bytes
};

const EVENT: Event<'_> = Event {
    time_ns: 1_700_000_000_123_456_789,
    monotonic_ns: Some(0),
    packet_id: Some(0x1_0000_0007),
    device: Some(Device { netns: 1, ifindex: 2, name: Some("eth0") }),
    queue: Some(3),
    cpu: Some(0),
    function: Some("xdp_lb"),
    program_id: Some(12),
    program_name: Some("xdp_lb"),
    verdict: Some(Verdict(3)),
    latency_ns: Some(412),
    before: frame(Some(42)),
    after: frame(Some(1000)),
    ..Event::NOTHING_KNOWN
};

const fn frame(length: Option<u32>) -> Option<Frame<'static>> {
    Some(Frame { length, metadata: 0, bytes: &ARP })
}

/// The blocks of a file: their types and bodies.
fn blocks(mut file: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut blocks = Vec::new();
    while !file.is_empty() {
        let length = u32_at(file, 4) as usize;
        assert_eq!(length % 4, 0);
        assert_eq!(u32_at(file, length - 4) as usize, length);
        blocks.push((u32_at(file, 0), file[8..length - 4].to_vec()));
        file = &file[length..];
    }
    blocks
}

/// The options from `at` on, to the end of the block.
fn options(block: &[u8], at: usize) -> Vec<(u16, Vec<u8>)> {
    let (mut rest, mut options) = (&block[at..], Vec::new());
    loop {
        let [code, length] = [0, 2].map(|at| u16::from_ne_bytes([rest[at], rest[at + 1]]));
        let length = usize::from(length);
        if code == 0 {
            assert_eq!(rest, [0; 4]);
            return options;
        }
        options.push((code, rest[4..4 + length].to_vec()));
        rest = &rest[4 + length.next_multiple_of(4)..];
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn file(snap_len: u32, events: &[Event<'_>], notices: &[Notice]) -> Vec<u8> {
    files::written(|outlet, plan| {
        let mut sink = Capture::new(Files::new(outlet, plan), Pcapng::new(snap_len), snap_len);
        sink.note(&Notice::Listening).unwrap();
        events.iter().for_each(|event| sink.packet(event).unwrap());
        sink.settle(u64::MAX).unwrap();
        notices.iter().for_each(|notice| sink.note(notice).unwrap());
        sink.flush().unwrap();
    })
}

fn kinds(file: &[u8]) -> Vec<u32> {
    blocks(file).iter().map(|(kind, _)| *kind).collect()
}

fn account(function: &str, program_id: u32, devices: &[&str], seen: u64, lost: u64) -> Account {
    let devices = devices.iter().map(|device| (*device).to_owned()).collect();
    let subject = Subject { function: function.into(), program_id, devices, ..Subject::default() };
    Account { subject, counts: Counts { seen, lost, ..Counts::default() } }
}

fn ended(programs: &[Account]) -> Notice {
    let (total, verdicts, losses, late) = Default::default();
    Notice::Ended(Summary { programs: programs.to_vec(), total, verdicts, others: 0, losses, late, forwards: None })
}

#[test]
fn the_section_says_who_wrote_it_even_where_nothing_follows() {
    let file = file(64, &[], &[]);
    let [(0x0a0d_0d0a, section)] = &blocks(&file)[..] else { unreachable!("{file:?}") };
    assert_eq!(u32_at(section, 0), 0x1a2b_3c4d);
    assert_eq!(section[4..16], [&1_u16.to_ne_bytes()[..], &[0; 2], &[0xff; 8]].concat());
    let options = options(section, 16);
    assert_eq!(options[0], (1, COMMENT.into()));
    assert_eq!(options[1], (4, format!("xdptrace {}", env!("CARGO_PKG_VERSION")).into()));
    // The machine's, which std knows by itself.
    assert_eq!(options[2], (2, std::env::consts::ARCH.into()));
    assert!(options[3].0 == 3 && options[3].1.starts_with(b"Linux "), "{options:?}");
}

#[test]
fn an_interface_names_the_driver_of_its_device_alone() {
    let file = files::written(|outlet, plan| {
        let mut sink = Capture::new(Files::new(outlet, plan), Pcapng::new(64), 64);
        let notice = |device: &str| Notice::Driver { device: device.into(), driver: format!("driver: \"{device}'s\"") };
        ["eth1", "eth0"].iter().for_each(|device| sink.note(&notice(device)).unwrap());
        [EVENT, Event { device: None, ..EVENT }].iter().for_each(|event| sink.packet(event).unwrap());
        sink.settle(u64::MAX).unwrap();
        sink.flush().unwrap();
    });
    let blocks = blocks(&file);
    let described = blocks.iter().filter(|(kind, _)| *kind == 1).map(|(_, interface)| options(interface, 8));
    let drivers: Vec<Option<Vec<u8>>> =
        described.map(|options| options.into_iter().find(|(code, _)| *code == 15).map(|(_, driver)| driver)).collect();
    let eth0s = Some(b"driver: \"eth0's\"".to_vec());
    assert!(drivers.contains(&eth0s) && drivers.contains(&None), "{drivers:?}");
    assert_eq!(drivers.iter().flatten().count(), 2, "{drivers:?}");
}

#[test]
fn each_end_of_a_function_on_a_device_is_an_interface_described_once() {
    let elsewhere = Event { device: None, ..EVENT };
    let file = file(64, &[EVENT, EVENT, elsewhere], &[]);
    // In the order of time: all before, and then all after.
    assert_eq!(kinds(&file)[1..], [1, 6, 6, 1, 1, 6, 6, 6, 1, 6]);
    let blocks = blocks(&file);
    let described = blocks.iter().filter(|(kind, _)| *kind == 1);
    let names: Vec<Vec<u8>> = described
        .map(|(_, interface)| {
            assert_eq!(interface[..8], [&1_u16.to_ne_bytes()[..], &[0; 2], &64_u32.to_ne_bytes()].concat());
            let options = options(interface, 8);
            assert_eq!(options[1], (9, vec![9]));
            options[0].1.clone()
        })
        .collect();
    let expected = ["eth0:xdp_lb()@fentry", "eth0:xdp_lb()@fexit", "?:xdp_lb()@fentry", "?:xdp_lb()@fexit"];
    assert_eq!(names, expected.map(|name| name.as_bytes().to_vec()));
    let numbers: Vec<u32> = blocks.iter().filter(|(kind, _)| *kind == 6).map(|(_, packet)| u32_at(packet, 0)).collect();
    assert_eq!(numbers, [0, 0, 2, 1, 1, 3]);
}

#[test]
fn a_packet_before_and_after_has_its_times_lengths_and_options() {
    let file = file(64, &[EVENT], &[]);
    let blocks = blocks(&file);
    let packets: Vec<&Vec<u8>> = blocks.iter().filter(|(kind, _)| *kind == 6).map(|(_, packet)| packet).collect();
    let common = [
        (2, 1_u32.to_ne_bytes().to_vec()),
        (5, 0x1_0000_0007_u64.to_ne_bytes().to_vec()),
        (6, 3_u32.to_ne_bytes().to_vec()),
        (7, [&[2], &3_u64.to_ne_bytes()[..]].concat()),
        (1, b"latency 412 ns, program 12, cpu 0".to_vec()),
    ];
    for (packet, time_ns, length) in [(packets[0], EVENT.time_ns, 42), (packets[1], EVENT.time_ns + 412, 1000)] {
        assert_eq!(u64::from(u32_at(packet, 4)) << 32 | u64::from(u32_at(packet, 8)), time_ns);
        assert_eq!((u32_at(packet, 12), u32_at(packet, 16)), (42, length));
        assert_eq!(packet[20..62], ARP);
    }
    assert_eq!(options(packets[0], 64), [&common[..3], &common[4..]].concat());
    assert_eq!(options(packets[1], 64), common);
}

#[test]
fn what_is_not_known_is_left_out() {
    let event = Event { queue: None, verdict: None, latency_ns: None, before: None, ..EVENT };
    let file = file(64, &[event], &[]);
    let blocks = blocks(&file);
    let codes: Vec<u16> = options(&blocks[2].1, 64).iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [2, 5, 1]);
    assert_eq!(options(&blocks[2].1, 64)[2].1, b"program 12, cpu 0");
    assert!(options(&blocks[1].1, 8)[0].1.ends_with(b"@fexit"));
}

#[test]
fn no_more_is_captured_than_the_snap_length_or_the_packet_has() {
    let lengths = |snap_len, length| {
        let file = file(snap_len, &[Event { before: frame(length), after: None, ..EVENT }], &[]);
        let packet = &blocks(&file)[2].1;
        (u32_at(packet, 12), u32_at(packet, 16))
    };
    assert_eq!(lengths(64, Some(1500)), (42, 1500));
    assert_eq!(lengths(30, Some(1500)), (30, 1500));
    assert_eq!(lengths(64, Some(20)), (20, 20));
    assert_eq!(lengths(64, None), (42, 42));
    assert_eq!(lengths(30, None), (30, 30));
}

#[test]
fn statistics_are_of_the_targets_that_are_the_interfaces_own() {
    let statistics = |programs: &[Account]| {
        let told = Notice::Told(account("xdp_lb", 11, &["eth0"], 1, 0));
        let file = file(64, &[Event { before: None, ..EVENT }], &[told, ended(programs)]);
        assert_eq!(kinds(&file)[1..], [1, 6, 5]);
        let statistics = &blocks(&file)[3].1;
        assert_eq!(u32_at(statistics, 0), 0);
        let time = u64::from(u32_at(statistics, 4)) << 32 | u64::from(u32_at(statistics, 8));
        assert!(time > EVENT.time_ns, "{time}");
        options(statistics, 12)
    };
    let delivered = (8, 1_u64.to_ne_bytes().into());
    let seen_and_lost =
        |seen: u64, lost: u64| [(4, seen.to_ne_bytes().into()), (5, lost.to_ne_bytes().into()), delivered.clone()];
    let others = account("xdp_lb", 13, &["eth1"], 90, 9);
    assert_eq!(statistics(&[account("xdp_lb", 12, &["eth0"], 7, 2), others]), seen_and_lost(8, 2));
    assert_eq!(statistics(&[account("xdp_lb2", 12, &["eth0"], 7, 2)]), seen_and_lost(1, 0));
    assert_eq!(statistics(&[account("xdp_lb", 12, &["eth0", "eth1"], 7, 2)]), std::slice::from_ref(&delivered));
}

#[test]
fn a_file_without_packets_has_an_interface_nevertheless() {
    assert_eq!(kinds(&file(64, &[], &[ended(&[])]))[1..], [1]);
}

#[test]
fn a_reader_gone_before_the_statistics_is_no_failure() {
    let (reader, outlet) = piped();
    drop(reader);
    let plan = files::plan("-");
    let mut sink = Capture::new(Files::new(&outlet, &plan), Pcapng::new(64), 64);
    sink.packet(&EVENT).unwrap();
    assert!(sink.end_event(files::ENDED));
    sink.settle(u64::MAX).unwrap();
    assert_eq!(sink.flush().unwrap_err().kind(), ErrorKind::BrokenPipe);
    sink.note(&ended(&[])).unwrap();
    assert_eq!(outlet.take_unwritten(), [files::ENDED]);
}

#[test]
fn tcpdump_reads_packets_of_several_interfaces() {
    let elsewhere = Event { device: None, ..EVENT };
    let notices = [ended(&[account("xdp_lb", 12, &["eth0"], 7, 2)])];
    let (status, lines) = tcpdump(&file(1000, &[EVENT, elsewhere], &notices));
    assert!(status.success(), "{lines}");
    let packets: Vec<&str> = lines.lines().filter(|line| line.starts_with("1700000000.")).collect();
    assert_eq!(packets.len(), 4, "{lines}");
    for (packet, time) in packets.iter().zip(["123456789", "123456789", "123457201", "123457201"]) {
        assert!(packet.contains(&format!(".{time} ARP, Request")), "{lines}");
    }
}

#[test]
fn tcpdump_reads_a_file_without_packets() {
    let (status, lines) = tcpdump(&file(64, &[], &[ended(&[])]));
    assert!(status.success() && lines.lines().all(|line| line.starts_with("reading from file")), "{lines}");
}

/// What tcpdump prints of a file, on either output.
fn tcpdump(file: &[u8]) -> (ExitStatus, String) {
    let words = ["-nn", "-tt", "--nano", "-r", "-"];
    let [input, output, errors] = [Stdio::piped(), Stdio::piped(), Stdio::piped()];
    let mut tcpdump = Command::new("tcpdump").args(words).stdin(input).stdout(output).stderr(errors).spawn().unwrap();
    tcpdump.stdin.take().unwrap().write_all(file).unwrap();
    let done = tcpdump.wait_with_output().unwrap();
    (done.status, String::from_utf8([done.stdout, done.stderr].concat()).unwrap())
}
