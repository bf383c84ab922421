//! `bench flood PACKETS DIR`: what tracers keep of more than they can take, and what they leave of the program's speed.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::nic::{self, DEV, TARGETS, Target};
use crate::pktgen::{self, Flood};
use crate::rows::{FILE, Tool};
use crate::table::{Bar, Line};
use crate::tracer::{Summary, Tracer};

const KEPT: &str = "packets kept of a flood through a program that drops them";
const SHARE: &str = "packets/s in that flood, percent of the untraced ones";
const START: &str = "milliseconds";
const RESIDENT: &str = "MiB resident beside the rings, at most in that flood";

/// How much more than xdpdump.
const TIMES: f64 = 5.0;
const XDPDUMP: Tool = Tool::XdpDump(&["--rx-capture", "entry,exit"]);
/// How often a share is measured, because the machine's speed is not the same for long.
const ROUNDS: u64 = 3;
/// What is left of the speed, in percent.
const BRAKES: [(&str, &[&str], f64); 2] = [
    ("--rate 10000, as on a terminal", &["--rate", "10000"], 85.0),
    ("udp port 9, datagrams to port 7", &["udp", "port", "9"], 80.0),
];
const FULL: (&str, &[&str], f64) = ("-w FILE, everything", &["-w", FILE], 60.0);
const RESIDENT_MIB: f64 = 32.0;
const STDOUT: &str = "/tmp/stdout";

/// A program in a flood of so many packets; tracers write their files into `disk`.
pub fn run(packets: u64, disk: &str) -> Result<()> {
    pktgen::set_up()?;
    let target = Target::attach("bench_drop")?;
    let floods = Floods { target: &target, packets, dir: disk };
    let dumped = floods.xdpdump();
    floods.kept_by_xdpdump(&dumped).emit()?;
    let full = floods.braked(FULL.1);
    let mut line = floods.kept_by_xdptrace(&full, &dumped);
    line.bar = line.peer.map(|kept| Bar::AtLeast(TIMES * kept));
    line.emit()?;
    // Memory takes all that a reader can read, so this is about the readers.
    let memory = Floods { target: &target, packets: packets / 4, dir: "/tmp" };
    let dumped_to_memory = memory.xdpdump();
    memory.kept_by_xdpdump(&dumped_to_memory).emit()?;
    memory.kept_by_xdptrace(&memory.braked(FULL.1), &dumped_to_memory).emit()?;
    share("xdpdump entry,exit -w FILE", &dumped, None).emit()?;
    share(FULL.0, &full, Some(FULL.2)).emit()?;
    let short = Floods { target: &target, packets: packets / ROUNDS, dir: disk };
    for (name, words, bar) in BRAKES {
        share(name, &short.median(words), Some(bar)).emit()?;
    }
    let resident = short.resident_mib(FULL.1);
    Line::new(FULL.0, RESIDENT, resident).with_bar(Some(Bar::AtMost(RESIDENT_MIB))).emit()?;
    drop(target);
    let start = start_on_ten(packets);
    Line::new("attaching to ten programs in a flood", START, start).with_bar(Some(Bar::AtMost(2000.0))).emit()
}

fn share(name: &str, traced: &Result<Traced>, bar: Option<f64>) -> Line {
    let note = traced.as_ref().map_or(String::new(), |traced| format!("{:.0} packets/s", traced.flood.rate()));
    let figure = figure(traced, |traced| traced.share);
    Line::new(name, SHARE, figure).with_bar(bar.map(Bar::AtLeast)).with_note(note)
}

fn figure(traced: &Result<Traced>, of: impl Fn(&Traced) -> f64) -> Result<f64> {
    traced.as_ref().map(of).map_err(|error| anyhow!("{error:#}"))
}

struct Floods<'target> {
    target: &'target Target,
    packets: u64,
    dir: &'target str,
}

/// A flood with a tracer.
struct Traced {
    flood: Flood,
    /// Percent of the untraced rate.
    share: f64,
    summary: Summary,
    kept: f64,
}

impl Floods<'_> {
    /// Between two untraced floods.
    fn traced(&self, tool: Tool) -> Result<Traced> {
        let words = tool.words(self.dir);
        eprintln!("flood: {}", words.join(" "));
        let before = self.untraced()?;
        let tracer = Tracer::start(&words, STDOUT)?;
        tracer.rest()?;
        let flood = pktgen::flood(self.target, self.packets);
        let summary = tracer.end()?;
        let flood = flood?;
        let untraced = f64::midpoint(before, self.untraced()?);
        eprintln!("    {:.0} packets/s; untraced {untraced:.0}; {:?}", flood.rate(), summary.0);
        Ok(Traced { flood, share: (1000.0 * flood.rate() / untraced).round() / 10.0, summary, kept: 0.0 })
    }

    fn untraced(&self) -> Result<f64> {
        Ok(pktgen::flood(self.target, self.packets / 4)?.rate())
    }

    fn xdpdump(&self) -> Result<Traced> {
        let mut traced = self.traced(XDPDUMP)?;
        let file = format!("{}/{}", self.dir, XDPDUMP.file());
        traced.kept = packets_in(&file)? as f64;
        fs::remove_file(file)?;
        Ok(traced)
    }

    fn braked(&self, words: &'static [&'static str]) -> Result<Traced> {
        let mut traced = self.traced(Tool::Xdptrace(words))?;
        check_sum(&traced.summary, traced.flood.runs)?;
        traced.kept = traced.summary.count(" traced")? as f64;
        // There may be none.
        let _ = fs::remove_file(format!("{}/{}", self.dir, Tool::Xdptrace(words).file()));
        Ok(traced)
    }

    /// The one in the middle of several floods.
    fn median(&self, words: &'static [&'static str]) -> Result<Traced> {
        let mut floods = (0..ROUNDS).map(|_| self.braked(words)).collect::<Result<Vec<_>>>()?;
        floods.sort_by(|one, other| one.share.total_cmp(&other.share));
        Ok(floods.swap_remove(floods.len() / 2))
    }

    /// The most that xdptrace holds beside its rings, asked ten times a second: in a flood of its own, which the asking slows
    /// down.
    fn resident_mib(&self, words: &'static [&'static str]) -> Result<f64> {
        let tool = Tool::Xdptrace(words);
        let words = tool.words(self.dir);
        eprintln!("flood: {}: memory", words.join(" "));
        let tracer = Tracer::start(&words, STDOUT)?;
        let flood = pktgen::start(self.packets)?;
        let mut kib = Vec::new();
        while flood.lasts() {
            kib.push(tracer.resident_kib()?);
            thread::sleep(Duration::from_millis(100));
        }
        drop(flood);
        kib.push(tracer.resident_kib()?);
        let summary = tracer.end()?;
        eprintln!("    {kib:?} KiB; {:?}", summary.0);
        // There may be none.
        let _ = fs::remove_file(format!("{}/{}", self.dir, tool.file()));
        ensure!(summary.count(" traced")? > 0, "nothing was traced: {:?}", summary.0);
        let most = kib.into_iter().max().context("never asked")?;
        Ok((most as f64 / 102.4).round() / 10.0)
    }

    fn kept_by_xdpdump(&self, traced: &Result<Traced>) -> Line {
        let note = traced.as_ref().map_or(String::new(), |traced| {
            let dropped = traced.summary.count("packets dropped by perf ring").unwrap_or(0);
            let rest = (2 * traced.flood.runs).saturating_sub(dropped + traced.kept as u64);
            format!("events of {} runs; {dropped} called dropped, {rest} unexplained", traced.flood.runs)
        });
        self.kept("xdpdump entry,exit -w FILE", traced).with_note(note)
    }

    fn kept_by_xdptrace(&self, traced: &Result<Traced>, dumped: &Result<Traced>) -> Line {
        let note = traced.as_ref().map_or(String::new(), |traced| {
            format!("pairs of {} runs; {}", traced.flood.runs, traced.summary.0.last().map_or("", String::as_str))
        });
        let mut line = self.kept(FULL.0, traced).with_note(note);
        line.peer = dumped.as_ref().ok().map(|dumped| dumped.kept);
        line
    }

    fn kept(&self, name: &str, traced: &Result<Traced>) -> Line {
        let place = if self.dir == "/tmp" { "memory" } else { "disk" };
        Line::new(format!("{name} ({} frames, {place})", self.packets), KEPT, figure(traced, |traced| traced.kept))
    }
}

/// Whether each run that the program counted is accounted for.
fn check_sum(summary: &Summary, runs: u64) -> Result<()> {
    let seen = summary.count(" seen")?;
    let parts: u64 =
        [" filtered", " skipped", " traced", " lost"].iter().filter_map(|part| summary.count(part).ok()).sum();
    ensure!(seen == runs && parts == seen, "{runs} runs: {:?}", summary.0.last());
    Ok(())
}

/// Enhanced packet blocks of a pcapng in this machine's byte order.
fn packets_in(file: &str) -> Result<u64> {
    let bytes = fs::read(file).with_context(|| format!("failed to read {file}"))?;
    let word = |at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_ne_bytes);
    let (mut at, mut packets) = (0, 0);
    while let (Some(kind), Some(length)) = (word(at), word(at + 4)) {
        ensure!(length >= 12, "{file}: a block of {length} bytes");
        packets += u64::from(kind == 6);
        at += length as usize;
    }
    Ok(packets)
}

/// Milliseconds until xdptrace listens at all ten components of libxdp's dispatcher, in the middle of a flood.
fn start_on_ten(packets: u64) -> Result<f64> {
    let loaded = Dispatcher::load()?;
    let flood = pktgen::start(10 * packets)?;
    let words = Tool::Xdptrace(&["-p", "all", "--rate", "10000"]).words("/tmp");
    let tracer = Tracer::start(&words, STDOUT)?;
    let milliseconds = tracer.start.as_millis() as f64;
    ensure!(flood.lasts(), "the flood was over before the tracer listened");
    drop(flood);
    let summary = tracer.end()?;
    eprintln!("    {:?}", summary.0);
    drop(loaded);
    Ok(milliseconds)
}

/// Ten programs on the NIC, the last of which drops.
struct Dispatcher;

impl Dispatcher {
    fn load() -> Result<Self> {
        let this = Self;
        let load = |name, priority, count| {
            let words = ["xdp-loader", "load", "-m", "native", DEV, "-n", name, "-P", priority, "-A", "XDP_PASS"];
            nic::run(&[&words[..], &vec![TARGETS; count]].concat())
        };
        load("bench_pass", "10", 9)?;
        load("bench_drop", "20", 1)?;
        Ok(this)
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        // Its pins would outlive the namespace.
        let _ = nic::run(&["xdp-loader", "unload", DEV, "--all"]);
    }
}
