//! Millions of packets through a program that is traced with everything on: what is shown and what is lost are all that ran, the
//! tracers' memory doesn't grow, and they never stand still.

use std::env;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::files::Folder;
use crate::flood::Flood;
use crate::lab::wait_for;
use crate::losses::{Counted, quiet_nic};
use crate::tracer::{Ended, Tracer, XDPTRACE, number_of};

/// How often to look, and when memory has its size.
const LOOK: Duration = Duration::from_secs(5);
const SETTLED: Duration = Duration::from_secs(60);
/// What a longer line than any before may take of the allocator: a leak of one byte a packet would be ten times as much.
const PLAY_KIB: u64 = 1024;

/// Whether memory is to be looked at for long.
fn is_asked_for() -> bool {
    packets() >= 1_000_000
}

/// How many packets: XDPTRACE_LOAD, or as many as show that the test itself works.
fn packets() -> u64 {
    let packets = env::var("XDPTRACE_LOAD").ok().filter(|packets| !packets.is_empty());
    packets.map_or(20_000, |packets| packets.parse().expect("XDPTRACE_LOAD is a number"))
}

/// KiB that a process has in memory.
fn resident_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// One that is looked at while it runs.
struct Watched {
    tracer: Tracer,
    /// What it has in memory at most, up to the end of the first minute, and since.
    settled_kib: u64,
    most_kib: u64,
}

impl Watched {
    fn new(tracer: Tracer) -> Self {
        Self { tracer, settled_kib: 0, most_kib: 0 }
    }

    /// How far it has come, which is as far as the program, and what that takes.
    fn look(&mut self, since: Duration, counted: &Counted) {
        /// One on each CPU may have been counted by the program and not have ended.
        const UNDER_WAY: u64 = 2;
        let ran = counted.runs.now();
        let before = self.tracer.stderr.len();
        self.tracer.send("USR1");
        let is_told = |line: &&String| line.contains(" seen = ");
        self.tracer.wait_until("numbers", |tracer| tracer.stderr[before..].iter().any(|line| is_told(&line)));
        let line = self.tracer.stderr.iter().rfind(is_told).unwrap();
        let seen = number_before_seen(line);
        assert!(seen + UNDER_WAY >= ran, "it stands still at {ran}: {line}");
        let now = resident_kib(self.tracer.id());
        eprintln!("{:>4} s: {seen} seen, {now} KiB resident", since.as_secs());
        let most = if since < SETTLED { &mut self.settled_kib } else { &mut self.most_kib };
        *most = now.max(*most);
    }

    /// Its end, before which its memory has not grown.
    fn end(self) -> Ended {
        eprintln!("resident: {} KiB in the first minute, {} since", self.settled_kib, self.most_kib);
        assert!(
            !is_asked_for() || self.most_kib > 0,
            "that took no more than the first minute: XDPTRACE_LOAD more packets"
        );
        assert!(self.most_kib <= self.settled_kib + PLAY_KIB, "its memory grows");
        self.tracer.end("INT")
    }
}

/// The runs of the line whose words may begin with a time.
fn number_before_seen(line: &str) -> u64 {
    line.split_once(" seen = ").unwrap().0.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn everything_at_once_for_as_many_packets_as_asked_for() {
    let (nic, folder) = (quiet_nic(), Folder::new("load"));
    let counted = Counted::drop_on(&nic);
    let lines = folder.file("lines");
    // Each condition holds for all packets: none of them is decided without being looked at.
    let script = format!(
        "exec {XDPTRACE} -i veth0 --probe both --filter-at entry --outcome all --verdict drop --slower 1ns --queue 0 \
         -w /dev/null --print -q 'udp dst port 9 and dst host 192.0.2.1 and less 1000' > >(wc -l >{lines})"
    );
    let tracer = Tracer::start_command(&nic.inside(&["bash", "-c", &script]));
    let numbers =
        Tracer::start_command(&nic.inside(&["bash", "-c", &format!("exec {XDPTRACE} stats -i veth0 >/dev/null")]));
    let mut watched = [tracer, numbers].map(Watched::new);
    let begun = Instant::now();
    let flood = Flood::send_in_background(&nic, packets());
    while !flood.has_ended() {
        thread::sleep(LOOK.min(begun.elapsed()));
        watched.iter_mut().for_each(|one| one.look(begun.elapsed(), &counted));
    }
    let took = begun.elapsed();
    drop(flood);
    let runs = counted.runs.settle();
    let [tracer, numbers] = watched.map(Watched::end);
    for ended in [&tracer, &numbers] {
        let (counts, last) = (ended.counts(), ended.stderr.last().unwrap());
        eprintln!("{took:?}, {runs} runs: {last}");
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!((counts.seen, counts.filtered, counts.skipped), (runs, 0, 0), "{last}");
        assert_eq!(number_of("unpaired", last), 0, "{last}");
    }
    assert_eq!(numbers.counts().lost, 0);
    let lines: u64 = wait_for("lines counted", || fs::read_to_string(&lines).ok()?.trim().parse().ok());
    assert_eq!(tracer.counts().traced, lines);
    // What the pair itself dropped was never at the program.
    assert!(runs > packets() / 2 && runs <= packets(), "{runs} of {}", packets());
}
