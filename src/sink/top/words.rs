//! Numbers in few columns.

use std::time::Duration;

use crate::event::Verdict;
use crate::numbers::{Port, Returned};

/// A rate in six columns at most: `0`, `0.5`, `999`, `1.23k`, `12.3M`.
pub fn rate(per_second: f64) -> String {
    const PREFIXES: [&str; 6] = ["k", "M", "G", "T", "P", "E"];
    if per_second < 999.5 {
        return if per_second < 9.95 && per_second.fract() != 0.0 {
            format!("{per_second:.1}")
        } else {
            format!("{per_second:.0}")
        };
    }
    let mut value = per_second;
    let prefix = PREFIXES.into_iter().find(|_| {
        value /= 1000.0;
        value < 999.5
    });
    digits(value) + prefix.unwrap_or("Z")
}

/// A length of time in six columns: `412ns`, `1.23us`, `12.3ms`, `4.00s`.
pub fn duration(duration: Duration) -> String {
    let ns = duration.as_nanos() as f64;
    match ns {
        0.0..999.5 => format!("{ns:.0}ns"),
        0.0..999.5e3 => digits(ns / 1e3) + "us",
        0.0..999.5e6 => digits(ns / 1e6) + "ms",
        _ => digits(ns / 1e9) + "s",
    }
}

/// Three of them.
fn digits(value: f64) -> String {
    match value {
        0.0..9.995 => format!("{value:.2}"),
        0.0..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A share of a whole: `12.5 %`.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "-".into() } else { format!("{:.1} %", part as f64 * 100.0 / whole as f64) }
}

/// `XDP_DROP`, or what it is instead.
pub fn returned(returned: Returned) -> String {
    match returned {
        Returned::Action(verdict) => verdict.to_string(),
        Returned::Other => "other".into(),
        Returned::Nothing => "none".into(),
    }
}

/// The letter of what was returned, as in bars.
pub fn letter(returned: Returned) -> char {
    match returned {
        Returned::Action(Verdict(action)) => "ADPTR".chars().nth(action as usize).unwrap_or('O'),
        Returned::Other => 'O',
        Returned::Nothing => '-',
    }
}

/// What a device is called, such that it cannot command a terminal: by its index where its name isn't known.
pub fn port(port: &Port) -> String {
    match port {
        Port { name: Some(name), .. } => name.escape_default().to_string(),
        Port { ifindex: 0, .. } => "?".into(),
        Port { ifindex, netns: 0, .. } => format!("if{ifindex}"),
        Port { ifindex, netns, .. } => format!("if{ifindex}@{netns}"),
    }
}

/// Whether what is counted of a port is of a device that is called so. What isn't known by name is of none once it has gone.
pub fn is_called(one: &Port, name: &str) -> bool {
    (one.is_one() || one.name.is_some()) && port(one) == name
}

/// The first of `words` that fits into so many columns; else the last one, cut.
pub fn fitting(words: &[String], width: usize) -> String {
    match words.iter().find(|words| words.len() <= width).or(words.last()) {
        Some(words) if words.len() > width => {
            let kept: String = words.chars().take(width.saturating_sub(1)).collect();
            if width > 0 { kept + "~" } else { kept }
        }
        Some(words) => words.clone(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_three_digits() {
        let table = [
            (0.0, "0"),
            (0.5, "0.5"),
            (9.96, "10"),
            (42.0, "42"),
            (999.4, "999"),
            (999.5, "1.00k"),
            (12_345.0, "12.3k"),
            (999_600.0, "1.00M"),
            (123_456_789_000.0, "123G"),
        ];
        for (number, words) in table {
            assert_eq!(rate(number), words);
        }
        assert!(rate(u64::MAX as f64 * 1e9).ends_with('Z'));
    }

    #[test]
    fn durations_have_a_unit() {
        let table = [(0, "0ns"), (412, "412ns"), (1_234, "1.23us"), (99_960, "100us"), (4_000_000_000, "4.00s")];
        for (ns, words) in table {
            assert_eq!(duration(Duration::from_nanos(ns)), words);
        }
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let words = ["component 0 xdp_lb#12".to_owned(), "xdp_lb#12".to_owned()];
        let table = [(21, "component 0 xdp_lb#12"), (20, "xdp_lb#12"), (8, "xdp_lb#~"), (1, "~"), (0, "")];
        for (width, expected) in table {
            assert_eq!(fitting(&words, width), expected);
        }
        assert_eq!(fitting(&[], 3), "");
    }
}
