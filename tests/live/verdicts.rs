//! Each verdict of a program that was there before us, as it was given.

use crate::drivers::Vmxnet3;
use crate::lab::{Nic, TARGETS};
use crate::tracer::Tracer;

/// Both probes of both outputs, on one packet.
fn verdict_is_shown(nic: &Nic, mode: &str, program: &str, verdict: &str, left: Left) {
    nic.attach(mode, TARGETS, program);
    let Nic { name: device, peer, address, .. } = nic;
    // Two tracers on one program don't mind each other.
    let mut classic = Tracer::start(nic, &["-i", device, "-o", "classic", "icmp"]);
    let mut text = Tracer::start(nic, &["-i", device, "icmp"]);
    nic.ping(1);
    classic.wait_for_lines(1, "fexit");
    text.wait_for_lines(1, "ICMP");
    let name = format!("{program}#{}", nic.program_id());
    let (from, to) = match left {
        Left::AsItCame => (peer, address),
        Left::SentBack => (address, peer),
    };
    let expected = [
        format!("Tracing packet: {peer} -> {address} (fentry)"),
        format!("Tracing packet: {from} -> {to} (fexit: {verdict})"),
    ];
    let ended = classic.end("INT");
    let shown: Vec<&str> = ended.stdout.iter().filter(|line| line.contains("packet")).map(|line| &line[20..]).collect();
    // What is sent back is answered, and the answer sent back again.
    assert!(shown.chunks(2).all(|pair| pair == expected), "{mode} {program}: {shown:#?}");

    let ended = text.end("TERM");
    // That it was changed stands behind it.
    let changed = match left {
        Left::AsItCame => String::new(),
        Left::SentBack => format!(", src {peer}->{address}, dst {address}->{peer}]"),
    };
    let line = ended.stdout[0].strip_suffix(&changed).expect("what changed");
    let (line, macs) = line.split_once(" [").unwrap_or((line, ""));
    let swapped = macs.strip_prefix("dst mac ").and_then(|macs| macs.split_once(", src mac "));
    let (to, from) = swapped.map(|(to, from)| (to.split_once("->"), from.split_once("->"))).unwrap_or_default();
    assert!(changed.is_empty() || (to.is_some() && to == from.map(|(a, b)| (b, a))), "{macs}");
    let (line, length) = line.split_once(", length ").unwrap();
    // A request, or, of the virtio-net NIC, the answer to one.
    let (line, _) = line.split_once(" echo re").unwrap();
    assert_eq!(length, "64");
    let mut fields: Vec<&str> = line.split(' ').collect();
    assert_eq!(fields[1..4], [device, name.as_str(), verdict], "{mode}");
    // What the kernel can't follow it says so of.
    if verdict == "XDP_ABORTED" || !verdict.starts_with("XDP_") {
        assert_eq!(fields.remove(4), "(xdp_exception)");
    }
    // The packet as it arrived, whatever the program made of it.
    assert_eq!(fields[5..], ["IP", peer, ">", &format!("{address}:"), "ICMP"], "{mode}");
}

/// How the program leaves the packet's addresses.
enum Left {
    AsItCame,
    SentBack,
}

macro_rules! verdicts {
    ($($native:ident $generic:ident $virtio:ident: $program:literal gives $verdict:literal, $left:expr;)*) => {$(
        #[test]
        fn $native() {
            verdict_is_shown(&Nic::veth(), "xdpdrv", $program, $verdict, $left);
        }

        #[test]
        fn $generic() {
            verdict_is_shown(&Nic::veth(), "xdpgeneric", $program, $verdict, $left);
        }

        #[test]
        fn $virtio() {
            verdict_is_shown(&Nic::virtio(), "xdpdrv", $program, $verdict, $left);
        }
    )*};
}

verdicts! {
    veth_native_pass veth_generic_pass virtio_native_pass: "target_pass" gives "XDP_PASS", Left::AsItCame;
    veth_native_drop veth_generic_drop virtio_native_drop: "target_drop_with_a_long_name" gives "XDP_DROP", Left::AsItCame;
    veth_native_abort veth_generic_abort virtio_native_abort: "target_abort" gives "XDP_ABORTED", Left::AsItCame;
    veth_native_tx veth_generic_tx virtio_native_tx: "target_tx" gives "XDP_TX", Left::SentBack;
    veth_native_untyped veth_generic_untyped virtio_native_untyped: "target_untyped" gives "XDP_DROP", Left::AsItCame;
    veth_native_number veth_generic_number virtio_native_number: "target_unknown" gives "42", Left::AsItCame;
}

#[test]
fn virtio_generic_drop() {
    verdict_is_shown(&Nic::virtio(), "xdpgeneric", "target_drop_with_a_long_name", "XDP_DROP", Left::AsItCame);
}

#[test]
fn vmxnet3_native_drop() {
    verdict_is_shown(&Vmxnet3::new(), "xdpdrv", "target_drop_with_a_long_name", "XDP_DROP", Left::AsItCame);
}

#[test]
fn vmxnet3_native_tx() {
    verdict_is_shown(&Vmxnet3::new(), "xdpdrv", "target_tx", "XDP_TX", Left::SentBack);
}
