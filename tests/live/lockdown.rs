//! What is left where the kernel lets nobody read its memory. It lasts until the next boot, so this comes last.

use std::fs;

use crate::lab::{Nic, TARGETS, run};
use crate::refusals::is_refused;
use crate::tracer::{Tracer, XDPTRACE};

const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

#[test]
#[ignore = "the kernel stays locked down until the next boot"]
fn packets_are_shown_that_nobody_may_read() {
    if fs::metadata(LOCKDOWN).is_err() {
        run(&["mount", "-t", "securityfs", "securityfs", "/sys/kernel/security"]);
    }
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_tx");
    fs::write(LOCKDOWN, "confidentiality").unwrap();
    for probe in ["both", "exit"] {
        let file = format!("/run/xdptrace-{}-{probe}.pcapng", std::process::id());
        let tracer = Tracer::start(&nic, &["-i", "veth0", "--probe", probe, "-w", &file]);
        nic.there(&["ping", "-n", "-q", "-c", "2", "-i", "0.2", "-W", "1", "192.0.2.1"]);
        let ended = tracer.end("INT");
        assert!(ended.counts().traced >= 2 && ended.counts().lost == 0, "{ended:?}");
        let read = run(&["tcpdump", "-nn", "-r", &file, "icmp"]);
        let lines = String::from_utf8(read.stdout).unwrap();
        // As they left, twice: how they arrived isn't known, and nothing is said of it.
        assert_eq!(lines.matches("192.0.2.1 > 192.0.2.2: ICMP echo request").count(), 2, "{lines}");
        assert!(!lines.contains("192.0.2.2 > 192.0.2.1"), "{lines}");
        fs::remove_file(&file).unwrap();
    }
    for words in [&["icmp"][..], &["--changed"], &["--only-failed"]] {
        is_refused(&nic, &[&[XDPTRACE, "-i", "veth0"], words].concat(), 3, &["lockdown (confidentiality)"]);
    }
}
