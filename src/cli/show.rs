//! How packets are shown: tcpdump's letters.

use clap::{ArgAction, Args, ValueEnum};

/// How packets are shown.
#[derive(Debug, Clone, Args)]
pub struct Show {
    /// text: one line a packet; json: one object a line; classic: the article's two lines
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Output,
    /// More of each packet; -vv, -vvv: more still
    #[arg(short = 'v', long, action = ArgAction::Count)]
    pub verbose: u8,
    /// Less of each packet
    #[arg(short = 'q', long)]
    pub quiet: bool,
    /// The link-level header as well
    #[arg(short = 'e')]
    pub link_level: bool,
    /// No time; -tt: seconds since 1970; -ttt: since the line before; -tttt: with the date; -ttttt: since the first line
    #[arg(short = 't', action = ArgAction::Count)]
    pub time: u8,
    /// Each packet in hexadecimal, without its link-level header; -xx: with it
    #[arg(short = 'x', long = "hex", action = ArgAction::Count)]
    pub hex: u8,
    /// … and in ASCII; -XX: with the link-level header
    #[arg(short = 'X', action = ArgAction::Count)]
    pub hex_ascii: u8,
    /// Each packet in ASCII, without its link-level header; -AA: with it
    #[arg(short = 'A', action = ArgAction::Count)]
    pub ascii: u8,
    /// Absolute TCP sequence numbers
    #[arg(short = 'S', long)]
    pub absolute_tcp_sequence_numbers: bool,
    /// Don't verify checksums
    #[arg(short = 'K', long)]
    pub dont_verify_checksums: bool,
    /// A number in front of each line
    #[arg(short = '#', long)]
    pub number: bool,
    /// Times to the nanosecond
    #[arg(long, hide = true)]
    pub nano: bool,
    /// Times to the microsecond, as by default
    #[arg(long, hide = true, overrides_with = "nano")]
    pub micro: bool,
    /// Times to the microsecond (micro) or nanosecond (nano)
    #[arg(long, value_name = "PRECISION", default_value = "micro")]
    pub time_stamp_precision: Precision,
    /// When to colour the verdict: auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Names are never resolved
    #[arg(short = 'n', action = ArgAction::Count, hide = true)]
    pub numeric: u8,
    /// … nor shortened
    #[arg(short = 'N', hide = true)]
    pub unqualified: bool,
    /// … nor are foreign addresses
    #[arg(short = 'f', hide = true)]
    pub foreign_numeric: bool,
    /// Lines are never held back
    #[arg(short = 'l', hide = true)]
    pub line_buffered: bool,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// One line a packet
    Text,
    /// One JSON object a line: `xdptrace schema` describes them
    Json,
    /// The article's lines: one at fentry, one at fexit
    Classic,
}

/// How fine times are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// Microseconds
    Micro,
    /// Nanoseconds
    Nano,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}
