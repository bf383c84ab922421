//! What `xdptrace read` costs: the reader alone, and the command beside tcpdump and tshark, on the same file and one core,
//! by CPU time. Fails where a bar is missed.
//!
//! The file is made by our own sink out of the records of recorded/, as of fexit alone: then each of its packets
//! is a line, of whoever prints it.

#![allow(missing_docs, clippy::expect_used)]

// Not all of either is needed here.
#[allow(dead_code)]
mod recorded;

#[allow(dead_code)]
#[path = "../tests/bench/table.rs"]
mod table;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use recorded::{FUNCTION, Nowhere, PROGRAM, RING, capture};
use table::{Bar, Line};
use xdptrace::bpf::{Records, Told};
use xdptrace::event::{Event, Origin};
use xdptrace::outlet::{self, Files};
use xdptrace::plan::Reading;
use xdptrace::recorded::Recording;
use xdptrace::sink;
use xdptrace::stop::Signals;

const PACKETS: usize = 1_000_000;
/// tshark is given fewer.
const FEW_PACKETS: usize = 50_000;
/// The best of so many, in turns.
const ROUNDS: u32 = 5;
const SNAP_LEN: u32 = 128;
/// What lies between two runs.
const APART_NS: u64 = 10_000;

/// The bars.
const READER_NS: f64 = 200.0;
const TIMES_TCPDUMP: f64 = 2.0;
const MILLION_JSON_LINES: f64 = 1.0;
const TIMES_TSHARK: f64 = 10.0;

fn main() -> ExitCode {
    // Cargo's own word for it; without, benches are only to be tried.
    if !env::args().any(|word| word == "--bench") {
        return ExitCode::SUCCESS;
    }
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("reading: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the figures with their bars; whether these hold. With BENCH_LINES, a file, they go there as well, for the table
/// of tests/bench/run.
fn measure() -> Result<bool> {
    let (file, few, runs) = (scratch("reading.pcapng"), scratch("reading-few.pcapng"), scratch("reading-both.pcapng"));
    write_file(&file, PACKETS, true)?;
    write_file(&few, FEW_PACKETS, true)?;
    write_file(&runs, PACKETS / 2, false)?;
    let mut lines = reader(&file, &runs)?;
    lines.extend(commands(&file, &few)?);
    for file in [file, few, runs] {
        fs::remove_file(file)?;
    }
    let lines: Vec<String> = lines.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    let lines = lines.join("\n") + "\n";
    if let Some(file) = env::var_os("BENCH_LINES") {
        fs::write(&file, &lines).with_context(|| format!("failed to write {}", file.to_string_lossy()))?;
    }
    table::print(&lines)
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Has our own sink write a file of so many runs.
fn write_file(path: &Path, runs: usize, only_exits: bool) -> Result<()> {
    let capture = capture(path);
    let outlet = outlet::open(&capture, &Signals::default())?;
    let mut sink = sink::open_files(&capture, SNAP_LEN, Files::new(&outlet, &capture), None);
    let origin = Origin { function: FUNCTION, program_id: PROGRAM, program_name: FUNCTION, has_queue: true };
    let told: Vec<Told<'_>> = RING.samples().take(runs).filter_map(Records::new).flatten().collect();
    for (id, told) in (1..).zip(told.iter().cycle()).take(runs) {
        let event = Event::new(told, origin, |_, _| Some("eth0"), id, 0);
        // The records come again and again, and their times would: these are one CPU's, on which no run begins in another.
        let time_ns = 1_700_000_000_000_000_000 + id * APART_NS;
        let event = Event { time_ns, ..event };
        let event = match only_exits {
            true => Event { before: None, latency_ns: None, moved: None, changed: None, ..event },
            false => event,
        };
        sink.packet(&event)?;
    }
    sink.settle(u64::MAX)?;
    sink.flush()?;
    Ok(outlet.push_all()?)
}

/// The reader alone, from the file to events.
fn reader(exits: &Path, runs: &Path) -> Result<Vec<Line>> {
    let unit = "reading a file of recorded 98-byte packets, to events";
    let ns_a_packet = |file: &Path| -> Result<f64> {
        let mut fastest = Duration::MAX;
        for _ in 0..ROUNDS {
            let began = cpu_time_of(UsageWho::RUSAGE_SELF)?;
            read(file)?;
            fastest = fastest.min(cpu_time_of(UsageWho::RUSAGE_SELF)?.saturating_sub(began));
        }
        Ok(tenths(fastest.as_nanos() as f64 / PACKETS as f64))
    };
    let line = |case: &str, figure| Line::new(case, unit, Ok(figure));
    let bar = Some(Bar::AtMost(READER_NS));
    let mut failed = None;
    let counted = allocation_counter::measure(|| failed = read(exits).err());
    failed.map_or(Ok(()), Err)?;
    Ok(vec![
        line("ns a packet, exits alone", ns_a_packet(exits)?).with_bar(bar),
        line("ns a packet, entries and exits", ns_a_packet(runs)?).with_bar(bar),
        line("allocations a million packets", counted.count_total as f64).with_bar(Some(Bar::AtMost(1000.0))),
    ])
}

fn read(file: &Path) -> Result<()> {
    let mut sink = Nowhere(0);
    let reading = Reading { file: file.to_owned(), ..Reading::default() };
    Recording::open(&reading)?.show(&mut sink, &Signals::default())?;
    ensure!(sink.0 == PACKETS as u64 || sink.0 * 2 == PACKETS as u64, "{} events", sink.0);
    Ok(())
}

/// The command, beside others on the same file.
fn commands(file: &Path, few: &Path) -> Result<Vec<Line>> {
    let (file, few) = (file.to_string_lossy(), few.to_string_lossy());
    let ours = env!("CARGO_BIN_EXE_xdptrace");
    let text = [ours, "read", &file];
    let tcpdump = ["tcpdump", "-nn", "-r", &file];
    let json = [ours, "read", "-o", "json", &file];
    let tshark = ["tshark", "-n", "-T", "ek", "-r", &few];
    for command in [&text[..], &tcpdump] {
        let lines = count_lines(command)?;
        ensure!(lines == PACKETS, "{} prints {lines} lines of {PACKETS} packets", command[0]);
    }
    let has_json = count_lines(&json).is_ok_and(|lines| lines >= PACKETS);
    let mut fastest = [Duration::MAX; 4];
    for _ in 0..ROUNDS {
        for (fastest, command) in fastest.iter_mut().zip([&text[..], &tcpdump, &json, &tshark]) {
            if has_json || command != json {
                *fastest = cpu_time(command)?.min(*fastest);
            }
        }
    }
    let rate = |packets: usize, time: Duration| packets as f64 / time.as_secs_f64();
    let [text, tcpdump, json, tshark] =
        [(PACKETS, fastest[0]), (PACKETS, fastest[1]), (PACKETS, fastest[2]), (FEW_PACKETS, fastest[3])]
            .map(|(packets, time)| rate(packets, time));
    let millions = |rate: f64| (rate / 1e4).round() / 100.0;
    let unit = "million packets/s of that file, on one core";
    let line = |case: &str, rate| Line::new(case, unit, Ok(millions(rate)));
    let times = "times as many as that";
    let ratio = |case: &str, ratio, bar| Line::new(case, times, Ok(tenths(ratio))).with_bar(Some(Bar::AtLeast(bar)));
    let mut lines =
        vec![line("tcpdump -nn -r", tcpdump), line("tshark -n -T ek -r", tshark), line("xdptrace read", text)];
    match has_json {
        true => {
            lines.push(line("xdptrace read -o json", json).with_bar(Some(Bar::AtLeast(MILLION_JSON_LINES))));
            lines.push(ratio("xdptrace read -o json: tshark's", json / tshark, TIMES_TSHARK));
        }
        false => eprintln!("reading: there is no -o json yet"),
    }
    lines.push(ratio("xdptrace read: tcpdump's", text / tcpdump, TIMES_TCPDUMP));
    Ok(lines)
}

fn tenths(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}

/// How many lines a command prints.
fn count_lines(command: &[&str]) -> Result<usize> {
    let mut child = pinned(command).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().context("no output")?;
    let lines = BufReader::new(output).split(b'\n').count();
    let status = child.wait()?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(lines)
}

/// What a command takes of the processor: unlike the time on the clock, hardly more where others use it too.
fn cpu_time(command: &[&str]) -> Result<Duration> {
    let before = cpu_time_of(UsageWho::RUSAGE_CHILDREN)?;
    let status = pinned(command).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(cpu_time_of(UsageWho::RUSAGE_CHILDREN)?.saturating_sub(before))
}

/// The command on one processor.
fn pinned(command: &[&str]) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", "0"]).args(command).env("TZ", "UTC").stdin(Stdio::null()).stderr(Stdio::null());
    pinned
}

fn cpu_time_of(who: UsageWho) -> Result<Duration> {
    let usage = getrusage(who)?;
    let micros = [usage.user_time(), usage.system_time()].map(|time| time.tv_sec() * 1_000_000 + time.tv_usec());
    match u64::try_from(micros.iter().sum::<i64>()) {
        Ok(micros) => Ok(Duration::from_micros(micros)),
        Err(_) => bail!("no time was used"),
    }
}
