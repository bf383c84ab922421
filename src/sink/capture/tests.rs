//! Files one after the other, and what is in each.

#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::event::Summary;
use crate::outlet::{self, Outlet};
use crate::plan::{self, Rotation};
use crate::sink::pcap::Pcap;
use crate::sink::pcapng::Pcapng;
use crate::stop::Signals;

/// A plan of one file.
pub fn plan(path: &str) -> plan::Capture {
    plan::Capture {
        path: path.into(),
        format: plan::Format::Pcapng,
        rotation: Rotation::default(),
        packet_buffered: false,
        reopens: false,
        prints: false,
    }
}

/// What `write` writes to a file.
pub fn written(write: impl FnOnce(&Outlet, &plan::Capture)) -> Vec<u8> {
    let folder = Folder::new();
    let path = folder.0.join("file");
    let plan = plan(path.to_str().unwrap());
    let outlet = outlet::open(&plan, &Signals::default()).unwrap();
    write(&outlet, &plan);
    let mut file = fs::File::open(path).unwrap();
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A folder that goes with this.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("xdptrace-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Of whichever event.
pub const ENDED: Ended = Ended { target: 7, verdict: None };

const PACKET: [u8; 200] = [0; 200];

fn event(number: u64) -> Event<'static> {
    let frame = Frame { length: Some(200), metadata: 0, bytes: &PACKET };
    Event {
        time_ns: 1_700_000_000_000_000_000 + number,
        packet_id: Some(number),
        function: Some("xdp_lb"),
        program_id: Some(12),
        after: Some(frame),
        ..Event::NOTHING_KNOWN
    }
}

fn ended() -> Notice {
    let (programs, total, verdicts, losses, late) = Default::default();
    Notice::Ended(Summary { programs, total, verdicts, others: 0, losses, late, forwards: None })
}

/// The kinds of a file's blocks.
fn kinds(path: &PathBuf) -> Vec<u32> {
    let file = fs::read(path).unwrap();
    let (mut rest, mut kinds) = (&file[..], Vec::new());
    let number = |bytes: &[u8]| u32::from_ne_bytes(bytes[..4].try_into().unwrap());
    while !rest.is_empty() {
        kinds.push(number(rest));
        rest = &rest[number(&rest[4..]) as usize..];
    }
    kinds
}

const SECTION: u32 = 0x0a0d_0d0a;

#[test]
fn each_file_of_a_size_is_whole_and_one_too_many_takes_the_firsts_place() {
    let folder = Folder::new();
    let path = folder.0.join("f");
    let rotation = Rotation { bytes: Some(1000), seconds: None, count: Some(3) };
    let plan = plan::Capture { rotation, ..plan(path.to_str().unwrap()) };
    let outlet = outlet::open(&plan, &Signals::default()).unwrap();
    assert!(folder.names().is_empty(), "created before there is anything to write");
    let mut sink = Capture::new(Files::new(&outlet, &plan), Pcapng::new(64), 64);
    for number in 0..40 {
        sink.packet(&event(number)).unwrap();
        assert!(sink.end_event(ENDED));
    }
    sink.settle(u64::MAX).unwrap();
    sink.note(&ended()).unwrap();
    assert!(outlet.take_unwritten().is_empty());
    assert_eq!(folder.names(), ["f0", "f1", "f2"]);
    for name in folder.names() {
        let path = folder.0.join(name);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let kinds = kinds(&path);
        assert_eq!((kinds[0], kinds[1], kinds.last()), (SECTION, 1, Some(&5)), "{kinds:?}");
        assert!(kinds[2..kinds.len() - 1].iter().all(|kind| *kind == 6) && kinds.len() > 4, "{kinds:?}");
    }
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew_and_one_that_was_not_goes_on() {
    let folder = Folder::new();
    let path = folder.0.join("f");
    let plan = plan(path.to_str().unwrap());
    let outlet = outlet::open(&plan, &Signals::default()).unwrap();
    let mut sink = Capture::new(Files::new(&outlet, &plan), Pcapng::new(64), 64);
    sink.packet(&event(1)).unwrap();
    sink.settle(u64::MAX).unwrap();
    let moved = folder.0.join("moved");
    fs::rename(&path, &moved).unwrap();
    sink.reopen().unwrap();
    sink.packet(&event(2)).unwrap();
    sink.reopen().unwrap();
    sink.note(&ended()).unwrap();
    assert_eq!(kinds(&moved), [SECTION, 1, 6, 5]);
    assert_eq!(kinds(&path), [SECTION, 1, 6, 5, SECTION, 1]);
}

#[test]
fn a_file_without_packets_is_begun_when_everything_is_attached() {
    let folder = Folder::new();
    let path = folder.0.join("f");
    fs::write(&path, "precious").unwrap();
    let plan = plan(path.to_str().unwrap());
    let outlet = outlet::open(&plan, &Signals::default()).unwrap();
    let mut sink = Capture::new(Files::new(&outlet, &plan), Pcapng::new(64), 64);
    sink.note(&Notice::Waiting("an XDP program".into())).unwrap();
    sink.flush().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    sink.note(&Notice::Listening).unwrap();
    sink.flush().unwrap();
    assert_eq!(kinds(&path), [SECTION]);
}

#[test]
fn a_file_that_cannot_be_is_refused_at_once() {
    let folder = Folder::new();
    let refused = |path: &str| {
        let error =
            outlet::open(&plan(path), &Signals::default()).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    };
    let name = folder.0.to_str().unwrap();
    assert_eq!(refused(name), format!("cannot write {name}: it is a directory: name a file in it"));
    assert_eq!(
        refused(&format!("{name}/no/f")),
        format!("cannot create {name}/no/f: {name}/no: No such file or directory")
    );
    assert!(folder.names().is_empty());
}

#[test]
fn packets_each_by_itself_are_in_the_file_at_once() {
    let folder = Folder::new();
    let path = folder.0.join(OsStr::new("f"));
    let plan = plan::Capture { packet_buffered: true, ..plan(path.to_str().unwrap()) };
    let outlet = outlet::open(&plan, &Signals::default()).unwrap();
    let mut sink = Capture::new(Files::new(&outlet, &plan), Pcapng::new(64), 64);
    sink.packet(&event(1)).unwrap();
    sink.settle(u64::MAX).unwrap();
    assert_eq!(kinds(&path), [SECTION, 1, 6]);
}

#[test]
fn legacy_pcap_is_a_header_and_packets() {
    for (nanoseconds, magic, fraction) in [(true, 0xa1b2_3c4d, 5_789), (false, 0xa1b2_c3d4, 5)] {
        let bytes = written(|outlet, plan| {
            let mut sink = Capture::new(Files::new(outlet, plan), Pcap::new(64, nanoseconds), 64);
            sink.packet(&event(5_789)).unwrap();
            sink.settle(u64::MAX).unwrap();
            sink.note(&ended()).unwrap();
        });
        let words: Vec<u32> = bytes.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect();
        let version = u32::from_ne_bytes([2_u16.to_ne_bytes(), 4_u16.to_ne_bytes()].concat().try_into().unwrap());
        assert_eq!(words[..6], [magic, version, 0, 0, 64, 1]);
        assert_eq!(words[6..10], [1_700_000_000, fraction, 64, 200]);
        assert_eq!(bytes.len(), 24 + 16 + 64);
    }
}

/// A run of which both ends are kept.
fn run(number: u64, latency_ns: u64) -> Event<'static> {
    let one = event(number * 100);
    Event { before: one.after, latency_ns: Some(latency_ns), packet_id: Some(number), ..one }
}

const FIRST_NS: u64 = 1_700_000_000_000_000_000;

/// Writes runs, each released as soon as it may be, to files of 1000 bytes, up to ten; the kinds of their blocks.
fn files_of_runs(runs: impl Iterator<Item = Event<'static>>) -> Vec<Vec<u32>> {
    let folder = Folder::new();
    let path = folder.0.join("f");
    let rotation = Rotation { bytes: Some(1000), seconds: None, count: Some(10) };
    let plan = plan::Capture { rotation, ..plan(path.to_str().unwrap()) };
    let outlet = outlet::open(&plan, &Signals::default()).unwrap();
    let mut sink = Capture::new(Files::new(&outlet, &plan), Pcapng::new(64), 64);
    for run in runs {
        sink.packet(&run).unwrap();
        assert!(sink.end_event(ENDED));
        sink.settle(run.time_ns).unwrap();
    }
    sink.settle(u64::MAX).unwrap();
    sink.note(&ended()).unwrap();
    folder.names().iter().map(|name| kinds(&folder.0.join(name))).collect()
}

#[test]
fn no_run_is_split_between_two_files() {
    // Of each five, the last four begin before the one in front of them has ended.
    let files = files_of_runs((0..40).map(|number| run(number, if number % 5 == 4 { 50 } else { 150 })));
    assert!((4..10).contains(&files.len()), "{files:?}");
    for kinds in &files {
        let packets = kinds.iter().filter(|kind| **kind == 6).count();
        assert!(packets > 0 && packets % 10 == 0, "{files:?}");
        assert_eq!((kinds[0], kinds.last()), (SECTION, Some(&5)), "{files:?}");
    }
}

#[test]
fn runs_that_never_all_end_keep_a_file_from_its_end_only_so_long() {
    let block = 6 * 4 + 64 + 8;
    let files = files_of_runs((0..(MOST_HELD / block) as u64).map(|number| run(number, 150)));
    let packets: Vec<usize> =
        files.iter().map(|kinds| kinds.iter().filter(|kind| **kind == 6).count() * block).collect();
    assert!(files.len() > 1 && packets[0] < 2 * MOST_HELD, "{packets:?}");
}

#[test]
fn a_file_whose_time_is_over_ends_when_no_run_is_open() {
    let folder = Folder::new();
    let pattern = folder.0.join("%s");
    let rotation = Rotation { bytes: None, seconds: Some(1), count: None };
    let plan = plan::Capture { rotation, ..plan(pattern.to_str().unwrap()) };
    let outlet = outlet::open(&plan, &Signals::default()).unwrap();
    let mut sink = Capture::new(Files::new(&outlet, &plan), Pcapng::new(64), 64);
    sink.packet(&run(0, 150)).unwrap();
    assert!(sink.end_event(ENDED));
    sink.settle(FIRST_NS + 100).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    sink.tick().unwrap();
    assert_eq!(folder.names().len(), 1);
    sink.settle(u64::MAX).unwrap();
    sink.tick().unwrap();
    sink.flush().unwrap();
    let files: Vec<Vec<u32>> = folder.names().iter().map(|name| kinds(&folder.0.join(name))).collect();
    assert_eq!(files, [vec![SECTION, 1, 6, 1, 6, 5, 5], vec![SECTION]]);
}

#[test]
fn behind_the_end_of_a_file_comes_nothing_where_the_next_cannot_be_created() {
    let folder = Folder::new();
    let path = folder.0.join("f");
    fs::create_dir(folder.0.join("f1")).unwrap();
    let rotation = Rotation { bytes: Some(1000), seconds: None, count: Some(3) };
    let plan = plan::Capture { rotation, ..plan(path.to_str().unwrap()) };
    let outlet = outlet::open(&plan, &Signals::default()).unwrap();
    let mut sink = Capture::new(Files::new(&outlet, &plan), Pcapng::new(64), 64);
    for number in 0..40 {
        sink.packet(&event(number)).unwrap();
        assert!(sink.end_event(ENDED));
    }
    let failed = sink.settle(u64::MAX).unwrap_err().to_string();
    assert!(failed.starts_with("failed to create ") && failed.contains("/f1: "), "{failed}");
    sink.note(&ended()).unwrap();
    assert_eq!(folder.names(), ["f0", "f1"]);
    let kinds = kinds(&folder.0.join("f0"));
    let packets = kinds.iter().filter(|kind| **kind == 6).count();
    assert_eq!(kinds[2..], [vec![6; packets], vec![5]].concat());
    assert_eq!(outlet.take_unwritten().len(), 40 - packets);
}
