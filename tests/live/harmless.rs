//! The tracer never hurts the traced: verdicts, time, and what is left behind.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::flood::Flood;
use crate::lab::{Nic, TARGETS, run, wait_for, wait_until_equal};
use crate::loader::{HARMLESS, Mode, NO_OBJECTS, Programs, inside, new_objects, objects};
use crate::losses::{Counted, quiet_nic, stay_on};
use crate::tracer::{Tracer, XDPTRACE};

/// Datagrams that are sent, and those after them that are only run.
const SENT: u32 = 6000;
const RUN: u32 = 500;
/// PAYLOAD and HEADERS of tests/progs/harmless.bpf.c.
const PAYLOAD: usize = 52;
const HEADERS: usize = 42;

/// Its number, and bytes that anything may be.
fn payload(number: u32) -> Vec<u8> {
    let mut seed = u64::from(number) + 1;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    };
    number.to_be_bytes().into_iter().chain((4..PAYLOAD).map(|_| next())).collect()
}

/// What the program has to say of it.
fn verdict(number: u32) -> u32 {
    let hash = payload(number)
        .into_iter()
        .fold(2_166_136_261_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    let hash = hash >> 8;
    if hash % 5 == 4 { 1000 + hash } else { hash % 5 }
}

fn frame(number: u32) -> Vec<u8> {
    let mut frame = vec![0; HEADERS];
    (frame[23], frame[37]) = (17, 9);
    frame.extend(payload(number));
    frame
}

/// What it has written down of those that were sent; None: it hasn't come.
fn given(programs: &Programs) -> Vec<Option<u32>> {
    let values = programs.values("given").into_iter().take(SENT as usize);
    values.map(|value| u32::from_ne_bytes(value.try_into().unwrap()).checked_sub(1)).collect()
}

/// Sends those that haven't come, from both CPUs at once, until all have: where they come faster than the program runs, the
/// device drops some.
fn send_until_all_have_come(nic: &Nic, programs: &Programs) {
    wait_for("all datagrams", || {
        let given = given(programs);
        let missing: Vec<u32> = (0..SENT).filter(|number| given[*number as usize].is_none()).collect();
        thread::scope(|scope| {
            for (cpu, numbers) in missing.chunks(missing.len().div_ceil(2).max(1)).enumerate() {
                scope.spawn(move || send(nic, cpu, numbers));
            }
        });
        missing.is_empty().then_some(())
    });
}

fn send(nic: &Nic, cpu: usize, numbers: &[u32]) {
    stay_on(cpu);
    let socket = inside(nic.peer_netns(), || std::net::UdpSocket::bind("0.0.0.0:0").unwrap());
    for number in numbers {
        // Whether it comes is looked at.
        let _ = socket.send_to(&payload(*number), (nic.address.as_str(), 9));
    }
}

/// What the program gave each datagram of a flood, and returned to the kernel for others meanwhile.
fn verdicts(nic: &Nic, words: &[&str]) -> (Vec<Option<u32>>, Vec<u32>) {
    let programs = Programs::load(HARMLESS, &["by_payload"]);
    programs.attach(nic, Mode::Native, "by_payload");
    let tracer = (!words.is_empty()).then(|| Tracer::start(nic, words));
    let is_over = AtomicBool::new(false);
    let returned = thread::scope(|scope| {
        let tester = scope.spawn(|| {
            let mut returned = Vec::new();
            while returned.is_empty() || !is_over.load(Ordering::Relaxed) {
                let numbers = SENT..SENT + RUN;
                returned = numbers.map(|number| programs.test_run("by_payload", &frame(number), 1)).collect();
            }
            returned
        });
        send_until_all_have_come(nic, &programs);
        is_over.store(true, Ordering::Relaxed);
        tester.join().unwrap()
    });
    if let Some(tracer) = tracer {
        let ended = tracer.end("INT");
        assert!(ended.status.success(), "{:?}", ended.stderr);
        assert!(ended.counts().seen >= SENT.into(), "{:?}", ended.stderr);
        eprintln!("{words:?}: {:?}", ended.stderr.last());
    }
    (given(&programs), returned)
}

#[test]
fn verdicts_are_the_same_for_each_packet_with_and_without_a_tracer() {
    let nic = quiet_nic();
    let file = format!("/run/xdptrace-{}-verdicts.pcapng", std::process::id());
    let expected: Vec<Option<u32>> = (0..SENT).map(|number| Some(verdict(number))).collect();
    let returned: Vec<u32> = (SENT..SENT + RUN).map(verdict).collect();
    assert_eq!(expected.iter().map(|one| one.unwrap().min(4)).collect::<BTreeSet<_>>().len(), 5);
    for words in [
        &[][..],
        &["-i", "veth0"],
        &["-i", "veth0", "--outcome", "all", "-w", &file],
        &["-i", "veth0", "--probe", "exit", "-o", "json", "udp"],
        &["stats", "-i", "veth0", "--by", "flow"],
    ] {
        let (given, to_the_kernel) = verdicts(&nic, words);
        assert!(given == expected, "{words:?}");
        assert!(to_the_kernel == returned, "{words:?}");
    }
    fs::remove_file(&file).unwrap();
}

/// Clock ticks that a process has used, of all its threads, in and out of the kernel.
fn ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, numbers) = stat.rsplit_once(") ").unwrap();
    let numbers: Vec<&str> = numbers.split(' ').collect();
    // utime and stime: the 14th and 15th of proc(5), of which the third is the first here.
    numbers[11..13].iter().map(|number| number.parse::<u64>().unwrap()).sum()
}

/// Time that a process has used.
fn used(process: u32) -> Duration {
    // SAFETY: sysconf(3) takes no pointer.
    let a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as u64;
    Duration::from_millis(ticks(process) * 1000 / a_second)
}

#[test]
fn the_tracer_takes_one_core_at_most_in_a_flood() {
    let nic = quiet_nic();
    let counted = Counted::drop_on(&nic);
    for words in
        [&["-i", "veth0", "-X"][..], &["-i", "veth0", "-w", "/dev/null"], &["stats", "-i", "veth0", "--by", "flow"]]
    {
        let tracer = Tracer::start(&nic, words);
        let flood = Flood::start(&nic, 0);
        counted.runs.wait_for(counted.runs.now() + 1000);
        // In this order, and so below: the time used is that of no longer a while.
        let (began, before, runs) = (Instant::now(), used(tracer.id()), counted.runs.now());
        counted.runs.wait_for(runs + 40_000);
        let (took, runs) = (used(tracer.id()) - before, counted.runs.now() - runs);
        let wall = began.elapsed();
        drop(flood);
        eprintln!("{words:?}: {took:?} of {wall:?}, {runs} runs");
        // A tick of the clock at either end.
        assert!(took <= wall + Duration::from_millis(50), "{words:?}: {took:?} of {wall:?}");
        assert!(tracer.end("INT").status.success());
    }
}

/// MiB that the machine could give.
fn available() -> u64 {
    xdptrace::kernel::available_kib().unwrap() / 1024
}

/// How a run ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Signal(&'static str),
    /// By an option that is enough of it.
    ByItself(&'static [&'static str]),
    /// Nobody reads what it writes.
    ClosedPipe,
    /// After most of it is set up.
    Error(i32, &'static [&'static str]),
}

/// With a pass-through program, the first ones are in `endings`.
const ENDS: [End; 9] = [
    End::Signal("INT"),
    End::Signal("TERM"),
    End::Signal("KILL"),
    End::ByItself(&["--duration", "500ms"]),
    End::ByItself(&["-c", "3"]),
    End::Signal("HUP"),
    End::ClosedPipe,
    // More than the machine has, once there are maps.
    End::Error(3, &["-B", "67108864", "--force"]),
    // No such folder, once everything is attached.
    End::Error(1, &["-w", "/run/no such folder/x.pcapng"]),
];

/// Runs the tracer to this end, with packets all the time.
fn run_to(nic: &Nic, end: End, words: &[&str]) {
    let with = |more: &[&'static str]| [words, more].concat();
    let code = match end {
        End::Signal(signal) => {
            let mut tracer = Tracer::start(nic, words);
            tracer.wait_for_lines(1, "XDP_PASS");
            tracer.end(signal).status.code()
        }
        End::ByItself(more) | End::Error(_, more) => Tracer::spawn(nic, &with(more)).wait().status.code(),
        End::ClosedPipe => {
            let script = format!("{XDPTRACE} {} | head -1; exit ${{PIPESTATUS[0]}}", words.join(" "));
            Tracer::spawn_command(&nic.inside(&["bash", "-c", &script])).wait().status.code()
        }
    };
    let expected = match end {
        End::Signal("KILL") => None,
        End::Error(code, _) => Some(code),
        _ => Some(0),
    };
    assert_eq!(code, expected, "{end:?} {words:?}");
}

#[test]
fn everything_is_as_before_after_every_end() {
    for (program, words, ends) in
        [(true, "-i veth0 -P", &ENDS[..]), (false, "-i veth0 -P --passthrough=generic", &ENDS[4..])]
    {
        let nic = Nic::veth();
        if program {
            nic.attach("xdpdrv", TARGETS, "target_pass");
        }
        let words: Vec<&str> = words.split(' ').collect();
        let packets = nic.there_in_background(&["ping", "-n", "-q", "-i", "0.05", "192.0.2.1"]);
        let before = (nic.state(), objects());
        let memory = available();
        for end in ends {
            run_to(&nic, *end, &words);
            as_before(&nic, &before, *end);
            // The rings of one run alone take more.
            wait_for("memory", || (available() + 48 >= memory).then_some(()));
        }
        eprintln!("{words:?}: {memory} MiB available before, {} after", available());
        drop(packets);
    }
    assert_no_warning();
}

/// Soon: before 5.15 the kernel lets go a little later, and after kill -9 everybody has to be told.
fn as_before(nic: &Nic, (state, objects): &(String, [BTreeSet<u32>; 3]), end: End) {
    let expected = (state.clone(), NO_OBJECTS);
    wait_until_equal(&format!("{end:?}"), &expected, || (nic.state(), new_objects(objects)));
}

/// The kernel has had nothing to complain of in anything that a tracer did since it was booted.
fn assert_no_warning() {
    let log = String::from_utf8_lossy(&run(&["dmesg"]).stdout).into_owned();
    let mut parts = log.split("------------[ cut here ]------------").skip(1);
    let ours = parts.find(|part| part.lines().take(20).any(|line| line.contains("Comm: xdptrace")));
    assert_eq!(ours, None);
}
