//! Which numbers are shown, and how.

use std::time::Duration;

use anyhow::Result;

use super::{By, Counting, Part, Scope, Selection, Tracing, parse_duration, refuse_letters};
use crate::cli;
use crate::failure::Failure;

/// Numbers, shown as they are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// What is counted, and by what.
    pub tracing: Tracing,
    /// Each receive queue by itself.
    pub per_queue: bool,
    /// As JSON.
    pub json: bool,
}

/// Reading costs something, too.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
/// A day: who reads numbers more rarely than that has mistyped it.
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 3600);

impl Stats {
    /// What the command line says of them.
    ///
    /// # Errors
    /// A value means nothing, or nothing here.
    pub(super) fn new(mut stats: cli::Stats) -> Result<Self> {
        let by = By::of(&stats)?;
        stats.counted.probe_for(by.as_ref());
        let duration = stats.duration.as_deref().map(|words| parse_duration("--duration", words)).transpose()?;
        let tracing = Tracing::counted(stats.counted)?;
        let counting = tracing.counting.map(|counting| Counting { times: stats.count, by, ..counting });
        let tracing = Tracing { duration, counting, ..tracing };
        Ok(Self { tracing, per_queue: stats.verbose > 0, json: stats.json })
    }
}

impl Tracing {
    /// What the command line says of runs that are counted.
    ///
    /// # Errors
    /// A value means nothing, or nothing here.
    pub(super) fn counted(counted: cli::Counted) -> Result<Self> {
        refuse_letters(&counted.packets)?;
        let selection = Selection::counted(&counted)?;
        let interval = parse_duration("--interval", &counted.interval)?;
        if interval < SHORTEST_INTERVAL {
            return Err(Failure::usage("--interval is too short: 100ms, or longer"));
        }
        if interval > LONGEST_INTERVAL {
            return Err(Failure::usage("--interval is too long: 24h, or shorter"));
        }
        let follow = counted.targets.follows();
        let scope = Scope::new(counted.targets.scope)?;
        scope.check()?;
        Ok(Self {
            scope,
            wait: counted.targets.wait,
            follow,
            user: counted.targets.relinquish_privileges,
            allowed_hazards: counted.targets.allow_hazard,
            selection,
            counting: Some(Counting { interval, at_once: false, times: None, by: None, drops_a_second: None }),
            ..Self::default()
        })
    }
}

impl cli::Targets {
    /// Whether what replaces a program is traced: finding it takes privileges, which -Z gives up.
    pub(super) fn follows(&self) -> bool {
        !self.no_follow && self.relinquish_privileges.is_none()
    }
}

impl cli::Counted {
    /// What packets have in common is looked at where that costs least, unless somebody asks for more.
    pub(super) fn probe_for(&mut self, by: Option<&By>) {
        self.probe = self.probe.or(by.map(|_| cli::CountedProbe::Exit));
    }
}

impl By {
    const ROWS: u32 = 20;

    fn of(stats: &cli::Stats) -> Result<Option<Self>> {
        let Some(words) = &stats.by else {
            let given = [("--prefix", stats.prefix.is_some()), ("-N", stats.rows.is_some())];
            return match given.iter().find(|(_, is_given)| *is_given) {
                Some((option, _)) => {
                    Err(Failure::usage(format!("{option} is for rows of --by: say by what, as in --by src")))
                }
                None => Ok(None),
            };
        };
        Self::new(words, stats.prefix.as_deref(), stats.rows.unwrap_or(Self::ROWS)).map(Some)
    }

    /// By these words; so many rows are shown.
    ///
    /// # Errors
    /// They mean nothing.
    pub(super) fn new(words: &str, prefix: Option<&str>, rows: u32) -> Result<Self> {
        let parts = parse_parts(words)?;
        let has_addresses = parts.contains(&Part::Source) || parts.contains(&Part::Destination);
        if prefix.is_some() && !has_addresses {
            return Err(Failure::usage("--prefix is for addresses: say --by src, or dst, or flow"));
        }
        let (prefix4, prefix6) = prefix.map_or(Ok((32, 128)), parse_prefix)?;
        Ok(Self { parts, prefix4, prefix6, rows: rows as usize })
    }
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Source,
        Self::Destination,
        Self::SourcePort,
        Self::DestinationPort,
        Self::Protocol,
        Self::Vlan,
        Self::Length,
    ];
    const FLOW: [Self; 5] = [Self::Source, Self::SourcePort, Self::Destination, Self::DestinationPort, Self::Protocol];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "src",
            Self::Destination => "dst",
            Self::SourcePort => "sport",
            Self::DestinationPort => "dport",
            Self::Protocol => "proto",
            Self::Vlan => "vlan",
            Self::Length => "length",
        }
    }

    /// Whether its values are numbers.
    pub fn is_number(self) -> bool {
        matches!(self, Self::SourcePort | Self::DestinationPort | Self::Vlan | Self::Length)
    }
}

/// `src,dport`, or `flow`; each stands there once.
fn parse_parts(words: &str) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for word in words.split(',').map(str::trim) {
        let one = Part::ALL.iter().filter(|part| part.name() == word);
        let meant: Vec<Part> = if word == "flow" { Part::FLOW.to_vec() } else { one.copied().collect() };
        if meant.is_empty() {
            return Err(Failure::usage(format!(
                "--by '{}' is not known: there are src, dst, sport, dport, proto, vlan, length and flow, with commas",
                word.escape_default()
            )));
        }
        meant.into_iter().for_each(|part| {
            if !parts.contains(&part) {
                parts.push(part)
            }
        });
    }
    Ok(parts)
}

/// `24/64`
fn parse_prefix(words: &str) -> Result<(u8, u8)> {
    let bits = |digits: &str, most| digits.parse::<u8>().ok().filter(|bits| (1..=most).contains(bits));
    let both = words.split_once('/').and_then(|(ip4, ip6)| bits(ip4, 32).zip(bits(ip6, 128)));
    both.ok_or_else(|| {
        let words = words.escape_default();
        Failure::usage(format!(
            "--prefix '{words}' is none: write leading bits of IPv4 and of IPv6 addresses, like 24/64"
        ))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_are_named_with_commas_and_each_is_there_once() {
        use Part::{Destination, DestinationPort, Length, Protocol, Source, SourcePort, Vlan};
        assert_eq!(parse_parts("src").unwrap(), [Source]);
        assert_eq!(parse_parts("vlan, dport,vlan,length").unwrap(), [Vlan, DestinationPort, Length]);
        assert_eq!(parse_parts("flow").unwrap(), [Source, SourcePort, Destination, DestinationPort, Protocol]);
        assert_eq!(parse_parts("dst,flow").unwrap(), [Destination, Source, SourcePort, DestinationPort, Protocol]);
        for words in ["", "src,", "source", "SRC", "src dst"] {
            assert!(parse_parts(words).is_err(), "{words}");
        }
    }

    #[test]
    fn prefixes_are_two() {
        assert_eq!(parse_prefix("24/64").unwrap(), (24, 64));
        assert_eq!(parse_prefix("32/128").unwrap(), (32, 128));
        for words in ["", "24", "24/", "0/64", "33/64", "24/129", "24/64/1", "-1/64", "a/b"] {
            assert!(parse_prefix(words).is_err(), "{words}");
        }
    }
}
