//! What each thread of a running tracer still may, and that it goes on to do its work.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::files::{Folder, tcpdump};
use crate::lab::{Nic, TARGETS, assert_nothing_is_left, kernel, output, run, wait_for};
use crate::loader::Dispatcher;
use crate::refusals::{Public, is_refused};
use crate::top::Pane;
use crate::tracer::{Tracer, XDPTRACE};

/// By their bits in include/uapi/linux/capability.h.
const DAC_OVERRIDE: u64 = 1 << 1;
const NET_ADMIN: u64 = 1 << 12;
const NET_RAW: u64 = 1 << 13;
const SYS_ADMIN: u64 = 1 << 21;
const BPF: u64 = 1 << 39;

/// The user `nobody`.
const NOBODY: u32 = 65534;

/// What whoever follows keeps.
fn following() -> u64 {
    SYS_ADMIN | least()
}

/// What whoever follows nothing keeps: before Linux 5.19 bpf(2) takes a capability whatever it is asked for.
fn least() -> u64 {
    if kernel() < (5, 19) { BPF } else { 0 }
}

/// A thread by what /proc says of it.
struct Thread(BTreeMap<String, String>);

impl Thread {
    /// All of a process's; that which began it first.
    fn all(process: u32) -> Vec<Self> {
        let folder = fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let mut ids: Vec<u32> =
            folder.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
        ids.sort_by_key(|id| (*id != process, *id));
        ids.into_iter().filter_map(|id| Self::read(&format!("/proc/{process}/task/{id}/status"))).collect()
    }

    /// None: it is gone.
    fn read(path: &str) -> Option<Self> {
        let status = fs::read_to_string(path).ok()?;
        let lines = status.lines().filter_map(|line| line.split_once(":\t"));
        Some(Self(lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()))
    }

    fn is(&self, name: &str, expected: &str) {
        assert_eq!(self.0[name], expected, "{name} of {:?}", self.0);
    }

    /// It has these capabilities and can get no others, is this user, and system calls are filtered.
    fn holds(&self, capabilities: u64, user: u32) {
        for set in ["CapPrm", "CapEff"] {
            self.is(set, &format!("{capabilities:016x}"));
        }
        for set in ["CapInh", "CapAmb"] {
            self.is(set, &format!("{:016x}", 0));
        }
        for (name, expected) in [("NoNewPrivs", "1"), ("Seccomp", "2")] {
            self.is(name, expected);
        }
        for ids in ["Uid", "Gid"] {
            self.is(ids, &[user.to_string().as_str(); 4].join("\t"));
        }
    }
}

/// The thread that traces has these capabilities, the others have none: one, or two with that of `export`, which comes later, by
/// way of one that is soon gone.
fn holds(tracer: &Tracer, capabilities: u64, user: u32, threads: usize) {
    let all = wait_for("its threads", || {
        let all = Thread::all(tracer.id());
        let is_there = threads < 3 || all.iter().any(|thread| thread.0["Name"] == "export");
        (is_there && all.len() == threads).then_some(all)
    });
    all[0].holds(capabilities, user);
    all[1..].iter().for_each(|thread| thread.holds(0, user));
}

fn passing() -> Nic {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_pass");
    nic
}

fn is_told(tracer: &mut Tracer, words: &str) {
    tracer.wait_until(words, |tracer| tracer.stderr.iter().any(|line| line.contains(words)));
}

impl Folder {
    /// One that only `nobody` may write to, or look into.
    fn of_nobody(name: &str) -> Self {
        let folder = Self::new(name);
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        output(&["chown", "nobody:nogroup", folder.path()]);
        folder
    }
}

#[test]
fn every_thread_has_given_up_what_the_run_does_not_need() {
    let nic = passing();
    for (words, capabilities, threads) in [
        (&["-i", "veth0"][..], following(), 2),
        (&["-i", "veth0", "--no-follow"], least(), 2),
        (&["-i", "veth0", "-P"], following() | NET_RAW, 2),
        (&["-i", "veth0", "-P", "--no-follow"], least(), 2),
        (&["stats", "-i", "veth0", "--interval", "200ms"], following(), 2),
        (&["stats", "-i", "veth0", "--interval", "200ms", "--no-follow"], least(), 2),
        (&["export", "-i", "veth0", "--listen", "0.0.0.0:0", "--interval", "200ms"], following(), 3),
    ] {
        let mut tracer = Tracer::start(&nic, words);
        holds(&tracer, capabilities, 0, threads);
        nic.ping(2);
        match words[0] {
            "-i" => tracer.wait_for_lines(2, "ICMP"),
            "stats" => tracer.wait_for_lines(1, "target_pass"),
            _ => {}
        }
        let ended = tracer.end("INT");
        assert_eq!(ended.status.code(), Some(0), "{words:?}: {ended:?}");
        let counts = ended.counts();
        assert!(counts.seen >= 2 && counts.lost == 0, "{words:?}: {ended:?}");
    }
    assert_nothing_is_left();
}

/// Waiting takes what finding takes.
#[test]
fn what_was_waited_for_is_followed_or_not() {
    for (option, capabilities, user) in
        [("--wait", following(), 0), ("--no-follow", least(), 0), ("-Znobody", least(), NOBODY)]
    {
        let (nic, folder) = (Nic::veth(), Folder::of_nobody("waits"));
        let path = folder.file("f");
        let mut tracer = Tracer::spawn(&nic, &["-i", "veth0", "--wait", option, "-w", &path, "--print", "icmp"]);
        is_told(&mut tracer, "waiting for");
        // The file is still to be created.
        holds(&tracer, following() | if user == 0 { DAC_OVERRIDE } else { 0 }, user, 2);
        nic.attach("xdpdrv", TARGETS, "target_pass");
        tracer.wait_until_it_listens();
        wait_for("fewer capabilities", || {
            let thread = Thread::all(tracer.id()).swap_remove(0);
            ["CapEff", "CapPrm"].iter().all(|set| thread.0[*set] == format!("{capabilities:016x}")).then_some(())
        });
        holds(&tracer, capabilities, user, 2);
        nic.ping(2);
        tracer.wait_for_lines(2, "ICMP");
        let ended = tracer.end("INT");
        assert_eq!(ended.counts().traced, 2);
        assert_eq!((tcpdump(&path).len(), fs::metadata(&path).unwrap().uid()), (4, user));
        assert_eq!(ended.stderr[0].starts_with("not traced: what comes later: -Z nobody"), user != 0, "{ended:?}");
    }
}

/// A process by which a namespace is called may be none that can be looked at any more; that it has ended is seen.
#[test]
fn a_namespace_called_by_a_process_is_there_until_that_ends() {
    let nic = passing();
    let process = Tracer::spawn_command(&nic.inside(&["sleep", "600"]));
    let netns = format!("/proc/{}/ns/net", process.id());
    let inside = fs::metadata(format!("/run/netns/{}", nic.netns.as_deref().unwrap())).unwrap().ino();
    wait_for("the process in it", || (fs::metadata(&netns).unwrap().ino() == inside).then_some(()));
    let words = [XDPTRACE, "--netns", &netns, "-i", "veth0", "--no-follow", "icmp"].map(str::to_owned);
    let mut tracer = Tracer::start_command(&words);
    nic.ping(10);
    tracer.wait_for_lines(10, "ICMP");
    process.end("KILL");
    let ended = tracer.wait();
    assert_eq!(ended.status.code(), Some(4), "{ended:?}");
    assert!(ended.stderr.last().unwrap().ends_with(" is gone"), "{ended:?}");
}

#[test]
fn the_work_goes_on_without_them() {
    let (nic, folder) = (passing(), Folder::new("works"));
    for following in ["--wait", "--no-follow"] {
        let path = folder.file(following);
        let mut tracer = Tracer::start(&nic, &["-i", "veth0", following, "-w", &path, "icmp"]);
        nic.ping(3);
        tracer.send("USR2");
        wait_for("packets in the file", || (run(&["tcpdump", "-r", &path]).stdout.len() > 100).then_some(()));
        tracer.send("USR1");
        is_told(&mut tracer, " seen = ");
        nic.there(&["ping", "-n", "-q", "-f", "-c", "300", "-W", "1", "192.0.2.1"]);
        let ended = tracer.end("INT");
        let counts = ended.counts();
        assert_eq!((ended.status.code(), counts.traced, counts.lost), (Some(0), 303, 0), "{ended:?}");
        assert_eq!(tcpdump(&path).len(), 606);
    }
    let mut tracer = Tracer::start(&nic, &["-i", "veth0", "icmp"]);
    nic.ip(&["-force", "link", "set", "dev", "veth0", "xdpdrv", "object", TARGETS, "program", "target_pass"]);
    is_told(&mut tracer, "attached to target_pass");
    holds(&tracer, following(), 0, 2);
    nic.ping(2);
    tracer.wait_for_lines(2, "XDP_PASS");
    assert!(tracer.end("TERM").status.success());
    assert_nothing_is_left();
}

/// Once programs can't be opened any more, a component runs as far as anybody knows until the NIC has no program.
#[test]
fn without_following_a_component_is_held_while_the_nic_has_a_program() {
    let nic = Nic::veth();
    let dispatcher = Dispatcher::load(&nic, &["component_one"]);
    let mut tracer = Tracer::start(&nic, &["-i", "veth0", "-p", "component_one", "--no-follow", "icmp"]);
    // A new dispatcher calls it.
    dispatcher.add("component_two", 60, "XDP_PASS", 2);
    nic.ping(2);
    tracer.wait_for_lines(2, "component_one");
    drop(dispatcher);
    let ended = tracer.wait();
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(4), 2), "{ended:?}");
    assert!(ended.stderr.iter().any(|line| line.contains(" + 2 traced + 0 lost")), "{ended:?}");
}

#[test]
fn another_user_has_none_and_owns_the_files() {
    let (nic, folder) = (passing(), Folder::of_nobody("another"));
    let path = folder.file("f");
    let mut tracer =
        Tracer::start(&nic, &["-i", "veth0", "-Z", "nobody", "-w", &path, "-C", "10k", "-W", "20", "icmp"]);
    holds(&tracer, least(), NOBODY, 2);
    Thread::all(tracer.id())[0].is("Groups", &NOBODY.to_string());
    assert!(tracer.stderr.iter().any(|line| line.starts_with("not traced: what comes later: -Z nobody")));
    nic.there(&["ping", "-n", "-q", "-f", "-c", "100", "-W", "1", "192.0.2.1"]);
    tracer.send("USR1");
    is_told(&mut tracer, " seen = ");
    let ended = tracer.end("INT");
    assert_eq!((ended.status.code(), ended.counts().traced), (Some(0), 100), "{ended:?}");
    let files: Vec<String> = folder.names().iter().map(|name| folder.file(name)).collect();
    assert!(files.len() > 1, "{files:?}");
    assert!(files.iter().all(|file| fs::metadata(file).unwrap().uid() == NOBODY));
    assert_eq!(files.iter().map(|file| tcpdump(file).len()).sum::<usize>(), 200);
    // What replaces the program isn't traced, and that ends the run.
    let tracer = Tracer::start(&nic, &["stats", "-i", "veth0", "-Z", "nobody"]);
    holds(&tracer, least(), NOBODY, 2);
    nic.ip(&["-force", "link", "set", "dev", "veth0", "xdpdrv", "object", TARGETS, "program", "target_pass"]);
    assert_eq!(tracer.wait().status.code(), Some(4));
    assert_nothing_is_left();
}

/// … also where what is counted goes to whoever asks, by a network or a terminal, or is of a program that a pin names.
#[test]
fn another_user_counts() {
    let nic = passing();
    let exporter = ["export", "-i", "veth0", "-Z", "nobody", "--listen", "0.0.0.0:0", "--interval", "200ms"];
    let tracer = Tracer::start(&nic, &exporter);
    holds(&tracer, least(), NOBODY, 3);
    nic.ping(2);
    assert!(tracer.end("TERM").counts().seen >= 2);
    let pin = "/sys/fs/bpf/xdptrace-another";
    output(&["bpftool", "prog", "pin", "id", &nic.program_id().to_string(), pin]);
    let mut tracer = Tracer::start(&nic, &["-p", pin, "-Z", "nobody", "icmp"]);
    holds(&tracer, least(), NOBODY, 2);
    fs::remove_file(pin).unwrap();
    nic.ping(2);
    tracer.wait_for_lines(2, "ICMP");
    assert_eq!(tracer.end("INT").counts().traced, 2);
    let pane = Pane::open(&nic, "another");
    pane.enter(&format!("clear; {XDPTRACE} top -i veth0 -Z nobody --interval 200ms; echo status $?"));
    pane.wait("a program", |screen| screen.contains("target_pass"));
    Thread::all(pane.pid().parse().unwrap())[0].holds(least(), NOBODY);
    pane.press("q");
    pane.wait("its end", |screen| screen.contains("status 0"));
    assert_nothing_is_left();
}

/// … and no capability opens what that user may not.
#[test]
fn another_user_may_write_where_that_user_may() {
    let (nic, folder) = (passing(), Folder::new("roots"));
    let path = folder.file("f");
    let trace = |words: &[&'static str]| [&[XDPTRACE, "-i", "veth0"][..], words].concat();
    let written = [&trace(&["-Z", "nobody"])[..], &["-w", &path]].concat();
    is_refused(&nic, &written, 1, &["cannot create", "Permission denied"]);
    is_refused(&nic, &trace(&["-Z", "no such"]), 2, &["no user is called no such", "getent passwd"]);
    for capability in ["setuid", "setgid"] {
        let [bounding, inheritable] = ["bounding-set", "inh-caps"].map(|set| format!("--{set}=-{capability}"));
        let powerless = [&["setpriv", &bounding, &inheritable][..], &trace(&["-Z", "nobody"])].concat();
        is_refused(&nic, &powerless, 3, &["not privileged", &format!("CAP_{}", capability.to_uppercase()), "for -Z"]);
    }
}

#[test]
fn roots_files_are_rotated_wherever_root_can_write() {
    let nic = passing();
    let roots = Folder::new("roots-own");
    fs::set_permissions(roots.path(), Permissions::from_mode(0o755)).unwrap();
    for (folder, capabilities) in [(roots, following()), (Folder::of_nobody("anothers"), following() | DAC_OVERRIDE)] {
        let tracer = Tracer::start(&nic, &["-i", "veth0", "-w", &folder.file("%s"), "-G", "1", "-C", "10k", "icmp"]);
        holds(&tracer, capabilities, 0, 2);
        nic.there(&["ping", "-n", "-q", "-f", "-c", "100", "-W", "1", "192.0.2.1"]);
        wait_for("several files", || (folder.names().len() > 3).then_some(()));
        let ended = tracer.end("INT");
        assert_eq!((ended.status.code(), ended.counts().traced), (Some(0), 100), "{ended:?}");
        let packets: usize = folder.names().iter().map(|name| tcpdump(&folder.file(name)).len()).sum();
        assert_eq!(packets, 200);
        // One that is open for good needs no permission any more.
        let path = folder.file("only");
        let tracer = Tracer::start(&nic, &["-i", "veth0", "-w", &path, "icmp"]);
        holds(&tracer, following(), 0, 2);
        nic.ping(1);
        tracer.end("INT");
        assert_eq!(tcpdump(&path).len(), 2);
    }
}

/// Landlock: since Linux 5.13.
#[test]
fn nothing_is_written_but_in_the_files_folder() {
    let (nic, folder, elsewhere) = (passing(), Folder::new("inside"), Folder::new("outside"));
    let path = folder.file("f");
    let tracer = Tracer::start(&nic, &["-i", "veth0", "-w", &path, "--reopen-on-hup", "icmp"]);
    fs::remove_file(&path).unwrap();
    symlink(elsewhere.file("f"), &path).unwrap();
    tracer.send("HUP");
    let ended = tracer.wait();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let reason = format!("xdptrace: failed to create {path}: Permission denied (os error 13)");
    assert_eq!(ended.stderr.last(), Some(&reason));
    assert!(!Path::new(&elsewhere.file("f")).exists());
}

#[test]
fn the_process_that_puts_features_back_holds_what_that_takes() {
    for (words, capabilities, user) in [(&[][..], following(), 0), (&["-Z", "nobody"], least(), NOBODY)] {
        let nic = Nic::veth();
        let before = nic.state();
        let words = [&["-i", "veth0", "--passthrough=generic", "icmp"], words].concat();
        let mut tracer = Tracer::start(&nic, &words);
        holds(&tracer, capabilities, user, 2);
        let children = format!("/proc/{0}/task/{0}/children", tracer.id());
        let keeper: u32 = fs::read_to_string(children).unwrap().trim().parse().unwrap();
        // It has just been started, and gives up first what it doesn't need.
        wait_for("a keeper without what it does not need", || {
            let keeper = Thread::read(&format!("/proc/{keeper}/status"))?;
            let expected = format!("{NET_ADMIN:016x}");
            let is_it = |name: &str| keeper.0[name] == if name == "NoNewPrivs" { "1" } else { &*expected };
            ["CapPrm", "CapEff", "NoNewPrivs"].into_iter().all(is_it).then_some(())
        });
        nic.ping(1);
        tracer.wait_for_lines(1, "XDP_PASS");
        let ended = tracer.end("INT");
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        assert_eq!((nic.program_id(), nic.state()), (0, before));
    }
    assert_nothing_is_left();
}

/// By the capabilities of the binary, and by those that are handed down: user `nobody` traces.
#[test]
fn capabilities_are_enough_whoever_the_user_is() {
    let (nic, public) = (passing(), Public::new("capable"));
    let xdptrace = public.path();
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    // Before Linux 5.11 maps count as locked memory.
    let names = ["sys_admin", "bpf", "perfmon", "sys_resource"];
    let names = &names[..if kernel() < (5, 11) { 4 } else { 3 }];
    let set: Vec<String> = names.iter().map(|name| format!("+{name}")).collect();
    let [inheritable, ambient] = ["inh", "ambient"].map(|which| format!("--{which}-caps={}", set.join(",")));
    for (from_file, handed_down) in [(false, &[inheritable.as_str(), &ambient][..]), (true, &[])] {
        if from_file {
            let set: Vec<String> = names.iter().map(|name| format!("cap_{name}")).collect();
            output(&["setcap", &format!("{}+ep", set.join(",")), &xdptrace]);
        }
        for (follows, capabilities) in [("--wait", following()), ("--no-follow", least())] {
            let words = [&nobody[..], handed_down, &[&xdptrace, "-i", "veth0", follows, "icmp"]].concat();
            let mut tracer = Tracer::start_command(&nic.inside(&words));
            holds(&tracer, capabilities, NOBODY, 2);
            nic.ping(2);
            tracer.wait_for_lines(2, "XDP_PASS");
            assert_eq!(tracer.end("INT").counts().traced, 2);
        }
    }
    assert_nothing_is_left();
}
