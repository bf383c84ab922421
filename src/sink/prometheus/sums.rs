//! What a series counts: the numbers of all programs, devices and queues that have the same labels, together. So one
//! goes on where a program is replaced by another of that name.
//!
//! What was counted of a device under one name stays there, and what comes once it is called otherwise goes to the new one. If
//! all of it went along to a name that another device has had, that one's series would jump, and Prometheus would take packets
//! for new ones that it has counted already.
//!
//! Where devices never cease to come and go, series may not grow without end: those of names that are no device's any more end,
//! but for the last ones.

use std::collections::{BTreeMap, BTreeSet};

use super::exposition::printable;
use crate::event::{Counts, Verdict};
use crate::numbers::{Failures, Former, Forward, Latency, Numbers, Path, Port, Program, Returned, Tally};

/// Verdicts as labels have them: the actions by their number, what is none of them, and what a void function returns.
pub const VERDICTS: [&str; 7] = ["aborted", "drop", "pass", "tx", "redirect", "other", "none"];

/// Those that are told of whether or not there was one, so that the first one is an increase.
pub const ALWAYS: usize = 6;

/// A device as the kernel tells it from others: its network namespace's inode number, and its index there; 0: not known.
type Id = (u32, u32);

/// What devices are called; those that aren't here are nameless.
type Names = BTreeMap<Id, String>;

/// Where packets were counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place<Device = String> {
    /// The receiving device; of an empty name: not known.
    pub device: Device,
    /// The traced function's name.
    pub program: String,
    /// The receive queue; None: not known, or not asked for.
    pub queue: Option<u32>,
}

/// Packets of one place.
#[derive(Debug, Clone, Default)]
pub struct Packets {
    /// By verdict, as in [`VERDICTS`].
    pub tallies: [Tally; VERDICTS.len()],
    /// None: it was not measured.
    pub latency: Option<Latency>,
}

/// What became of packets that the kernel tells of many at a time.
#[derive(Debug, Clone, Default)]
pub struct Forwarded {
    /// Packets sent on.
    pub sent: u64,
    /// Dropped, by the reason.
    pub dropped: BTreeMap<String, u64>,
}

/// A failure: where, of which verdict, and why.
pub type Reason<Device = String> = (Place<Device>, &'static str, String);

/// From where to where packets were sent on: by which way, the receiving device, and to what.
pub type Way<Device = String> = (&'static str, Device, To<Device>);

/// What packets were sent on to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum To<Device = String> {
    Cpu(u32),
    Device(Device),
}

/// All numbers, by labels.
#[derive(Debug)]
pub struct Sums<Device: Ord = String> {
    pub packets: BTreeMap<Place<Device>, Packets>,
    pub failures: BTreeMap<Reason<Device>, u64>,
    /// By the program's name.
    pub counts: BTreeMap<String, Counts>,
    pub forwards: BTreeMap<Way<Device>, Forwarded>,
}

/// What has come from reading to reading.
#[derive(Debug, Default)]
pub struct Ledger {
    /// What devices had counted at the last reading, whatever they were called.
    before: Sums<Id>,
    /// What came under names that are in use.
    sums: Sums,
    /// What came under others, too.
    former_sums: Sums,
    /// The names of those that are no device's any more.
    former: Former,
}

impl Ledger {
    /// Adds what has come since the last reading, under the names of this one, by queue too if that `per_queue` says so. All there
    /// is under names that are in use, and what is of others, for which there is less of a need.
    pub fn read(&mut self, numbers: &Numbers, per_queue: bool) -> [&Sums; 2] {
        let (now, names) = (Sums::new(numbers, per_queue), names(numbers));
        self.sort(&in_use(numbers, &names));
        let Self { before, sums, .. } = self;
        if !per_queue {
            sums.add_idle(numbers);
        }
        for (place, packets) in &now.packets {
            let came = packets.since(before.packets.get(place));
            sums.packets.entry(place.named(&names)).or_default().add(&came);
        }
        for (reason @ (place, verdict, why), count) in &now.failures {
            let came = since(*count, before.failures.get(reason).copied());
            *sums.failures.entry((place.named(&names), verdict, why.clone())).or_default() += came;
        }
        for (way, forwarded) in &now.forwards {
            let came = forwarded.since(before.forwards.get(way));
            sums.forwards.entry(named_way(way, &names)).or_default().add(&came);
        }
        sums.counts.clone_from(&now.counts);
        *before = now;
        self.keep_programs();
        [&self.sums, &self.former_sums]
    }

    /// Tells names that are in use from others. Of these, the series end of those that have been no device's for longest; one that is a
    /// device's once more begins at 0 then, which Prometheus takes for what it is.
    fn sort(&mut self, in_use: &BTreeSet<String>) {
        let Self { sums, former_sums, former, .. } = self;
        let is_in_use = |name: &&String| in_use.contains(*name);
        if sums.devices().all(|name| is_in_use(&name)) && !former_sums.devices().any(|name| is_in_use(&name)) {
            return;
        }
        sums.take(former_sums);
        let gone: BTreeSet<String> = sums.devices().filter(|name| !is_in_use(name)).cloned().collect();
        sums.end(&former.forget(&gone, in_use));
        *former_sums = sums.split(|device| !in_use.contains(device));
    }

    /// Programs that aren't told of any more have no series.
    fn keep_programs(&mut self) {
        let Self { sums: Sums { counts, packets, failures, .. }, former_sums, .. } = self;
        for packets in [packets, &mut former_sums.packets] {
            packets.retain(|place, _| counts.contains_key(&place.program));
        }
        for failures in [failures, &mut former_sums.failures] {
            failures.retain(|(place, ..), _| counts.contains_key(&place.program));
        }
    }
}

impl Sums {
    /// Names of devices; some of them often.
    fn devices(&self) -> impl Iterator<Item = &String> {
        let counted =
            self.packets.keys().chain(self.failures.keys().map(|(place, ..)| place)).map(|place| &place.device);
        counted.chain(self.forwards.keys().flat_map(devices_of))
    }

    /// Takes over what another one has, which has none of the same series.
    fn take(&mut self, other: &mut Self) {
        self.packets.append(&mut other.packets);
        self.failures.append(&mut other.failures);
        self.forwards.append(&mut other.forwards);
    }

    /// Hands over the series of these devices.
    fn split(&mut self, is_one: impl Fn(&String) -> bool) -> Self {
        let packets = split(&mut self.packets, |place| is_one(&place.device));
        let failures = split(&mut self.failures, |(place, ..)| is_one(&place.device));
        let forwards = split(&mut self.forwards, |way| devices_of(way).any(&is_one));
        Self { packets, failures, forwards, ..Self::default() }
    }

    /// No series has any of these devices any more.
    fn end(&mut self, devices: &BTreeSet<String>) {
        self.packets.retain(|place, _| !devices.contains(&place.device));
        self.failures.retain(|(place, ..), _| !devices.contains(&place.device));
        self.forwards.retain(|way, _| !devices_of(way).any(|device| devices.contains(device)));
    }

    /// What is traced on a device is told of also where no packet has come yet.
    fn add_idle(&mut self, numbers: &Numbers) {
        let traced = numbers.programs.iter().filter(|program| program.is_traced);
        for subject in traced.map(|program| &program.subject) {
            for device in &subject.devices {
                let place = Place { device: printable(device), program: subject.function.clone(), queue: None };
                self.packets.entry(place).or_default();
            }
        }
    }
}

impl Sums<Id> {
    /// Sums them up by what devices they are of, not by what these are called. What is kept of devices that have gone was counted
    /// as theirs while they were there.
    fn new(numbers: &Numbers, per_queue: bool) -> Self {
        let mut sums = Self::default();
        for program in numbers.programs.iter().filter(|program| program.subject.is_one()) {
            sums.add_packets(program, per_queue);
            sums.add_failures(program);
            let counts = sums.counts.entry(program.subject.function.clone()).or_insert_with(Counts::none);
            counts.add(&program.counts);
        }
        let forwards = numbers.forwards.iter().filter(|forward| forward.path.ports().all(Port::is_one));
        forwards.for_each(|forward| sums.add_forward(forward));
        sums
    }

    fn add_packets(&mut self, program: &Program, per_queue: bool) {
        for traffic in program.traffic.iter().filter(|traffic| traffic.device.is_one()) {
            let queue = traffic.queue.filter(|_| per_queue);
            let place = Place { queue, ..place(&traffic.device, program) };
            let packets = self.packets.entry(place).or_default();
            traffic.verdicts.iter().for_each(|(returned, tally)| packets.tallies[number(*returned)].add(*tally));
            if let Some(latency) = &traffic.latency {
                packets.latency.get_or_insert_default().add(latency);
            }
        }
    }

    fn add_failures(&mut self, program: &Program) {
        let failures = program.failures.iter().filter(|failures| failures.device.is_one());
        for Failures { device, verdict, error, count } in failures {
            let verdict = VERDICTS[number(*verdict)];
            // Where the kernel gives no reason, the name of the tracepoint that tells.
            let reason = error.clone().unwrap_or_else(|| "xdp_exception".into());
            *self.failures.entry((place(device, program), verdict, reason)).or_default() += count;
        }
    }

    fn add_forward(&mut self, forward: &Forward) {
        let way = match &forward.path {
            Path::Redirect { from, to } => ("redirect", id(from), To::Device(id(to))),
            Path::Tx(device) => ("tx", id(device), To::Device(id(device))),
            Path::Enqueue { cpu, .. } => ("cpumap_enqueue", id(&Port::default()), To::Cpu(*cpu)),
            Path::Dequeue { cpu, .. } => ("cpumap_dequeue", id(&Port::default()), To::Cpu(*cpu)),
        };
        let forwarded = self.forwards.entry(way).or_default();
        forwarded.sent += forward.sent;
        *forwarded.dropped.entry(forward.error.clone().unwrap_or_default()).or_default() += forward.dropped;
    }
}

impl<Device: Ord> Default for Sums<Device> {
    fn default() -> Self {
        let (packets, failures, counts, forwards) = Default::default();
        Self { packets, failures, counts, forwards }
    }
}

impl Place<Id> {
    fn named(&self, names: &Names) -> Place {
        let Self { device, program, queue } = self;
        Place { device: name(*device, names), program: program.clone(), queue: *queue }
    }
}

impl Packets {
    fn add(&mut self, other: &Self) {
        self.tallies.iter_mut().zip(other.tallies).for_each(|(sum, tally)| sum.add(tally));
        if let Some(latency) = &other.latency {
            self.latency.get_or_insert_default().add(latency);
        }
    }

    fn since(&self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self.clone() };
        let mut came = self.clone();
        came.tallies.iter_mut().zip(before.tallies).for_each(|(now, then)| *now = now.since(then));
        let then = before.latency.as_ref();
        came.latency = came.latency.map(|now| then.map_or_else(|| now.clone(), |then| now.since(then)));
        came
    }
}

impl Forwarded {
    fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        other.dropped.iter().for_each(|(reason, count)| *self.dropped.entry(reason.clone()).or_default() += count);
    }

    fn since(&self, before: Option<&Self>) -> Self {
        let dropped = self.dropped.iter().map(|(reason, count)| {
            let then = before.and_then(|before| before.dropped.get(reason)).copied();
            (reason.clone(), since(*count, then))
        });
        Self { sent: since(self.sent, before.map(|before| before.sent)), dropped: dropped.collect() }
    }
}

/// Takes out what has one of these keys.
fn split<Key: Ord, Value>(all: &mut BTreeMap<Key, Value>, is_one: impl Fn(&Key) -> bool) -> BTreeMap<Key, Value> {
    let (these, others) = std::mem::take(all).into_iter().partition(|(key, _)| is_one(key));
    *all = others;
    these
}

fn since(now: u64, then: Option<u64>) -> u64 {
    now.saturating_sub(then.unwrap_or_default())
}

fn place(device: &Port, program: &Program) -> Place<Id> {
    Place { device: id(device), program: program.subject.function.clone(), queue: None }
}

fn id(port: &Port) -> Id {
    (port.netns, port.ifindex)
}

/// A device's name; one that isn't known has none.
fn name(device: Id, names: &Names) -> String {
    names.get(&device).cloned().unwrap_or_default()
}

fn named_way((path, from, to): &Way<Id>, names: &Names) -> Way {
    let to = match to {
        To::Cpu(cpu) => To::Cpu(*cpu),
        To::Device(device) => To::Device(name(*device, names)),
    };
    (path, name(*from, names), to)
}

fn devices_of((_, from, to): &Way) -> impl Iterator<Item = &String> {
    let to = match to {
        To::Cpu(_) => None,
        To::Device(device) => Some(device),
    };
    [from].into_iter().chain(to)
}

/// What the devices of a reading are called in it, as it is shown: two names that look alike are one.
fn names(numbers: &Numbers) -> Names {
    let of_programs = numbers.programs.iter().flat_map(|program| {
        let failed = program.failures.iter().map(|failures| &failures.device);
        program.traffic.iter().map(|traffic| &traffic.device).chain(failed)
    });
    let all = of_programs.chain(numbers.forwards.iter().flat_map(|forward| forward.path.ports()));
    all.filter(|port| port.is_one()).filter_map(|port| Some((id(port), printable(port.name.as_ref()?)))).collect()
}

/// Names of devices that something was counted of, or that are traced; also that of those that aren't known.
fn in_use(numbers: &Numbers, names: &Names) -> BTreeSet<String> {
    let traced = numbers.programs.iter().filter(|program| program.is_traced);
    let traced = traced.flat_map(|program| &program.subject.devices).map(|device| printable(device));
    names.values().cloned().chain(traced).chain([String::new()]).collect()
}

fn number(returned: Returned) -> usize {
    match returned {
        Returned::Action(Verdict(action)) => (action as usize).min(ALWAYS - 1),
        Returned::Other => ALWAYS - 1,
        Returned::Nothing => ALWAYS,
    }
}
