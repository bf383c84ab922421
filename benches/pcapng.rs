//! How fast packets are written: a ring's records → blocks of a file, to /dev/null and to a file, beside `cat` of that file.
//! Fails where a bar is missed.

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
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use divan::Bencher;
use divan::counter::ItemsCount;
use recorded::{RING, TARGET, capture, names, target};
use table::{Bar, Line};
use xdptrace::bpf::LONGEST_SNAP_LEN;
use xdptrace::delivery::Delivery;
use xdptrace::outlet::{self, Files};
use xdptrace::sink;
use xdptrace::stop::Signals;

/// The bars.
const MILLION_PACKETS: f64 = 2.0;
const PERCENT_OF_CAT: f64 = 50.0;

/// The fastest pass of each bench, in nanoseconds.
static NULL: AtomicU64 = AtomicU64::new(u64::MAX);
static FILE: AtomicU64 = AtomicU64::new(u64::MAX);
static TWO_CPUS: AtomicU64 = AtomicU64::new(u64::MAX);
static CAT: AtomicU64 = AtomicU64::new(u64::MAX);

fn main() -> ExitCode {
    divan::main();
    // Cargo's own word for it; without, benches are only to be tried.
    let judged = if env::args().any(|word| word == "--bench") { judge() } else { Ok(true) };
    remove(&[written(), copied()]);
    match judged {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("pcapng: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn null(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(packets())).bench_local(|| timed(&NULL, || write(Path::new("/dev/null"), 1)));
}

/// By turns with `cat` of it, for the disk that both write to has its moods. Each to a new file: one that was cut to nothing
/// is written to the disk as it is closed (ext4's auto_da_alloc), and cutting it again waits for that.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn file(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(2 * packets())).bench_local(|| {
        remove(&[written()]);
        timed(&FILE, || write(&written(), 1));
        remove(&[copied()]);
        timed(&CAT, cat);
    });
}

/// What two CPUs tell is put in order.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn file_of_two_cpus(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(packets())).bench_local(|| {
        remove(&[written()]);
        timed(&TWO_CPUS, || write(&written(), 2));
    });
}

fn remove(files: &[PathBuf]) {
    for file in files {
        let _ = fs::remove_file(file);
    }
}

fn timed(fastest: &AtomicU64, pass: impl FnOnce() -> Result<()>) {
    let began = Instant::now();
    pass().expect("a file can be written");
    fastest.fetch_min(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
}

fn cat() -> Result<()> {
    let done = Command::new("cat").arg(written()).stdout(File::create(copied())?).status()?;
    ensure!(done.success(), "cat: {done}");
    Ok(())
}

/// Each record is a packet before and after the program.
fn packets() -> usize {
    2 * RING.records
}

/// Where the file is and its copy: where this is built.
fn written() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench.pcapng")
}

fn copied() -> PathBuf {
    written().with_extension("copy")
}

/// A ring's worth of records, of one CPU or of several, to a file, as the tracer does it.
fn write(path: &Path, cpus: usize) -> Result<()> {
    let capture = capture(path);
    let outlet = outlet::open(&capture, &Signals::default())?;
    let mut sink = sink::open_files(&capture, LONGEST_SNAP_LEN, Files::new(&outlet, &capture), None);
    let outputs = [&outlet];
    let mut delivery = Delivery::new(sink.as_mut(), &outputs, None)?;
    delivery.refresh(names())?;
    delivery.take_in_target(TARGET, &target());
    let delivery = RefCell::new(delivery);
    RING.deliver(cpus, &mut |told| delivery.borrow_mut().record(told));
    let mut delivery = delivery.into_inner();
    delivery.end()?;
    // What could not be written has been taken back.
    let written: u64 = delivery.verdicts().values().sum();
    ensure!(written == RING.records as u64, "{written} events of {} were written", RING.records);
    Ok(())
}

/// Prints the figures with their bars; whether these hold. With BENCH_LINES, a file, they go there as well, for the table
/// of tests/bench/run.
fn judge() -> Result<bool> {
    let all = [&NULL, &FILE, &TWO_CPUS, &CAT].map(|fastest| fastest.load(Ordering::Relaxed));
    let [null, file, two_cpus, cat] = all;
    if all.contains(&u64::MAX) {
        eprintln!("pcapng: not all was measured, so nothing is compared");
        return Ok(true);
    }
    let bytes = fs::metadata(written())?.len();
    let million_packets = |ns: u64| packets() as f64 * 1e3 / ns as f64;
    let percent = |ns: u64| cat as f64 * 100.0 / ns as f64;
    let speed = |ns: u64| format!("{:.0} MB/s", bytes as f64 * 1e3 / ns as f64);
    let unit = "files natively, recorded records of 98-byte packets";
    let line = |case: &str, figure: f64, bar: Option<Bar>| {
        Line::new(case, unit, Ok((figure * 10.0).round() / 10.0)).with_bar(bar)
    };
    let lines = [
        line("million packets/s, ring to /dev/null", million_packets(null), Some(Bar::AtLeast(MILLION_PACKETS)))
            .with_note(speed(null)),
        line("bytes/s, ring to file, percent of cat's", percent(file), Some(Bar::AtLeast(PERCENT_OF_CAT)))
            .with_note(format!("{} of {}", speed(file), speed(cat))),
        line("bytes/s, two CPUs' rings to file, percent of cat's", percent(two_cpus), None).with_note(format!(
            "{} of {}",
            speed(two_cpus),
            speed(cat)
        )),
    ];
    let lines: Vec<String> = lines.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    let lines = lines.join("\n") + "\n";
    if let Some(file) = env::var_os("BENCH_LINES") {
        fs::write(&file, &lines).with_context(|| format!("failed to write {}", file.to_string_lossy()))?;
    }
    table::print(&lines)
}
