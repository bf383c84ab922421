//! The packets a second of the last minute.

use std::collections::VecDeque;

/// How far back it goes: nanoseconds.
const MINUTE_NS: u64 = 60_000_000_000;

/// Packets a second, between readings of the last minute.
#[derive(Debug, Clone, Default)]
pub struct History {
    spans: VecDeque<Span>,
}

/// A time, and the packets a second within.
#[derive(Debug, Clone, Copy)]
struct Span {
    from_ns: u64,
    until_ns: u64,
    rate: f64,
}

impl History {
    /// Packets came at this rate between these times.
    pub fn push(&mut self, from_ns: u64, until_ns: u64, rate: f64) {
        self.spans.push_back(Span { from_ns, until_ns, rate });
        while self.spans.front().is_some_and(|span| span.until_ns + MINUTE_NS <= until_ns) {
            self.spans.pop_front();
        }
    }

    /// The minute until `now_ns` in so many parts: the mean of each; None where nothing is known of it.
    pub fn parts(&self, now_ns: u64, count: usize) -> Vec<Option<f64>> {
        let start = |part: usize| (now_ns + MINUTE_NS * part as u64 / count as u64).saturating_sub(MINUTE_NS);
        (0..count).map(|part| self.mean(start(part), start(part + 1))).collect()
    }

    fn mean(&self, from_ns: u64, until_ns: u64) -> Option<f64> {
        let (mut known, mut packets) = (0.0, 0.0);
        for span in &self.spans {
            let common = span.until_ns.min(until_ns).saturating_sub(span.from_ns.max(from_ns)) as f64;
            known += common;
            packets += common * span.rate;
        }
        (known > 0.0).then(|| packets / known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_minute_is_kept_and_shown_in_as_many_parts_as_there_is_room_for() {
        let mut history = History::default();
        (0..100).for_each(|second| history.push(second * SECOND, (second + 1) * SECOND, second as f64));
        assert_eq!(history.spans.len(), 60);
        assert_eq!(history.parts(100 * SECOND, 60)[..3], [Some(40.0), Some(41.0), Some(42.0)]);
        assert_eq!(history.parts(100 * SECOND, 6)[0], Some(44.5));
        assert_eq!(history.parts(100 * SECOND, 0), []);
    }

    #[test]
    fn what_is_not_known_yet_is_left_out() {
        let mut history = History::default();
        history.push(100 * SECOND, 105 * SECOND, 8.0);
        let parts = history.parts(105 * SECOND, 60);
        assert_eq!(parts[..55], [None; 55]);
        assert_eq!(parts[55..], [Some(8.0); 5]);
    }
}
