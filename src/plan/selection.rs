//! Which runs are told of, and what of them: what the BPF side decides.

use std::fs;
use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bpf::LONGEST_SNAP_LEN;
use crate::cli::{self, Packets, Shown, Trace};
use crate::event::Verdict;
use crate::failure::Failure;

/// fentry, fexit, or both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Probes {
    /// fentry and fexit.
    #[default]
    Both,
    /// fentry alone.
    Entry,
    /// fexit alone.
    Exit,
}

/// Where a packet is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Side {
    /// As it arrived.
    #[default]
    Entry,
    /// As the program left it.
    Exit,
}

/// Which runs are told of, and what of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The halves of a run that are told.
    pub shown: Probes,
    /// Which packets.
    pub filter: Filter,
    /// Where the filter looks at them.
    pub filter_at: Side,
    /// Verdicts: bit `1 << action` for each, bit 5 for what is no action; None: whatever it is.
    pub verdicts: Option<u32>,
    /// Only packets that were changed.
    pub changed: bool,
    /// Only runs that took at least this long.
    pub slower: Option<Duration>,
    /// Only packets of this receive queue.
    pub queue: Option<u32>,
    /// One in so many runs: at least 1.
    pub sample: u32,
    /// At most so many a second, over all CPUs.
    pub rate: Option<u64>,
    /// Bytes of a packet that are kept, at most.
    pub snap_len: u32,
    /// What is told of what became of verdicts.
    pub outcomes: Outcomes,
    /// Only runs whose verdict could not be followed.
    pub only_failed: bool,
}

/// What is told of what became of verdicts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Outcomes {
    /// Nothing.
    Off,
    /// Failures.
    #[default]
    Failed,
    /// Successes, too.
    All,
}

impl From<cli::Probe> for Probes {
    fn from(probe: cli::Probe) -> Self {
        match probe {
            cli::Probe::Both => Self::Both,
            cli::Probe::Entry => Self::Entry,
            cli::Probe::Exit => Self::Exit,
        }
    }
}

impl From<cli::CountedProbe> for Probes {
    fn from(probe: cli::CountedProbe) -> Self {
        match probe {
            cli::CountedProbe::Both => Self::Both,
            cli::CountedProbe::Exit => Self::Exit,
        }
    }
}

impl From<cli::Outcome> for Outcomes {
    fn from(outcome: cli::Outcome) -> Self {
        match outcome {
            cli::Outcome::Off => Self::Off,
            cli::Outcome::Failed => Self::Failed,
            cli::Outcome::All => Self::All,
        }
    }
}

/// Which packets, in tcpdump's language.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Its words; empty: all packets.
    pub words: String,
    /// Whether libpcap leaves it as it compiled it at first.
    pub unoptimised: bool,
}

impl Filter {
    /// What the command line says of it, or the file that it names (-F): then, as in tcpdump, nothing else.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn new(packets: &Packets) -> Result<Self> {
        let words = match &packets.filter_file {
            Some(path) => fs::read_to_string(path).with_context(|| {
                format!("failed to read the filter from {}", path.to_string_lossy().escape_default())
            })?,
            None => packets.filter.join(" "),
        };
        Ok(Self { words: words.trim().to_owned(), unoptimised: packets.no_optimize })
    }
}

impl From<&str> for Filter {
    fn from(words: &str) -> Self {
        Self { words: words.into(), unoptimised: false }
    }
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            shown: Probes::Both,
            filter: Filter::default(),
            filter_at: Side::Entry,
            verdicts: None,
            changed: false,
            slower: None,
            queue: None,
            sample: 1,
            rate: None,
            snap_len: SNAP_LEN,
            outcomes: Outcomes::default(),
            only_failed: false,
        }
    }
}

/// Bytes of a packet that are kept where they are shown in a line: those that are compared.
const SNAP_LEN: u32 = crate::bpf::HEAD_LEN as u32;

/// So many lines a second a person may want to see of a flood, and no more: what is printed costs the traced most.
const RATE_TO_A_TERMINAL: u64 = 10_000;

impl Selection {
    /// What the command line says of it.
    ///
    /// # Errors
    /// It asks a probe for what only the other knows, or a value means nothing.
    pub fn new(trace: &Trace) -> Result<Self> {
        // Failures are few, and each is wanted.
        let to_a_terminal = trace.write.is_none() && !trace.shown.only_failed && io::stdout().is_terminal();
        let selection = Self {
            shown: trace.probe.into(),
            outcomes: trace.outcome.into(),
            sample: trace.sample,
            rate: trace.rate.or(to_a_terminal.then_some(RATE_TO_A_TERMINAL)).filter(|rate| *rate > 0),
            snap_len: match trace.snaplen {
                None if trace.write.is_some() => LONGEST_SNAP_LEN,
                None => SNAP_LEN,
                Some(0) => LONGEST_SNAP_LEN,
                Some(length) => length.min(LONGEST_SNAP_LEN),
            },
            ..Self::of(&trace.shown)?
        };
        selection.checked()
    }

    /// What is said of runs whether they are traced or read: all that there is of them.
    ///
    /// # Errors
    /// A value means nothing.
    pub fn of(Shown { packets, changed, only_failed, .. }: &Shown) -> Result<Self> {
        Ok(Self { changed: *changed, only_failed: *only_failed, ..Self::of_packets(packets)? })
    }

    /// What is said of runs whether they are counted, traced or read.
    fn of_packets(packets: &Packets) -> Result<Self> {
        Ok(Self {
            filter: Filter::new(packets)?,
            filter_at: match packets.filter_at {
                cli::Side::Entry => Side::Entry,
                cli::Side::Exit => Side::Exit,
            },
            verdicts: packets.verdict.as_deref().map(parse_verdicts).transpose()?,
            slower: packets.slower.as_deref().map(|words| parse_duration("--slower", words)).transpose()?,
            queue: packets.queue,
            ..Self::default()
        })
    }

    /// What the command line says of runs that are counted.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn counted(counted: &cli::Counted) -> Result<Self> {
        let outcomes = counted.outcome.into();
        Self {
            shown: counted.probe.map_or(Probes::Both, Probes::from),
            outcomes,
            ..Self::of_packets(&counted.packets)?
        }
        .checked()
    }

    fn checked(self) -> Result<Self> {
        let of_both = [("--changed", self.changed), ("--slower", self.slower.is_some())];
        let of_exit = [("--verdict", self.verdicts.is_some()), ("--only-failed", self.only_failed)];
        if self.only_failed && self.outcomes == Outcomes::Off {
            return Err(Failure::usage("--only-failed takes knowing what became of verdicts: leave out --outcome off"));
        }
        let refused = match self.shown {
            Probes::Both => None,
            Probes::Entry => of_both.iter().chain(&of_exit).find(|(_, is_asked)| *is_asked),
            Probes::Exit => of_both.iter().find(|(_, is_asked)| *is_asked),
        };
        match refused {
            Some((option, _)) => {
                let probe = if self.shown == Probes::Entry { "entry" } else { "exit" };
                Err(Failure::usage(format!("{option} takes both probes, or the other one: leave out --probe {probe}")))
            }
            None => Ok(self),
        }
    }

    /// The probes that it takes: also one that only decides.
    pub fn attached(&self) -> Probes {
        match (self.shown, self.filter_at) {
            (Probes::Exit, Side::Entry) | (Probes::Entry, Side::Exit) if !self.filter.words.is_empty() => Probes::Both,
            (shown, _) => shown,
        }
    }

    /// Where packets are filtered; None where they aren't.
    pub fn filtered_at(&self) -> Option<Side> {
        (!self.filter.words.is_empty()).then_some(self.filter_at)
    }

    /// Whether it can't be had without fentry.
    pub fn needs_entry(&self) -> bool {
        let filters_entry = !self.filter.words.is_empty() && self.filter_at == Side::Entry;
        self.shown == Probes::Entry || filters_entry || self.changed || self.slower.is_some()
    }
}

/// `drop,aborted`, or `!pass`.
fn parse_verdicts(words: &str) -> Result<u32> {
    let (is_negated, names) = words.strip_prefix('!').map_or((false, words), |names| (true, names));
    let bits: Option<Vec<u32>> = names.split(',').map(|name| verdict_bit(name.trim())).collect();
    let all = (1 << (Verdict::ACTIONS.len() + 1)) - 1;
    match bits.map(|bits| bits.into_iter().fold(0, |mask, bit| mask | bit)) {
        Some(mask) => Ok(if is_negated { all & !mask } else { mask }),
        None => Err(Failure::usage(format!(
            "verdict '{}' is not known: there are aborted, drop, pass, tx, redirect and other, with commas; '!pass' is all \
             but pass",
            words.escape_default()
        ))),
    }
}

/// `drop`, `XDP_DROP`, or `other`: any value that is no action.
fn verdict_bit(name: &str) -> Option<u32> {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("XDP_").unwrap_or(&name);
    let actions = Verdict::ACTIONS.iter().position(|action| action.strip_prefix("XDP_") == Some(name));
    actions.or((name == "OTHER").then_some(Verdict::ACTIONS.len())).map(|bit| 1 << bit)
}

const LONGEST_HOURS: f64 = 876_000.0;

/// `500ns`, `2us`, `1.5ms`, `10s`, `5m`, `1h`; without a unit, seconds.
///
/// # Errors
/// It is none, or longer than a clock goes: a wrong usage, which names `option`.
pub(super) fn parse_duration(option: &str, words: &str) -> Result<Duration> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)];
    let number = words.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = UNITS.iter().find(|(name, _)| *name == &words[number.len()..]);
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = number.parse::<f64>().ok().filter(|_| is_plain).zip(unit).map(|(number, (_, unit))| number * unit);
    let refused = |why| Failure::usage(format!("{option} '{}' {why}", words.escape_default()));
    let seconds = seconds.filter(|seconds| *seconds >= 1e-9);
    let seconds = seconds.ok_or_else(|| refused("is no duration: write it like 500ns, 2us, 1ms, 10s, 5m or 1h"))?;
    // Clocks, and their nanoseconds in 64 bits, end somewhere behind that.
    let sensible = Some(seconds).filter(|seconds| *seconds <= LONGEST_HOURS * 3600.0);
    sensible.map(Duration::from_secs_f64).ok_or_else(|| refused("is too long: 876000h (100 years), or shorter"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn verdicts_are_bits() {
        for (words, mask) in [("drop", 2), ("XDP_DROP,aborted", 3), ("!pass", 0b11_1011), ("other", 32), ("!other", 31)]
        {
            assert_eq!(parse_verdicts(words).unwrap(), mask, "{words}");
        }
        for words in ["", "!", "dropped", "drop,", "pass drop"] {
            assert!(parse_verdicts(words).is_err(), "{words}");
        }
    }

    #[test]
    fn durations_have_units() {
        let table =
            [("500ns", 500), ("2us", 2_000), ("1.5ms", 1_500_000), ("1", 1_000_000_000), ("2m", 120_000_000_000)];
        for (words, ns) in table {
            assert_eq!(parse_duration("--slower", words).unwrap(), Duration::from_nanos(ns), "{words}");
        }
        for words in ["", "0", "0.1ns", "ns", "-1s", "1 s", "1d", "1e3s", "inf", "nan"] {
            let refused = parse_duration("--slower", words).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("--slower '{words}' is no duration: ")), "{refused}");
        }
        assert_eq!(parse_duration("--slower", "876000h").unwrap(), Duration::from_secs(876_000 * 3600));
        let digits = "9".repeat(400);
        for words in ["876000.1h", "99999999999h", "4000000000000000h", &digits] {
            let refused = parse_duration("--slower", words).unwrap_err().to_string();
            assert_eq!(refused, format!("--slower '{words}' is too long: 876000h (100 years), or shorter"));
        }
    }

    #[test]
    fn a_filter_at_the_other_side_takes_both_probes() {
        let with = |shown, filter_at, filter: &str| Selection {
            shown,
            filter_at,
            filter: filter.into(),
            ..Selection::default()
        };
        assert_eq!(with(Probes::Exit, Side::Entry, "icmp").attached(), Probes::Both);
        assert_eq!(with(Probes::Exit, Side::Entry, "").attached(), Probes::Exit);
        assert_eq!(with(Probes::Exit, Side::Exit, "icmp").attached(), Probes::Exit);
        assert_eq!(with(Probes::Entry, Side::Exit, "icmp").attached(), Probes::Both);
        assert!(with(Probes::Both, Side::Entry, "icmp").needs_entry());
        assert!(!with(Probes::Both, Side::Exit, "icmp").needs_entry());
    }
}
