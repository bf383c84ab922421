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
fn last(ended: &Ended) -> Value {
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

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn programs(record: &Value) -> &Vec<Value> {
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

fn received(nic: &Nic) -> u64 {
    let link: Value = serde_json::from_str(&nic.ip(&["-j", "-s", "link", "show", "veth0"])).unwrap();
    number(&link[0]["stats64"]["rx"]["packets"])
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
    assert_eq!(received(&nic) - before, 150);
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

#[test]
fn rows_say_whose_packets_are_dropped() {
    let nic = quiet_nic();
    let counted = Counted::drop_on(&nic);
    let tracers =
        start(&nic, &[&["--by", "src,dport"], &["--by", "src", "--prefix", "24/64"], &["--by", "src", "-N", "1"]]);
    let table = [([192, 0, 2, 9], 53, 5), ([192, 0, 2, 7], 53, 3), ([198, 51, 100, 1], 80, 2)];
    for (source, port, count) in table {
        send(&nic, &vec![frame(source, port, 100); count]);
    }
    counted.runs.wait_for(10);
    let keys = tracers.into_iter().map(|tracer| programs(&last(&tracer.end("INT")))[0]["keys"].clone());
    let keys: Vec<Value> = keys.collect();
    let row =
        |key: Value, packets| json!({"key": key, "verdict": "XDP_DROP", "packets": packets, "bytes": packets * 100});
    let all = [
        row(json!({"src": "192.0.2.9", "dport": 53}), 5),
        row(json!({"src": "192.0.2.7", "dport": 53}), 3),
        row(json!({"src": "198.51.100.1", "dport": 80}), 2),
    ];
    assert_eq!(keys[0]["rows"], json!(all));
    let nets = [row(json!({"src": "192.0.2.0/24"}), 8), row(json!({"src": "198.51.100.0/24"}), 2)];
    assert_eq!(keys[1]["rows"], json!(nets));
    assert_eq!(keys[2]["rows"], json!([row(json!({"src": "192.0.2.9"}), 5)]));
    assert_eq!(keys[2]["other"], json!({"packets": 5, "bytes": 500}));
    assert!(keys.iter().all(|keys| keys["evicted"] == 0), "{keys:?}");
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
