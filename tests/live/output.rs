//! What the user reads.

use crate::lab::{Nic, TARGETS, assert_nothing_is_left, output};
use crate::tracer::{Counts, Tracer, XDPTRACE};

/// Local date and time as the article's log prints them, from `date`, for comparison by text.
fn now() -> String {
    output(&["date", "+%Y/%m/%d %H:%M:%S"]).trim_end().to_owned()
}

/// The demo's lines without their time, which must lie between `start` and the end.
fn without_times<'a>(lines: &'a [String], start: &str) -> Vec<&'a str> {
    let end = now();
    let strip = |line: &'a String| {
        let (time, words) = line.split_at(19);
        assert!(start <= time && time <= end.as_str(), "{line} is not within {start} and {end}");
        words.strip_prefix(' ').unwrap()
    };
    lines.iter().map(strip).collect()
}

fn demo_prints_the_articles_lines(nic: &Nic, from: &str, to: &str) {
    let start = now();
    let mut tracer = Tracer::start(nic, &["demo", "--device", &nic.name]);
    nic.ping(3);
    tracer.wait_for_lines(3, "fexit");
    let ended = tracer.end("INT");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let entry = format!("Tracing packet: {from} -> {to} (fentry)");
    let exit = format!("Tracing packet: {from} -> {to} (fexit: XDP_PASS)");
    let attached = format!("Attached xdp to {}", nic.name);
    let mut expected = vec![attached.as_str(), "Attached fentry(xdp)", "Attached fexit(xdp)", "Listening events..."];
    expected.extend([entry.as_str(), exit.as_str()].repeat(3));
    assert_eq!(without_times(&ended.stdout, &start), expected);
    assert_eq!(ended.counts().traced, 3);
    assert_nothing_is_left();
}

#[test]
fn veth_demo_prints_the_articles_lines() {
    demo_prints_the_articles_lines(&Nic::veth(), "192.0.2.2", "192.0.2.1");
}

#[test]
fn virtio_demo_prints_the_articles_lines() {
    demo_prints_the_articles_lines(&Nic::virtio(), "10.0.2.2", "10.0.2.15");
}

#[test]
fn demo_traces_the_program_that_is_there() {
    let nic = Nic::veth();
    nic.attach("xdpgeneric", TARGETS, "target_drop_with_a_long_name");
    let start = now();
    let mut tracer = Tracer::start(&nic, &["demo", "--device", "veth0"]);
    nic.ping(1);
    tracer.wait_for_lines(1, "fexit");
    let ended = tracer.end("INT");
    let expected = [
        "Attached fentry(xdp)",
        "Attached fexit(xdp)",
        "Listening events...",
        "Tracing packet: 192.0.2.2 -> 192.0.2.1 (fentry)",
        "Tracing packet: 192.0.2.2 -> 192.0.2.1 (fexit: XDP_DROP)",
    ];
    assert_eq!(without_times(&ended.stdout, &start), expected);
}

#[test]
fn a_text_line_has_time_device_program_verdict_latency_and_packet() {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_drop_with_a_long_name");
    let id = nic.program_id();
    let mut tracer = Tracer::start(&nic, &["-i", "veth0", "icmp"]);
    let start = output(&["date", "+%H:%M:%S.%6N"]);
    nic.ping(1);
    tracer.wait_for_lines(1, "ICMP");
    let end = output(&["date", "+%H:%M:%S.%6N"]);
    let line = tracer.stdout[0].clone();
    let fields: Vec<&str> = line.splitn(6, ' ').collect();
    let [time, device, program, verdict, latency, packet] = fields[..] else { panic!("{line}") };
    // Past midnight the later time is the smaller one.
    assert!(end < start || (start.trim_end() <= time && time <= end.trim_end()), "{start}{time}\n{end}");
    assert_eq!((device, verdict), ("veth0", "XDP_DROP"));
    // The whole name, where the kernel's own info has `target_drop_wi`.
    assert_eq!(program, format!("target_drop_with_a_long_name#{id}"));
    let latency: u64 = latency.strip_suffix("ns").unwrap().parse().unwrap();
    assert!((1..1_000_000_000).contains(&latency), "{line}");
    let words = packet.strip_prefix("IP 192.0.2.2 > 192.0.2.1: ICMP echo request, id ").unwrap();
    assert!(words.ends_with(", seq 1, length 64"), "{line}");
    assert!(tracer.end("INT").status.success());
}

#[test]
fn icmp_shows_neither_udp_nor_icmp6_nor_arp() {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_pass");
    let mut tracer = Tracer::start(&nic, &["-i", "veth0", "icmp"]);
    nic.send_udp(5);
    nic.ping6();
    // Nobody has this address, so it is asked for by ARP.
    nic.there(&["ping", "-n", "-q", "-c", "1", "-W", "1", "192.0.2.3"]);
    nic.ping(1);
    tracer.wait_for_lines(1, "ICMP");
    let ended = tracer.end("INT");
    assert_eq!(ended.stdout.len(), 1, "{ended:?}");
    assert!(ended.stdout[0].contains(" IP 192.0.2.2 > 192.0.2.1: ICMP echo request, id "), "{ended:?}");
    let Counts { filtered, traced, lost, .. } = ended.counts();
    // Five datagrams, a neighbour solicitation, an ICMPv6 echo and an ARP request at least.
    assert!(filtered >= 8 && traced == 1 && lost == 0, "{ended:?}");
}

#[test]
fn without_filter_every_protocol_is_shown() {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_pass");
    let mut tracer = Tracer::start(&nic, &["-i", "veth0"]);
    nic.ping(1);
    nic.send_udp(1);
    nic.ping6();
    // Nobody has this address, so it is asked for.
    nic.there(&["ping", "-n", "-q", "-c", "1", "-W", "1", "192.0.2.3"]);
    // The neighbour solicitation goes to the solicited-node group of the address asked for.
    tracer.wait_until("the solicitation", |tracer| {
        tracer
            .stdout
            .iter()
            .any(|line| line.contains(" IP6 fe80::") && line.contains(": ICMP6, neighbor solicitation, who has fe80::"))
    });
    tracer.wait_for_lines(1, " ARP, Request who-has 192.0.2.3 tell 192.0.2.2, length 28");
    tracer.wait_for_lines(1, "IP 192.0.2.2 > 192.0.2.1: ICMP");
    tracer.wait_until("the datagram", |tracer| {
        tracer
            .stdout
            .iter()
            .any(|line| line.contains(" IP 192.0.2.2.") && line.contains(" > 192.0.2.1.9: UDP, length "))
    });
    let ended = tracer.end("INT");
    assert_eq!(ended.counts().traced, ended.stdout.len() as u64);
}

#[test]
fn a_renamed_device_is_shown_by_its_new_name() {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_pass");
    let mut tracer = Tracer::start(&nic, &["-i", "veth0", "icmp"]);
    nic.ping(1);
    nic.ip(&["link", "set", "veth0", "down"]);
    nic.ip(&["link", "set", "veth0", "name", "renamed0"]);
    nic.ip(&["link", "set", "renamed0", "up"]);
    // More than a second, where the name is asked for ten times a second.
    nic.ping(8);
    tracer.wait_for_lines(1, " renamed0 target_pass#");
    assert!(!tracer.lines_with(" veth0 target_pass#").is_empty());
    assert!(tracer.end("INT").status.success());
}

#[test]
fn what_a_stopped_tracer_loses_is_counted() {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_drop_with_a_long_name");
    let tracer = Tracer::start(&nic, &["-i", "veth0", "-B", "128", "icmp"]);
    tracer.send("STOP");
    // All at once, without waiting for replies that the program drops; far more than the rings hold.
    nic.there(&["ping", "-n", "-q", "-f", "-l", "5000", "-c", "5000", "-W", "1", "192.0.2.1"]);
    tracer.send("CONT");
    let ended = tracer.end("INT");
    let Counts { seen, filtered, traced, lost, .. } = ended.counts();
    assert_eq!(seen - filtered, 5000, "{:?}", ended.stderr);
    assert!(traced > 100 && lost > 100, "{:?}", ended.stderr);
    assert_eq!(traced, ended.stdout.len() as u64);
}

#[test]
fn a_closed_pipe_ends_the_run_without_an_error() {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_pass");
    let script = format!("{XDPTRACE} -i veth0 | head -1; echo status ${{PIPESTATUS[0]}} >&2");
    let mut tracer = Tracer::spawn_command(&nic.inside(&["bash", "-c", &script]));
    tracer.wait_until("'Listening events...'", |tracer| tracer.stderr.iter().any(|line| line == "Listening events..."));
    // One packet only: the end must come although nothing more is written.
    nic.there(&["bash", "-c", "echo x >/dev/udp/192.0.2.1/9"]);
    let ended = tracer.wait();
    assert_eq!(ended.stdout.len(), 1, "{ended:?}");
    let [listening, counts, status] = &ended.stderr[..] else { panic!("{ended:?}") };
    assert_eq!([listening, status], ["Listening events...", "status 0"]);
    assert!(counts.contains(" seen = "), "{ended:?}");
    assert_nothing_is_left();
}
