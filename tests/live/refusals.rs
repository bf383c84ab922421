//! Bad input: one line with what failed and the remedy, the right status, and nothing left attached.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process;

use crate::lab::{NOBTF, Nic, TARGETS, assert_nothing_is_left};
use crate::tracer::{Tracer, XDPTRACE};

/// The binary where any user may run it: the project may lie below somebody's home.
pub struct Public(PathBuf);

impl Public {
    /// Copies it into a folder of this name.
    pub fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("xdptrace-{}-{name}", process::id()));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        fs::copy(XDPTRACE, folder.join("xdptrace")).unwrap();
        Self(folder)
    }

    /// Where it is.
    pub fn path(&self) -> String {
        self.0.join("xdptrace").to_str().unwrap().to_owned()
    }
}

impl Drop for Public {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs `words` in the NIC's namespace and expects exit `status` and one line that holds each of `parts`.
pub fn is_refused(nic: &Nic, words: &[&str], status: i32, parts: &[&str]) {
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
    is_refused(&Nic::veth(), &[XDPTRACE, "-i", ""], 2, &["empty name"]);
    is_refused(&Nic::veth(), &[XDPTRACE, "-i", "veth0:1"], 4, &["no device veth0:1"]);
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
    let public = Public::new("refused");
    let xdptrace = &public.path();
    let nobody = ["setpriv", "--reuid=65534", "--clear-groups", xdptrace];
    is_refused(&nic, &[&nobody[..], &["-i", "veth0"]].concat(), 3, &["not privileged", "CAP_SYS_ADMIN", "sudo"]);
    // Several reasons: 3 comes before 4.
    is_refused(&nic, &[&nobody[..], &["-i", "nosuch"]].concat(), 3, &["not privileged"]);
    let without_program = Nic::veth();
    for (nic, capability, option) in
        [(&nic, "sys_admin", "-o=text"), (&without_program, "net_admin", "--passthrough"), (&nic, "net_raw", "-P")]
    {
        let [bounding, inheritable] = ["bounding-set", "inh-caps"].map(|set| format!("--{set}=-{capability}"));
        let powerless_root = ["setpriv", &bounding, &inheritable, XDPTRACE, "-i", "veth0", option];
        is_refused(nic, &powerless_root, 3, &["not privileged", &format!("CAP_{}", capability.to_uppercase())]);
    }
    let root_of_a_namespace = ["unshare", "--user", "--map-root-user", XDPTRACE, "-i", "veth0"];
    is_refused(&nic, &root_of_a_namespace, 3, &["not privileged", "user namespace"]);
}

#[test]
fn not_another_user_with_the_capabilities() {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_pass");
    let public = Public::new("allowed");
    let xdptrace = &public.path();
    let nobody = ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=+sys_admin", "--ambient-caps=+sys_admin"];
    let mut tracer = Tracer::start_command(&nic.inside(&[&nobody[..], &[xdptrace, "-i", "veth0", "icmp"]].concat()));
    nic.ping(1);
    tracer.wait_for_lines(1, "XDP_PASS");
    assert!(tracer.end("INT").status.success());
    assert_nothing_is_left();
}

#[test]
fn a_wrong_option() {
    let nic = Nic::veth();
    is_refused(&nic, &[XDPTRACE, "-i", "veth0", "--nonsense"], 2, &["--nonsense", "--help"]);
    // Without any word: what there is, and how to go on.
    let ended = Tracer::spawn(&nic, &[]).wait();
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert!(ended.stderr.last().unwrap().contains("-i DEV"), "{ended:?}");
}
