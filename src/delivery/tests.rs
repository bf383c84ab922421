#![allow(clippy::unwrap_used)]
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::thread;

use super::*;
use crate::bpf::{Record, Tells};
use crate::event::{Losses, Summary};
use crate::outlet::tests::piped;
use crate::plan::Probes;
use crate::progress::Progress;
use crate::target::Function;

/// Writes a line for each event and notice.
struct Lines<'out> {
    out: &'out Outlet,
}

impl Sink for Lines<'_> {
    fn packet(&mut self, _: &Event<'_>) -> io::Result<()> {
        self.out.write_all(&[b'p'; 1000])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        let mut line = String::new();
        write!(line, "{notice:?}").map_err(io::Error::other)?;
        self.out.write_all(line.as_bytes())
    }
}

fn told(verdict: u32) -> Told<'static> {
    let told = (Tells::TOLD_EXIT.0 | Tells::TOLD_VERDICT.0) as u16;
    let record = Record { told, verdict, target: 1, ..Record::default() };
    Told { cpu: 0, record, bytes: b"left", arrived: b"", metadata: b"" }
}

fn target() -> Target {
    Target {
        program: 12,
        program_name: "xdp_lb".into(),
        function: Function::default(),
        devices: Vec::new(),
        probes: Probes::Both,
        place: Place::Device,
        behind: None,
        loaded_ns: 0,
        root: None,
        is_devices_own: true,
    }
}

#[test]
fn verdicts_are_those_of_what_was_written() {
    let (reader, outlet) = piped();
    let (outputs, mut sink) = ([&outlet], Lines { out: &outlet });
    let mut delivery = Delivery::new(&mut sink, &outputs, None).unwrap();
    delivery.take_in_target(1, &target());
    for verdict in [1, 2, 2] {
        assert!(delivery.record(&told(verdict)));
    }
    delivery.flush();
    for verdict in [2, 7] {
        assert!(delivery.record(&told(verdict)));
    }
    drop(reader);
    delivery.flush();
    assert!(delivery.is_broken() && delivery.record(&told(2)));
    delivery.end().unwrap();
    assert_eq!(delivery.verdicts(), BTreeMap::from([(Verdict(1), 1), (Verdict(2), 2)]));
    assert_eq!(delivery.delivered(1).traced, 3);
}

#[test]
fn what_nobody_reads_does_not_pile_up() {
    let (mut reader, outlet) = piped();
    let (outputs, mut sink) = ([&outlet], Lines { out: &outlet });
    let mut delivery = Delivery::new(&mut sink, &outputs, None).unwrap();
    delivery.take_in_target(1, &target());
    while delivery.record(&told(2)) {}
    let mut progress = Progress::new(&outputs);
    let losses = |full| Losses { full, ..Losses::default() };
    let (programs, total, verdicts, late) = Default::default();
    let so_far =
        Notice::SoFar(Summary { programs, total, verdicts, others: 0, losses: losses(3), late, forwards: None });
    progress.tell_losses(losses(3), &mut delivery);
    delivery.notice(&so_far);
    // What is lost is told later, all of it.
    reader.read_exact(&mut [0; 60_000]).unwrap();
    delivery.flush();
    assert!(delivery.has_room());
    progress.tell_losses(losses(5), &mut delivery);
    let rest = thread::spawn(move || {
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).map(|_| rest)
    });
    outlet.push_all().unwrap();
    drop(outlet);
    let shown = String::from_utf8(rest.join().unwrap().unwrap()).unwrap();
    let told = shown.trim_start_matches('p');
    assert_eq!(told, format!("{:?}", Notice::Lost(losses(5))));
}

/// Notes how much of a packet it was handed, as it arrived and as it left.
#[derive(Default)]
struct Lengths(Vec<[Option<usize>; 2]>);

impl Sink for Lengths {
    fn packet(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.0.push([event.before, event.after].map(|frame| frame.map(|frame| frame.bytes.len())));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_more_of_a_packet_is_handed_on_than_is_to_be_kept_changed_or_not() {
    let exit = told(2);
    let both = Tells::TOLD_ENTRY.0 as u16 | exit.record.told;
    let changed = Told { record: Record { told: both, ..exit.record }, arrived: b"arrived", ..exit };
    let mut sink = Lengths::default();
    let mut delivery = Delivery::new(&mut sink, &[], None).unwrap().cut_to(3);
    delivery.take_in_target(1, &target());
    assert!(delivery.record(&exit) && delivery.record(&changed));
    assert_eq!(sink.0, [[None, Some(3)], [Some(3); 2]]);
}
