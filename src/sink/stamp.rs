//! The time in front of a line, in tcpdump's forms.

use super::bytes::{digits, padded};
use super::localtime::{Head, LocalTime};
use crate::plan::Times;

/// Writes times.
#[derive(Debug, Default)]
pub struct Stamp {
    times: Times,
    nanoseconds: bool,
    head: Head,
    /// The time that others are told from.
    reference: Option<u64>,
}

const SECOND: u64 = 1_000_000_000;

impl Stamp {
    /// In these forms.
    pub fn new(times: Times, nanoseconds: bool) -> Self {
        Self { times, nanoseconds, ..Self::default() }
    }

    /// Appends `time_ns`, nanoseconds since the Unix epoch, and a blank behind it; `?` where the C library can't tell its
    /// date.
    pub fn write(&mut self, out: &mut Vec<u8>, time_ns: u64) {
        match self.times {
            Times::None => return,
            Times::Day | Times::Date => self.write_date(out, time_ns),
            Times::Epoch => {
                digits(out, time_ns / SECOND);
                self.write_fraction(out, time_ns);
            }
            Times::SincePrevious | Times::SinceFirst => self.write_difference(out, time_ns),
        }
        out.push(b' ');
    }

    fn write_date(&mut self, out: &mut Vec<u8>, time_ns: u64) {
        let with_date = self.times == Times::Date;
        let head = self.head.of(time_ns / SECOND, || {
            LocalTime::new(time_ns).map_or_else(|| "?".into(), |time| time.to_the_second(with_date))
        });
        out.extend(head);
        if head != b"?" {
            self.write_fraction(out, time_ns);
        }
    }

    /// tcpdump's: ` 00:00:00.000123`, with a blank or a minus sign in front.
    fn write_difference(&mut self, out: &mut Vec<u8>, time_ns: u64) {
        let reference = *self.reference.get_or_insert(time_ns);
        if self.times == Times::SincePrevious {
            self.reference = Some(time_ns);
        }
        out.push(if time_ns < reference { b'-' } else { b' ' });
        let difference = time_ns.abs_diff(reference);
        let seconds = difference / SECOND;
        padded(out, seconds / 3600, 2);
        out.push(b':');
        padded(out, seconds / 60 % 60, 2);
        out.push(b':');
        padded(out, seconds % 60, 2);
        self.write_fraction(out, difference);
    }

    fn write_fraction(&self, out: &mut Vec<u8>, time_ns: u64) {
        out.push(b'.');
        match self.nanoseconds {
            true => padded(out, time_ns % SECOND, 9),
            false => padded(out, time_ns % SECOND / 1000, 6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(times: Times, nanoseconds: bool, all: &[u64]) -> String {
        let mut stamp = Stamp::new(times, nanoseconds);
        let mut out = Vec::new();
        for time_ns in all {
            stamp.write(&mut out, *time_ns);
            out.push(b'|');
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn every_form_is_tcpdumps() {
        let times = [1_689_404_218_123_456_789, 1_689_404_218_200_000_000, 1_689_404_217_000_000_999];
        assert_eq!(written(Times::None, false, &times), "|||");
        assert_eq!(written(Times::Epoch, false, &times), "1689404218.123456 |1689404218.200000 |1689404217.000000 |");
        assert_eq!(written(Times::Epoch, true, &times[..1]), "1689404218.123456789 |");
        assert_eq!(
            written(Times::SincePrevious, false, &times),
            " 00:00:00.000000 | 00:00:00.076543 |-00:00:01.199999 |"
        );
        assert_eq!(written(Times::SinceFirst, false, &times), " 00:00:00.000000 | 00:00:00.076543 |-00:00:01.123455 |");
    }

    #[test]
    fn the_time_of_day_is_local_and_goes_on_within_a_second() {
        let shown = written(Times::Day, false, &[0, 999_999_000, 1_000_000_000]);
        let minutes_and_on: Vec<&str> = shown.split('|').filter_map(|time| time.get(3..)).collect();
        assert!(minutes_and_on.iter().all(|time| time.ends_with(' ')), "{shown}");
        let ends = [":00.000000 ", ":00.999999 ", ":01.000000 "];
        assert!(minutes_and_on.iter().zip(ends).all(|(time, end)| time.ends_with(end)), "{shown}");
        assert!(written(Times::Date, false, &[86_400_000_000_000]).starts_with("1970-01-0"));
    }
}
