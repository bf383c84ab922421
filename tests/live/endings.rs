//! What is left after a normal end, SIGTERM and kill -9: nothing of ours, and all of theirs.

use crate::lab::{Nic, TARGETS, assert_nothing_is_left, output, run, wait_for};
use crate::tracer::{ENDINGS, Tracer, XDPTRACE};

/// Traces a packet or two, then ends the tracer.
fn trace_and_end(nic: &Nic, words: &[&str], signal: &str) {
    let mut tracer = Tracer::start(nic, words);
    nic.ping(1);
    tracer.wait_for_lines(1, "XDP_PASS");
    let ended = tracer.end(signal);
    // None: killed, as asked.
    assert_eq!(ended.status.code(), if signal == "KILL" { None } else { Some(0) }, "{ended:?}");
    assert_nothing_is_left();
}

/// SIGINT and SIGTERM are one to the tracer, which is shown where all three are sent.
const TWO_ENDINGS: [&str; 2] = ["TERM", "KILL"];

fn existing_program_is_left_as_it_was(nic: &Nic, mode: &str, signals: &[&str]) {
    nic.attach(mode, TARGETS, "target_pass");
    let before = (nic.xdp(), nic.state());
    for signal in signals {
        // --passthrough is for NICs without a program, and so does nothing here.
        trace_and_end(nic, &["-i", &nic.name, "--passthrough", "icmp"], signal);
        assert_eq!((nic.xdp(), nic.state()), before, "{mode} {signal}");
    }
}

#[test]
fn existing_native_program_is_left_as_it_was() {
    existing_program_is_left_as_it_was(&Nic::veth(), "xdpdrv", &ENDINGS);
}

#[test]
fn virtio_existing_native_program_is_left_as_it_was() {
    existing_program_is_left_as_it_was(&Nic::virtio(), "xdpdrv", &TWO_ENDINGS);
}

#[test]
fn existing_generic_program_is_left_as_it_was() {
    existing_program_is_left_as_it_was(&Nic::veth(), "xdpgeneric", &TWO_ENDINGS);
}

/// `mode` as `ip` calls it while the pass-through is attached.
fn passthrough_leaves_no_trace(nic: &Nic, option: &str, mode: u64, signals: &[&str]) {
    let before = nic.state();
    assert_eq!(nic.program_id(), 0);
    for signal in signals {
        let mut tracer = Tracer::start(nic, &["-i", &nic.name, option]);
        assert_eq!(nic.xdp()["mode"], mode, "{option}");
        assert_eq!(nic.xdp()["prog"]["name"], "xdptrace_pass");
        nic.ping(1);
        tracer.wait_for_lines(1, "ICMP");
        assert!(tracer.stderr[0].starts_with("attaching a program that passes everything"), "{:?}", tracer.stderr);
        tracer.end(signal);
        comes_true("state as before", signal, || nic.program_id() == 0 && nic.state() == before);
        assert_nothing_is_left();
    }
}

/// By the end of the tracer; after kill -9, when it cannot clean up itself, soon.
fn comes_true(what: &str, signal: &str, condition: impl Fn() -> bool) {
    match signal {
        "KILL" => wait_for(what, || condition().then_some(())),
        _ => assert!(condition(), "no {what} after SIG{signal}"),
    }
}

/// XDP_ATTACHED_DRV and XDP_ATTACHED_SKB of include/uapi/linux/if_link.h.
const NATIVE: u64 = 1;
const GENERIC: u64 = 2;

#[test]
fn veth_native_passthrough_leaves_no_trace() {
    passthrough_leaves_no_trace(&Nic::veth(), "--passthrough=native", NATIVE, &ENDINGS);
}

#[test]
fn veth_generic_passthrough_leaves_no_trace() {
    passthrough_leaves_no_trace(&Nic::veth(), "--passthrough=generic", GENERIC, &TWO_ENDINGS);
}

#[test]
fn virtio_native_passthrough_leaves_no_trace() {
    passthrough_leaves_no_trace(&Nic::virtio(), "--passthrough=native", NATIVE, &TWO_ENDINGS);
}

#[test]
fn virtio_generic_passthrough_leaves_no_trace() {
    passthrough_leaves_no_trace(&Nic::virtio(), "--passthrough=generic", GENERIC, &ENDINGS);
}

/// The VM's vmxnet3 NIC has LRO, which attaching generic XDP switches off and detaching doesn't switch on again.
#[test]
fn vmxnet3_lro_is_on_again_after_every_end() {
    let name = output(&["bash", "-c", "grep -lx DRIVER=vmxnet3 /sys/class/net/*/device/uevent | cut -d/ -f5"]);
    let name = name.trim_end();
    output(&["ip", "link", "set", "dev", name, "up"]);
    let lro = || {
        let features = output(&["ethtool", "-k", name]);
        features.lines().find(|line| line.starts_with("large-receive-offload")).unwrap().to_owned()
    };
    assert_eq!(lro(), "large-receive-offload: on");
    let mut nic = Nic::virtio();
    nic.name = name.to_owned();
    for signal in ENDINGS {
        let tracer = Tracer::start(&nic, &["-i", name, "--passthrough=generic"]);
        assert_eq!(lro(), "large-receive-offload: off");
        tracer.end(signal);
        comes_true("LRO", signal, || lro() == "large-receive-offload: on");
    }
    // One that starts while LRO is still to be switched on doesn't take 'off' for the NIC's own state.
    Tracer::start(&nic, &["-i", name, "--passthrough=generic"]).end("KILL");
    Tracer::start(&nic, &["-i", name, "--passthrough=generic"]).end("INT");
    assert_eq!(lro(), "large-receive-offload: on");
}

/// `timeout`, `sudo` and a terminal's Ctrl-C on a pipeline each signal both the process and its group: the second copy
/// must not cut the ending short.
#[test]
fn a_signal_sent_twice_at_once_ends_the_run_in_order() {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_pass");
    let words = nic.inside(&["timeout", "--preserve-status", "-s", "INT", "3", XDPTRACE, "-i", "veth0"]);
    let ended = Tracer::spawn_command(&words).wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    ended.counts();
    assert_nothing_is_left();
}

#[test]
fn a_signal_is_obeyed_under_load() {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_pass");
    let mut tracer = Tracer::start(&nic, &["-i", "veth0"]);
    let flood = nic.there_in_background(&["ping", "-n", "-q", "-f", "192.0.2.1"]);
    tracer.wait_for_lines(100, "ICMP");
    let ended = tracer.end("TERM");
    drop(flood);
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.stderr);
    assert_eq!(ended.counts().traced, ended.stdout.len() as u64);
    assert_nothing_is_left();
}

#[test]
fn under_nohup_a_hangup_is_ignored() {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_pass");
    let mut tracer = Tracer::start_command(&nic.inside(&["nohup", XDPTRACE, "-i", "veth0", "icmp"]));
    tracer.send("HUP");
    nic.ping(1);
    tracer.wait_for_lines(1, "ICMP");
    assert!(tracer.end("INT").status.success());
}

#[test]
fn a_reader_that_stopped_reading_does_not_hold_the_end_up() {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_pass");
    // A pager that shows its first page only: it reads on when it is told to, which is never.
    let script = format!("{XDPTRACE} -i veth0 icmp 2>/run/xdptrace-blocked | sleep 600 & sleep 600");
    let pager = Tracer::spawn_command(&nic.inside(&["setsid", "bash", "-c", &script]));
    wait_for("'Listening events...'", || {
        std::fs::read_to_string("/run/xdptrace-blocked").ok().filter(|words| words.contains("Listening"))
    });
    // More lines than the 65,536 bytes of a pipe hold, but fewer than the ring.
    nic.there(&["ping", "-n", "-q", "-f", "-l", "50", "-c", "1500", "-W", "1", "192.0.2.1"]);
    // Nor is a program that is replaced meanwhile held.
    let replaced = nic.program_id();
    nic.ip(&["-force", "link", "set", "dev", "veth0", "xdpdrv", "object", TARGETS, "program", "target_pass"]);
    wait_for("end of the replaced program", || {
        (!run(&["bpftool", "prog", "show", "id", &replaced.to_string()]).status.success()).then_some(())
    });
    output(&["bash", "-c", &format!("pkill -INT -f '^{XDPTRACE} -i veth0 icmp'")]);
    assert_nothing_is_left();
    // The reader is waited for, but not for long.
    wait_for("the summary", || {
        std::fs::read_to_string("/run/xdptrace-blocked").ok().filter(|words| words.contains(" seen = "))
    });
    output(&["bash", "-c", "pkill -f '^sleep 600'"]);
    drop(pager);
}
