//! Times of the day, as the tracer prints them.

use std::time::{SystemTime, UNIX_EPOCH};

/// A wall clock time as the tracer prints it: `HH:MM:SS.ffffff`.
pub fn printed(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap();
    let seconds = since.as_secs() as libc::time_t;
    // SAFETY: a `tm` may hold zeros; localtime_r fills in the one that it is given.
    let local = unsafe {
        let mut local = std::mem::zeroed();
        assert!(!libc::localtime_r(&seconds, &mut local).is_null());
        local
    };
    format!("{:02}:{:02}:{:02}.{:06}", local.tm_hour, local.tm_min, local.tm_sec, since.subsec_micros())
}

/// Microseconds of the day.
pub fn microseconds(time: &str) -> i64 {
    let bytes = time.as_bytes();
    assert!(bytes.len() == 15 && bytes[2] == b':' && bytes[5] == b':' && bytes[8] == b'.', "no time of day: {time}");
    let number = |from: usize, to: usize| time[from..to].parse::<i64>().unwrap_or_else(|_| panic!("{time}"));
    ((number(0, 2) * 60 + number(3, 5)) * 60 + number(6, 8)) * 1_000_000 + number(9, 15)
}

/// `later - earlier`, across midnight too.
pub fn between(earlier: i64, later: i64) -> i64 {
    const DAY: i64 = 86_400_000_000;
    (later - earlier + DAY / 2).rem_euclid(DAY) - DAY / 2
}
