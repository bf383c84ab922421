//! The command line's definition, and nothing else: what the words mean is decided in [`crate::plan`].

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

mod export;
mod files;
mod letters;
mod show;
mod stats;
mod top;
mod xdpdump;

pub use export::Export;
pub use files::Files;
pub use letters::Letters;
pub use show::{Color, Output, Precision, Show};
pub use stats::{Counted, CountedProbe, Outcome, Stats};
pub use top::Top;
pub use xdpdump::{LoadMode, Xdpdump};

/// The environment variable by which a shell asks for completions: its own name is the value.
pub const COMPLETE: &str = "XDPTRACE_COMPLETE";

/// Trace the packets of the XDP program that a NIC is already running, and leave the program as it is.
#[derive(Debug, Parser)]
#[command(name = "xdptrace", version, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
#[command(disable_version_flag = true, args_override_self = true)]
#[command(override_usage = "xdptrace [trace] -i DEV [options] [FILTER]\n       \
                            xdptrace demo --device DEV\n       \
                            xdptrace list [-i DEV] [--all] [--json]\n       \
                            xdptrace check [-i DEV | -p PROG] [--cost] [--json]\n       \
                            xdptrace stats -i DEV [--by KEYS] [options] [FILTER]\n       \
                            xdptrace top [-i DEV] [--by KEYS] [options] [FILTER]\n       \
                            xdptrace read FILE [options] [FILTER]\n       \
                            xdptrace export [--listen ADDR:PORT] [-i DEV] [options] [FILTER]\n       \
                            xdptrace schema")]
pub struct Cli {
    /// Print version: tcpdump's -V is another
    #[arg(long, action = ArgAction::Version)]
    pub version: Option<bool>,
    /// What to do; without it, `trace`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The options of `trace`.
    #[command(flatten)]
    pub trace: Trace,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Trace packets (the default command)
    Trace(Box<Trace>),
    /// Print the packets of a file as if they were live (-r FILE for short)
    Read(Box<Read>),
    /// The article's demo: trace ICMP, through a pass-through program where the NIC has none
    Demo(Demo),
    /// The XDP programs on the path of NICs, and whether they can be traced
    List(List),
    /// What this kernel and this user can do, with a remedy for each no
    Check(Check),
    /// Packets, verdicts and latency in numbers, counted in the kernel
    Stats(Box<Stats>),
    /// Numbers of XDP programs, for Prometheus
    Export(Box<Export>),
    /// Packets, verdicts, latency and failures of each program, live on the terminal
    Top(Box<Top>),
    /// The JSON schema of what --output json prints
    Schema,
    /// Put features of a NIC back once the standard input ends (how --passthrough cleans up, however it ends)
    #[command(hide = true)]
    RestoreFeatures(RestoreFeatures),
}

/// `xdptrace trace`
#[derive(Debug, Args)]
pub struct Trace {
    /// List programs, as `xdptrace list`
    #[arg(short = 'D', long, alias = "list-interfaces")]
    pub list: bool,
    /// What is traced
    #[command(flatten)]
    pub targets: Targets,
    /// both: fentry and fexit; exit: fexit alone, which costs less and knows neither latency nor the packet as it arrived;
    /// entry: fentry alone, which knows no verdict
    #[arg(long, alias = "rx-capture", value_name = "PROBE", default_value = "both")]
    pub probe: Probe,
    /// Which runs, and how they are written
    #[command(flatten)]
    pub shown: Shown,
    /// What became of verdicts: nothing; failures; also successes, which costs more
    #[arg(long, value_name = "WHICH", default_value = "failed")]
    pub outcome: Outcome,
    /// One in so many runs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub sample: u32,
    /// At most so many a second, over all CPUs; 0: however many [default: 10000 to a terminal, else 0]
    #[arg(long, value_name = "N")]
    pub rate: Option<u64>,
    /// Stop after this time: 10s, 5m
    #[arg(long, value_name = "DURATION")]
    pub duration: Option<String>,
    /// Bytes of each packet to keep; 0: all of them [default: 128, with -w all of them]
    #[arg(short = 's', long, alias = "snapshot-length", value_name = "BYTES")]
    pub snaplen: Option<u32>,
    /// Write packets to this file in pcapng format; -: the standard output
    #[arg(short = 'w', long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// How files are written
    #[command(flatten)]
    pub files: Files,
    /// Memory of the rings in all, in KiB [default: 65536, at most 5 % of what is available]
    #[arg(short = 'B', long, value_name = "KIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub buffer_size: Option<u64>,
    /// Allow more than 5 % of the available memory for the rings
    #[arg(long)]
    pub force: bool,
    /// Exit with status 5 if anything was lost
    #[arg(long)]
    pub fail_on_loss: bool,
    /// Print the filter, as libpcap compiles it and as it runs in the kernel, and stop; -dd as C, -ddd as numbers
    #[arg(short = 'd', action = clap::ArgAction::Count)]
    pub dump: u8,
    /// Where the NIC has no XDP program, attach one that passes everything [generic, native; default: the kernel's choice]
    #[arg(long, alias = "load-xdp-program", value_name = "MODE")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    pub passthrough: Option<Passthrough>,
    /// Have the NIC take frames for others as well, while it is traced
    #[arg(short = 'P', long)]
    pub promiscuous_mode: bool,
    /// xdpdump's words
    #[command(flatten)]
    pub xdpdump: Xdpdump,
    /// Read this file instead, as `xdptrace read`
    #[arg(short, value_name = "FILE", conflicts_with_all = NOT_OF_FILES)]
    pub read: Option<PathBuf>,
}

/// What has no meaning for packets that were recorded.
const NOT_OF_FILES: [&str; 30] = [
    "device",
    "netns",
    "prog",
    "list",
    "wait",
    "no_follow",
    "relinquish_privileges",
    "probe",
    "outcome",
    "sample",
    "rate",
    "duration",
    "snaplen",
    "write",
    "file_size",
    "rotate_seconds",
    "file_count",
    "packet_buffered",
    "print",
    "use_pcap",
    "reopen_on_hup",
    "buffer_size",
    "force",
    "fail_on_loss",
    "dump",
    "allow_hazard",
    "passthrough",
    "promiscuous_mode",
    "load_xdp_mode",
    "perf_wakeup",
];

/// What is traced.
#[derive(Debug, Args)]
pub struct Targets {
    /// Which programs on which NICs
    #[command(flatten)]
    pub scope: Scope,
    /// Wait for a program (and for the NIC) where there is none
    #[arg(long)]
    pub wait: bool,
    /// Trace what is there at the start, not what replaces it
    #[arg(long)]
    pub no_follow: bool,
    /// Trace as this user, who owns the files that are written; implies --no-follow
    #[arg(short = 'Z', long, value_name = "USER")]
    pub relinquish_privileges: Option<String>,
    /// Trace in spite of a hazard that `xdptrace check` names
    #[arg(long, value_name = "NAME")]
    pub allow_hazard: Vec<String>,
}

/// Which runs: what tracing, reading and counting have in common.
#[derive(Debug, Args)]
pub struct Packets {
    /// Filter packets as they arrived, or as the program left them
    #[arg(long, value_name = "SIDE", default_value = "entry")]
    pub filter_at: Side,
    /// Only runs with these verdicts: aborted, drop, pass, tx, redirect, other; commas; behind a `!` all but these
    #[arg(long, value_name = "VERDICT", allow_hyphen_values = true)]
    pub verdict: Option<String>,
    /// Only runs that took at least this long: 500ns, 2us, 1ms
    #[arg(long, value_name = "DURATION")]
    pub slower: Option<String>,
    /// Only packets of this receive queue
    #[arg(long, value_name = "N")]
    pub queue: Option<u32>,
    /// Only what comes in, which is all that an XDP program sees
    #[arg(short = 'Q', long, value_name = "in", hide = true)]
    pub direction: Option<Direction>,
    /// Ethernet, which is all that an XDP program sees
    #[arg(short = 'y', long, value_name = "EN10MB", hide = true)]
    pub linktype: Option<String>,
    /// Don't optimise the filter
    #[arg(short = 'O', long)]
    pub no_optimize: bool,
    /// Read the filter from this file; what the command line says of one is ignored
    #[arg(short = 'F', value_name = "FILE")]
    pub filter_file: Option<PathBuf>,
    /// Letters of tcpdump's that are refused
    #[command(flatten)]
    pub letters: Letters,
    /// Which packets, in tcpdump's language: see pcap-filter(7)
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
}

/// Which runs are shown, and how: what tracing and reading have in common.
#[derive(Debug, Args)]
pub struct Shown {
    /// Which runs
    #[command(flatten)]
    pub packets: Packets,
    /// Only packets that the program changed: their lengths, offsets, or first 128 bytes
    #[arg(long)]
    pub changed: bool,
    /// Only runs whose verdict came to nothing: failed redirects, XDP_ABORTED; no more than 512 bytes of each packet; of the
    /// NIC's own program, not of a dispatcher's components, whose verdicts it decides on
    #[arg(long)]
    pub only_failed: bool,
    /// Stop after so many
    #[arg(short = 'c', id = "stop-after", value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// How packets are shown
    #[command(flatten)]
    pub show: Show,
}

/// `xdptrace read`
#[derive(Debug, Args)]
pub struct Read {
    /// pcapng of xdptrace, xdpdump or others, or pcap; -: the standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which runs, and how they are written
    #[command(flatten)]
    pub shown: Shown,
}

/// Which NICs.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// NIC whose XDP program is meant; repeatable; `any`: every NIC that has one
    #[arg(short = 'i', long, visible_alias = "interface", value_name = "DEV")]
    pub device: Vec<String>,
    /// Network namespace: the name that `ip netns` lists, or a path
    #[arg(long, value_name = "NAME")]
    pub netns: Option<String>,
}

/// Which programs on which NICs.
#[derive(Debug, Clone, Args)]
pub struct Scope {
    /// Which NICs
    #[command(flatten)]
    pub place: Place,
    /// Only these programs on the NIC's path: ID, NAME, NAME@ID, tag:HEX, the path of a pin, or all; behind each :FUNC
    /// for a function in it that takes the context; commas, or repeated
    #[arg(short = 'p', long, alias = "program-names", value_name = "PROG", value_delimiter = ',')]
    pub prog: Vec<String>,
}

/// `xdptrace list`
#[derive(Debug, Args)]
pub struct List {
    /// Which NICs
    #[command(flatten)]
    pub place: Place,
    /// Every BPF program on the machine: whether fentry and fexit can trace it, and whether xdptrace does
    #[arg(long, conflicts_with_all = ["device", "verbose"])]
    pub all: bool,
    /// The functions in each program as well
    #[arg(short, long)]
    pub verbose: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `xdptrace check`
#[derive(Debug, Args)]
pub struct Check {
    /// Which programs on which NICs
    #[command(flatten)]
    pub scope: Scope,
    /// What tracing costs a packet on this machine, measured on a program of our own that no NIC runs; with -i DEV, also what
    /// that means for the packets that it receives now
    #[arg(long)]
    pub cost: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `xdptrace demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// NIC whose XDP program is traced
    #[arg(short = 'i', long, visible_alias = "interface", value_name = "DEV")]
    pub device: String,
}

/// `xdptrace restore-features`
#[derive(Debug, Args)]
pub struct RestoreFeatures {
    /// NIC, by its index
    #[arg(value_name = "IFINDEX")]
    pub ifindex: u32,
    /// The features to have on again: words of 32 bits, in hexadecimal, with commas, by turns of those wanted and those on
    #[arg(value_name = "BITS")]
    pub features: String,
}

/// How a pass-through program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Passthrough {
    /// In the driver where it can, else generic
    #[value(hide = true)]
    Auto,
    /// In the network stack, with any driver
    Generic,
    /// In the driver
    Native,
}

/// Which probes a program gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Probe {
    /// fentry and fexit
    #[value(aliases = ["entry,exit", "exit,entry"])]
    Both,
    /// fexit alone
    Exit,
    /// fentry alone
    Entry,
}

/// Where a packet is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// As it arrived
    Entry,
    /// As the program left it
    Exit,
}

/// tcpdump's directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// What comes in
    In,
    /// What goes out
    Out,
    /// Both
    Inout,
}
