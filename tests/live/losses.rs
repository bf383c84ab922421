//! What is promised of every run: `seen = filtered + skipped + traced + lost`, exactly, whatever happens to the tracer, to
//! its rings and to the programs. The runs are those that the programs counted themselves, the traced ones the lines or
//! packets that came out. Nothing but what a test sends arrives at its NIC.

mod counted;
mod interrupted;
mod numbered;
mod processor;

use std::cell::Cell;
use std::fs;
use std::thread;
use std::time::Duration;

use crate::flood::Flood;
use crate::following::{between, microseconds, printed, wait_for_line};
use crate::lab::{Nic, kernel};
use crate::loader::{Dispatcher, FIRST_PORT, Mode, OUTCOMES, Programs, detach, socket};
use crate::tracer::{Counts, Ended, Tracer, XDPTRACE, number_of};
pub use counted::{Counted, quiet_nic};
use interrupted::{interrupt_test_runs, interrupted_program};
use numbered::{DATAGRAMS, numbers, send_numbered};
pub use processor::{is_moved_to, stay_on};

/// Why a record didn't come through a full ring, as the last words have it.
const NO_ROOM: &str = "lost for want of room in a ring (-B)";
/// The least memory for the rings: each CPU has 64 KiB, whatever is asked for.
const SMALL_RINGS: [&str; 4] = ["-i", "veth0", "-B", "1"];
/// Between two packets of a flood.
const FLOOD_NS: u32 = 100_000;
/// More runs than such a ring and a batch hold: a run takes a hundred bytes at least.
const TOO_MANY: u64 = 2000;

/// The last words, of which the traced runs are the lines that were printed.
pub fn counts(ended: &Ended) -> Counts {
    assert!(ended.status.success(), "{:?}: {:#?}", ended.status, ended.stderr);
    counts_of_lines(ended)
}

fn counts_of_lines(ended: &Ended) -> Counts {
    let counts = ended.counts();
    assert_eq!(counts.traced, ended.stdout.len() as u64, "{:#?}", ended.stderr);
    counts
}

/// Every run was seen, asked for, and traced or lost for want of room, which some were.
fn assert_overflow(ended: &Ended, runs: u64) -> Counts {
    let counts = counts_of_lines(ended);
    let last = ended.stderr.last().unwrap();
    assert_eq!((counts.seen, counts.filtered, counts.skipped), (runs, 0, 0), "{last}");
    assert!(counts.lost > 0 && counts.traced > 0, "{last}");
    assert_eq!(number_of(NO_ROOM, last), counts.lost, "{last}");
    assert_eq!(number_of("unpaired", last), 0, "{last}");
    eprintln!("{last}");
    counts
}

#[test]
fn a_tracer_stopped_in_a_flood_counts_what_it_loses() {
    let nic = quiet_nic();
    let counted = Counted::drop_on(&nic);
    let mut tracer = Tracer::start(&nic, &SMALL_RINGS);
    let flood = Flood::start(&nic, 100_000);
    tracer.wait_for_lines(100, " counted_drop#");
    tracer.send("STOP");
    counted.runs.wait_for(counted.runs.now() + TOO_MANY);
    tracer.send("CONT");
    // It goes on where it was.
    let lines = tracer.stdout.len();
    tracer.wait_for_lines(lines + 1000, " counted_drop#");
    drop(flood);
    let runs = counted.runs.settle();
    let ended = tracer.end("INT");
    assert_eq!((assert_overflow(&ended, runs), ended.status.code()), (counts(&ended), Some(0)));
}

/// The kernel tells of a loss in a ring in front of the next record only: here there is none.
#[test]
fn the_last_runs_are_the_lost_ones() {
    let nic = quiet_nic();
    let counted = Counted::drop_on(&nic);
    let tracer = Tracer::start(&nic, &[&SMALL_RINGS[..], &["--fail-on-loss"]].concat());
    tracer.send("STOP");
    Flood::send(&nic, 2 * TOO_MANY);
    let runs = counted.runs.settle();
    assert!(runs >= TOO_MANY, "{runs} of {} sent arrived", 2 * TOO_MANY);
    // Pending until it goes on.
    tracer.send("INT");
    tracer.send("CONT");
    let mut ended = tracer.wait();
    assert_eq!(ended.status.code(), Some(5), "{:?}", ended.stderr);
    let refusal = ended.stderr.pop().unwrap();
    let counts = assert_overflow(&ended, runs);
    assert!(refusal.starts_with(&format!("xdptrace: {} lost, which --fail-on-loss ", counts.lost)), "{refusal}");
}

#[test]
fn enough_in_a_flood() {
    let nic = quiet_nic();
    let counted = Counted::drop_on(&nic);
    let flood = Flood::start(&nic, 50_000);
    counted.runs.wait_for(100);
    let before = counted.runs.now();
    let ended = Tracer::start(&nic, &["-i", "veth0", "-c", "500"]).wait();
    let runs = counted.runs.now() - before;
    drop(flood);
    let counts = counts(&ended);
    assert_eq!((counts.traced, counts.filtered), (500, 0), "{counts:?}");
    assert!(counts.seen >= 500 && counts.seen <= runs, "{counts:?}, {runs} runs");
    eprintln!("{counts:?}, {runs} runs");
}

#[test]
fn ten_components_and_their_dispatcher_add_up() {
    let nic = quiet_nic();
    let dispatcher = Dispatcher::load_counted(&nic);
    let components = dispatcher.components();
    assert_eq!(components.len(), 10);
    let tracer = Tracer::start(&nic, &["-i", "veth0", "-p", "all", "-B", "1"]);
    // Some is lost, in whichever program.
    tracer.send("STOP");
    Flood::send(&nic, 500);
    tracer.send("CONT");
    let runs: Vec<u64> = components.iter().map(|component| component.runs().settle()).collect();
    let ended = tracer.end("INT");
    let total = counts(&ended);
    let whole = dispatcher.known().called("xdp_dispatcher");
    // Each packet that the dispatcher got, it gave to the first one.
    let mut sum = of_program(&ended, &whole, runs[0]);
    for (component, runs) in components.iter().zip(&runs) {
        sum = add(sum, of_program(&ended, &component.called(&component.name), *runs));
    }
    assert_eq!(sum, total, "{:#?}", ended.stderr);
    assert_eq!(total.seen, runs[0] + runs.iter().sum::<u64>());
    assert!(total.lost > 0 && total.traced > 0, "{total:?}");
    eprintln!("{runs:?}, {total:?}");
}

/// What its own line says of a program that was traced to the end.
fn of_program(ended: &Ended, called: &str, runs: u64) -> Counts {
    let found = ended.counts_of(&format!("{called} on veth0"));
    let [counts] = found[..] else { panic!("not one line of {called}: {:#?}", ended.stderr) };
    assert_eq!((counts.seen, counts.filtered, counts.skipped), (runs, 0, 0), "{called}: {:#?}", ended.stderr);
    assert_eq!(counts.traced, lines_of(ended, called), "{called}: {:#?}", ended.stderr);
    counts
}

fn lines_of(ended: &Ended, called: &str) -> u64 {
    let called = format!(" {called} ");
    ended.stdout.iter().filter(|line| line.contains(&called)).count() as u64
}

fn add(one: Counts, other: Counts) -> Counts {
    Counts {
        seen: one.seen + other.seen,
        filtered: one.filtered + other.filtered,
        skipped: one.skipped + other.skipped,
        traced: one.traced + other.traced,
        lost: one.lost + other.lost,
    }
}

/// A program that was put into another's place, or into none, while packets came.
struct Successor {
    counted: Counted,
    /// Its runs when the tracer had said that it was attached.
    untraced: u64,
}

#[test]
fn programs_that_come_and_go_in_a_flood_add_up() {
    let nic = quiet_nic();
    let mut all = vec![Successor { counted: Counted::drop_on(&nic), untraced: 0 }];
    let mut tracer = Tracer::start(&nic, &["-i", "veth0"]);
    let flood = Flood::start(&nic, 500_000);
    for round in 0..4 {
        let last = &all.last().unwrap().counted;
        last.runs.wait_for(last.runs.now() + 50);
        let told = format!("{} on veth0: ", last.called);
        // Replaced, or detached and another attached.
        if round % 2 == 1 {
            detach(&nic, Mode::Native);
            wait_for_line(&mut tracer, &told);
        }
        let counted = Counted::drop_on(&nic);
        wait_for_line(&mut tracer, &format!("attached to {} on veth0: ", counted.called));
        let untraced = counted.runs.now();
        wait_for_line(&mut tracer, &told);
        all.push(Successor { counted, untraced });
    }
    let last = &all.last().unwrap().counted;
    last.runs.wait_for(last.runs.now() + 50);
    detach(&nic, Mode::Native);
    wait_for_line(&mut tracer, &format!("{} on veth0: ", last.called));
    drop(flood);
    let ended = tracer.end("INT");
    let mut sum = Counts { seen: 0, filtered: 0, skipped: 0, traced: 0, lost: 0 };
    for one in &all {
        sum = add(sum, one.told(&ended));
    }
    assert_eq!(counts(&ended), sum, "{:#?}", ended.stderr);
    eprintln!("{sum:?}");
}

impl Successor {
    /// What was said of it when it was let go of.
    fn told(&self, ended: &Ended) -> Counts {
        let Counted { runs, called, .. } = &self.counted;
        let found = ended.counts_of(&format!("{called} on veth0"));
        let [counts] = found[..] else { panic!("not one line of {called}: {:#?}", ended.stderr) };
        let runs = runs.now();
        // The first one was traced before there were packets: no run of it was missed.
        assert!(
            counts.seen <= runs && counts.seen >= runs - self.untraced,
            "{called}: {runs} runs, {} before it was traced: {:#?}",
            self.untraced,
            ended.stderr
        );
        assert_eq!(counts.traced, lines_of(ended, called), "{called}: {:#?}", ended.stderr);
        assert_eq!((counts.filtered, counts.skipped), (0, 0), "{counts:?}");
        assert!(ended.stderr.iter().all(|line| !line.contains("unpaired")), "{:#?}", ended.stderr);
        counts
    }
}

/// A process has the kernel run the program (BPF_PROG_TEST_RUN), and packets come in between on the same CPU: at the
/// program as well as at the probes, which the kernel then leaves out (since 5.12), or lets interrupt themselves.
#[test]
fn runs_that_interrupt_others_are_counted() {
    let (nic, counted) = interrupted_program();
    let tracer = Tracer::start(&nic, &["-i", "veth0"]);
    let tested = interrupt_test_runs(&nic, &counted);
    let runs = counted.runs.settle();
    let ended = tracer.end("INT");
    let last = ended.stderr.last().unwrap();
    let (counts, unpaired) = (counts(&ended), number_of("unpaired", last));
    eprintln!("{runs} runs, {tested} of them tests: {last}");
    // From 6.11 on, BPF_PROG_TEST_RUN keeps softirqs away.
    assert_eq!(unpaired > 0, kernel() < (6, 11), "{last}");
    // Those that came by no device that is traced.
    assert_eq!(counts.filtered, tested, "{last}");
    // None is missed. Of one that was interrupted between the probes, each half is told as it comes, because neither knows
    // of the other.
    let asked_for = runs - tested;
    let (least, most) = (asked_for, asked_for + unpaired);
    assert!((least..=most).contains(&(counts.traced + counts.lost)), "{runs} runs, {tested} of them tests: {last}");
}

/// One half of a run doesn't tell whether the whole was asked for; nor are halves of two runs put together, which would show
/// as changes of a program that changes nothing.
#[test]
fn halves_are_not_shown_where_the_other_one_decides() {
    for narrowing in [&["--verdict", "aborted"][..], &["--changed"]] {
        let (nic, counted) = interrupted_program();
        let id = counted.programs.id("counted_drop").to_string();
        // From another namespace than the NIC's: wherever it runs, also for a process.
        let words: Vec<String> = [&[XDPTRACE, "-p", &id], narrowing].concat().into_iter().map(str::to_owned).collect();
        let tracer = Tracer::start_command(&words);
        interrupt_test_runs(&nic, &counted);
        counted.runs.settle();
        let ended = tracer.end("INT");
        let last = ended.stderr.last().unwrap();
        eprintln!("{last}");
        assert_eq!(number_of("unpaired", last) > 0, kernel() < (6, 11), "{last}");
        let counts = counts(&ended);
        assert_eq!((counts.traced, counts.lost), (0, 0), "{ended:#?}");
    }
}

/// The tracer looks at what CPUs have gathered every 40 ms.
#[test]
fn a_line_comes_at_most_100_ms_after_its_packet() {
    let nic = quiet_nic();
    let counted = Counted::load("counted_pass");
    counted.programs.attach(&nic, Mode::Native, "counted_pass");
    let mut tracer = Tracer::start(&nic, &["-i", "veth0", "icmp"]);
    let done = nic.there(&["ping", "-n", "-q", "-i", "0.3", "-c", "12", "192.0.2.1"]);
    assert!(done.status.success(), "{done:?}");
    tracer.wait_for_lines(12, "ICMP");
    let mut late: Vec<i64> = tracer.stdout.iter().zip(&tracer.came).map(|(line, came)| lateness(line, *came)).collect();
    late.sort_unstable();
    eprintln!("microseconds late: {late:?}");
    assert_eq!(late.len(), 12);
    assert!(late[0] >= 0, "before its packet: {late:?}");
    // Not the maximum: an emulated CPU may be put aside by the machine for as long as it likes.
    assert!(late[late.len() / 2] <= 100_000, "{late:?}");
    assert_eq!(counts(&tracer.end("INT")).lost, 0);
}

/// Such a line waits for word of the kernel's, which comes by the same ring; another CPU's ring may never be empty.
#[test]
fn a_line_that_waits_for_its_outcome_is_not_late_beside_a_flood() {
    let nic = quiet_nic();
    let programs = Programs::load(OUTCOMES, &["outcomes"]);
    // The first scene: to return XDP_TX.
    programs.set("scenes", 0, &[0_u32, 3, 0, 0].map(u32::to_ne_bytes).concat());
    programs.attach(&nic, Mode::Native, "outcomes");
    let mut tracer = Tracer::start(&nic, &["-i", "veth0", "-q"]);
    let flood = Flood::start(&nic, FLOOD_NS);
    thread::scope(|scope| scope.spawn(|| send_now_and_then(&nic)).join().unwrap());
    let (looked_at, found) = (Cell::new(0), Cell::new(0));
    tracer.wait_until("12 lines of XDP_TX", |tracer| {
        let lines = &tracer.stdout[looked_at.replace(tracer.stdout.len())..];
        found.set(found.get() + lines.iter().filter(|line| line.contains(" XDP_TX ")).count());
        found.get() == 12
    });
    drop(flood);
    let lines = tracer.stdout.iter().zip(&tracer.came).filter(|(line, _)| line.contains(" XDP_TX "));
    let mut late: Vec<i64> = lines.map(|(line, came)| lateness(line, *came)).collect();
    late.sort_unstable();
    eprintln!("{} lines; microseconds late: {late:?}", tracer.stdout.len());
    // Half as much again as on a machine with two processors: here the flood and the reader are emulated by turns.
    assert!(late[late.len() / 2] <= 150_000, "{late:?}");
    tracer.end("INT");
}

/// Datagrams of the second CPU.
fn send_now_and_then(nic: &Nic) {
    let socket = socket(nic);
    stay_on(1);
    for _ in 0..12 {
        socket.send_to(b"xdptrace", (nic.address.as_str(), FIRST_PORT)).unwrap();
        thread::sleep(Duration::from_millis(300));
    }
}

/// Microseconds from the time that a line begins with until it came.
fn lateness(line: &str, came: std::time::SystemTime) -> i64 {
    between(microseconds(line.split(' ').next().unwrap()), microseconds(&printed(came)))
}

#[test]
fn bursts_between_flushes_are_told_whole_and_in_order() {
    let nic = quiet_nic();
    let counted = Counted::drop_on(&nic);
    // Each CPU has a queue of its own, which it serves itself.
    let script = "cd /sys/class/net/veth1/queues; echo 1 >tx-0/xps_cpus; echo 2 >tx-1/xps_cpus";
    let done = nic.there(&["bash", "-ec", script]);
    assert!(done.status.success(), "{done:?}");
    let file = format!("/run/xdptrace-{}-bursts.pcapng", std::process::id());
    let tracer = Tracer::start(&nic, &["-i", "veth0", "-w", &file]);
    let ports = thread::scope(|scope| {
        let senders = [0, 1].map(|cpu| {
            let nic = &nic;
            scope.spawn(move || send_numbered(nic, cpu))
        });
        senders.map(|sender| sender.join().unwrap())
    });
    let runs = counted.runs.settle();
    assert_eq!(runs, 2 * u64::from(DATAGRAMS), "the NIC dropped some");
    let ended = tracer.end("INT");
    let counts = ended.counts();
    assert_eq!((counts.seen, counts.traced, counts.lost), (runs, runs, 0), "{:#?}", ended.stderr);
    let found = numbers(&fs::read(&file).unwrap());
    fs::remove_file(&file).unwrap();
    let keys: Vec<(u32, u16)> = found.keys().copied().collect();
    let mut expected = [(0, ports[0]), (0, ports[1]), (1, ports[0]), (1, ports[1])];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    for (key, numbers) in found {
        assert!(numbers.iter().copied().eq(0..DATAGRAMS), "interface and port {key:?}: {numbers:?}");
    }
    eprintln!("{counts:?}");
}
