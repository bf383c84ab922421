//! Bytes of any kind as perf samples, from where their records are told apart to each sink, and from its files back to
//! events: `make fuzz`.
//!
//! The first byte of an input chooses how they are told; the rest is samples, each behind its length in 32 bits.

#![no_main]

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use libfuzzer_sys::fuzz_target;
use xdptrace::bpf::{Records, Tells};
use xdptrace::delivery::Delivery;
use xdptrace::outlet::{self, Files};
use xdptrace::plan::{Capture, Format, Output, Probes, Reading, Rotation};
use xdptrace::recorded::Recording;
use xdptrace::sink::{self, Sink};
use xdptrace::stop::Signals;
use xdptrace::target::{Function, Names, Place, Target};
use xdptrace_fuzz::{check, ways};

/// Where devices 1 and 2 are: those of benches/recorded.
const NETNS: u32 = 4_026_532_271;
/// Targets are numbered from 0 on.
const TARGETS: u32 = 3;
const SNAP_LEN: u32 = 128;

fn target(number: u32) -> Target {
    // The kernel's names are no worse than these.
    let name = ["xdp_lb", "\x1b[31m\n", "@fexit ()"][number as usize].to_owned();
    Target {
        program: number,
        function: Function { name: name.clone(), returns: number != 1, ..Function::default() },
        devices: vec!["eth0".into()],
        probes: Probes::Both,
        place: [Place::Device, Place::Devmap, Place::Cpumap][number as usize],
        loaded_ns: 0,
        behind: None,
        root: None,
        is_devices_own: true,
        program_name: name,
    }
}

fn samples(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk()?;
        let (sample, behind) = behind.split_at(behind.len().min(u32::from_le_bytes(*length) as usize));
        rest = behind;
        Some(sample)
    })
}

/// Hands on all records to a sink: all of them, or those that are no outcomes, become events, and none is lost on the way.
fn deliver(bytes: &[u8], has_outcomes: bool, sink: &mut dyn Sink) {
    let devices = [(1, "eth0"), (2, "\x1b]0;eth1\x07")];
    let mut delivery = Delivery::new(sink, &[], None).expect("a clock");
    if has_outcomes {
        delivery = delivery.with_outcomes();
    }
    delivery.refresh(Names::new(NETNS, devices, &Names::default())).expect("a clock");
    (0..TARGETS).for_each(|number| delivery.take_in_target(number, &target(number)));
    let mut expected = [0; TARGETS as usize];
    for told in samples(bytes).filter_map(Records::new).flatten() {
        delivery.record(&told);
        if let Some(count) = expected.get_mut(told.record.target as usize) {
            *count += u64::from(!(has_outcomes && told.tells(Tells::TOLD_OUTCOME)));
        }
        delivery.release_settled(told.record.time_ns, |cpu| cpu % 2 == 0);
    }
    delivery.settle(1 << 40);
    delivery.end().expect("what is written to memory");
    let traced = |number| delivery.delivered(number).traced;
    assert_eq!([0, 1, 2].map(traced), expected);
}

fn told_in_lines(bytes: &[u8], choice: u8, output: Output) {
    let mut lines = Vec::new();
    deliver(bytes, choice & 1 != 0, sink::open(&output, None, &mut lines).as_mut());
    check(&output, &lines);
}

/// What is written to a file can be read from it.
fn told_in_a_file(bytes: &[u8], choice: u8, path: &Path) {
    let format = match choice & 2 {
        0 => Format::Pcapng,
        _ => Format::Pcap { nanoseconds: choice & 4 != 0 },
    };
    let rotation = Rotation::default();
    let capture =
        Capture { path: path.to_owned(), format, rotation, packet_buffered: false, reopens: false, prints: false };
    let outlet = outlet::open(&capture, &Signals::default()).expect("a file in memory");
    let mut sink = sink::open_files(&capture, SNAP_LEN, Files::new(&outlet, &capture), None);
    deliver(bytes, choice & 1 != 0, sink.as_mut());
    drop(sink);
    outlet.push_all().expect("a file in memory");
    // Without an event there is none yet.
    if !path.exists() {
        return;
    }
    let reading = Reading { file: path.to_owned(), output: Output::Json, ..Reading::default() };
    let mut lines = Vec::new();
    let recording = Recording::open(&reading).expect("a file that is there");
    recording.show(sink::open(&reading.output, None, &mut lines).as_mut(), &Signals::default()).expect("a whole file");
    check(&reading.output, &lines);
}

thread_local! {
    static PATH: RefCell<PathBuf> = RefCell::new(format!("/dev/shm/xdptrace-fuzz-{}", process::id()).into());
}

fuzz_target!(|input: &[u8]| {
    let [choice, bytes @ ..] = input else { return };
    ways(*choice).into_iter().for_each(|output| told_in_lines(bytes, *choice, output));
    PATH.with_borrow(|path| {
        told_in_a_file(bytes, *choice, path);
        // It need not be there.
        let _ = fs::remove_file(path);
    });
});
