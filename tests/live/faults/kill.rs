//! kill -9 at any moment: nothing of ours is left, and all of theirs.

use std::env;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Stream;
use crate::files::Folder;
use crate::lab::{Nic, output, wait_until_equal};
use crate::loader::{NO_OBJECTS, new_objects, objects, program_on};
use crate::losses::{Counted, quiet_nic};
use crate::promiscuous::promiscuity;
use crate::tracer::Tracer;

/// How often: XDPTRACE_KILLS, or twenty times.
fn rounds() -> u64 {
    let rounds = env::var("XDPTRACE_KILLS").ok().filter(|rounds| !rounds.is_empty());
    rounds.map_or(20, |rounds| rounds.parse().expect("XDPTRACE_KILLS is a number"))
}

/// When it is killed once everything is attached, which is each other time, at the latest.
const WHILE_TRACING: Duration = Duration::from_millis(200);

/// Numbers that nobody foresees (xorshift64).
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1)
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_nanos(self.0 % most.as_nanos() as u64)
    }
}

/// The program on a device, whether it is promiscuous, and for how many.
fn state(nic: &Nic) -> (u32, (bool, u64)) {
    (program_on(nic), promiscuity(nic))
}

#[test]
fn nothing_is_left_of_a_tracer_that_is_killed_at_any_moment() {
    let (nic, folder) = (quiet_nic(), Folder::new("killed"));
    let bare = nic.pairs(&["bare0"]).remove(0);
    let counted = Counted::drop_on(&nic);
    let pins = || output(&["find", "/sys/fs/bpf"]);
    let state = || [&nic, &bare].map(state);
    let (before, known, pinned) = (state(), objects(), pins());
    let file = folder.file("f");
    let commands = [
        &["-i", "veth0", "-P"][..],
        &["-i", "veth0", "-P", "-w", &file, "--outcome", "all", "udp"],
        &["-i", "bare0", "-P", "--passthrough"],
        &["stats", "-i", "veth0"],
    ];
    let stream = Stream::start(&nic);
    let begun = Instant::now();
    Tracer::start(&nic, commands[1]).end("KILL");
    let most = begun.elapsed();
    let (mut random, mut listening) = (Random::new(), 0);
    for (round, words) in (0..rounds()).zip(commands.iter().cycle()) {
        let mut tracer = Tracer::spawn(&nic, words);
        let is_late = round % 8 >= commands.len() as u64;
        if is_late {
            tracer.wait_until_it_listens();
        }
        let moment = random.up_to(if is_late { WHILE_TRACING } else { most });
        thread::sleep(moment);
        let at = if is_late { "after it listened" } else { "after the start" };
        let ended = tracer.end("KILL");
        assert_eq!(ended.status.code(), None, "{words:?}, {moment:?} {at}: {ended:?}");
        listening += u64::from(ended.stderr.iter().any(|line| line == "Listening events..."));
        let what = format!("{words:?}, killed {moment:?} {at}");
        wait_until_equal(&what, &(before, NO_OBJECTS), || (state(), new_objects(&known)));
    }
    assert_eq!((stream.stop(), pins()), (counted.runs.settle(), pinned));
    eprintln!("{} rounds within {most:?}, {listening} of them while tracing; {} packets", rounds(), counted.runs.now());
}
