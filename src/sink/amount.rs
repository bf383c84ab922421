//! Amounts as people read them, in six columns at most: three digits of what is large.

use std::time::Duration;

/// Above thousands, each a thousand times the one before.
const SUFFIXES: [&str; 6] = ["k", "M", "G", "T", "P", "E"];

/// So many a second: `0`, `0.3`, `412`, `1.23k`, `614M`.
pub(super) fn rate(per_second: f64) -> String {
    if per_second < 999.5 {
        let is_whole = per_second.fract() < 0.05 || per_second >= 9.95;
        return format!("{per_second:.*}", if is_whole { 0 } else { 1 });
    }
    let mut value = per_second;
    let suffix = SUFFIXES.into_iter().find(|_| {
        value /= 1000.0;
        value < 999.5
    });
    three_digits(value) + suffix.unwrap_or("Z")
}

/// `412ns`, `1.23us`, `40.0ms`, `3.00s`
pub(super) fn time(time: Duration) -> String {
    match time.as_nanos() {
        ns @ 0..1000 => format!("{ns}ns"),
        ns @ 1000..999_500 => three_digits(ns as f64 / 1e3) + "us",
        ns @ 999_500..999_500_000 => three_digits(ns as f64 / 1e6) + "ms",
        ns => three_digits(ns as f64 / 1e9) + "s",
    }
}

fn three_digits(value: f64) -> String {
    let digits = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_three_digits() {
        let table = [
            (0.0, "0"),
            (0.3, "0.3"),
            (0.5, "0.5"),
            (2.0, "2"),
            (9.9, "9.9"),
            (9.96, "10"),
            (42.0, "42"),
            (999.4, "999"),
            (999.5, "1.00k"),
            (1234.0, "1.23k"),
            (99_949.0, "99.9k"),
            (99_950.0, "100k"),
            (999_499.0, "999k"),
            (999_500.0, "1.00M"),
            (614e6, "614M"),
            (9.99e15, "9.99P"),
        ];
        for (per_second, shown) in table {
            assert_eq!(rate(per_second), shown, "{per_second}");
        }
        assert!(rate(u64::MAX as f64 * 1e9).ends_with('Z'));
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        let table = [
            (0, "0ns"),
            (999, "999ns"),
            (1000, "1.00us"),
            (99_960, "100us"),
            (999_600, "1.00ms"),
            (1_234_567, "1.23ms"),
            (3_000_000_000, "3.00s"),
        ];
        for (ns, shown) in table {
            assert_eq!(time(Duration::from_nanos(ns)), shown, "{ns}");
        }
    }
}
