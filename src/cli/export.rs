//! `xdptrace export`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Probe, Scope, Side};

/// `xdptrace export`
#[derive(Debug, Args)]
pub struct Export {
    /// Address and port to answer HTTP at: 127.0.0.1:9494, [::1]:9494; port 0: any that is free
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9494")]
    pub listen: String,
    /// Which programs on which NICs; without -i and -p, whatever NIC has one
    #[command(flatten)]
    pub scope: Scope,
    /// How often the kernel's counters are read
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    pub interval: String,
    /// both: fentry and fexit; exit: fexit alone, which costs less and knows no latency
    #[arg(long, value_name = "PROBE", default_value = "both")]
    pub probe: Probe,
    /// What to count of what became of verdicts: nothing; failures; also what the kernel sent on, which costs more
    #[arg(long, value_name = "WHICH", default_value = "failed")]
    pub outcome: Outcome,
    /// Series for each receive queue
    #[arg(long)]
    pub per_queue: bool,
    /// Filter packets as they arrived, or as the program left them
    #[arg(long, value_name = "SIDE", default_value = "entry")]
    pub filter_at: Side,
    /// Trace in spite of a hazard that `xdptrace check` names
    #[arg(long, value_name = "NAME")]
    pub allow_hazard: Vec<String>,
    /// Don't optimise the filter
    #[arg(short = 'O', long)]
    pub no_optimize: bool,
    /// Read the filter from this file; what the command line says of one is ignored
    #[arg(short = 'F', value_name = "FILE")]
    pub filter_file: Option<PathBuf>,
    /// Which packets, in tcpdump's language: see pcap-filter(7)
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
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
