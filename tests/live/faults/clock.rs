//! A clock that is set while packets come.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Stream;
use crate::files::{Folder, tcpdump};
use crate::losses::{Counted, quiet_nic};
use crate::tracer::{Tracer, number_of};

const HOUR: i64 = 3600;

fn seconds(clock: libc::clockid_t) -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime(2) writes the time there.
    assert_eq!(unsafe { libc::clock_gettime(clock, &mut now) }, 0);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// The time of day when this machine started, by its clock: as well as it can be told between two looks at the other one.
fn offset() -> f64 {
    let look = || {
        let before = seconds(libc::CLOCK_MONOTONIC);
        let now = seconds(libc::CLOCK_REALTIME);
        (seconds(libc::CLOCK_MONOTONIC) - before, now - before)
    };
    let looks = (0..20).map(|_| look());
    looks.min_by(|one, other| one.0.total_cmp(&other.0)).unwrap().1
}

/// Sets the clock by so many seconds.
fn step(by: i64) {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both calls have a whole time to write or to read.
    unsafe {
        assert_eq!(libc::clock_gettime(libc::CLOCK_REALTIME, &mut now), 0);
        now.tv_sec += by;
        assert_eq!(libc::clock_settime(libc::CLOCK_REALTIME, &now), 0);
    }
}

/// Puts the clock back when this ends, also where a test fails.
struct PutBack(f64);

impl Drop for PutBack {
    fn drop(&mut self) {
        step((self.0 - offset()).round() as i64);
    }
}

/// The `offset` by which a packet is dated.
fn dated_by(packet: &Value) -> f64 {
    let time = packet["time"].as_str().unwrap();
    let monotonic: f64 = packet["monotonic_ns"].as_str().unwrap().parse().unwrap();
    unix_seconds(time) - monotonic / 1e9
}

/// Seconds since 1970 of `2026-11-22T12:57:43.123456789Z`.
fn unix_seconds(time: &str) -> f64 {
    let number = |from: usize, to: usize| time[from..to].parse::<i64>().unwrap();
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    // Howard Hinnant's days_from_civil: years begin in March, so that a leap day is their last.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    let seconds = ((days * 24 + number(11, 13)) * 60 + number(14, 16)) * 60 + number(17, 19);
    seconds as f64 + time[19..time.len() - 1].parse::<f64>().unwrap()
}

fn packet(line: &str) -> Option<Value> {
    let record: Value = serde_json::from_str(line).unwrap();
    (record["type"] == "packet").then_some(record)
}

#[test]
#[ignore = "sets the machine's clock"]
fn a_clock_that_is_set_changes_times_of_day_alone() {
    let (nic, folder) = (quiet_nic(), Folder::new("clock"));
    let counted = Counted::drop_on(&nic);
    let start = offset();
    let _put_back = PutBack(start);
    // By the clock, one would end with the first step, and the other never.
    let mut tracer = Tracer::start(&nic, &["-i", "veth0", "-o", "json", "--duration", "30m"]);
    let path = folder.file("f");
    let begun = Instant::now();
    let timed = Tracer::start(&nic, &["-i", "veth0", "-w", &path, "--duration", "3s"]);
    let stream = Stream::start(&nic);
    let mut offsets = vec![start];
    for by in [HOUR, -2 * HOUR, HOUR] {
        step(by);
        offsets.push(offset());
        let now = offset();
        tracer.wait_until("packets by the clock as it is now", |tracer| {
            let last = tracer.stdout.iter().rev().find_map(|line| packet(line));
            last.is_some_and(|packet| (dated_by(&packet) - now).abs() < 1.0)
        });
    }
    let file = timed.wait();
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(HOUR as u64 / 2), "{took:?}");
    let sent = stream.stop();
    assert_eq!(counted.runs.settle(), sent);
    let ended = tracer.end("INT");
    let packets: Vec<Value> = ended.stdout.iter().filter_map(|line| packet(line)).collect();
    let counts = ended.counts();
    assert_eq!((counts.seen, counts.traced, counts.lost), (sent, packets.len() as u64, 0), "{:#?}", ended.stderr);
    for packet in &packets {
        let by = dated_by(packet);
        assert!(offsets.iter().any(|offset| (offset - by).abs() < 0.1), "{by} is none of {offsets:?}: {packet}");
        assert!(packet["latency_ns"].as_u64().unwrap() < 60_000_000_000, "{packet}");
    }
    let counts = file.counts();
    assert_eq!((counts.seen, counts.lost), (counts.traced, 0), "{:#?}", file.stderr);
    assert_eq!(tcpdump(&path).len() as u64, 2 * counts.traced);
    eprintln!(
        "{took:?}, {sent} sent; in the file: {}, {} late",
        file.stderr.last().unwrap(),
        number_of("late in the file", file.stderr.last().unwrap())
    );
}
