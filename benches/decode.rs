//! The reader's side of the cost: bytes of a ring → records → events → sink, beside a copy of the same bytes. Fails where a
//! bar is missed.

// The benches' names are for divan alone.
#![allow(missing_docs, clippy::expect_used)]

// Not all of either is needed here.
#[allow(dead_code)]
mod recorded;
#[allow(dead_code)]
#[path = "../tests/bench/table.rs"]
mod table;

use std::cell::RefCell;
use std::env;
use std::fs;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use recorded::{FUNCTION, Nowhere, PROGRAM, RING, TARGET, names, target};
use table::{Bar, Line};
use xdptrace::bpf::{LONGEST_BATCH, Records, Told};
use xdptrace::delivery::Delivery;
use xdptrace::event::{Event, Origin};

/// The bars.
const MILLION_RECORDS: f64 = 5.0;
const PERCENT_OF_COPY: f64 = 25.0;

/// The fastest pass of each bench, in nanoseconds.
static COPY: AtomicU64 = AtomicU64::new(u64::MAX);
static DECODE: AtomicU64 = AtomicU64::new(u64::MAX);
static DELIVER: AtomicU64 = AtomicU64::new(u64::MAX);

fn main() -> ExitCode {
    divan::main();
    // Cargo's own word for it; without, benches are only to be tried.
    if !env::args().any(|word| word == "--bench") {
        return ExitCode::SUCCESS;
    }
    match judge() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("decode: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[divan::bench]
fn copy(bencher: Bencher<'_, '_>) {
    let mut copied = vec![0; LONGEST_BATCH as usize];
    time(bencher, &COPY, || {
        for sample in RING.samples() {
            copied[..sample.len()].copy_from_slice(black_box(sample));
            black_box(&mut copied);
        }
    });
}

/// As far as the events.
#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let names = names();
    let origin = Origin { function: FUNCTION, program_id: PROGRAM, program_name: FUNCTION, has_queue: true };
    time(bencher, &DECODE, || {
        for records in RING.samples().filter_map(Records::new) {
            for told in records {
                let event = Event::new(&told, origin, |netns, ifindex| names.of(netns, ifindex), 1, 0);
                black_box(&event);
            }
        }
    });
}

/// … and on to the sink, as the tracer does.
#[divan::bench]
fn deliver(bencher: Bencher<'_, '_>) {
    with_delivery(|deliver| time(bencher, &DELIVER, || RING.deliver(1, deliver))).expect("no clock");
}

fn time(bencher: Bencher<'_, '_>, fastest: &AtomicU64, mut pass: impl FnMut()) {
    let bencher = bencher.counter(ItemsCount::new(RING.records)).counter(BytesCount::new(RING.bytes()));
    bencher.bench_local(|| {
        let began = Instant::now();
        pass();
        fastest.fetch_min(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
    });
}

/// Prints the figures with their bars; whether these hold. With BENCH_LINES, a file, they go there as well, for the table
/// of tests/bench/run.
fn judge() -> Result<bool> {
    let [copy, decode, deliver] = [&COPY, &DECODE, &DELIVER].map(|fastest| fastest.load(Ordering::Relaxed));
    if [copy, decode, deliver].contains(&u64::MAX) {
        eprintln!("decode: not all was measured, so nothing is compared");
        return Ok(true);
    }
    let million_records = |ns: u64| RING.records as f64 * 1e3 / ns as f64;
    let speed = |ns: u64| format!("{:.0} MB/s", RING.bytes() as f64 * 1e3 / ns as f64);
    let percent = |ns: u64| copy as f64 * 100.0 / ns as f64;
    let unit = "the reader natively, recorded records of 98-byte packets";
    let line = |case: &str, figure: f64, bar: Option<Bar>| {
        Line::new(case, unit, Ok((figure * 10.0).round() / 10.0)).with_bar(bar)
    };
    let fast = Some(Bar::AtLeast(MILLION_RECORDS));
    let lines = [
        line("million records/s, ring to event", million_records(decode), fast),
        line("million records/s, ring to sink", million_records(deliver), fast),
        line("bytes/s, ring to event, percent of a copy's", percent(decode), Some(Bar::AtLeast(PERCENT_OF_COPY)))
            .with_note(format!("{} of {}", speed(decode), speed(copy))),
        line("bytes/s, ring to sink, percent of a copy's", percent(deliver), None).with_note(speed(deliver)),
        line("allocations, ring to sink", allocations()? as f64, Some(Bar::AtMost(0.0)))
            .with_note(format!("in {} records", RING.records)),
    ];
    let lines: Vec<String> = lines.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    let lines = lines.join("\n") + "\n";
    if let Some(file) = env::var_os("BENCH_LINES") {
        fs::write(&file, &lines).with_context(|| format!("failed to write {}", file.to_string_lossy()))?;
    }
    table::print(&lines)
}

/// … of a pass that isn't the first one: those would be for each event.
fn allocations() -> Result<u64> {
    with_delivery(|deliver| {
        RING.deliver(1, deliver);
        allocation_counter::measure(|| RING.deliver(1, deliver)).count_total
    })
}

/// Gives what the reader hands records to.
fn with_delivery<R>(work: impl FnOnce(&mut dyn FnMut(&Told<'_>) -> bool) -> R) -> Result<R> {
    let mut sink = Nowhere(0);
    let mut delivery = Delivery::new(&mut sink, &[], None)?;
    delivery.refresh(names())?;
    delivery.take_in_target(TARGET, &target());
    let delivery = RefCell::new(delivery);
    let result = work(&mut |told| delivery.borrow_mut().record(told));
    drop(delivery);
    ensure!(sink.0 > 0 && sink.0 % RING.records as u64 == 0, "{} events of {} records a pass", sink.0, RING.records);
    Ok(result)
}
