//! A row for each device and program: rates of an interval, and what they came to.

use std::collections::BTreeMap;
use std::time::Duration;

use super::table::Table;
use super::{Change, amount, device_name, failure_name, rate, share, short_name, sum, verdict_name, verdicts};
use crate::numbers::{Failures, Latency, Numbers, Port, Program, Returned, Tally, Traffic};

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// A program's packets by device, by queue, too, where that is asked for; what devices are called may change.
type Grouped = BTreeMap<(Port, Option<Option<u32>>), Traffic>;

fn grouped(program: &Program, per_queue: bool) -> Grouped {
    let mut all = Grouped::new();
    for traffic in &program.traffic {
        let device = &traffic.device;
        let name = device.name.clone().filter(|_| !device.is_one());
        let place = (Port { name, ..device.clone() }, per_queue.then_some(traffic.queue));
        let new = || Traffic { device: traffic.device.clone(), queue: traffic.queue, ..Traffic::default() };
        all.entry(place).or_insert_with(new).add(traffic);
    }
    all
}

/// The interval's rows below the time of day; none where nothing was traced.
pub(super) fn table(change: &Change<'_>, time: &str, per_queue: bool) -> String {
    let is_timed = change.now.programs.iter().flat_map(|program| &program.traffic).any(|one| one.latency.is_some());
    let shown = Columns { verdicts: verdicts(change.now), is_timed, per_queue, took: change.took };
    let mut table = Table::new(shown.titles(time), 2);
    let mut is_empty = true;
    for (program, before) in change.programs() {
        let (now, before) =
            (shown.grouped(program), before.map(|before| grouped(before, per_queue)).unwrap_or_default());
        is_empty = false;
        for (place, traffic) in now {
            let none = Traffic::default();
            table.add(shown.row(program, &traffic, before.get(&place).unwrap_or(&none)));
        }
    }
    if is_empty { String::new() } else { table.lines() }
}

struct Columns {
    verdicts: Vec<Returned>,
    is_timed: bool,
    per_queue: bool,
    took: Duration,
}

impl Columns {
    fn titles(&self, time: &str) -> Vec<String> {
        let queue = self.per_queue.then(|| "queue".to_owned());
        let verdicts = self.verdicts.iter().map(|verdict| short_name(*verdict) + "/s");
        let latency = QUANTILES.iter().map(|(name, _)| *name).chain(["max"]).filter(|_| self.is_timed);
        let first = [time, "program"].map(str::to_owned).into_iter().chain(queue);
        let rates = ["packets/s", "bits/s"].map(str::to_owned);
        first.chain(rates).chain(verdicts).chain(latency.map(str::to_owned)).collect()
    }

    /// The program's packets, of devices that are there; where there were none, those of its devices.
    fn grouped(&self, program: &Program) -> Grouped {
        let mut all = grouped(program, self.per_queue);
        all.retain(|(device, _), _| device.is_one());
        if all.is_empty() {
            let name = Some(program.subject.devices.join(",")).filter(|name| !name.is_empty());
            let device = Port { name, ..Port::default() };
            all.insert((Port::default(), self.per_queue.then_some(None)), Traffic { device, ..Traffic::default() });
        }
        all
    }

    fn row(&self, program: &Program, now: &Traffic, before: &Traffic) -> Vec<String> {
        let all = sum(now).since(sum(before));
        let queue = now.queue.map_or_else(|| "?".into(), |queue| queue.to_string());
        let mut row = vec![device_name(&now.device), program.subject.shown()];
        row.extend(self.per_queue.then_some(queue));
        row.extend([rate(all.packets, self.took), rate(all.bytes * 8, self.took)]);
        let count = |traffic: &Traffic, verdict| traffic.verdicts.get(verdict).map_or(0, |tally: &Tally| tally.packets);
        let come = |verdict| count(now, verdict).saturating_sub(count(before, verdict));
        row.extend(self.verdicts.iter().map(|verdict| rate(come(verdict), self.took)));
        if self.is_timed {
            row.extend(times(now.latency.as_ref(), before.latency.as_ref()));
        }
        row
    }
}

/// What part of the runs took how long since then at most; and, since the start, any.
fn times(now: Option<&Latency>, before: Option<&Latency>) -> Vec<String> {
    let since = now.map(|now| before.map_or_else(|| now.clone(), |before| now.since(before)));
    let since = since.as_ref();
    let times = QUANTILES.iter().map(|(_, share)| since.and_then(|since| since.quantile(*share)));
    let times = times.chain([since.map(|since| Duration::from_nanos(since.max_ns))]);
    times.map(|time| time.map_or_else(|| "?".into(), amount::time)).collect()
}

/// What all came to, exactly.
pub(super) fn totals(numbers: &Numbers, per_queue: bool) -> String {
    let mut words = String::new();
    for program in &numbers.programs {
        let name = program.subject.shown();
        for ((_, queue), traffic) in grouped(program, per_queue) {
            let queue = queue.map(|queue| queue.map_or_else(|| "?".into(), |queue| queue.to_string()));
            let queue = queue.map_or_else(String::new, |queue| format!(" queue {queue}"));
            let Tally { packets, bytes } = sum(&traffic);
            words += &format!("{} {name}{queue}: {packets} packets, {bytes} bytes\n", device_name(&traffic.device));
            words += &verdict_lines(&traffic, packets);
        }
        if program.traffic.is_empty() {
            words += &format!("{name}: 0 packets\n");
        }
        words += &failure_lines(&program.failures);
    }
    words
}

fn verdict_lines(traffic: &Traffic, packets: u64) -> String {
    let mut table = Table::new(vec![], 1);
    for (returned, tally) in &traffic.verdicts {
        let share = share(tally.packets, packets);
        let counts = [format!("{} packets", tally.packets), share, format!("{} bytes", tally.bytes)];
        table.add([format!("  {}", verdict_name(*returned))].into_iter().chain(counts).collect());
    }
    let latency = traffic.latency.as_ref().map_or_else(String::new, |latency| {
        let names = QUANTILES.iter().map(|(name, _)| *name).chain(["max"]);
        let times = names.zip(times(Some(latency), None)).map(|(name, time)| format!("{name} {time}"));
        format!("  latency: {}\n", times.collect::<Vec<_>>().join(", "))
    });
    table.lines().trim_start_matches('\n').to_owned() + &latency
}

fn failure_lines(failures: &[Failures]) -> String {
    let lines = failures.iter().map(|Failures { device, verdict, error, count }| {
        format!("  {}: {} {count} times\n", device_name(device), failure_name(*verdict, error.as_deref()))
    });
    lines.collect()
}
