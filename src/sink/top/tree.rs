//! Two readings → devices and the programs on their paths, with what came in between.

use std::collections::BTreeMap;

use super::words;
use crate::event::{Subject, Verdict};
use crate::numbers::{Latency, Numbers, Port, Program, Returned, Tally};

/// A device, or one of the programs on its path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId {
    /// What the device is called.
    pub device: String,
    /// The program's id and the function's name; None: the device itself.
    pub program: Option<(u32, String)>,
}

/// What was counted of a row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// Packets and bytes by what was returned.
    pub verdicts: BTreeMap<Returned, Tally>,
    /// None: it was not measured.
    pub latency: Option<Latency>,
    /// Verdicts that came to nothing.
    pub failures: u64,
}

/// What was counted between two readings.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// The time between.
    pub seconds: f64,
    /// What came.
    pub came: Totals,
}

/// A row, and those below it.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Which.
    pub id: RowId,
    /// By what it gets its packets: `component 0`; empty where it is a device or its own program.
    pub role: String,
    /// `eth0`, `xdp_lb#12`.
    pub name: String,
    /// All that was counted; None: not known, as of a device whose own program isn't traced.
    pub totals: Option<Totals>,
    /// What came since the reading before; None: not known, as there was none.
    pub live: Option<Live>,
    /// The programs behind it.
    pub below: Vec<Branch>,
}

impl Totals {
    /// What was counted of a program's packets of one device.
    fn of(program: &Program, device: &str) -> Self {
        Self::of_those(program, |port| words::is_called(port, device))
    }

    /// What was counted of its packets of these devices.
    fn of_those(program: &Program, is_one: impl Fn(&Port) -> bool) -> Self {
        let mut totals = Self::default();
        for traffic in program.traffic.iter().filter(|traffic| is_one(&traffic.device)) {
            let latency = traffic.latency.clone();
            totals.add(&Self { verdicts: traffic.verdicts.clone(), latency, failures: 0 });
        }
        let failures = program.failures.iter().filter(|failures| is_one(&failures.device));
        totals.failures = failures.map(|failures| failures.count).sum();
        totals
    }

    /// What had been counted at an earlier reading of a program's packets, of what is one device now, whatever it was called then.
    fn before(earlier: &Program, now: &Program, device: &str) -> Self {
        let id = |port: &Port| (port.netns, port.ifindex);
        let there: BTreeMap<_, _> =
            ports(now).filter(|port| port.is_one() && id(port) != (0, 0)).map(|port| (id(port), port)).collect();
        Self::of_those(earlier, |port| words::is_called(there.get(&id(port)).copied().unwrap_or(port), device))
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        for (returned, tally) in &other.verdicts {
            self.verdicts.entry(*returned).or_default().add(*tally);
        }
        match (&mut self.latency, &other.latency) {
            (Some(latency), Some(other)) => latency.add(other),
            (None, other) => self.latency.clone_from(other),
            (Some(_), None) => {}
        }
        self.failures += other.failures;
    }

    /// What has come since an earlier reading.
    fn since(&self, earlier: &Self) -> Self {
        let before = |returned| earlier.verdicts.get(returned).copied().unwrap_or_default();
        let verdicts = self.verdicts.iter().map(|(returned, tally)| (*returned, tally.since(before(returned))));
        let none = Latency::default();
        let before = earlier.latency.as_ref().unwrap_or(&none);
        Self {
            latency: self.latency.as_ref().map(|latency| latency.since(before)),
            failures: self.failures.saturating_sub(earlier.failures),
            verdicts: verdicts.collect(),
        }
    }

    /// All packets.
    pub fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        self.verdicts.values().for_each(|tally| sum.add(*tally));
        sum
    }

    /// Packets that go nowhere.
    fn drops(&self) -> u64 {
        let of = |action| self.verdicts.get(&Returned::Action(Verdict(action))).map_or(0, |tally| tally.packets);
        of(0) + of(1)
    }
}

impl Live {
    /// Packets a second.
    pub fn packets(&self) -> f64 {
        self.a_second(self.came.sum().packets)
    }

    /// Bits a second.
    pub fn bits(&self) -> f64 {
        self.a_second(self.came.sum().bytes) * 8.0
    }

    /// Dropped or aborted packets a second.
    pub fn drops(&self) -> f64 {
        self.a_second(self.came.drops())
    }

    /// Verdicts that came to nothing, a second.
    pub fn errors(&self) -> f64 {
        self.a_second(self.came.failures)
    }

    /// So many in this time.
    pub fn a_second(&self, count: u64) -> f64 {
        count as f64 / self.seconds
    }
}

impl Branch {
    /// All rows of it, itself first, and how far they are indented.
    pub fn rows<'tree>(&'tree self, depth: usize, rows: &mut Vec<(usize, &'tree Self)>) {
        rows.push((depth, self));
        self.below.iter().for_each(|branch| branch.rows(depth + 1, rows));
    }

    fn program(program: &Program, device: &str) -> Self {
        let subject = &program.subject;
        Self {
            id: RowId { device: device.into(), program: Some((subject.program_id, subject.function.clone())) },
            role: program.behind.as_ref().map_or_else(String::new, |behind| behind.role.clone()),
            name: subject.shown(),
            totals: Some(Totals::of(program, device)),
            live: None,
            below: Vec::new(),
        }
    }

    fn device(name: &str, numbers: &Numbers) -> Self {
        let programs: Vec<&Program> = traced(numbers).filter(|program| is_on(program, name)).collect();
        let mut totals = None::<Totals>;
        for program in programs.iter().filter(|program| program.behind.is_none()) {
            totals.get_or_insert_default().add(&Totals::of(program, name));
        }
        let id = RowId { device: name.into(), program: None };
        let below = below(&programs, name);
        Self { id, role: String::new(), name: name.into(), totals, live: None, below }
    }

    /// Compares with what was so many seconds ago. Of a program that wasn't there, all has come since; a device's row is what
    /// its own programs' are, whichever those are meanwhile.
    fn compare(&mut self, readings: [&Numbers; 2], seconds: f64) {
        self.below.iter_mut().for_each(|branch| branch.compare(readings, seconds));
        let came = match self.id.program {
            Some(_) => self.totals.as_ref().map(|now| now.since(&self.before(readings))),
            None => self.totals.as_ref().map(|_| self.came_below()),
        };
        self.live = came.map(|came| Live { seconds, came });
    }

    /// What had been counted of a program, traced or not, at the first of two readings.
    fn before(&self, readings: [&Numbers; 2]) -> Totals {
        let is_it = |program: &&Program| {
            let Subject { program_id, function, .. } = &program.subject;
            self.id.program.as_ref().is_some_and(|(id, name)| id == program_id && name == function)
        };
        let [Some(before), Some(now)] = readings.map(|reading| reading.programs.iter().find(is_it)) else {
            return Totals::default();
        };
        Totals::before(before, now, &self.id.device)
    }

    fn came_below(&self) -> Totals {
        let mut sum = Totals::default();
        let own = self.below.iter().filter(|branch| branch.role.is_empty());
        own.filter_map(|branch| branch.live.as_ref()).for_each(|live| sum.add(&live.came));
        sum
    }
}

/// The programs, those behind another below it.
fn below(programs: &[&Program], device: &str) -> Vec<Branch> {
    let is_traced = |id: u32| programs.iter().any(|other| other.subject.program_id == id);
    let first = |program: &&&Program| program.behind.as_ref().is_none_or(|behind| !is_traced(behind.program_id));
    programs.iter().filter(first).map(|program| behind(program, programs, device, 0)).collect()
}

fn behind(program: &Program, programs: &[&Program], device: &str, depth: usize) -> Branch {
    /// Tail calls may go round in circles.
    const DEEPEST: usize = 16;
    let mut branch = Branch::program(program, device);
    // Behind a function of a program is nothing: what it hands on to is behind the program.
    let is_function = program.behind.as_ref().is_some_and(|behind| behind.program_id == program.subject.program_id);
    let leads_to = |other: &&&Program| {
        let behind = other.behind.as_ref().map(|behind| behind.program_id);
        behind == Some(program.subject.program_id) && !is_function && depth < DEEPEST
    };
    branch.below = programs.iter().filter(leads_to).map(|other| behind(other, programs, device, depth + 1)).collect();
    branch
}

fn traced(numbers: &Numbers) -> impl Iterator<Item = &Program> {
    numbers.programs.iter().filter(|program| program.is_traced)
}

fn ports(program: &Program) -> impl Iterator<Item = &Port> {
    let failed = program.failures.iter().map(|failures| &failures.device);
    program.traffic.iter().map(|traffic| &traffic.device).chain(failed)
}

/// What the devices are called on whose path a program is, as far as that is known.
fn devices(program: &Program) -> Vec<String> {
    let mut names: Vec<String> = program.subject.devices.iter().map(|name| name.escape_default().to_string()).collect();
    // What has gone has no row; but its packets are in that of another one of its name.
    let here = program.traffic.iter().filter(|traffic| traffic.device.is_one());
    names.extend(here.map(|traffic| words::port(&traffic.device)));
    if names.is_empty() {
        names.push("?".into());
    }
    names
}

fn is_on(program: &Program, device: &str) -> bool {
    devices(program).iter().any(|name| name == device)
}

/// The devices of a reading, in the order in which their programs stand there.
fn grown(numbers: &Numbers) -> Vec<Branch> {
    let mut names: Vec<String> = Vec::new();
    for name in traced(numbers).flat_map(devices) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.iter().map(|name| Branch::device(name, numbers)).collect()
}

/// The tree of a reading, and what has come since the one before it.
pub fn grow(now: &Numbers, before: Option<&Numbers>) -> Vec<Branch> {
    let mut branches = grown(now);
    // Programs were counted from when they were attached to, one after the other: how long before the first reading that
    // was, nobody knows. And a clock may be set back.
    let Some(before) = before.filter(|before| before.time_ns < now.time_ns) else {
        return branches;
    };
    let seconds = (now.time_ns - before.time_ns) as f64 / 1e9;
    branches.iter_mut().for_each(|branch| branch.compare([before, now], seconds));
    branches
}
