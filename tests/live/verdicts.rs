//! Each verdict of a program that was there before us, as it was given.

use crate::lab::{Nic, TARGETS};
use crate::tracer::Tracer;

/// Both probes of both outputs, on one packet.
fn verdict_is_shown(nic: &Nic, mode: &str, program: &str, verdict: &str, left_as: [&str; 2]) {
    nic.attach(mode, TARGETS, program);
    // Two tracers on one program don't mind each other.
    let mut classic = Tracer::start(nic, &["-i", "veth0", "-o", "classic", "icmp"]);
    let mut text = Tracer::start(nic, &["-i", "veth0", "icmp"]);
    nic.ping(1);
    classic.wait_for_lines(1, "fexit");
    text.wait_for_lines(1, "ICMP");
    let name = format!("{program}#{}", nic.program_id());
    let [from, to] = left_as;
    let expected = [
        "Tracing packet: 192.0.2.2 -> 192.0.2.1 (fentry)".to_owned(),
        format!("Tracing packet: {from} -> {to} (fexit: {verdict})"),
    ];
    let ended = classic.end("INT");
    let shown: Vec<&str> = ended.stdout.iter().filter(|line| line.contains("packet")).map(|line| &line[20..]).collect();
    // What is sent back is answered, and the answer sent back again.
    assert!(shown.chunks(2).all(|pair| pair == expected), "{mode} {program}: {shown:#?}");

    let ended = text.end("TERM");
    let fields: Vec<&str> = ended.stdout[0].split(' ').collect();
    assert_eq!(fields[1..4], ["veth0", name.as_str(), verdict], "{mode}");
    // The packet as it arrived, whatever the program made of it.
    assert_eq!(fields[5..], ["IP", "192.0.2.2", ">", "192.0.2.1:", "ICMP"], "{mode}");
}

const AS_IT_CAME: [&str; 2] = ["192.0.2.2", "192.0.2.1"];
const SENT_BACK: [&str; 2] = ["192.0.2.1", "192.0.2.2"];

macro_rules! verdicts {
    ($($native:ident $generic:ident: $program:literal gives $verdict:literal, $left_as:expr;)*) => {$(
        #[test]
        fn $native() {
            verdict_is_shown(&Nic::veth(), "xdpdrv", $program, $verdict, $left_as);
        }

        #[test]
        fn $generic() {
            verdict_is_shown(&Nic::veth(), "xdpgeneric", $program, $verdict, $left_as);
        }
    )*};
}

verdicts! {
    veth_native_pass veth_generic_pass: "target_pass" gives "XDP_PASS", AS_IT_CAME;
    veth_native_drop veth_generic_drop: "target_drop_with_a_long_name" gives "XDP_DROP", AS_IT_CAME;
    veth_native_abort veth_generic_abort: "target_abort" gives "XDP_ABORTED", AS_IT_CAME;
    veth_native_tx veth_generic_tx: "target_tx" gives "XDP_TX", SENT_BACK;
    veth_native_number veth_generic_number: "target_unknown" gives "42", AS_IT_CAME;
}

/// The VM's NIC, whose pings go out: their replies come in.
fn virtio_drop(mode: &str) {
    let nic = Nic::virtio();
    nic.ping(1); // The emulator's address is resolved while the program doesn't drop ARP yet.
    nic.attach(mode, TARGETS, "target_drop_with_a_long_name");
    let mut tracer = Tracer::start(&nic, &["-i", "eth0", "-o", "classic", "icmp"]);
    nic.ping(2);
    tracer.wait_for_lines(2, "Tracing packet: 10.0.2.2 -> 10.0.2.15 (fexit: XDP_DROP)");
    assert_eq!(tracer.lines_with("Tracing packet: 10.0.2.2 -> 10.0.2.15 (fentry)").len(), 2);
    assert!(tracer.end("INT").status.success());
}

#[test]
fn virtio_native_drop() {
    virtio_drop("xdpdrv");
}

#[test]
fn virtio_generic_drop() {
    virtio_drop("xdpgeneric");
}
