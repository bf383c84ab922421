//! xdpdump's own test suite (test-xdpdump.sh of xdp-tools), row by row, with the words of xdpdump's users. Not the row of the
//! help text, and not the one in which it captures where no XDP program is, as tcpdump would.
//!
//! | xdpdump's row | here |
//! |---|---|
//! | test_interfaces | `a_dispatcher_of_three_is_listed_and_traced` |
//! | test_capt_pcap | `packets_go_by_a_pipe_into_tcpdump`; also `files::legacy_pcap_is_xdpdumps` |
//! | test_capt_pcapng | `capinfos_and_tshark_tell_what_was_captured`; with PASS in `files::tshark_shows_what_was_sent` |
//! | test_capt_term | `a_line_and_its_bytes_at_entry_and_exit` |
//! | test_exitentry | the same; equal ids in `capinfos_and_tshark_tell_what_was_captured` |
//! | test_snap | `a_line_and_its_bytes_at_entry_and_exit`, `capinfos_and_tshark_tell_what_was_captured` |
//! | test_multi_pkt | `floods_are_seen_at_entry_and_exit_whatever_the_wakeup` |
//! | test_perf_wakeup | the same |
//! | test_promiscuous_selfload | `promiscuous::the_administrators_flag_is_left_as_it_was`, `promiscuous::virtio_frames_for_others_are_seen_with_p_alone` |
//! | test_promiscuous_preload | the same |
//! | test_pname_parse | `programs_by_their_names`, `a_dispatcher_of_three_is_listed_and_traced`; two that share 15 characters in `targets::two_names_that_share_fifteen_characters` |
//! | test_multi_prog | `a_dispatcher_of_three_is_listed_and_traced` |
//! | test_xdp_load | `a_program_of_our_own_is_attached` |

use std::fs;

use crate::capture;
use crate::lab::{Nic, TARGETS, assert_nothing_is_left, output, run};
use crate::loader::{Dispatcher, FIRST_PORT, Known, send};
use crate::refusals::is_refused;
use crate::tracer::{Ended, Tracer, XDPTRACE};

/// What each line of a packet of nic.ping() holds.
const PING: &str = " IP 192.0.2.2 > 192.0.2.1: ";
const DROP: &str = "target_drop_with_a_long_name";

/// A NIC with one of the programs of TARGETS.
pub fn nic_with(program: &str) -> Nic {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, program);
    nic
}

/// Starts xdptrace with the words of a script.
pub fn start(nic: &Nic, words: &str) -> Tracer {
    Tracer::start(nic, &words.split(' ').collect::<Vec<_>>())
}

/// Starts several at once, because it is starting that takes the time.
fn start_all(nic: &Nic, commands: &[&str]) -> Vec<Tracer> {
    let spawn = |words: &&str| Tracer::spawn(nic, &words.split(' ').collect::<Vec<_>>());
    let mut tracers: Vec<Tracer> = commands.iter().map(spawn).collect();
    tracers.iter_mut().for_each(Tracer::wait_until_it_listens);
    tracers
}

fn end(tracer: Tracer) -> Ended {
    let ended = tracer.end("INT");
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.counts().lost, 0, "{ended:?}");
    ended
}

fn refused(nic: &Nic, words: &str, status: i32, parts: &[&str]) {
    is_refused(nic, &[&[XDPTRACE], &words.split(' ').collect::<Vec<_>>()[..]].concat(), status, parts);
}

/// A file's name, and no file.
fn file(name: &str) -> String {
    format!("/run/xdptrace-{}-{name}", std::process::id())
}

/// `xdptrace WORDS | tcpdump -r - -n`, whose xdptrace is ended once `packets` were sent; tcpdump's lines.
fn into_tcpdump(nic: &Nic, commands: &[&str], packets: impl FnOnce()) -> Vec<Vec<String>> {
    let start = |(number, words): (usize, &&str)| {
        let id = file(&format!("id{number}"));
        let script = format!("(echo $BASHPID >{id}; exec {XDPTRACE} {words}) | tcpdump -r - -n 2>/dev/null");
        (Tracer::spawn_command(&nic.inside(&["bash", "-c", &script])), id)
    };
    let mut pipes: Vec<(Tracer, String)> = commands.iter().enumerate().map(start).collect();
    pipes.iter_mut().for_each(|(tracer, _)| tracer.wait_until_it_listens());
    packets();
    let end = |(tracer, id): (Tracer, String)| {
        output(&["kill", "-INT", fs::read_to_string(&id).unwrap().trim()]);
        fs::remove_file(id).unwrap();
        let ended = tracer.wait();
        assert!(ended.status.success(), "{ended:?}");
        ended.stdout
    };
    pipes.into_iter().map(end).collect()
}

#[test]
fn packets_go_by_a_pipe_into_tcpdump() {
    let nic = nic_with("target_pass");
    let both = "-i veth0 -p target_pass --use-pcap -w - --rx-capture entry,exit";
    let entry = "-i veth0 -p target_pass -w - --rx-capture=entry";
    let lines = into_tcpdump(&nic, &[both, entry], || nic.ping(1));
    for (lines, expected) in lines.iter().zip([2, 1]) {
        let request = |line: &&String| {
            line.contains("IP 192.0.2.2 > 192.0.2.1: ICMP echo request, id ") && line.ends_with(", seq 1, length 64")
        };
        assert_eq!(lines.iter().filter(request).count(), expected, "{lines:?}");
    }
}

#[test]
fn capinfos_and_tshark_tell_what_was_captured() {
    let nic = nic_with(DROP);
    nic.use_second_queue();
    let [whole, cut] = ["whole", "cut"].map(file);
    let words = format!("-i veth0 -p {DROP} --rx-capture=entry,exit -w");
    let commands = [format!("{words} {whole}"), format!("{words} {cut} --snapshot-length=16")];
    let tracers = start_all(&nic, &commands.each_ref().map(String::as_str));
    nic.ping(1);
    tracers.into_iter().for_each(|tracer| drop(end(tracer)));

    let told = output(&["capinfos", &whole]);
    let uname = |letters: &str| output(&["uname", letters]).trim().to_owned();
    let driver = nic.output(&["ethtool", "-i", "veth0"]);
    let said = |what: &str| driver.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':')).unwrap().trim();
    let hardware =
        format!("Hardware = driver: \"{}\", version: \"{}\", fw-version: \"", said("driver"), said("version"));
    let expected = [
        "File type:           Wireshark/... - pcapng",
        &format!("Capture hardware:    {}", uname("-m")),
        &format!("Capture oper-sys:    {}", uname("-snrv")),
        &format!("Capture application: xdptrace {}", env!("CARGO_PKG_VERSION")),
        "Capture comment:     ",
        &format!("Name = veth0:{DROP}()@fentry"),
        &hardware,
        "Time precision = nanoseconds (9)",
        &format!("Name = veth0:{DROP}()@fexit"),
        &hardware,
        "Time precision = nanoseconds (9)",
    ];
    let mut rest = told.as_str();
    for part in expected {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("no {part} in its place in\n{told}")).1;
    }

    let fields = ["interface_name", "interface_queue", "packet_id", "verdict.ebpf_xdp", "len", "cap_len"];
    let fields = fields.map(|field| format!("-eframe.{field}"));
    let mut command = vec!["tshark", "-n", "-r", &whole, "-Y", "icmp", "-Tfields"];
    command.extend(fields.iter().map(String::as_str));
    let rows = output(&command);
    fs::remove_file(&whole).unwrap();
    let [entry, exit] = ["fentry", "fexit"].map(|end| format!("veth0:{DROP}()@{end}"));
    let rows: Vec<Vec<&str>> = rows.lines().map(|row| row.split('\t').collect()).collect();
    let ids: Vec<&str> = rows.iter().map(|row| row[2]).collect();
    assert!(ids.len() == 2 && ids[0] == ids[1] && !ids[0].is_empty(), "{rows:?}");
    assert_eq!(rows[0], [&entry, "1", ids[0], "", "98", "98"]);
    assert_eq!(rows[1], [&exit, "1", ids[0], "1", "98", "98"]);
    // The kernel's own packets, such as neighbour discovery's, have other lengths.
    let kept: Vec<usize> =
        capture::take(&cut).iter().filter(|packet| packet.length == 98).map(|packet| packet.bytes.len()).collect();
    assert_eq!(kept, [16, 16]);
}

/// The lines of a dump below a packet's line.
fn dumped<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    lines.iter().map(|line| line.trim()).filter(|line| line.starts_with("0x")).collect()
}

#[test]
fn a_line_and_its_bytes_at_entry_and_exit() {
    let nic = nic_with(DROP);
    let words = format!("-i veth0 -p {DROP}");
    // The filters keep the kernel's own packets, such as neighbour discovery's, out of the dumps.
    let commands = [
        format!("{words} -x icmp"),
        format!("{words} --rx-capture=entry"),
        format!("{words} --rx-capture=exit"),
        "-i veth0 --rx-capture=exit,entry -v".to_owned(),
        format!("{words} -x --snapshot-length=16 icmp"),
        format!("{words} --hex -s 21 icmp"),
    ];
    let tracers = start_all(&nic, &commands.each_ref().map(String::as_str));
    // What was sent, by tcpdump at the other end.
    let sent = [
        "bash",
        "-c",
        "timeout 10 tcpdump -n -x -c 1 -i veth1 icmp 2>/run/sent.err & \
        for i in $(seq 100); do grep -q listening /run/sent.err 2>/dev/null && break; sleep 0.1; done; \
        ping -n -q -c 1 -W 1 192.0.2.1 >/dev/null; wait; rm /run/sent.err",
    ];
    let sent = String::from_utf8(nic.there(&sent).stdout).unwrap();
    let sent = dumped(&sent.lines().collect::<Vec<_>>()).join("\n");
    assert!(sent.starts_with("0x0000:  4500 0054 "), "{sent}");

    let ended: Vec<Ended> = tracers.into_iter().map(end).collect();
    let shown = |number: usize| ended[number].stdout.iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(dumped(&shown(0)).join("\n"), sent);
    // Without the Ethernet header, as tcpdump has it.
    assert_eq!(dumped(&shown(4)), [&sent[..13]]);
    assert_eq!(dumped(&shown(5)), [&sent[..26]]);
    for (number, verdict, knows_latency) in
        [(0, "XDP_DROP", true), (1, "?", false), (2, "XDP_DROP", false), (3, "XDP_DROP", true)]
    {
        let lines = shown(number);
        let line = lines.iter().find(|line| line.contains(" IP ")).unwrap_or_else(|| panic!("{lines:?}"));
        let [_, device, program, shown, latency] = line.splitn(6, ' ').collect::<Vec<_>>()[..5] else {
            panic!("{line}")
        };
        assert_eq!((device, program), ("veth0", format!("{DROP}#{}", nic.program_id()).as_str()), "{line}");
        assert_eq!((shown, latency != "?"), (verdict, knows_latency), "{line}");
    }
}

/// xdpdump's suite sends 20,000 of each size; an emulated machine has less time.
#[test]
fn floods_are_seen_at_entry_and_exit_whatever_the_wakeup() {
    const COUNT: usize = 4000;
    let nic = nic_with("target_pass");
    // The longest one goes in two frames.
    for (size, wakeup, frames) in [("56", "0", 1), ("512", "1", 1), ("1500", "32", 2), ("56", "128", 1)] {
        // With room for all of them: how long the reader waits for a processor isn't what is asked here.
        let words = format!("-i veth0 -p target_pass --rx-capture=entry,exit -B 65536 --perf-wakeup={wakeup}");
        let mut tracer = start(&nic, &words);
        // A single one is shown before more follow.
        nic.ping(1);
        tracer.wait_for_lines(1, PING);
        let ping = ["ping", "-n", "-q", "-f", "-s", size, "-c", &COUNT.to_string(), "-W", "2", "192.0.2.1"];
        let told = String::from_utf8(nic.there(&ping).stdout).unwrap();
        assert!(told.contains(&format!("{COUNT} packets transmitted, {COUNT} received")), "{told}");
        let ended = end(tracer);
        let is_whole = |line: &&String| {
            let words: Vec<&str> = line.splitn(6, ' ').collect();
            words[3] == "XDP_PASS" && words[4].ends_with("ns") && words[5].starts_with(PING.trim_start())
        };
        assert_eq!(ended.stdout.iter().filter(is_whole).count(), frames * COUNT + 1, "{words}: {:?}", ended.stderr);
        assert!(!ended.stderr.last().unwrap().contains("unpaired"), "{:?}", ended.stderr);
    }
}

#[test]
fn programs_by_their_names() {
    let nic = nic_with(DROP);
    let id = nic.program_id();
    // The kernel's own name, cut at 15 characters, is that of no function.
    let names = [format!("{DROP}@{id}"), "target_drop_wit".to_owned(), format!("target_drop_wit@{id}"), id.to_string()];
    let mut commands = names.map(|name| format!("-i veth0 --program-names {name}")).to_vec();
    commands.push(format!("-i veth0 -p {DROP},{DROP},{id}"));
    let tracers = start_all(&nic, &commands.iter().map(String::as_str).collect::<Vec<_>>());
    nic.ping(1);
    for (tracer, words) in tracers.into_iter().zip(&commands) {
        let ended = end(tracer);
        let lines: Vec<&String> = ended.stdout.iter().filter(|line| line.contains(PING)).collect();
        assert!(lines.len() == 1 && lines[0].contains(&format!(" veth0 {DROP}#{id} XDP_DROP ")), "{words}: {ended:?}");
    }
    refused(&nic, &format!("-i veth0 -p {DROP}_too"), 4, &["no program", &format!("{DROP}_too")]);
    refused(&nic, "-i veth0 -p hallo@3e", 2, &["'hallo@3e'"]);
    refused(&nic, "-i veth0 -p hallo@1000000", 4, &["no program", "hallo@1000000"]);
    refused(&nic, &format!("-i veth0 -p hallo@{id}"), 4, &["no program", &format!("hallo@{id}")]);
}

/// What `xdptrace -D` prints.
fn listed(nic: &Nic, words: &str) -> String {
    let done = nic.inside(&[&[XDPTRACE], &words.split(' ').collect::<Vec<_>>()[..]].concat());
    let done = run(&done.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(done.status.success(), "{done:?}");
    String::from_utf8([done.stdout, done.stderr].concat()).unwrap()
}

/// The programs and verdicts of the runs on the datagram, in order.
fn runs(ended: &Ended) -> Vec<(String, String)> {
    let lines = ended.stdout.iter().filter(|line| line.contains(&format!("192.0.2.1.{FIRST_PORT}")));
    lines.map(|line| line.split(' ').collect::<Vec<_>>()).map(|words| (words[2].into(), words[3].into())).collect()
}

#[test]
fn a_dispatcher_of_three_is_listed_and_traced() {
    let nic = Nic::veth();
    assert_eq!(listed(&nic, "-D").trim(), "no XDP program on any device of this network namespace");
    assert!(listed(&nic, "--list-interfaces -i veth0").starts_with("no XDP program on veth0"));
    let dispatcher = Dispatcher::load(&nic, &["component_one", "component_one", "component_three"]);
    let components = dispatcher.components();
    let names: Vec<String> =
        [&[dispatcher.known()], &components[..]].concat().iter().map(|known| known.called(&known.name)).collect();
    for words in ["-D", "--list-interfaces"] {
        let list = listed(&nic, words);
        let rows: Vec<Vec<&str>> = list.lines().skip(1).map(|row| row.split_whitespace().collect()).collect();
        let called: Vec<&str> = rows.iter().map(|row| row[2]).collect();
        assert!(rows[0][0] == "veth0" && called == names, "{list}");
    }

    let [first, second, third] = [0, 1, 2].map(|number: usize| components[number].id);
    let whole = dispatcher.known().id;
    let path = file("three");
    let commands = [
        format!("-i veth0 -p xdp_dispatcher,component_three@{third} --rx-capture=entry"),
        format!("-i veth0 -p xdp_dispatcher,component_three@{third} --rx-capture=exit"),
        format!("-i veth0 -p {whole},{third} --rx-capture=exit,entry"),
        format!("-i veth0 -p xdp_dispatcher,{second} --rx-capture=exit,entry"),
        "-i veth0 -p all".to_owned(),
        format!("-i veth0 -p all --rx-capture=entry,exit -w {path}"),
    ];
    let tracers = start_all(&nic, &commands.each_ref().map(String::as_str));
    send(&nic, [FIRST_PORT]);
    components[2].ports().wait_for(&[FIRST_PORT]);
    let ended: Vec<Ended> = tracers.into_iter().map(end).collect();
    let run = |number: usize, verdict: &str| (names[number].clone(), verdict.to_owned());
    assert_eq!(runs(&ended[0]), [run(0, "?"), run(3, "?")]);
    for number in [1, 2] {
        assert_eq!(runs(&ended[number]), [run(3, "XDP_DROP"), run(0, "XDP_DROP")], "{}", commands[number]);
    }
    assert_eq!(runs(&ended[3]), [run(2, "XDP_PASS"), run(0, "XDP_DROP")]);
    assert_eq!(runs(&ended[4]), [run(1, "XDP_PASS"), run(2, "XDP_PASS"), run(3, "XDP_DROP"), run(0, "XDP_DROP")]);
    assert_components_are_within_the_dispatcher(&path);
    fs::remove_file(&path).unwrap();

    refused(&nic, "-i veth0 -p hallo", 4, &["no program", "hallo"]);
    let both = [first, second].map(|id| format!("component_one@{id}"));
    refused(&nic, "-i veth0 -p component_one", 4, &["ambiguous", &both[0], &both[1]]);
}

/// The datagram's packets in a file: each component's begin and end within the dispatcher's.
fn assert_components_are_within_the_dispatcher(path: &str) {
    let filter = format!("udp.dstport == {FIRST_PORT}");
    let rows = output(&[
        "tshark",
        "-n",
        "-r",
        path,
        "-Y",
        &filter,
        "-Tfields",
        "-eframe.interface_name",
        "-eframe.verdict.ebpf_xdp",
    ]);
    let of = |name: &str, verdict: &str| {
        [format!("veth0:{name}()@fentry\t\n"), format!("veth0:{name}()@fexit\t{verdict}\n")]
    };
    let [begin, end] = of("xdp_dispatcher", "1");
    let within = [of("component_one", "2"), of("component_one", "2"), of("component_three", "1")].concat().concat();
    assert_eq!(rows, [begin, within, end].concat());
}

#[test]
fn a_program_of_our_own_is_attached() {
    let nic = Nic::veth();
    // ip's numbers: in the driver, generic.
    for (words, mode) in [
        ("-i veth0 --load-xdp-program", 1),
        ("-i veth0 --load-xdp-program --load-xdp-mode skb", 2),
        ("-i veth0 --load-xdp-program --load-xdp-mode native", 1),
    ] {
        let mut tracer = start(&nic, words);
        assert_eq!(nic.xdp()["mode"], mode, "{words}");
        let called = Known::on(&nic).called("xdptrace_pass");
        assert!(nic.there(&["ping", "-n", "-q", "-c", "1", "-W", "5", "192.0.2.1"]).status.success());
        tracer.wait_for_lines(1, &format!(" veth0 {called} XDP_PASS "));
        let ended = end(tracer);
        assert!(ended.stderr[0].starts_with("attaching a program that passes everything to veth0"), "{ended:?}");
        assert_eq!(nic.program_id(), 0, "{words}");
    }
    assert_nothing_is_left();
}
