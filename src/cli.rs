//! The command line's definition, and nothing else: what the words mean is decided in [`crate::plan`].

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Trace the packets of the XDP program that a NIC is already running, and leave the program as it is.
#[derive(Debug, Parser)]
#[command(name = "xdptrace", version, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
#[command(override_usage = "xdptrace [trace] -i DEV [options] [FILTER]\n       xdptrace demo --device DEV")]
pub struct Cli {
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
    Trace(Trace),
    /// The article's demo: trace ICMP, through a pass-through program where the NIC has none
    Demo(Demo),
    /// Put features of a NIC back once the standard input ends (how --passthrough cleans up, however it ends)
    #[command(hide = true)]
    RestoreFeatures(RestoreFeatures),
}

/// `xdptrace trace`
#[derive(Debug, Args)]
pub struct Trace {
    /// NIC whose XDP program is traced
    #[arg(short = 'i', long, visible_alias = "interface", value_name = "DEV")]
    pub device: Option<String>,
    /// Where the NIC has no XDP program, attach one that passes everything [generic, native; default: the kernel's choice]
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    pub passthrough: Option<Passthrough>,
    /// text: one line a packet; classic: the article's two
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Output,
    /// Which packets: `icmp`, or nothing for all
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
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
    /// The features to have on again: words of 32 bits, in hexadecimal, with commas
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

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// One line a packet
    Text,
    /// The article's lines: one at fentry, one at fexit
    Classic,
}
