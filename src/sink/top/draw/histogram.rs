//! How long a program took, as bars.

use std::time::Duration;

use crate::numbers::Latency;
use crate::sink::amount;

/// A bar: from when on, until when, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    from_ns: u64,
    until_ns: u64,
    runs: u64,
}

/// So many bars at most, from the shortest latency to the longest; steps stand together in ones, octaves, and so on.
pub fn bars(latency: &Latency, most: usize) -> Vec<Bar> {
    const TOGETHER: [usize; 7] = [1, 4, 8, 16, 32, 64, 128];
    let (Some(first), Some(last)) =
        (latency.steps.iter().position(|runs| *runs > 0), latency.steps.iter().rposition(|runs| *runs > 0))
    else {
        return Vec::new();
    };
    let needed = |together: usize| last / together - first / together + 1;
    let together = TOGETHER.into_iter().find(|together| needed(*together) <= most).unwrap_or(Latency::STEPS);
    (first / together..=last / together).map(|number| bar(latency, number * together, together)).collect()
}

fn bar(latency: &Latency, first: usize, together: usize) -> Bar {
    let end = (first + together).min(Latency::STEPS);
    let runs = latency.steps.get(first..end).map_or(0, |steps| steps.iter().sum());
    Bar { from_ns: Latency::bounds(first).0, until_ns: Latency::bounds(end - 1).1, runs }
}

/// ` 256ns-512ns         12 ######`
pub fn line(bar: Bar, most_runs: u64, width: usize, unicode: bool) -> String {
    let time = |ns| amount::time(Duration::from_nanos(ns));
    let head = format!(" {:>6}-{:6} {:>10} ", time(bar.from_ns), time(bar.until_ns), bar.runs);
    let room = width.saturating_sub(head.len()) as u128;
    let length = (u128::from(bar.runs) * room).div_ceil(u128::from(most_runs.max(1))) as usize;
    head + &(if unicode { "█" } else { "#" }).repeat(length)
}

/// The greatest number of runs of any.
pub fn most_runs(bars: &[Bar]) -> u64 {
    bars.iter().map(|bar| bar.runs).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_get_coarser_where_there_is_little_room() {
        let mut latency = Latency::default();
        assert_eq!(bars(&latency, 8), []);
        (latency.steps[28], latency.steps[29], latency.steps[36]) = (5, 3, 1);
        let of = |from_ns, until_ns, runs| Bar { from_ns, until_ns, runs };
        assert_eq!(bars(&latency, 9).len(), 9);
        assert_eq!(bars(&latency, 9)[0], of(256, 320, 5));
        assert_eq!(bars(&latency, 8), [of(256, 512, 8), of(512, 1024, 0), of(1024, 2048, 1)]);
        assert_eq!(bars(&latency, 1), [of(0, 131_072, 9)]);
        assert_eq!(bars(&latency, 0).len(), 1);
    }

    #[test]
    fn a_run_is_seen() {
        let bar = Bar { from_ns: 256, until_ns: 512, runs: 1 };
        assert_eq!(line(bar, 1_000_000, 40, false), "  256ns-512ns           1 #");
        assert_eq!(line(bar, 0, 0, false), "  256ns-512ns           1 ");
    }
}
