//! What became of the datagrams that a program counted: all shown, but for those of a span of time that was named.

use std::time::{Duration, SystemTime};

use super::{between, microseconds, printed};
use crate::loader::{Ports, shown};
use crate::tracer::Ended;

/// The span in `attached to NAME#ID on DEV: not traced from HH:MM:SS.ffffff to HH:MM:SS.ffffff (N ms)`: a span of time,
/// and nothing else.
pub fn gap(stderr: &[String], called: &str, device: &str) -> (i64, i64) {
    let start = format!("attached to {called} on {device}: not traced from ");
    let lines: Vec<&str> = stderr.iter().filter_map(|line| line.strip_prefix(&start)).collect();
    let [line] = lines[..] else { panic!("not one '{start}' in {stderr:#?}") };
    let (from, rest) = line.split_once(" to ").unwrap_or_else(|| panic!("{line}"));
    let (to, rest) = rest.split_once(" (").unwrap_or_else(|| panic!("{line}"));
    let length: i64 =
        rest.strip_suffix(" ms)").and_then(|length| length.parse().ok()).unwrap_or_else(|| panic!("{line}"));
    let (from, to) = (microseconds(from), microseconds(to));
    assert!((between(from, to) - length * 1000).abs() <= 1000, "{line}");
    (from, to)
}

/// What became of the datagrams that a program counted.
pub struct Account<'a> {
    pub ended: &'a Ended,
    pub sent: &'a [(u16, SystemTime)],
}

impl Account<'_> {
    /// All are shown, as this program's.
    pub fn all(&self, called: &str, ports: &Ports) {
        let ran = ports.seen();
        assert!(!ran.is_empty(), "{called} never ran");
        assert_eq!(self.shown_of(called), ran, "{called}: {:#?}", self.ended.stderr);
    }

    /// From the first one that is shown, all are; those before it were sent within the span that was named.
    /// Returns its length.
    pub fn all_but_the_gap(&self, called: &str, device: &str, ports: &Ports) -> Duration {
        let ran = ports.seen();
        let shown = self.shown_of(called);
        let stderr = &self.ended.stderr;
        assert!(!shown.is_empty(), "{called} was never shown: {stderr:#?}");
        let first = ran.iter().position(|port| *port == shown[0]).unwrap_or_else(|| panic!("{called} never ran"));
        assert_eq!(shown, ran[first..], "{called}: {stderr:#?}");
        let (from, to) = gap(stderr, called, device);
        for port in &ran[..first] {
            let (_, time) = self.sent.iter().find(|(sent, _)| sent == port).unwrap();
            let time = microseconds(&printed(*time));
            // It is sent a little before the program runs.
            assert!(
                between(from, time) > -50_000 && between(time, to) > 0,
                "{called}, {port}, sent at {time}, is not within {from} and {to}: {stderr:#?}"
            );
        }
        Duration::from_micros(between(from, to).try_into().unwrap())
    }

    pub fn shown_of(&self, called: &str) -> Vec<u16> {
        let shown = shown(&self.ended.stdout).into_iter().filter(|shown| shown.program == called);
        let mut ports: Vec<u16> = shown.map(|shown| shown.port).collect();
        ports.sort_unstable();
        ports
    }

    /// Nothing is shown of other programs than these, and nothing was lost.
    pub fn nothing_else(&self, called: &[&str]) {
        let others: Vec<_> = shown(&self.ended.stdout);
        let others: Vec<_> = others.iter().filter(|shown| !called.contains(&shown.program.as_str())).collect();
        assert!(others.is_empty(), "{others:?}");
        assert_eq!(self.ended.counts().lost, 0, "{:#?}", self.ended.stderr);
        // The span is all that is said: nobody counts what isn't traced.
        let spans = self.ended.stderr.iter().filter(|line| line.contains("not traced from"));
        spans.for_each(|line| assert!(!line.contains("packet"), "{line}"));
    }
}
