//! What a series counts: the numbers of all programs, devices and queues that have the same labels, together. So one
//! goes on where a program is replaced by another of that name.

use std::collections::BTreeMap;

use crate::event::{Counts, Verdict};
use crate::numbers::{Failures, Forward, Latency, Numbers, Path, Port, Program, Returned, Standing, Tally};

/// Verdicts as labels have them: the actions by their number, what is none of them, and what a void function returns.
pub const VERDICTS: [&str; 7] = ["aborted", "drop", "pass", "tx", "redirect", "other", "none"];

/// Those that are told of whether or not there was one, so that the first one is an increase.
pub const ALWAYS: usize = 6;

/// Where packets were counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place<'n> {
    /// The receiving device's name; empty: not known.
    pub device: &'n str,
    /// The traced function's name.
    pub program: &'n str,
    /// The receive queue; None: not known, or not asked for.
    pub queue: Option<u32>,
}

/// Packets of one place.
#[derive(Debug, Default)]
pub struct Packets {
    /// By verdict, as in [`VERDICTS`].
    pub tallies: [Tally; VERDICTS.len()],
    /// None: it was not measured.
    pub latency: Option<Latency>,
}

/// What became of packets that the kernel tells of many at a time.
#[derive(Debug, Default)]
pub struct Forwarded {
    pub sent: u64,
    /// Dropped, by the reason.
    pub dropped: BTreeMap<String, u64>,
}

/// A failure: where, of which verdict, and why.
pub type Reason<'n> = (Place<'n>, &'static str, &'n str);

/// From where to where packets were sent on: by which way, the receiving device, and to what.
pub type Way<'n> = (&'static str, &'n str, String);

/// All numbers, by labels.
#[derive(Debug, Default)]
pub struct Sums<'n> {
    pub packets: BTreeMap<Place<'n>, Packets>,
    pub failures: BTreeMap<Reason<'n>, u64>,
    /// By the program's name.
    pub counts: BTreeMap<&'n str, Counts>,
    pub forwards: BTreeMap<Way<'n>, Forwarded>,
}

impl<'n> Sums<'n> {
    /// Sums them up, by queue too if that `per_queue` says so.
    pub fn new(numbers: &'n Numbers, per_queue: bool) -> Self {
        let mut sums = Self::default();
        for program in &numbers.programs {
            sums.add_packets(program, per_queue);
            sums.add_failures(program);
            let counts = sums.counts.entry(&program.subject.function).or_insert_with(Counts::none);
            counts.add(&program.counts);
        }
        let forwards = numbers.forwards.iter().filter(|forward| forward.path.ports().all(has_series));
        forwards.for_each(|forward| sums.add_forward(forward));
        sums
    }

    fn add_packets(&mut self, program: &'n Program, per_queue: bool) {
        let subject = &program.subject;
        if !per_queue {
            // Also where no packet has come yet.
            for device in &subject.devices {
                self.packets.entry(Place { device, program: &subject.function, queue: None }).or_default();
            }
        }
        for traffic in program.traffic.iter().filter(|traffic| has_series(&traffic.device)) {
            let queue = traffic.queue.filter(|_| per_queue);
            let place = Place { device: name(&traffic.device), program: &subject.function, queue };
            let packets = self.packets.entry(place).or_default();
            traffic.verdicts.iter().for_each(|(returned, tally)| packets.tallies[number(*returned)].add(*tally));
            if let Some(latency) = &traffic.latency {
                packets.latency.get_or_insert_default().add(latency);
            }
        }
    }

    fn add_failures(&mut self, program: &'n Program) {
        let failures = program.failures.iter().filter(|failures| has_series(&failures.device));
        for Failures { device, verdict, error, count } in failures {
            let place = Place { device: name(device), program: &program.subject.function, queue: None };
            let verdict = VERDICTS[number(*verdict)];
            // Where the kernel gives no reason, the name of the tracepoint that tells.
            let reason = error.as_deref().unwrap_or("xdp_exception");
            *self.failures.entry((place, verdict, reason)).or_default() += count;
        }
    }

    fn add_forward(&mut self, forward: &'n Forward) {
        let way = match &forward.path {
            Path::Redirect { from, to } => ("redirect", name(from), name(to).to_owned()),
            Path::Tx(device) => ("tx", name(device), name(device).to_owned()),
            Path::Enqueue { cpu, .. } => ("cpumap_enqueue", "", format!("cpu{cpu}")),
            Path::Dequeue { cpu, .. } => ("cpumap_dequeue", "", format!("cpu{cpu}")),
        };
        let forwarded = self.forwards.entry(way).or_default();
        forwarded.sent += forward.sent;
        *forwarded.dropped.entry(forward.error.clone().unwrap_or_default()).or_default() += forward.dropped;
    }
}

/// Whether there is a series of it: those of devices that have gone end when their names are forgotten, all at once.
fn has_series(port: &Port) -> bool {
    port.standing != Standing::Forgotten
}

/// A device's name; one that isn't known has none.
fn name(port: &Port) -> &str {
    port.name.as_deref().unwrap_or_default()
}

fn number(returned: Returned) -> usize {
    match returned {
        Returned::Action(Verdict(action)) => (action as usize).min(ALWAYS - 1),
        Returned::Other => ALWAYS - 1,
        Returned::Nothing => ALWAYS,
    }
}
