//! `xdptrace stats`: numbers instead of events.

use clap::{ArgAction, Args, ValueEnum};

use super::{Packets, Targets};

/// What is counted: what all have in common that show numbers.
#[derive(Debug, Args)]
pub struct Counted {
    /// What is counted of
    #[command(flatten)]
    pub targets: Targets,
    /// How often the kernel's counters are read: 1s, 500ms
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    pub interval: String,
    /// both: fentry and fexit; exit: fexit alone, which costs less, knows no latency, and packets only as the program left them
    /// [default: both; with --by: exit]
    #[arg(long, value_name = "PROBE")]
    pub probe: Option<CountedProbe>,
    /// What became of verdicts: nothing; failures; also what the kernel sent on, which costs more
    #[arg(long, value_name = "WHICH", default_value = "failed")]
    pub outcome: Outcome,
    /// Which runs
    #[command(flatten)]
    pub packets: Packets,
}

/// `xdptrace stats`
#[derive(Debug, Args)]
pub struct Stats {
    /// What is counted
    #[command(flatten)]
    pub counted: Counted,
    /// Stop after so many intervals
    #[arg(short = 'c', id = "intervals", value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Stop after this time: 10s, 5m
    #[arg(long, value_name = "DURATION")]
    pub duration: Option<String>,
    /// Show whose packets they are: src, dst, sport, dport, proto, vlan, length, or flow for the first five; commas
    #[arg(long, value_name = "KEYS")]
    pub by: Option<String>,
    /// With --by src or dst: leading bits of IPv4 and IPv6 addresses that matter: 24/64
    #[arg(long, value_name = "BITS/BITS")]
    pub prefix: Option<String>,
    /// With --by: so many rows at most, those with the most packets [default: 20]
    #[arg(short = 'N', value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    pub rows: Option<u32>,
    /// A row for each receive queue
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// As JSON, one object a line: `xdptrace schema` describes them
    #[arg(long)]
    pub json: bool,
    /// Names are never resolved
    #[arg(short = 'n', action = ArgAction::Count, hide = true)]
    pub numeric: u8,
    /// Lines are never held back
    #[arg(short = 'l', hide = true)]
    pub line_buffered: bool,
}

/// Which probes a program gets whose runs are counted: by their verdict, which fentry alone doesn't know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CountedProbe {
    /// fentry and fexit
    #[value(aliases = ["entry,exit", "exit,entry"])]
    Both,
    /// fexit alone
    Exit,
}

/// What is told of what became of verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Outcome {
    /// Nothing
    Off,
    /// Failures
    Failed,
    /// Successes, too
    All,
}
