//! Latencies as a classic histogram.
//!
//! A bucket is an octave, which is the resolution of a native histogram of schema 0; its bounds are powers of two of
//! nanoseconds, though, where that schema's are powers of two of seconds, so that a conversion to it would move runs from bucket
//! to bucket. Prometheus can keep them as they are, as a native histogram with custom buckets
//! (`convert_classic_histograms_to_nhcb`): hence bounds that never change, also where a bucket is empty.

use super::Seconds;
use super::exposition::{Labels, Samples};
use crate::numbers::Latency;

/// Upper bounds, as powers of two of nanoseconds. What took longer than the last cannot be told from what took longer than
/// 2³³ ns, which the same steps hold.
const OCTAVES: std::ops::RangeInclusive<usize> = 3..=32;

/// Appends `_bucket`s, `_sum` and `_count`.
///
/// A bound belongs to its bucket (`le`), and a run that took exactly 2ⁿ ns by the clock is in the next one: clocks round
/// down, so it took as long or longer.
pub fn write(samples: &mut Samples<'_>, labels: &Labels, latency: &Latency) {
    let mut below = 0;
    let mut summed = 0;
    for octave in OCTAVES {
        let end = first_step(octave);
        below += latency.steps[summed..end].iter().sum::<u64>();
        summed = end;
        samples.part("_bucket", &labels.clone().with("le", &bound(1 << octave)), below);
    }
    let count = latency.count();
    samples.part("_bucket", &labels.clone().with("le", "+Inf"), count);
    samples.part("_sum", labels, Seconds(latency.sum_ns));
    samples.part("_count", labels, count);
}

/// The step that begins at 2ⁿ ns.
fn first_step(octave: usize) -> usize {
    8 + 4 * (octave - 3)
}

/// Seconds as Go writes floating point numbers, and with it the names of buckets in Prometheus 2: `8e-09`, `0.000131072`.
fn bound(ns: u64) -> String {
    let seconds = ns as f64 / 1e9;
    match format!("{seconds:e}").split_once("e-") {
        Some((digits, exponent)) if seconds < 1e-4 => format!("{digits}e-{exponent:0>2}"),
        _ => seconds.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_steps() {
        for octave in OCTAVES {
            assert_eq!(Latency::bounds(first_step(octave)).0, 1 << octave);
        }
    }

    #[test]
    fn bounds_are_written_as_go_does() {
        let bounds = [3, 10, 16, 17, 29, 30, 32].map(|octave| bound(1 << octave));
        let expected = ["8e-09", "1.024e-06", "6.5536e-05", "0.000131072", "0.536870912", "1.073741824", "4.294967296"];
        assert_eq!(bounds, expected);
    }
}
