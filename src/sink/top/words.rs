//! Numbers in few columns.

use crate::event::Verdict;
use crate::numbers::{Port, Returned};

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
    fn what_is_too_long_is_cut() {
        let words = ["component 0 xdp_lb#12".to_owned(), "xdp_lb#12".to_owned()];
        let table = [(21, "component 0 xdp_lb#12"), (20, "xdp_lb#12"), (8, "xdp_lb#~"), (1, "~"), (0, "")];
        for (width, expected) in table {
            assert_eq!(fitting(&words, width), expected);
        }
        assert_eq!(fitting(&[], 3), "");
    }
}
