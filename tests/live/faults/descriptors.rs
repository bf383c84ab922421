//! No file descriptor is left: at the start, and when there is more to open.

use std::fs;

use super::assert_all_told;
use crate::following::wait_for_line;
use crate::lab::assert_nothing_is_left;
use crate::loader::{FIRST_PORT, Mode, detach, send};
use crate::losses::{Counted, quiet_nic};
use crate::tracer::{Tracer, XDPTRACE};

/// How many a process may have from now on.
fn limit(process: u32, descriptors: u64) {
    let limit = libc::rlimit { rlim_cur: descriptors, rlim_max: 4096 };
    // SAFETY: the kernel reads the limit.
    let done = unsafe { libc::prlimit(process as i32, libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut()) };
    assert_eq!(done, 0);
}

/// How many a process has.
fn open(process: u32) -> u64 {
    fs::read_dir(format!("/proc/{process}/fd")).unwrap().count() as u64
}

#[test]
fn too_few_descriptors_at_the_start_are_said_in_one_line() {
    let nic = quiet_nic();
    let counted = Counted::drop_on(&nic);
    let tracer = Tracer::start(&nic, &["-i", "veth0"]);
    let enough = open(tracer.id());
    tracer.end("INT");
    // The loader of the program itself takes some.
    for descriptors in (7..enough).step_by(2) {
        let words = if descriptors % 4 == 1 { "-i veth0" } else { "-i lo --passthrough=generic" };
        let script = format!("ulimit -n {descriptors}; exec {XDPTRACE} {words}");
        let ended = Tracer::spawn_command(&nic.inside(&["bash", "-c", &script])).wait();
        // A pass-through program is announced.
        let said: Vec<&String> = ended.stderr.iter().filter(|line| !line.starts_with("attaching ")).collect();
        let [line] = &said[..] else { panic!("{descriptors} of {enough}: {ended:?}") };
        assert_eq!(ended.status.code(), Some(1), "{descriptors} of {enough}: {line}");
        assert!(
            line.starts_with("xdptrace: ") && line.contains(" by `ulimit -n`"),
            "{descriptors} of {enough}: {line}"
        );
    }
    assert_nothing_is_left();
    assert_eq!(counted.runs.now(), 0);
}

#[test]
fn too_few_descriptors_for_what_has_come_end_nothing() {
    let nic = quiet_nic();
    let first = Counted::drop_on(&nic);
    let mut tracer = Tracer::start(&nic, &["-i", "veth0"]);
    limit(tracer.id(), open(tracer.id()));
    send(&nic, [FIRST_PORT; 50]);
    first.runs.wait_for(50);
    detach(&nic, Mode::Native);
    let second = Counted::drop_on(&nic);
    tracer.wait_until("refusal", |tracer| {
        let said = |line: &&String| line.starts_with("not traced: ") && line.contains(" no file descriptor is left: ");
        tracer.stderr.iter().filter(said).count() == 1
    });
    send(&nic, [FIRST_PORT; 50]);
    second.runs.wait_for(50);
    limit(tracer.id(), 1024);
    wait_for_line(&mut tracer, &format!("attached to {} on veth0: not traced from ", second.called));
    send(&nic, [FIRST_PORT; 50]);
    second.runs.wait_for(100);
    let ended = tracer.end("INT");
    assert_all_told(&ended, 100);
}
