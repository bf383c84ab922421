//! What `top` shows, and how.

use std::env;

use anyhow::Result;

use super::{By, Counting, Tracing, look};
use crate::cli;

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

/// Dropped packets that are told of a second, at most: a person reads no more.
const DROPS_A_SECOND: u64 = 20;
/// Keys that are shown: more than a screen has lines for.
const ROWS: u32 = 200;

impl Top {
    /// What the command line says of it.
    ///
    /// # Errors
    /// A value means nothing, or nothing here.
    pub(super) fn new(mut top: cli::Top) -> Result<Self> {
        let by = top.by.as_deref().map(|words| By::new(words, top.prefix.as_deref(), ROWS)).transpose()?;
        top.counted.probe_for(by.as_ref());
        let cli::Scope { place, prog } = &mut top.counted.targets.scope;
        // What isn't said is everything: NICs with a program, and the programs on their path.
        if prog.is_empty() {
            prog.push("all".into());
            if place.device.is_empty() {
                place.device.push("any".into());
            }
        }
        let tracing = Tracing::counted(top.counted)?;
        let drops_a_second = Some(DROPS_A_SECOND);
        // What is traced is on the screen at once.
        let at_once = true;
        let counting = tracing.counting.map(|counting| Counting { at_once, by, drops_a_second, ..counting });
        let palette = Palette { colored: look::is_colorful(), unicode: is_unicode() };
        Ok(Self { tracing: Tracing { counting, ..tracing }, palette })
    }
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
    use std::time::Duration;

    use super::*;
    use crate::plan::{Devices, Narrowing, Part, Plan, Scope, Selector};

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
        assert!(counting.at_once && counting.drops_a_second.is_some() && follow);
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
        assert_eq!(by.parts[..2], [Part::Source, Part::SourcePort]);
        assert_eq!((by.parts.len(), by.prefix4, by.prefix6), (5, 24, 64));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for words in [
            "--interval 1ms",
            "--interval x",
            "--interval 25h",
            "--interval 4000000000000000h",
            "--by color",
            "--by src --prefix 33/64",
            "--prefix 24/64",
        ] {
            assert!(top(words).is_err(), "{words}");
        }
    }
}
