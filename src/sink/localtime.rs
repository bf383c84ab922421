//! Time of day in the local time zone, in the shapes that sinks print.

use std::fmt::{self, Display, Formatter};
use std::mem::MaybeUninit;

use serde::{Serialize, Serializer};

/// Broken-down local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    year: i32,
    month: i32,
    day: i32,
    hour: i32,
    minute: i32,
    second: i32,
    nanosecond: u64,
    /// East of UTC, in minutes.
    offset: i64,
}

impl LocalTime {
    /// `time_ns` in nanoseconds since the Unix epoch; None if the C library cannot tell its date.
    pub fn new(time_ns: u64) -> Option<Self> {
        let seconds = libc::time_t::try_from(time_ns / 1_000_000_000).ok()?;
        let mut parts = MaybeUninit::<libc::tm>::uninit();
        // SAFETY: both pointers outlive the call; localtime_r(3) fills `parts` unless it returns null.
        let parts = unsafe {
            if libc::localtime_r(&seconds, parts.as_mut_ptr()).is_null() {
                return None;
            }
            parts.assume_init()
        };
        Some(Self {
            year: parts.tm_year + 1900,
            month: parts.tm_mon + 1,
            day: parts.tm_mday,
            hour: parts.tm_hour,
            minute: parts.tm_min,
            second: parts.tm_sec,
            nanosecond: time_ns % 1_000_000_000,
            offset: parts.tm_gmtoff / 60,
        })
    }

    /// `06:56:58.123456`, as tcpdump prints it.
    pub fn time_of_day(&self) -> impl Display {
        let time = *self;
        show(move |f| {
            let microsecond = time.nanosecond / 1000;
            write!(f, "{:02}:{:02}:{:02}.{microsecond:06}", time.hour, time.minute, time.second)
        })
    }

    /// `2023/07/15 06:56:58`, as the article's log prints it.
    pub fn date_and_time(&self) -> impl Display {
        let time = *self;
        show(move |f| {
            write!(f, "{:04}/{:02}/{:02} ", time.year, time.month, time.day)?;
            write!(f, "{:02}:{:02}:{:02}", time.hour, time.minute, time.second)
        })
    }
}

impl LocalTime {
    /// `06:56:58`, or `2023-07-15 06:56:58` with the date, as tcpdump prints them.
    pub fn to_the_second(&self, with_date: bool) -> String {
        let Self { year, month, day, hour, minute, second, .. } = self;
        match with_date {
            true => format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"),
            false => format!("{hour:02}:{minute:02}:{second:02}"),
        }
    }

    /// `2023-07-15T06:56:58+02:00`
    pub fn rfc3339(&self) -> impl Display {
        let time = *self;
        show(move |f| {
            let (sign, offset) = (if time.offset < 0 { '-' } else { '+' }, time.offset.abs());
            write!(f, "{:04}-{:02}-{:02}T", time.year, time.month, time.day)?;
            write!(f, "{:02}:{:02}:{:02}", time.hour, time.minute, time.second)?;
            write!(f, "{sign}{:02}:{:02}", offset / 60, offset % 60)
        })
    }
}

/// `2023-07-15T04:56:58.123456789Z` (RFC 3339), in UTC.
#[derive(Debug, Clone, Copy)]
pub struct UtcTime([u8; Self::LENGTH]);

impl UtcTime {
    const LENGTH: usize = "2023-07-15T04:56:58.123456789Z".len();

    /// The time; empty where it has no date.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default().trim_end()
    }
}

impl Serialize for UtcTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What times of the same second have in common, worked out once.
#[derive(Debug, Default)]
pub struct Head {
    second: Option<u64>,
    text: Vec<u8>,
}

impl Head {
    /// That of this second, counted from any one on.
    pub fn of(&mut self, second: u64, make: impl FnOnce() -> String) -> &[u8] {
        if self.second != Some(second) {
            self.second = Some(second);
            self.text = make().into_bytes();
        }
        &self.text
    }
}

/// Makes times of day in UTC.
#[derive(Debug, Default)]
pub struct UtcStamp(Head);

impl UtcStamp {
    /// `time_ns` in nanoseconds since the Unix epoch.
    pub fn at(&mut self, time_ns: u64) -> UtcTime {
        const FRACTION: usize = 20;
        let (second, mut fraction) = (time_ns / 1_000_000_000, time_ns % 1_000_000_000);
        let mut time = UtcTime([b' '; UtcTime::LENGTH]);
        let head = self.0.of(second, || utc_to_the_second(second).unwrap_or_default());
        time.0[..head.len()].copy_from_slice(head);
        if time.0[0] != b' ' {
            for place in time.0[FRACTION..UtcTime::LENGTH - 1].iter_mut().rev() {
                *place = b'0' + (fraction % 10) as u8;
                fraction /= 10;
            }
        }
        time
    }
}

/// `2023-07-15T04:56:58.000000000Z`; None if the C library cannot tell its date, or it has more than four digits of year.
fn utc_to_the_second(second: u64) -> Option<String> {
    let second = libc::time_t::try_from(second).ok()?;
    let mut parts = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers outlive the call; gmtime_r(3) fills `parts` unless it returns null.
    let parts = unsafe {
        if libc::gmtime_r(&second, parts.as_mut_ptr()).is_null() {
            return None;
        }
        parts.assume_init()
    };
    let (year, month, day) = (parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
    let (hour, minute, second) = (parts.tm_hour, parts.tm_min, parts.tm_sec);
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000000000Z");
    (text.len() == UtcTime::LENGTH).then_some(text)
}

struct Show<F>(F);

impl<F: Fn(&mut Formatter<'_>) -> fmt::Result> Display for Show<F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0(f)
    }
}

fn show(format: impl Fn(&mut Formatter<'_>) -> fmt::Result) -> impl Display {
    Show(format)
}
