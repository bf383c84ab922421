//! What a reading of `stats --by` costs where the kernel's table is full: its keys → numbers → what is shown of them. Fails
//! where the bar is missed.

#![allow(missing_docs, clippy::expect_used)]

#[allow(dead_code)]
#[path = "../tests/bench/table.rs"]
mod table;

use std::env;
use std::fs;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use table::{Bar, Line};
use xdptrace::bpf::{Cell, Key, KeyEntry, Known, State, Tallied};
use xdptrace::event::Subject;
use xdptrace::numbers::{Book, Numbers, Reading, Shared};
use xdptrace::plan::{By, Counting, Part, Stats, Tracing};
use xdptrace::sink;

const CPUS: u64 = 2;
/// The best of so many.
const ROUNDS: u64 = 30;
/// The bar, in milliseconds.
const MOST_MS: f64 = 5.0;
const FLOW: [Part; 5] = [Part::Source, Part::SourcePort, Part::Destination, Part::DestinationPort, Part::Protocol];

fn main() -> ExitCode {
    // Cargo's own word for it; without, benches are only to be tried.
    if !env::args().any(|word| word == "--bench") {
        return ExitCode::SUCCESS;
    }
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("keys: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the figures with their bars; whether these hold. With BENCH_LINES, a file, they go there as well, for the table
/// of tests/bench/run.
fn measure() -> Result<bool> {
    let mut lines = Vec::new();
    for (of, apart) in [("16384 flows on 2 CPUs", false), ("32768 flows, each on one of 2 CPUs", true)] {
        for json in [false, true] {
            let took = fastest(json, apart)?;
            let case = format!("{of}, {}", if json { "JSON" } else { "text" });
            let ms = (took.as_secs_f64() * 1e5).round() / 100.0;
            lines.push(Line::new(case, "ms, a reading of --by flow", Ok(ms)).with_bar(Some(Bar::AtMost(MOST_MS))));
        }
    }
    let lines: Vec<String> = lines.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    let lines = lines.join("\n") + "\n";
    if let Some(file) = env::var_os("BENCH_LINES") {
        fs::write(&file, &lines).with_context(|| format!("failed to write {}", file.to_string_lossy()))?;
    }
    table::print(&lines)
}

/// The shortest of several readings, each of which has more packets of every key.
fn fastest(json: bool, apart: bool) -> Result<Duration> {
    let by = By { parts: FLOW.to_vec(), prefix4: 32, prefix6: 128, rows: 20 };
    let counting =
        Counting { interval: Duration::from_secs(1), at_once: false, times: None, by: Some(by), drops_a_second: None };
    let by = counting.by.clone();
    let tracing = Tracing { counting: Some(counting), ..Tracing::default() };
    let mut sink = sink::open_stats(&Stats { tracing, per_queue: false, json }, io::sink());
    let mut book = Book::new(by);
    let mut fastest = Duration::MAX;
    for round in 1..=ROUNDS {
        let (shared, reading) = (Shared { keys: keys(round, apart), ..Shared::default() }, reading(round));
        let began = Instant::now();
        book.note(&reading);
        let numbers = book.numbers(&shared, |_, _| Some("eth0".into()));
        let numbers = Numbers { time_ns: round * 1_000_000_000, took: Duration::from_secs(1), ..numbers };
        sink.numbers(&numbers)?;
        drop(numbers);
        fastest = fastest.min(began.elapsed());
    }
    Ok(fastest)
}

fn packets(round: u64, number: u64) -> u64 {
    round * (1 + number * 7919 % 100)
}

/// The table as the kernel has it: all CPUs have the same keys, or each has others.
fn keys(round: u64, apart: bool) -> Vec<KeyEntry> {
    let places = (0..CPUS).flat_map(|cpu| (0..u64::from(By::KEYS)).map(move |place| (cpu, place)));
    let keys = places.enumerate().map(|(entry, (cpu, place))| {
        let number = place * 40_503 % u64::from(By::KEYS) + if apart { cpu * u64::from(By::KEYS) } else { 0 };
        let packets = packets(round, number);
        KeyEntry { place: entry, key: key(number), tally: Tallied { packets, bytes: packets * 60 } }
    });
    keys.collect()
}

/// A flow of TCP; every other one is IPv6's.
fn key(number: u64) -> Key {
    let version = if number & 1 == 0 { Known::KEY_IPV4 } else { Known::KEY_IPV6 };
    let address = |start: u64| match version {
        Known::KEY_IPV4 => [(start << 56 | number << 32).to_be(), 0],
        _ => [0x2001_0db8_0000_0000_u64.to_be(), (start << 56 | number).to_be()],
    };
    Key {
        target: 0,
        protocol: 6,
        source_port: 1024 + (number % 50_000) as u16,
        destination_port: 443,
        verdict: 1,
        known: (Known::KEY_READ.0 | version.0 | Known::KEY_PROTOCOL.0 | Known::KEY_PORTS.0) as u8,
        source: address(10),
        destination: address(172),
        ..Key::default()
    }
}

fn reading(round: u64) -> Reading {
    let mut cell = Cell { netns: 1, ifindex: 2, is_used: 1, ..Cell::default() };
    let packets: u64 = (0..CPUS * u64::from(By::KEYS)).map(|number| packets(round, number)).sum();
    cell.tallies[1] = Tallied { packets, bytes: packets * 60 };
    let subject = Subject { program_id: 12, function: "xdp_lb".into(), ..Subject::default() };
    let cells = vec![cell];
    Reading { number: 0, subject, has_queue: true, cells, states: vec![State::default()], ..Reading::default() }
}
