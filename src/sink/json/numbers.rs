//! What a line of numbers holds: what was counted since the start. What is not known is absent.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::record::{Program, SCHEMA_VERSION, Sums};
use crate::event::Standing;
use crate::numbers::{self, Common, Failures, Forward, Latency, Numbers, Path, Port, Returned, Tally, Traffic};
use crate::plan::By;
use crate::sink::localtime::UtcTime;

/// What was counted up to one moment.
#[derive(Serialize)]
pub struct Stats<'a> {
    r#type: &'static str,
    schema_version: u32,
    time: &'a UtcTime,
    r#final: bool,
    interval_ns: u64,
    programs: Vec<Counted<'a>>,
    forwards: Vec<Sent<'a>>,
    losses: Losses,
}

/// What isn't in failures and forwards.
#[derive(Serialize)]
struct Losses {
    outcome_table_full: u64,
    forward_table_full: u64,
}

impl<'a> Stats<'a> {
    pub fn new(time: &'a UtcTime, numbers: &'a Numbers, by: Option<&'a By>) -> Self {
        Self {
            r#type: "stats",
            schema_version: SCHEMA_VERSION,
            time,
            r#final: numbers.is_final,
            interval_ns: numbers.took.as_nanos() as u64,
            programs: numbers.programs.iter().map(|program| Counted::new(program, by)).collect(),
            forwards: numbers.forwards.iter().map(Sent::new).collect(),
            losses: Losses {
                outcome_table_full: numbers.overflow.outcomes,
                forward_table_full: numbers.overflow.forwards,
            },
        }
    }
}

#[derive(Serialize)]
struct Counted<'a> {
    program: Program<'a>,
    devices: &'a [String],
    is_traced: bool,
    #[serde(flatten)]
    counts: Sums,
    traffic: Vec<Queue<'a>>,
    failures: Vec<Failed<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Keys<'a>>,
}

impl<'a> Counted<'a> {
    fn new(program: &'a numbers::Program, by: Option<&'a By>) -> Self {
        Self {
            program: Program::of(&program.subject),
            devices: &program.subject.devices,
            is_traced: program.is_traced,
            counts: Sums::new(&program.counts),
            traffic: program.traffic.iter().map(Queue::new).collect(),
            failures: program.failures.iter().map(Failed::new).collect(),
            keys: by.zip(program.keys.as_ref()).map(|(by, keys)| Keys::new(by, keys)),
        }
    }
}

#[derive(Serialize)]
struct Device<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ifindex: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    netns: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    has_gone: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_forgotten: bool,
}

impl<'a> Device<'a> {
    fn new(port: &'a Port) -> Self {
        let known = |number: u32| Some(number).filter(|number| *number > 0);
        let (ifindex, netns) = (known(port.ifindex), known(port.netns));
        let is_forgotten = port.standing == Standing::Forgotten;
        Self { device: port.name.as_deref(), ifindex, netns, has_gone: !port.is_one(), is_forgotten }
    }
}

#[derive(Serialize)]
struct Queue<'a> {
    #[serde(flatten)]
    device: Device<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<u32>,
    verdicts: Verdicts<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Times<'a>>,
}

impl<'a> Queue<'a> {
    fn new(traffic: &'a Traffic) -> Self {
        Self {
            device: Device::new(&traffic.device),
            queue: traffic.queue,
            verdicts: Verdicts(traffic),
            latency: traffic.latency.as_ref().map(Times::new),
        }
    }
}

struct Verdicts<'a>(&'a Traffic);

impl Serialize for Verdicts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.verdicts.iter().map(|(returned, tally)| (name(*returned), Sum::new(*tally))))
    }
}

fn name(returned: Returned) -> String {
    match returned {
        Returned::Action(verdict) => verdict.to_string(),
        Returned::Other => "other".into(),
        Returned::Nothing => "none".into(),
    }
}

#[derive(Serialize)]
struct Sum {
    packets: u64,
    bytes: u64,
}

impl Sum {
    fn new(Tally { packets, bytes }: Tally) -> Self {
        Self { packets, bytes }
    }
}

#[derive(Serialize)]
struct Times<'a> {
    count: u64,
    sum_ns: u64,
    max_ns: u64,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p99_ns: Option<u64>,
    p99_9_ns: Option<u64>,
    steps: Steps<'a>,
}

impl<'a> Times<'a> {
    fn new(latency: &'a Latency) -> Self {
        let quantile = |share| latency.quantile(share).map(|time| time.as_nanos() as u64);
        Self {
            count: latency.count(),
            sum_ns: latency.sum_ns,
            max_ns: latency.max_ns,
            p50_ns: quantile(0.5),
            p90_ns: quantile(0.9),
            p99_ns: quantile(0.99),
            p99_9_ns: quantile(0.999),
            steps: Steps(latency),
        }
    }
}

struct Steps<'a>(&'a Latency);

impl Serialize for Steps<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let steps = self.0.steps.iter().enumerate().filter(|(_, count)| **count > 0);
        serializer.collect_seq(steps.map(|(step, count)| {
            let (from, to) = Latency::bounds(step);
            [from, to, *count]
        }))
    }
}

#[derive(Serialize)]
struct Failed<'a> {
    #[serde(flatten)]
    device: Device<'a>,
    verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    count: u64,
}

impl<'a> Failed<'a> {
    fn new(Failures { device, verdict, error, count }: &'a Failures) -> Self {
        Self { device: Device::new(device), verdict: name(*verdict), error: error.as_deref(), count: *count }
    }
}

#[derive(Serialize)]
struct Keys<'a> {
    rows: Vec<Row<'a>>,
    other: Sum,
    evicted: u64,
}

impl<'a> Keys<'a> {
    /// Rows that aren't shown are others.
    fn new(by: &'a By, keys: &'a numbers::Keys) -> Self {
        let shown = keys.most(by, by.rows);
        let mut other = keys.other;
        keys.rows.iter().for_each(|row| other.add(row.tally));
        shown.iter().for_each(|row| other = other.since(row.tally));
        let rows = shown.iter().map(|row| Row {
            key: Key { by, key: &row.key },
            verdict: name(row.verdict),
            tally: Sum::new(row.tally),
        });
        Self { rows: rows.collect(), other: Sum::new(other), evicted: keys.evicted }
    }
}

#[derive(Serialize)]
struct Row<'a> {
    key: Key<'a>,
    verdict: String,
    #[serde(flatten)]
    tally: Sum,
}

struct Key<'a> {
    by: &'a By,
    key: &'a Common,
}

impl Serialize for Key<'_> {
    /// What is a number is one, but for a length of which it is only known that it is more.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (part, value) in self.by.parts.iter().zip(self.key.words(self.by)) {
            let Some(value) = value else { continue };
            match value.parse::<u64>().ok().filter(|_| part.is_number()) {
                Some(number) => map.serialize_entry(part.name(), &number)?,
                None => map.serialize_entry(part.name(), &value)?,
            }
        }
        map.end()
    }
}

/// What the kernel told of packets many at a time.
#[derive(Serialize)]
pub(super) struct Sent<'a> {
    #[serde(flatten)]
    way: Way<'a>,
    sent: u64,
    dropped: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Way<'a> {
    Redirect { from: Device<'a>, to: Device<'a> },
    Tx { from: Device<'a> },
    Enqueue { cpumap: u32, cpu: u32 },
    Dequeue { cpumap: u32, cpu: u32 },
}

impl<'a> Sent<'a> {
    pub(super) fn new(Forward { path, sent, dropped, error }: &'a Forward) -> Self {
        let way = match path {
            Path::Redirect { from, to } => Way::Redirect { from: Device::new(from), to: Device::new(to) },
            Path::Tx(device) => Way::Tx { from: Device::new(device) },
            Path::Enqueue { map, cpu } => Way::Enqueue { cpumap: *map, cpu: *cpu },
            Path::Dequeue { map, cpu } => Way::Dequeue { cpumap: *map, cpu: *cpu },
        };
        Self { way, sent: *sent, dropped: *dropped, error: error.as_deref() }
    }
}
