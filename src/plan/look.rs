//! How lines look.

use std::env;
use std::io::{self, IsTerminal};

use crate::cli::{Color, Precision, Show};

/// How a packet's line looks, by tcpdump's letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// -v: how much more of each packet is shown, 0 to 3.
    pub verbosity: u8,
    /// -q: less of each packet.
    pub quiet: bool,
    /// -e: the link-level header as well.
    pub link_level: bool,
    /// -S: TCP sequence numbers as they are, not from the connection's beginning.
    pub absolute_sequence: bool,
    /// -K: checksums aren't verified.
    pub unchecked_sums: bool,
    /// -t…: the time in front.
    pub times: Times,
    /// Times have nine digits behind the point instead of six.
    pub nanoseconds: bool,
    /// -x, -X, -A: the packet's bytes below its line.
    pub dump: Option<Dump>,
    /// -#: a number in front.
    pub numbered: bool,
    /// The verdict is coloured.
    pub colored: bool,
}

/// The time in front of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Times {
    /// Local time of day.
    #[default]
    Day,
    /// -t: none.
    None,
    /// -tt: seconds since 1970.
    Epoch,
    /// -ttt: since the line before.
    SincePrevious,
    /// -tttt: the local date as well.
    Date,
    /// -ttttt: since the first line.
    SinceFirst,
}

/// A packet's bytes, below its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dump {
    /// -x, and with the link-level header -xx.
    Hex(bool),
    /// -X, -XX.
    HexAscii(bool),
    /// -A, -AA.
    Ascii(bool),
}

impl Look {
    /// What the command line says of it.
    pub(super) fn new(show: &Show) -> Self {
        Self {
            verbosity: show.verbose.min(3),
            quiet: show.quiet,
            link_level: show.link_level,
            absolute_sequence: show.absolute_tcp_sequence_numbers,
            unchecked_sums: show.dont_verify_checksums,
            times: Times::new(show.time),
            nanoseconds: show.nano || show.time_stamp_precision == Precision::Nano,
            dump: Dump::new(show),
            numbered: show.number,
            colored: match show.color {
                Color::Auto => is_colorful(),
                Color::Always => true,
                Color::Never => false,
            },
        }
    }
}

impl Times {
    fn new(letters: u8) -> Self {
        match letters {
            0 => Self::Day,
            1 => Self::None,
            2 => Self::Epoch,
            3 => Self::SincePrevious,
            4 => Self::Date,
            _ => Self::SinceFirst,
        }
    }
}

impl Dump {
    /// tcpdump's order where several are asked for.
    fn new(show: &Show) -> Option<Self> {
        match (show.hex_ascii, show.hex, show.ascii) {
            (0, 0, 0) => None,
            (0, 0, times) => Some(Self::Ascii(times > 1)),
            (0, times, _) => Some(Self::Hex(times > 1)),
            (times, _, _) => Some(Self::HexAscii(times > 1)),
        }
    }
}

/// Whether the standard output is a terminal whose user hasn't said no: no-color.org.
pub(super) fn is_colorful() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !is_set("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb")
}
