//! Numbers without events: exactly what was sent, by whatever it is counted. Nothing but what a test sends arrives at its NIC.

use serde_json::{Value, json};

use crate::following::wait_for_line;
use crate::lab::{Nic, TARGETS};
use crate::loader::{FIRST_PORT, Mode, Programs, send_frames};
use crate::losses::{Counted, quiet_nic};
use crate::tracer::{Ended, Tracer, XDPTRACE};

/// A datagram from this source to this port, in a frame of so many bytes.
fn frame(source: [u8; 4], port: u16, length: usize) -> Vec<u8> {
    let sixteen = |number: usize| (number as u16).to_be_bytes();
    let mut frame = [&[2, 0, 0, 0, 0, 1], &[2, 0, 0, 0, 0, 2], &[8, 0][..]].concat();
    frame.extend([&[0x45, 0], &sixteen(length - 14)[..], &[0, 0, 0, 0, 64, 17, 0, 0]].concat());
    frame.extend([&source[..], &[192, 0, 2, 1]].concat());
    frame.extend([sixteen(40_000), sixteen(port.into()), sixteen(length - 34), [0, 0]].concat());
    frame.resize(length, 0);
    frame
}

const SOURCE: [u8; 4] = [192, 0, 2, 2];

fn send(nic: &Nic, frames: &[Vec<u8>]) {
    send_frames(&nic.other_end("veth1"), frames);
}

/// Starts `stats` for each of these words, all at once.
fn start(nic: &Nic, words: &[&[&str]]) -> Vec<Tracer> {
    let words = words.iter().map(|words| [&["stats", "-i", "veth0", "--json"], *words].concat());
    let mut tracers: Vec<Tracer> = words.map(|words| Tracer::spawn(nic, &words)).collect();
    tracers.iter_mut().for_each(Tracer::wait_until_it_listens);
    tracers
}

/// The last numbers. They add up, and are those of the last words.
pub fn last(ended: &Ended) -> Value {
    assert!(ended.status.success(), "{ended:#?}");
    let records: Vec<Value> = ended.stdout.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = records.iter().rfind(|record| record["type"] == "stats").unwrap_or_else(|| panic!("{ended:#?}")).clone();
    assert_eq!(last["final"], true, "{last}");
    let counts = ended.counts();
    let sum = |name| programs(&last).iter().map(|program| number(&program[name])).sum::<u64>();
    let sums = ["seen", "filtered", "skipped", "traced", "lost"].map(sum);
    assert_eq!(sums, [counts.seen, counts.filtered, counts.skipped, counts.traced, counts.lost], "{last}");
    assert_eq!((counts.skipped, counts.lost), (0, 0), "{last}");
    for program in programs(&last) {
        let counted: u64 = tallies(program).iter().map(|(.., tally)| number(&tally["packets"])).sum();
        assert_eq!(counted, number(&program["traced"]), "{program}");
    }
    last
}

pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

pub fn programs(record: &Value) -> &Vec<Value> {
    record["programs"].as_array().unwrap()
}

/// Queues, verdicts, and packets with their bytes.
fn tallies(program: &Value) -> Vec<(Value, String, Value)> {
    let traffic = program["traffic"].as_array().unwrap().iter();
    let all = traffic.flat_map(|one| {
        let verdicts = one["verdicts"].as_object().unwrap().iter();
        verdicts.map(|(name, tally)| (one["queue"].clone(), name.clone(), tally.clone()))
    });
    all.collect()
}

/// Packets and bytes that `ip` says were received.
fn received(nic: &Nic) -> [u64; 2] {
    let link: Value = serde_json::from_str(&nic.ip(&["-j", "-s", "link", "show", "veth0"])).unwrap();
    ["packets", "bytes"].map(|name| number(&link[0]["stats64"]["rx"][name]))
}

#[test]
fn packets_and_bytes_are_those_sent_by_queue_and_verdict() {
    let nic = quiet_nic();
    let counted = Counted::drop_on(&nic);
    let before = received(&nic);
    let mut tracers = start(&nic, &[&["--interval", "200ms"]]);
    send(&nic, &vec![frame(SOURCE, FIRST_PORT, 1000); 100]);
    counted.runs.wait_for(100);
    nic.use_second_queue();
    send(&nic, &vec![frame(SOURCE, FIRST_PORT, 60); 50]);
    counted.runs.wait_for(150);
    let last = last(&tracers.remove(0).end("INT"));
    let program = &programs(&last)[0];
    let drops =
        |queue, packets, bytes| (json!(queue), "XDP_DROP".to_owned(), json!({"packets": packets, "bytes": bytes}));
    let both = [drops(0, 100, 100_000), drops(1, 50, 3000)];
    // Whichever of its queues the peer sent by at first.
    let tallies = tallies(program);
    let second = [drops(1, 150, 103_000)];
    assert!(tallies == both || tallies == second, "{program}");
    // The driver counts bytes behind Ethernet's header.
    assert_eq!(received(&nic), [before[0] + 150, before[1] + 103_000 - 150 * 14]);
    let runs: u64 = program["traffic"].as_array().unwrap().iter().map(|one| number(&one["latency"]["count"])).sum();
    assert_eq!(runs, 150, "{program}");
}

#[test]
fn only_what_is_asked_for_is_counted() {
    let nic = quiet_nic();
    let counted = Counted::drop_on(&nic);
    let words: [(&[&str], u64, bool); 7] = [
        (&[], 20, true),
        (&["udp", "dst", "port", "20001"], 8, true),
        (&["--verdict", "pass"], 0, true),
        (&["--verdict", "drop", "--filter-at", "exit", "udp", "dst", "port", "20001"], 8, true),
        (&["--slower", "1h"], 0, true),
        (&["--probe", "exit"], 20, false),
        (&["--probe", "exit", "--filter-at", "exit", "udp", "dst", "port", "20001"], 8, false),
    ];
    let tracers = start(&nic, &words.map(|(words, ..)| words));
    send(&nic, &vec![frame(SOURCE, 20_000, 100); 12]);
    send(&nic, &vec![frame(SOURCE, 20_001, 100); 8]);
    counted.runs.wait_for(20);
    for (tracer, (words, packets, is_timed)) in tracers.into_iter().zip(words) {
        let last = last(&tracer.end("INT"));
        let program = &programs(&last)[0];
        assert_eq!([&program["seen"], &program["traced"]], [20, packets], "{words:?}: {program}");
        let traffic = program["traffic"].as_array().unwrap();
        assert!(traffic.iter().all(|one| one.get("latency").is_some() == is_timed), "{words:?}: {program}");
    }
}

/// A frame of this EtherType.
fn ethernet(kind: u16, rest: &[u8], length: usize) -> Vec<u8> {
    let mut frame = [&[2, 0, 0, 0, 0, 1], &[2, 0, 0, 0, 0, 2], &kind.to_be_bytes()[..], rest].concat();
    frame.resize(length, 0);
    frame
}

/// The frame in a VLAN, at a priority of 3.
fn tagged(frame: &[u8], kind: u16, vlan: u16) -> Vec<u8> {
    [&frame[..12], &kind.to_be_bytes(), &(3 << 13 | vlan).to_be_bytes(), &frame[12..]].concat()
}

/// A frame of 110 bytes, from this host in 2001:db8:0:7::/64, with what follows behind IPv6's header, where the next one is `next`.
fn ipv6(host: u8, next: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = [0; 40];
    header[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 56, next, 64]);
    header[8..16].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 7]);
    header[23] = host;
    header[24..28].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    header[39] = 1;
    ethernet(0x86dd, &[&header, rest].concat(), 110)
}

/// Frames, how often each is sent, and what `--by` has of each.
fn frames_and_keys() -> Vec<(usize, Vec<u8>, Value)> {
    const PORTS: [u8; 4] = [0x9c, 0x40, 0, 53]; // 40,000 to 53
    let ipv4 = |source: &str, port| json!({"src": source, "dst": "192.0.2.1", "sport": 40_000, "dport": port, "proto": "udp", "length": 100});
    let with = |mut key: Value, name: &str, value: u16| {
        key[name] = json!(value);
        key
    };
    let of = |host: u8, rest: Value| {
        let mut key = json!({"src": format!("2001:db8:0:7::{host}"), "dst": "2001:db8::1", "length": 110});
        key.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        key
    };
    let both = |protocol: &str| json!({"sport": 40_000, "dport": 53, "proto": protocol});
    // Hop-by-hop options, routing, destination options, and a first fragment: the ports are beyond what is looked at first.
    let options = [43, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 9];
    let later_fragment = [17, 0, 0, 8, 0, 0, 0, 9];
    let authentication = [17, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let plain = frame(SOURCE, 53, 100);
    let in_vlan = tagged(&plain, 0x8100, 5);
    vec![
        (5, frame([192, 0, 2, 9], 53, 100), ipv4("192.0.2.9", 53)),
        (3, frame([192, 0, 2, 7], 53, 100), ipv4("192.0.2.7", 53)),
        (2, frame([198, 51, 100, 1], 80, 100), ipv4("198.51.100.1", 80)),
        (4, in_vlan.clone(), with(with(ipv4("192.0.2.2", 53), "vlan", 5), "length", 104)),
        (1, tagged(&in_vlan, 0x88a8, 100), with(with(ipv4("192.0.2.2", 53), "vlan", 100), "length", 108)),
        (6, ipv6(2, 17, &PORTS), of(2, both("udp"))),
        (3, ipv6(3, 0, &[&options[..], &PORTS].concat()), of(3, both("tcp"))),
        (2, ipv6(4, 44, &[&later_fragment[..], &PORTS].concat()), of(4, json!({"proto": "udp"}))),
        (1, ipv6(5, 51, &[&authentication[..], &PORTS].concat()), of(5, both("udp"))),
        (7, ethernet(0x0806, &[0, 1, 8, 0, 6, 4, 0, 1], 42), json!({"proto": "arp", "length": 42})),
        // It ends in the middle of IP's header.
        (1, plain[..30].to_vec(), json!({"length": 30})),
    ]
}

#[test]
fn rows_say_whose_packets_are_dropped() {
    let nic = quiet_nic();
    let counted = Counted::drop_on(&nic);
    let words: [&[&str]; 3] = [
        &["--by", "src,dst,sport,dport,proto,vlan,length", "-N", "100"],
        &["--by", "src", "--prefix", "24/64", "--probe", "exit", "--verdict", "drop"],
        &["--by", "src", "-N", "1", "ip and udp dst port 53"],
    ];
    let tracers = start(&nic, &words);
    let table = frames_and_keys();
    let frames = table.iter().flat_map(|(count, frame, _)| vec![frame; *count]);
    send_frames(&nic.other_end("veth1"), frames);
    counted.runs.wait_for(35);
    let [all, nets, one] =
        <[Ended; 3]>::try_from(tracers.into_iter().map(|tracer| tracer.end("INT")).collect::<Vec<_>>())
            .unwrap()
            .map(|ended| programs(&last(&ended))[0]["keys"].clone());
    let row = |key: &Value, packets: usize, bytes: usize| json!({"key": key, "verdict": "XDP_DROP", "packets": packets, "bytes": bytes});
    let sorted = |rows: &Value| {
        let mut rows = rows.as_array().unwrap().clone();
        rows.sort_by_key(Value::to_string);
        rows
    };
    let expected: Vec<Value> = table.iter().map(|(count, frame, key)| row(key, *count, count * frame.len())).collect();
    assert_eq!(sorted(&all["rows"]), sorted(&json!(expected)));
    let expected = [
        row(&json!({"src": "192.0.2.0/24"}), 13, 800 + 4 * 104 + 108),
        row(&json!({"src": "2001:db8:0:7::/64"}), 12, 12 * 110),
        row(&json!({}), 8, 7 * 42 + 30),
        row(&json!({"src": "198.51.100.0/24"}), 2, 200),
    ];
    assert_eq!(nets["rows"], json!(expected));
    assert_eq!(one["rows"], json!([row(&json!({"src": "192.0.2.9"}), 5, 500)]));
    assert_eq!(one["other"], json!({"packets": 3, "bytes": 300}));
    for keys in [all, nets, one] {
        assert_eq!(keys["evicted"], 0, "{keys}");
    }
}

#[test]
fn rows_and_others_are_all_also_of_more_than_the_table_holds() {
    const SOURCES: u32 = 40_000;
    let nic = quiet_nic();
    let counted = Counted::drop_on(&nic);
    let mut tracers = start(&nic, &[&["--by", "src", "-N", "100000", "--interval", "60s"]]);
    let frames = (0..SOURCES).map(|source| frame((0x0a00_0000 | source).to_be_bytes(), FIRST_PORT, 60));
    send_frames(&nic.other_end("veth1"), frames);
    // A queue that is full drops what comes, before the program.
    let runs = counted.runs.settle();
    assert!(runs > 20_000, "{runs}");
    let last = last(&tracers.remove(0).end("INT"));
    let program = &programs(&last)[0];
    let keys = &program["keys"];
    let rows = keys["rows"].as_array().unwrap();
    let sum: u64 = rows.iter().map(|row| number(&row["packets"])).sum();
    assert_eq!(number(&program["traced"]), runs);
    assert_eq!(sum + number(&keys["other"]["packets"]), runs);
    assert_eq!((rows.len() as u64) + number(&keys["evicted"]), runs);
    assert!(rows.len() > 10_000 && number(&keys["evicted"]) > 0, "{} {}", rows.len(), keys["evicted"]);
}

#[test]
fn latencies_are_those_that_trace_tells() {
    let nic = quiet_nic();
    let counted = Counted::drop_on(&nic);
    let mut tracers = start(&nic, &[&[]]);
    let mut traced = Tracer::start(&nic, &["-i", "veth0", "-o", "json"]);
    send(&nic, &vec![frame(SOURCE, FIRST_PORT, 100); 200]);
    counted.runs.wait_for(200);
    traced.wait_for_lines(200, "\"packet\"");
    let records = traced.end("INT").stdout.into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let mut told: Vec<u64> = records.filter_map(|record| record.get("latency_ns")?.as_u64()).collect();
    told.sort_unstable();
    let last = last(&tracers.remove(0).end("INT"));
    let latency = &programs(&last)[0]["traffic"][0]["latency"];
    let [p50, p99, max] = ["p50_ns", "p99_ns", "max_ns"].map(|name| number(&latency[name]));
    let median = told[told.len() / 2];
    // Two tracers on one program are within each other's times.
    assert!(p50 / 8 < median && median < p50 * 8 && p50 <= p99 && p99 <= max, "{latency} {told:?}");
    let steps: u64 = latency["steps"].as_array().unwrap().iter().map(|step| number(&step[2])).sum();
    assert_eq!((steps, &latency["count"]), (200, &json!(200)));
}

#[test]
fn a_replaced_program_keeps_its_numbers() {
    let nic = quiet_nic();
    let first = Counted::drop_on(&nic);
    let mut tracer = start(&nic, &[&["--interval", "100ms"]]).remove(0);
    send(&nic, &vec![frame(SOURCE, FIRST_PORT, 100); 5]);
    first.runs.wait_for(5);
    let second = Counted::load("counted_pass");
    second.programs.attach(&nic, Mode::Native, "counted_pass");
    wait_for_line(&mut tracer, &format!("attached to {}", second.called));
    wait_for_line(&mut tracer, &format!("detached from {}", first.called));
    send(&nic, &vec![frame(SOURCE, FIRST_PORT, 100); 7]);
    second.runs.wait_for(7);
    let last = last(&tracer.end("INT"));
    let told = programs(&last).iter().map(|program| (program["traced"].clone(), tallies(program)[0].1.clone()));
    let expected = [(json!(5), "XDP_DROP".to_owned()), (json!(7), "XDP_PASS".to_owned())];
    assert_eq!(told.collect::<Vec<_>>(), expected, "{last}");
}

#[test]
fn tables_are_for_people() {
    let nic = quiet_nic();
    let aborts = Programs::load(TARGETS, &["target_abort"]);
    aborts.attach(&nic, Mode::Native, "target_abort");
    let called = aborts.known("target_abort").called("target_abort");
    let mut tracer = Tracer::start(&nic, &["stats", "-i", "veth0", "--interval", "500ms"]);
    send(&nic, &vec![frame(SOURCE, FIRST_PORT, 1000); 20]);
    tracer.wait_for_lines(1, &format!("  veth0 {called}: XDP_ABORTED (xdp_exception), "));
    let ended = tracer.end("INT");
    let lines = ended.stdout.join("\n");
    assert!(lines.contains("  program  ") && lines.contains("  aborted/s  "), "{lines}");
    let total = format!("veth0 {called}: 20 packets, 20000 bytes\n  XDP_ABORTED  20 packets  100.0%  20000 bytes\n");
    assert!(lines.contains(&total) && lines.contains("\n  latency: p50 "), "{lines}");
    assert!(lines.ends_with("  veth0: XDP_ABORTED (xdp_exception) 20 times"), "{lines}");
    assert!(ended.stderr.last().unwrap().ends_with("; XDP_ABORTED 100.0 %"), "{ended:#?}");
}

#[test]
fn stats_end_with_their_reader_and_after_so_many_intervals() {
    let nic = quiet_nic();
    let _counted = Counted::drop_on(&nic);
    let words = format!("{XDPTRACE} stats -i veth0 --interval 100ms | head -1");
    let printed = nic.output(&["bash", "-o", "pipefail", "-c", &words]);
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let printed = nic.output(&[XDPTRACE, "stats", "-i", "veth0", "--json", "--interval", "100ms", "-c", "3"]);
    assert_eq!(printed.lines().filter(|line| line.contains("\"type\":\"stats\"")).count(), 4, "{printed}");
}
