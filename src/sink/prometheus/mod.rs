//! Numbers for Prometheus: each reading becomes an exposition in both of its formats, which whoever asks for it gets, by HTTP.
//!
//! No label is unbounded: programs are called by their function's name, for an id changes whenever one is replaced, and
//! nothing has an address or a port.

mod exposition;
mod families;
mod histogram;
mod sums;

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::exposition::printable;
use self::exposition::{Exposition, Labels};
use self::sums::{ALWAYS, Ledger, Packets, Place, Sums, To, VERDICTS, Way};
use super::{Notice, Sink, tell};
use crate::event::{Counts, Event, Overflow};
use crate::export::{Board, Listener, Server, Snapshot};
use crate::numbers::Numbers;

/// The names of all samples that there can be.
pub fn names() -> Vec<String> {
    families::ALL.iter().flat_map(|family| family.samples()).collect()
}

/// What Prometheus scrapes.
#[derive(Debug)]
pub struct Prometheus {
    /// Until there is a server.
    listener: Option<Listener>,
    server: Option<Server>,
    board: Arc<Board>,
    per_queue: bool,
    ledger: Ledger,
    /// Why something could not be traced, if that was the last thing to be said of what is traced.
    refused: Option<String>,
    /// How long the last exposition took to make.
    took: Duration,
}

impl Prometheus {
    /// For whom `listener` hears; numbers are read every `interval`, and queues have series of their own if
    /// `per_queue` says so.
    pub fn new(listener: Listener, interval: Duration, per_queue: bool) -> Self {
        let board = Arc::new(Board::new(interval));
        let (server, ledger, refused, took) = Default::default();
        Self { listener: Some(listener), server, board, per_queue, ledger, refused, took }
    }

    /// Starts to answer. Not before there is an answer.
    fn serve(&mut self) -> io::Result<()> {
        if let Some(listener) = self.listener.take() {
            // Whoever closed stderr doesn't want to know.
            let _ = writeln!(io::stderr(), "listening on {}", listener.address());
            self.server = Some(listener.serve(Arc::clone(&self.board))?);
        }
        Ok(())
    }

    /// How things stand, in words.
    fn state(&self, numbers: &Numbers) -> String {
        let state = match traced(numbers) {
            0 => "waiting for an XDP program".into(),
            1 => "1 function traced".into(),
            count => format!("{count} functions traced"),
        };
        match &self.refused {
            Some(refused) => format!("{state}; not traced: {refused}"),
            None => state,
        }
    }
}

impl Sink for Prometheus {
    fn packet(&mut self, _event: &Event<'_>) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn numbers(&mut self, numbers: &Numbers) -> io::Result<()> {
        let begun = Instant::now();
        let exposition = expose(numbers, self.ledger.read(numbers, self.per_queue), self.took);
        self.board.post(Snapshot {
            text: exposition.text().into(),
            open_metrics: exposition.open_metrics().into(),
            state: self.state(numbers),
            taken: begun,
        });
        self.took = begun.elapsed();
        self.serve()
    }

    fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        match notice {
            Notice::NotTraced(refused) => self.refused = Some(refused.clone()),
            Notice::Attached { .. } | Notice::Detached(_) => self.refused = None,
            _ => {}
        }
        tell(notice);
        Ok(())
    }
}

fn traced(numbers: &Numbers) -> usize {
    numbers.programs.iter().filter(|program| program.is_traced).count()
}

/// Everything, the most important first: what is of devices that are there, and then, as far as there is room, of `former` names.
fn expose(numbers: &Numbers, [sums, former]: [&Sums; 2], took: Duration) -> Exposition {
    let mut exposition = Exposition::default();
    let none = Labels::default();
    let version = Labels::new(&[("version", env!("CARGO_PKG_VERSION"))]);
    exposition.add(&families::BUILD, |samples| samples.one(&version, 1));
    exposition.add(&families::READING, |samples| samples.one(&none, Seconds(numbers.time_ns)));
    exposition.add(&families::RENDERING, |samples| samples.one(&none, Seconds(took.as_nanos() as u64)));
    exposition.add(&families::PROGRAMS, |samples| samples.one(&none, traced(numbers)));
    add_programs(&mut exposition, numbers);
    add_losses(&mut exposition, numbers);
    add_counts(&mut exposition, sums);
    for sums in [sums, former] {
        add_packets(&mut exposition, sums);
        add_errors(&mut exposition, sums);
        add_latencies(&mut exposition, sums);
        add_forwards(&mut exposition, sums);
    }
    let (series, left_out) = (exposition.series(), exposition.left_out());
    exposition.add_always(&families::SERIES, |samples| samples.one(&none, series));
    exposition.add_always(&families::LEFT_OUT, |samples| samples.one(&none, left_out));
    exposition
}

fn add_programs(exposition: &mut Exposition, numbers: &Numbers) {
    for program in numbers.programs.iter().filter(|program| program.is_traced) {
        let subject = &program.subject;
        let id = subject.program_id.to_string();
        let labels = Labels::new(&[("program", &subject.function), ("id", &id), ("name", &subject.program_name)]);
        // Two series with the same labels would cost Prometheus the whole scrape.
        let mut devices: BTreeSet<String> = subject.devices.iter().map(|device| printable(device)).collect();
        if devices.is_empty() {
            devices.insert(String::new());
        }
        exposition.add(&families::PROGRAM, |samples| {
            devices.iter().for_each(|device| samples.one(&labels.clone().with("device", device), 1));
        });
    }
}

fn add_packets(exposition: &mut Exposition, sums: &Sums) {
    for (place, packets) in &sums.packets {
        let by_verdict = by_verdict(place, packets);
        exposition.add(&families::PACKETS, |samples| {
            by_verdict.iter().for_each(|(labels, verdict)| samples.one(labels, packets.tallies[*verdict].packets));
        });
    }
    for (place, packets) in &sums.packets {
        let by_verdict = by_verdict(place, packets);
        exposition.add(&families::BYTES, |samples| {
            by_verdict.iter().for_each(|(labels, verdict)| samples.one(labels, packets.tallies[*verdict].bytes));
        });
    }
}

/// Verdicts by their number, each with its labels.
fn by_verdict(place: &Place, packets: &Packets) -> Vec<(Labels, usize)> {
    let labels = place_labels(place);
    let told = (0..VERDICTS.len()).filter(|verdict| *verdict < ALWAYS || packets.tallies[*verdict].packets > 0);
    told.map(|verdict| (labels.clone().with("verdict", VERDICTS[verdict]), verdict)).collect()
}

fn place_labels(place: &Place) -> Labels {
    let queue = place.queue.map(|queue| queue.to_string()).unwrap_or_default();
    Labels::new(&[("device", &place.device), ("program", &place.program), ("queue", &queue)])
}

fn add_errors(exposition: &mut Exposition, sums: &Sums) {
    for ((place, verdict, reason), count) in &sums.failures {
        let labels = place_labels(place).with("verdict", verdict).with("reason", reason);
        exposition.add(&families::ERRORS, |samples| samples.one(&labels, count));
    }
}

fn add_losses(exposition: &mut Exposition, Numbers { programs, overflow, .. }: &Numbers) {
    let lost = programs.iter().map(|program| program.counts.lost).sum::<u64>();
    let Overflow { outcomes, forwards } = *overflow;
    for (reason, count) in [("uncounted", lost), ("outcome_table_full", outcomes), ("forward_table_full", forwards)] {
        exposition.add(&families::LOST, |samples| samples.one(&Labels::new(&[("reason", reason)]), count));
    }
}

fn add_counts(exposition: &mut Exposition, sums: &Sums) {
    type Of = fn(&Counts) -> Option<u64>;
    let all: [(_, Of); 4] = [
        (&families::RUNS, |counts| Some(counts.seen)),
        (&families::FILTERED, |counts| Some(counts.filtered)),
        (&families::UNPAIRED, |counts| Some(counts.unpaired)),
        (&families::MISSES, |counts| counts.recursion_misses),
    ];
    for (family, of) in all {
        for (program, counts) in &sums.counts {
            let labels = Labels::new(&[("program", program)]);
            // What isn't known is absent.
            exposition.add(family, |samples| of(counts).into_iter().for_each(|count| samples.one(&labels, count)));
        }
    }
}

fn add_latencies(exposition: &mut Exposition, sums: &Sums) {
    for (place, packets) in &sums.packets {
        if let Some(latency) = &packets.latency {
            let labels = place_labels(place);
            exposition.add(&families::LATENCY, |samples| histogram::write(samples, &labels, latency));
        }
    }
}

fn add_forwards(exposition: &mut Exposition, sums: &Sums) {
    let labels = |(path, device, to): &Way| {
        let to = match to {
            To::Cpu(cpu) => format!("cpu{cpu}"),
            To::Device(device) => device.clone(),
        };
        Labels::new(&[("path", path), ("device", device), ("to", &to)])
    };
    for (way, forwarded) in &sums.forwards {
        exposition.add(&families::FORWARDED, |samples| samples.one(&labels(way), forwarded.sent));
    }
    for (way, forwarded) in &sums.forwards {
        exposition.add(&families::FORWARD_DROPS, |samples| {
            let dropped = forwarded.dropped.iter();
            dropped.for_each(|(reason, count)| samples.one(&labels(way).with("reason", reason), count));
        });
    }
}

/// Nanoseconds as seconds, with all their digits.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

#[cfg(test)]
mod tests;
