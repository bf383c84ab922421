//! Faults, each with the sums checked by what the traced program counted itself, or by what was sent. Which test shows which:
//!
//! | fault | test |
//! |---|---|
//! | kill -9 at any moment | [`kill`]; with a pass-through program, and what it switches off, `endings` |
//! | device deleted | [`a_device_that_is_deleted_under_traffic_takes_nothing_with_it`]; deleted and made again, `following` |
//! | namespace deleted | [`a_namespace_that_is_deleted_under_traffic_takes_nothing_with_it`] |
//! | program replaced | `losses::programs_that_come_and_go_in_a_flood_add_up`; by datagram, `following` |
//! | CPU taken offline and back | [`cpus`] |
//! | ring full, the reader stopped | `losses::a_tracer_stopped_in_a_flood_counts_what_it_loses`, `losses::the_last_runs_are_the_lost_ones` |
//! | disk full, closed pipe | [`what_a_closed_pipe_or_a_full_disk_does_not_take_is_counted`]; what is in the file, `files` |
//! | reader of the output stopped | `endings::a_reader_that_stopped_reading_does_not_hold_the_end_up`, `files` |
//! | out of file descriptors | [`descriptors`] |
//! | two and ten tracers | [`two_and_ten_tracers_of_one_program_have_all_packets_each`] |
//! | ten programs traced at once | `losses::ten_components_and_their_dispatcher_add_up` |
//! | clock set | [`clock`] |
//! | 33 tail calls deep | [`a_program_that_tail_calls_33_deep_is_one_run`] |
//! | SIGSTOP and SIGCONT | [`a_tracer_that_is_suspended_goes_on_where_it_was`] |
//!
//! tests/soak.sh has those of this file again and again. Nothing but what a test sends arrives at its NIC.

mod clock;
mod cpus;
mod descriptors;
mod kill;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::files::Folder;
use crate::flood::Flood;
use crate::following::wait_for_line;
use crate::lab::{Nic, output, run};
use crate::loader::{CHAINS, FIRST_PORT, Mode, Programs, detach, send, socket};
use crate::losses::{Counted, counts, quiet_nic};
use crate::tracer::{Ended, Tracer, XDPTRACE, number_of};

/// Datagrams to one port, again and again, and how many they were.
pub struct Stream {
    stop: Arc<AtomicBool>,
    sent: Option<JoinHandle<u64>>,
}

impl Stream {
    /// Begins to send, one a millisecond.
    pub fn start(nic: &Nic) -> Self {
        Self::start_with(nic, Duration::from_millis(1), || {})
    }

    /// The same with another pause; `prepare` comes before each of them.
    pub fn start_with(nic: &Nic, pause: Duration, prepare: impl Fn() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (socket, address, stopped) = (socket(nic), nic.address.clone(), stop.clone());
        let sent = thread::spawn(move || {
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                prepare();
                // A device that is gone takes none.
                sent += u64::from(socket.send_to(b"xdptrace", (address.as_str(), FIRST_PORT)).is_ok());
                thread::sleep(pause);
            }
            sent
        });
        Self { stop, sent: Some(sent) }
    }

    /// Stops; how many were sent.
    pub fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.sent.take().unwrap().join().unwrap()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// All runs of a program are in the last words and among the lines.
fn assert_all_told(ended: &Ended, runs: u64) {
    let counts = counts(ended);
    assert_eq!((counts.seen, counts.traced, counts.lost), (runs, runs, 0), "{:#?}", ended.stderr);
    assert_eq!(number_of("unpaired", ended.stderr.last().unwrap()), 0, "{:#?}", ended.stderr);
}

#[test]
fn a_device_that_is_deleted_under_traffic_takes_nothing_with_it() {
    let nic = quiet_nic();
    let counted = Counted::drop_on(&nic);
    let mut tracer = Tracer::start(&nic, &["-i", "veth0"]);
    let stream = Stream::start(&nic);
    counted.runs.wait_for(500);
    nic.ip(&["link", "delete", "veth0"]);
    wait_for_line(&mut tracer, &format!("detached from {} on veth0", counted.called));
    let sent = stream.stop();
    let ended = tracer.end("INT");
    let runs = counted.runs.now();
    assert!(runs >= 500 && runs <= sent, "{runs} runs, {sent} sent");
    assert_all_told(&ended, runs);
    eprintln!("{runs} of {sent}: {}", ended.stderr.last().unwrap());
}

/// The namespace, and what is in it, is there until the tracer has left it.
#[test]
fn a_namespace_that_is_deleted_under_traffic_takes_nothing_with_it() {
    let nic = quiet_nic();
    let counted = Counted::drop_on(&nic);
    let netns = nic.netns.clone().unwrap();
    let tracer = Tracer::start_command(&[XDPTRACE, "-i", "veth0", "--netns", &netns].map(str::to_owned));
    let stream = Stream::start(&nic);
    counted.runs.wait_for(500);
    let before = counted.runs.now();
    output(&["ip", "netns", "delete", &netns]);
    let ended = tracer.wait();
    stream.stop();
    let runs = counted.runs.settle();
    // For the end of the test.
    output(&["ip", "netns", "add", &netns]);
    assert_eq!(ended.status.code(), Some(4), "{:#?}", ended.stderr);
    let last = &ended.stderr[ended.stderr.len() - 2];
    let counts = ended.counts_of_line(last);
    assert!((before..=runs).contains(&counts.seen), "{before} to {runs} runs: {last}");
    assert_eq!((counts.traced, counts.lost), (ended.stdout.len() as u64, 0), "{last}");
    assert_eq!(counts.traced, counts.seen, "{last}");
    eprintln!("{before} to {runs} runs: {last}");
}

/// What was sent while the tracer stood still is told when it goes on; what came meanwhile, from then on.
#[test]
fn a_tracer_that_is_suspended_goes_on_where_it_was() {
    let nic = quiet_nic();
    let first = Counted::drop_on(&nic);
    let mut tracer = Tracer::start(&nic, &["-i", "veth0"]);
    tracer.send("STOP");
    send(&nic, [FIRST_PORT; 200]);
    first.runs.wait_for(200);
    detach(&nic, Mode::Native);
    let second = Counted::drop_on(&nic);
    send(&nic, [FIRST_PORT; 200]);
    second.runs.wait_for(200);
    tracer.send("CONT");
    wait_for_line(&mut tracer, &format!("attached to {} on veth0: not traced from ", second.called));
    tracer.wait_for_lines(200, &first.called);
    send(&nic, [FIRST_PORT; 200]);
    tracer.wait_for_lines(200, &second.called);
    let ended = tracer.end("INT");
    let told = |counted: &Counted| ended.stdout.iter().filter(|line| line.contains(&counted.called)).count();
    assert_eq!((told(&first), first.runs.now(), told(&second), second.runs.now()), (200, 200, 200, 400));
    assert_all_told(&ended, 400);
}

/// Each of them has all packets, whatever becomes of another.
#[test]
fn two_and_ten_tracers_of_one_program_have_all_packets_each() {
    let nic = quiet_nic();
    let counted = Counted::drop_on(&nic);
    for count in [2, 10] {
        let mut tracers: Vec<Tracer> =
            (0..count).map(|_| Tracer::spawn(&nic, &["-i", "veth0", "-B", "4096"])).collect();
        tracers.iter_mut().for_each(Tracer::wait_until_it_listens);
        let before = counted.runs.now();
        Flood::send(&nic, 400);
        let killed = tracers.pop().filter(|_| count > 2);
        drop(killed.map(|tracer| tracer.end("KILL")));
        Flood::send(&nic, 400);
        let runs = counted.runs.settle() - before;
        assert!(runs >= 400, "{runs} of 800 sent arrived");
        assert_eq!(tracers.len(), count - 1);
        tracers.iter().for_each(|tracer| tracer.send("INT"));
        tracers.into_iter().for_each(|tracer| assert_all_told(&tracer.wait(), runs));
    }
}

/// The kernel lets a program call on 33 times; it is the first one's fexit that sees the last one's verdict.
#[test]
fn a_program_that_tail_calls_33_deep_is_one_run() {
    const PACKETS: usize = 100;
    let nic = quiet_nic();
    let programs = Programs::load(CHAINS, &["tail_deep"]);
    programs.jump(0, "tail_deep");
    programs.attach(&nic, Mode::Native, "tail_deep");
    let known = programs.known("tail_deep");
    let tracer = Tracer::start(&nic, &["-i", "veth0"]);
    send(&nic, [FIRST_PORT; PACKETS]);
    known.runs().wait_for(PACKETS as u64);
    // A program array that holds its own program: neither goes without the other.
    programs.clear_jump(0);
    assert_eq!(programs.ports().of(FIRST_PORT), 34 * PACKETS as u64);
    let ended = tracer.end("INT");
    assert_all_told(&ended, PACKETS as u64);
    let words = format!(" veth0 {} XDP_DROP ", known.called("tail_deep"));
    assert!(ended.stdout.iter().all(|line| line.contains(&words)), "{:#?}", ended.stdout);
}

/// A small disk, which is gone with it.
struct Disk(String);

impl Disk {
    fn mount(path: &str) -> Self {
        output(&["mount", "-t", "tmpfs", "-o", "size=64k", "none", path]);
        Self(path.into())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(&["umount", &self.0]);
    }
}

/// Where nobody reads the output any more, and where the disk is full: what could not be written is lost, and all of it counted.
#[test]
fn what_a_closed_pipe_or_a_full_disk_does_not_take_is_counted() {
    let folder = Folder::new("unwritten");
    let reader = format!("exec {XDPTRACE} -i veth0 -w - > >(while [ ! -e {} ]; do sleep 0.1; done)", folder.file("go"));
    let disk = format!("exec {XDPTRACE} -i veth0 -w {}", folder.file("f"));
    let _disk = Disk::mount(folder.path());
    for (script, status, has_remedy) in [(reader, 0, 0), (disk, 1, 1)] {
        let nic = quiet_nic();
        let counted = Counted::drop_on(&nic);
        let tracer = Tracer::start_command(&nic.inside(&["bash", "-c", &script]));
        tracer.send("STOP");
        // No more at once than the pair's own ring holds.
        for sent in (100..=1000).step_by(100) {
            send(&nic, [FIRST_PORT; 100]);
            counted.runs.wait_for(sent);
        }
        std::fs::write(folder.file("go"), "").unwrap();
        // Whether the pipe's reader has gone before it goes on makes no difference to the sums.
        tracer.send("CONT");
        let ended = tracer.wait();
        assert_eq!(ended.status.code(), Some(status), "{:#?}", ended.stderr);
        let last = &ended.stderr[ended.stderr.len() - 1 - has_remedy];
        let counts = ended.counts_of_line(last);
        assert_eq!((counts.seen, counts.filtered, counts.skipped), (1000, 0, 0), "{last}");
        assert_eq!(number_of("lost because they could not be written", last), counts.lost, "{last}");
        // The disk holds 64 of the 1000 packets' 280 KB, the pipe as much.
        assert!(has_remedy == 0 || (1..1000).contains(&counts.lost), "{last}");
        eprintln!("{last}");
    }
}
