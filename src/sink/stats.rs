//! Numbers → a table at each interval, and what they came to at the end.

mod keys;
mod programs;
mod sends;
mod table;

use std::io::{self, Write};
use std::time::Duration;

use crate::event::{Event, Subject, Verdict};
use crate::numbers::{Numbers, Port, Program, Returned, Traffic};
use crate::plan::{By, Stats};
use crate::sink::{LocalTime, Sink, amount};

/// Tables, plain ASCII.
#[derive(Debug)]
pub struct Tables<W> {
    out: W,
    by: Option<By>,
    per_queue: bool,
    /// What was read last.
    before: Numbers,
    /// Since the start.
    took: Duration,
}

impl<W: Write> Tables<W> {
    /// Writes to `out`.
    pub fn new(stats: &Stats, out: W) -> Self {
        let by = stats.tracing.counting.as_ref().and_then(|counting| counting.by.clone());
        Self { out, by, per_queue: stats.per_queue, before: Numbers::default(), took: Duration::ZERO }
    }

    fn interval(&self, numbers: &Numbers) -> String {
        let change = Change { before: &self.before, now: numbers, took: numbers.took };
        let time = time_of_day(numbers);
        let table = match &self.by {
            Some(by) => keys::table(by, &change, &time),
            None => programs::table(&change, &time, self.per_queue),
        };
        let sends = sends::lines(&change);
        if table.is_empty() && sends.is_empty() { String::new() } else { table + &sends + "\n" }
    }

    fn total(&self, numbers: &Numbers) -> String {
        let took = self.took.as_secs_f64();
        let mut words = format!("{} total of {took:.1} s\n", time_of_day(numbers));
        words += &programs::totals(numbers, self.per_queue);
        words += &sends::totals(numbers);
        words += &sends::overflow(numbers.overflow);
        if let Some(by) = &self.by {
            words += &keys::totals(by, numbers);
        }
        words
    }
}

impl<W: Write> Sink for Tables<W> {
    /// None is asked for.
    fn packet(&mut self, _event: &Event<'_>) -> io::Result<()> {
        Ok(())
    }

    fn numbers(&mut self, numbers: &Numbers) -> io::Result<()> {
        self.took += numbers.took;
        // What has come since the last interval's end is in the total.
        let words = if numbers.is_final { self.total(numbers) } else { self.interval(numbers) };
        self.before = numbers.clone();
        self.out.write_all(words.as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// What there was at the last reading, and is now.
struct Change<'numbers> {
    before: &'numbers Numbers,
    now: &'numbers Numbers,
    took: Duration,
}

impl<'numbers> Change<'numbers> {
    /// The programs that were traced in between, each as it is now and, if it was there, as it was.
    fn programs(&self) -> impl Iterator<Item = (&'numbers Program, Option<&'numbers Program>)> {
        let Self { before, now, .. } = *self;
        let both = now.programs.iter().map(|program| (program, before_of(before, program)));
        both.filter(|(now, before)| {
            // Those of which no more is known have been told of by themselves before.
            now.is_traced || before.map_or(now.subject.is_one(), |before| before.is_traced)
        })
    }
}

fn before_of<'numbers>(before: &'numbers Numbers, program: &Program) -> Option<&'numbers Program> {
    before.programs.iter().find(|one| identity(&one.subject) == identity(&program.subject))
}

fn identity(subject: &Subject) -> (u32, &str) {
    (subject.program_id, &subject.function)
}

fn device_name(port: &Port) -> String {
    port.shown()
}

/// `XDP_DROP`, `other`, or `-` for what returns nothing.
fn verdict_name(returned: Returned) -> String {
    match returned {
        Returned::Action(verdict) => verdict.to_string(),
        Returned::Other => "other".into(),
        Returned::Nothing => "-".into(),
    }
}

/// `drop`
fn short_name(returned: Returned) -> String {
    let name = verdict_name(returned);
    name.strip_prefix("XDP_").map_or(name.clone(), str::to_ascii_lowercase)
}

fn time_of_day(numbers: &Numbers) -> String {
    LocalTime::new(numbers.time_ns).map_or_else(|| "?".into(), |time| time.to_the_second(false))
}

/// All packets, and the bytes in them.
fn sum(traffic: &Traffic) -> crate::numbers::Tally {
    let mut all = crate::numbers::Tally::default();
    traffic.verdicts.values().for_each(|tally| all.add(*tally));
    all
}

/// What verdicts there are, in their order.
fn verdicts(numbers: &Numbers) -> Vec<Returned> {
    let traffic = numbers.programs.iter().flat_map(|program| &program.traffic);
    let mut all: Vec<Returned> = traffic.flat_map(|traffic| traffic.verdicts.keys().copied()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// `XDP_REDIRECT failed with ENETDOWN`, `XDP_ABORTED (xdp_exception)`.
fn failure_name(verdict: Returned, error: Option<&str>) -> String {
    let name = verdict_name(verdict);
    match (verdict, error) {
        (_, Some(error)) => format!("{name} failed with {error}"),
        (Returned::Action(Verdict(0)), None) => format!("{name} (xdp_exception)"),
        (_, None) => format!("{name} failed"),
    }
}

/// So many a second: `0.3`, `1.23k`; `?` in no time.
fn rate(count: u64, took: Duration) -> String {
    if took.is_zero() { "?".into() } else { amount::rate(count as f64 / took.as_secs_f64()) }
}

/// `91.7%`; `?` of nothing.
fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "?".into() } else { format!("{:.1}%", part as f64 * 100.0 / whole as f64) }
}

#[cfg(test)]
pub(super) mod tests;
