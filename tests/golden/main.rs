//! Fixed bytes of a record → Event → each sink: what is printed and written today is what was checked by hand, and against
//! tcpdump and tshark, when these files were made.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use xdptrace::bpf::Records;
use xdptrace::event::{Event, Origin};
use xdptrace::outlet::{self, Files};
use xdptrace::plan::{Capture, Format, Look, Output, Rotation, Side};
use xdptrace::sink::{self, Sink};
use xdptrace::stop::Signals;

/// When CLOCK_MONOTONIC was 0: 2023-11-14 22:13:20 UTC.
const BOOT_NS: u64 = 1_700_000_000_000_000_000;
const SNAP_LEN: u32 = 128;

fn golden(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).join(name)
}

fn sample() -> Vec<u8> {
    let text = fs::read_to_string(golden("sample.hex")).unwrap();
    let digits: Vec<u8> = text.lines().filter(|line| !line.starts_with('#')).flat_map(str::bytes).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Hands the sample's events to a sink.
fn show(sink: &mut dyn Sink) {
    let sample = sample();
    let names = |netns, ifindex| match (netns, ifindex) {
        (4_026_531_840, 2) => Some("eth0"),
        (4_026_531_840, 3) => Some("eth1"),
        _ => None,
    };
    let mut told = 0;
    for (id, record) in (1..).zip(Records::new(&sample).unwrap()) {
        let origin = match record.record.target {
            0 => Origin {
                function: "xdp_load_balancer",
                program_id: 12,
                program_name: "xdp_load_balanc",
                has_queue: true,
            },
            _ => Origin { function: "to_eth1", program_id: 13, program_name: "to_eth1", has_queue: false },
        };
        sink.packet(&Event::new(&record, origin, names, id, BOOT_NS)).unwrap();
        told += 1;
    }
    assert_eq!(told, 6);
    sink.settle(u64::MAX).unwrap();
    sink.flush().unwrap();
}

/// Lines are compared with the file of this name; GOLDEN=new writes it anew, to be read before it is committed.
fn compare(name: &str, made: &[u8]) {
    if std::env::var_os("GOLDEN").is_some_and(|how| how == "new") {
        fs::write(golden(name), made).unwrap();
    }
    let expected = fs::read(golden(name)).unwrap();
    assert!(made == expected, "{name} is now:\n{}", String::from_utf8_lossy(made));
}

fn lines(name: &str, output: &Output, filtered_at: Option<Side>) {
    let mut made = Vec::new();
    show(sink::open(output, filtered_at, &mut made).as_mut());
    compare(name, &made);
}

/// In UTC: the time zone is the process's, so this is one test.
#[test]
fn events_of_fixed_bytes_are_shown_as_they_were() {
    // SAFETY: no other thread of this process is there yet that would read the environment.
    unsafe { std::env::set_var("TZ", "UTC") };
    lines("text.txt", &Output::Text(Look::default()), None);
    let verbose = Look { verbosity: 1, link_level: true, numbered: true, nanoseconds: true, ..Look::default() };
    lines("verbose.txt", &Output::Text(verbose), None);
    lines("colored.txt", &Output::Text(Look { colored: true, quiet: true, ..Look::default() }), None);
    lines("classic.txt", &Output::Classic, None);
    lines("json.txt", &Output::Json, Some(Side::Entry));
    // Without the section header block, which tells of the machine.
    let pcapng = file("file.pcapng", Format::Pcapng);
    let header = u32::from_le_bytes(pcapng[4..8].try_into().unwrap()) as usize;
    compare("file.blocks", &pcapng[header..]);
    compare("file.pcap", &file("file.pcap", Format::Pcap { nanoseconds: false }));
}

fn file(name: &str, format: Format) -> Vec<u8> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("golden-{name}"));
    let capture = Capture {
        path: path.clone(),
        format,
        rotation: Rotation::default(),
        packet_buffered: false,
        reopens: false,
        prints: false,
    };
    let outlet = outlet::open(&capture, &Signals::default()).unwrap();
    show(sink::open_files(&capture, SNAP_LEN, Files::new(&outlet, &capture), None).as_mut());
    outlet.push_all().unwrap();
    let made = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    made
}
