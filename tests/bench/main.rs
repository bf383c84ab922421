//! The benchmark's guest side and its table; tests/bench/run is what boots the guests.
//!
//! `bench cost` and `bench flood` measure, as root and in a VM, and write lines for `bench table` to the standard output.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cost;
mod flood;
mod frame;
mod measure;
mod nic;
mod pktgen;
mod probes;
mod rows;
mod start;
mod table;
mod tracer;

use std::fs;
use std::io::{self, Read};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["table"] => {
            let mut lines = String::new();
            io::stdin().read_to_string(&mut lines)?;
            return table::print(&lines);
        }
        ["attach", ref names @ ..] => probes::attach(names)?,
        ["article"] => probes::article()?,
        ["bare"] => probes::bare()?,
        ["cost"] => measure_costs(true)?,
        ["cost", "--no-bars"] => measure_costs(false)?,
        ["flood", packets, dir] => {
            nic::enter()?;
            flood::run(packets.parse().context("how many packets?")?, dir)?;
        }
        _ => bail!("run me through tests/bench/run"),
    }
    Ok(true)
}

fn measure_costs(bars: bool) -> Result<()> {
    nic::enter()?;
    cost::run(bars)?;
    start::run(bars)
}

/// The first two numbers of the kernel's version.
fn kernel() -> Result<(u32, u32)> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(['.', '-']).map_while(|number| number.trim_end().parse().ok());
    numbers.next().zip(numbers.next()).with_context(|| format!("no version: {release}"))
}
