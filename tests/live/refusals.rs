//! Bad input: one line with what failed and the remedy, the right status, and nothing left attached.

use crate::lab::{NOBTF, Nic, TARGETS, assert_nothing_is_left};
use crate::tracer::{Tracer, XDPTRACE};

/// Runs `words` in the NIC's namespace and expects exit `status` and one line that holds each of `parts`.
fn is_refused(nic: &Nic, words: &[&str], status: i32, parts: &[&str]) {
    let ended = Tracer::spawn_command(&nic.inside(words)).wait();
    assert_eq!(ended.status.code(), Some(status), "{words:?}: {ended:?}");
    assert!(ended.stdout.is_empty() && ended.stderr.len() == 1, "{words:?}: {ended:?}");
    for part in ["xdptrace: "].iter().chain(parts) {
        assert!(ended.stderr[0].contains(part), "{words:?}: no '{part}' in {:?}", ended.stderr);
    }
    assert_nothing_is_left();
}

#[test]
fn an_unknown_device() {
    is_refused(&Nic::veth(), &[XDPTRACE, "-i", "nosuch"], 4, &["no device nosuch", "`ip link`"]);
    is_refused(&Nic::veth(), &[XDPTRACE, "-i", "nosuch", "--passthrough"], 4, &["no device nosuch"]);
    is_refused(&Nic::veth(), &[XDPTRACE, "-i", "a\nb\u{1b}[31m"], 4, &["no device a\\nb\\u{1b}[31m"]);
    is_refused(&Nic::veth(), &[XDPTRACE, "-i", ""], 4, &["no device"]);
}

#[test]
fn a_device_of_another_namespace() {
    let here = Nic::veth();
    let there = Nic::veth();
    there.ip(&["link", "add", "elsewhere", "type", "dummy"]);
    let netns = there.netns.clone().unwrap();
    is_refused(&here, &[XDPTRACE, "-i", "elsewhere"], 4, &["no device elsewhere", &format!("/run/netns/{netns}")]);
    // The remedy works: the device is found there, without a program.
    let nsenter = format!("--net=/run/netns/{netns}");
    is_refused(&here, &["nsenter", &nsenter, XDPTRACE, "-i", "elsewhere"], 4, &["no XDP program on elsewhere"]);
}

#[test]
fn a_device_without_program() {
    is_refused(&Nic::veth(), &[XDPTRACE, "-i", "veth0"], 4, &["no XDP program on veth0", "--passthrough"]);
}

#[test]
fn a_program_without_btf() {
    let nic = Nic::veth();
    nic.attach("xdpgeneric", NOBTF, "nobtf");
    let before = nic.xdp();
    is_refused(&nic, &[XDPTRACE, "-i", "veth0"], 4, &["has no BTF", "clang -g"]);
    assert_eq!(nic.xdp(), before);
}

#[test]
fn a_driver_without_native_xdp() {
    let nic = Nic::veth();
    nic.ip(&["link", "add", "dummy0", "type", "dummy"]);
    let ended = Tracer::spawn(&nic, &["-i", "dummy0", "--passthrough=native"]).wait();
    assert_eq!(ended.status.code(), Some(4), "{ended:?}");
    assert!(ended.stderr.last().unwrap().contains("--passthrough=generic"), "{ended:?}");
    assert_nothing_is_left();
}

#[test]
fn another_user_and_a_root_without_capabilities() {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_pass");
    let as_nobody = ["setpriv", "--reuid=65534", "--clear-groups", XDPTRACE, "-i", "veth0"];
    is_refused(&nic, &as_nobody, 3, &["not privileged", "CAP_SYS_ADMIN", "sudo"]);
    let powerless_root = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", XDPTRACE, "-i", "veth0"];
    is_refused(&nic, &powerless_root, 3, &["not privileged", "CAP_SYS_ADMIN"]);
    let no_net_admin =
        ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", XDPTRACE, "-i", "veth0", "--passthrough"];
    is_refused(&nic, &no_net_admin, 3, &["not privileged", "CAP_NET_ADMIN"]);
    let root_of_a_namespace = ["unshare", "--user", "--map-root-user", XDPTRACE, "-i", "veth0"];
    is_refused(&nic, &root_of_a_namespace, 3, &["not privileged", "user namespace"]);
    // Several reasons: 3 comes before 4.
    is_refused(&nic, &["setpriv", "--reuid=65534", "--clear-groups", XDPTRACE, "-i", "nosuch"], 3, &["not privileged"]);
}

#[test]
fn not_another_user_with_the_capabilities() {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_pass");
    let nobody = ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=+sys_admin", "--ambient-caps=+sys_admin"];
    let mut tracer = Tracer::spawn_command(&nic.inside(&[&nobody[..], &[XDPTRACE, "-i", "veth0"]].concat()));
    tracer.wait_until("'Listening events...'", |tracer| tracer.stderr.iter().any(|line| line == "Listening events..."));
    nic.ping(1);
    tracer.wait_for_lines(1, "XDP_PASS");
    assert!(tracer.end("INT").status.success());
    assert_nothing_is_left();
}

#[test]
fn a_wrong_option() {
    let nic = Nic::veth();
    is_refused(&nic, &[XDPTRACE, "-i", "veth0", "--nonsense"], 2, &["--nonsense", "--help"]);
    is_refused(&nic, &[XDPTRACE], 2, &["-i DEV"]);
}
