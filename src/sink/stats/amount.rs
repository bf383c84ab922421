//! Amounts as people read them: three digits of what is large.

use std::time::Duration;

/// Above thousands, each a thousand times the one before.
const SUFFIXES: [&str; 5] = ["", "k", "M", "G", "T"];

/// So many a second: `0.3`, `412`, `1.23k`, `614M`.
pub(super) fn rate(count: u64, took: Duration) -> String {
    if took.is_zero() {
        return "?".into();
    }
    let rate = count as f64 / took.as_secs_f64();
    let is_whole = rate.fract() < 0.05 || rate >= 9.95;
    if rate < 999.5 {
        return format!("{rate:.*}", if is_whole { 0 } else { 1 });
    }
    let steps = SUFFIXES.iter().enumerate().skip(1);
    let mut scaled = steps.map(|(power, suffix)| (rate / 1000_f64.powi(power as i32), suffix));
    let fitting = scaled.clone().find(|(value, _)| *value < 999.5).or_else(|| scaled.next_back());
    fitting.map_or_else(String::new, |(value, suffix)| format!("{}{suffix}", three_digits(value)))
}

/// `412ns`, `1.23us`, `40.0ms`, `3.00s`; `?` where it isn't known.
pub(super) fn time(time: Option<Duration>) -> String {
    let Some(time) = time else { return "?".into() };
    match time.as_nanos() {
        ns @ 0..1000 => format!("{ns}ns"),
        ns @ 1000..999_500 => format!("{}us", three_digits(ns as f64 / 1e3)),
        ns @ 999_500..999_500_000 => format!("{}ms", three_digits(ns as f64 / 1e6)),
        ns => format!("{}s", three_digits(ns as f64 / 1e9)),
    }
}

/// `91.7%`; `?` of nothing.
pub(super) fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => "?".into(),
        whole => format!("{:.1}%", part as f64 * 100.0 / whole as f64),
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
        let second = Duration::from_secs(1);
        let table = [
            (0, "0"),
            (999, "999"),
            (1000, "1.00k"),
            (1234, "1.23k"),
            (99_949, "99.9k"),
            (99_950, "100k"),
            (999_499, "999k"),
            (999_500, "1.00M"),
            (614_000_000, "614M"),
            (9_990_000_000_000_000, "9990T"),
        ];
        for (count, shown) in table {
            assert_eq!(rate(count, second), shown, "{count}");
        }
        assert_eq!([rate(3, second * 10), rate(20, second * 10), rate(99, second * 10)], ["0.3", "2", "9.9"]);
        assert_eq!(rate(3, Duration::ZERO), "?");
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        let table = [(0, "0ns"), (999, "999ns"), (1000, "1.00us"), (1_234_567, "1.23ms"), (3_000_000_000, "3.00s")];
        for (ns, shown) in table {
            assert_eq!(time(Some(Duration::from_nanos(ns))), shown);
        }
        assert_eq!(time(Some(Duration::from_nanos(999_600))), "1.00ms");
        assert_eq!([time(None), share(1, 3), share(0, 0)], ["?", "33.3%", "?"]);
    }
}
