//! What `top` shows, and how.

use std::env;
use std::time::Duration;

use anyhow::Result;

use super::{By, Counting, Devices, Narrowing, Part, Scope, Selection, Selector, Tracing, look, parse_duration};
use crate::cli;
use crate::failure::Failure;

/// What `top` shows, and how.
#[derive(Debug, PartialEq, Eq)]
pub struct Top {
    /// What is counted.
    pub tracing: Tracing,
    /// How it looks.
    pub palette: Palette,
}

/// How a screen looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Palette {
    /// In colours; else with letters.
    pub colored: bool,
    /// With more than ASCII.
    pub unicode: bool,
}

/// The least interval: reading costs, and nobody sees more.
const SHORTEST: Duration = Duration::from_millis(100);
/// Dropped packets that are told of a second, at most: a person reads no more.
const DROPS_A_SECOND: u64 = 20;
/// Keys that are shown: more than a screen has lines for.
const ROWS: usize = 200;

impl Top {
    /// What the command line says of it.
    ///
    /// # Errors
    /// A value means nothing.
    pub fn new(words: cli::Top) -> Result<Self> {
        let interval = parse_duration("--interval", &words.interval)?;
        if interval < SHORTEST {
            return Err(Failure::usage(format!("--interval {} is too short: 100ms is the least", words.interval)));
        }
        let by = words.by.as_deref().map(|parts| by(parts, &words.prefix)).transpose()?;
        let counting = Counting { interval, times: None, by, drops_a_second: Some(DROPS_A_SECOND) };
        let tracing = Tracing {
            scope: widest(Scope::new(words.scope)?),
            follow: true,
            selection: Selection { filter: words.filter.join(" ").trim().into(), ..Selection::default() },
            counting: Some(counting),
            ..Tracing::default()
        };
        Ok(Self { tracing, palette: Palette { colored: look::is_colorful(), unicode: is_unicode() } })
    }
}

/// What isn't said is everything: NICs with a program, and the programs on their path.
fn widest(mut scope: Scope) -> Scope {
    if scope.narrowing.is_empty() {
        scope.narrowing.push(Narrowing { program: Selector::All, function: None });
        if scope.devices == Devices::Unnamed {
            scope.devices = Devices::Any;
        }
    }
    scope
}

/// `src,dport`, and the bits of addresses that matter: `24/64`.
fn by(words: &str, prefix: &str) -> Result<By> {
    let parts: Option<Vec<Vec<Part>>> = words.split(',').map(|name| parts(name.trim())).collect();
    let Some(named) = parts else {
        return Err(Failure::usage(format!(
            "--by '{}' is not known: there are src, dst, sport, dport, proto, vlan, length and flow, with commas",
            words.escape_default()
        )));
    };
    let mut parts: Vec<Part> = Vec::new();
    for part in named.into_iter().flatten() {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    let (prefix4, prefix6) = prefixes(prefix)?;
    Ok(By { parts, prefix4, prefix6, rows: ROWS })
}

fn parts(name: &str) -> Option<Vec<Part>> {
    const FLOW: [Part; 5] = [Part::Source, Part::Destination, Part::SourcePort, Part::DestinationPort, Part::Protocol];
    match name {
        "src" => Some(vec![Part::Source]),
        "dst" => Some(vec![Part::Destination]),
        "sport" => Some(vec![Part::SourcePort]),
        "dport" => Some(vec![Part::DestinationPort]),
        "proto" => Some(vec![Part::Protocol]),
        "vlan" => Some(vec![Part::Vlan]),
        "length" => Some(vec![Part::Length]),
        "flow" => Some(FLOW.to_vec()),
        _ => None,
    }
}

fn prefixes(words: &str) -> Result<(u8, u8)> {
    let bits = |digits: &str, most: u8| digits.parse().ok().filter(|bits| *bits <= most);
    let both = words.split_once('/').and_then(|(four, six)| bits(four, 32).zip(bits(six, 128)));
    both.ok_or_else(|| {
        let words = words.escape_default();
        Failure::usage(format!("--prefix '{words}' is not known: write the bits of IPv4 and of IPv6, like 24/64"))
    })
}

/// Whether the locale's characters are Unicode's, by the words that setlocale(3) looks at.
fn is_unicode() -> bool {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::plan::Plan;

    fn top(words: &str) -> Result<Top> {
        let words = ["xdptrace", "top"].into_iter().chain(words.split_whitespace());
        match Plan::new(words.map(Into::into))? {
            Plan::Top(top) => Ok(*top),
            plan => panic!("{plan:?}"),
        }
    }

    #[test]
    fn what_is_not_said_is_everything() {
        let Tracing { scope, counting, follow, .. } = top("").unwrap().tracing;
        let all = vec![Narrowing { program: Selector::All, function: None }];
        assert_eq!(scope, Scope { devices: Devices::Any, narrowing: all.clone(), netns: None });
        let counting = counting.unwrap();
        assert_eq!((counting.interval, counting.times, counting.by), (Duration::from_secs(1), None, None));
        assert!(counting.drops_a_second.is_some() && follow);
        assert_eq!(top("-i eth0").unwrap().tracing.scope.narrowing, all);
        assert_eq!(top("-p 12").unwrap().tracing.scope.devices, Devices::Unnamed);
    }

    #[test]
    fn words_behind_the_options_are_the_filter() {
        let tracing = top("-i eth0 --interval 500ms udp port 53").unwrap().tracing;
        assert_eq!(tracing.selection.filter.words, "udp port 53");
        assert_eq!(tracing.counting.unwrap().interval, Duration::from_millis(500));
    }

    #[test]
    fn keys_are_kept_in_order_and_once() {
        let by = top("--by src,flow --prefix 24/64").unwrap().tracing.counting.unwrap().by.unwrap();
        assert_eq!(by.parts[..3], [Part::Source, Part::Destination, Part::SourcePort]);
        assert_eq!((by.parts.len(), by.prefix4, by.prefix6), (5, 24, 64));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for words in ["--interval 1ms", "--interval x", "--by color", "--by src --prefix 33/64", "--prefix 24/64"] {
            assert!(top(words).is_err(), "{words}");
        }
    }
}
