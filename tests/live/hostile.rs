//! Names that would command a terminal, if they reached one as they are: the kernel lets devices have them.

use std::path::Path;

use crate::export::Exporter;
use crate::lab::{Nic, TARGETS, run};
use crate::top::Pane;
use crate::tracer::{Ended, Tracer, XDPTRACE};

/// Red, by ESC [ and by the CSI of Unicode, and a bell.
const NAME: &str = "\u{1b}[31m\u{9b}1m\u{7}";
/// What lines show instead, and JSON.
const SHOWN: &str = r"\u{1b}[31m\u{9b}1m\u{7}";
const IN_JSON: &str = r"\u001b[31m\u009b1m\u0007";

/// veth0 by that name, with a program.
fn hostile() -> Nic {
    let mut nic = Nic::veth();
    nic.ip(&["link", "set", "veth0", "down"]);
    nic.ip(&["link", "set", "veth0", "name", NAME]);
    nic.ip(&["link", "set", NAME, "up"]);
    nic.name = NAME.into();
    nic.attach("xdpdrv", TARGETS, "target_pass");
    nic
}

/// Nothing of it commands a terminal, and the name is there.
fn is_plain(what: &[&str], text: &str) {
    assert!(text.lines().all(|line| !line.contains(char::is_control)), "{what:?}: {text:?}");
    let is_there = match what.contains(&"json") || what.contains(&"--json") {
        // In a sentence, it is as in lines.
        true => text.contains(IN_JSON) || text.contains(&SHOWN.replace('\\', "\\\\")),
        false => text.contains(SHOWN),
    };
    assert!(is_there, "{what:?}: {text:?}");
}

fn says(nic: &Nic, words: &[&str]) -> [String; 2] {
    let words = nic.inside(&[&[XDPTRACE], words].concat());
    let done = run(&words.iter().map(String::as_str).collect::<Vec<_>>());
    [done.stdout, done.stderr].map(|stream| String::from_utf8(stream).unwrap())
}

/// Of three pings, and of the end.
fn traces(nic: &Nic, words: &[&str]) -> Ended {
    let mut tracer = Tracer::spawn(nic, &[&["-i", NAME], words].concat());
    tracer.wait_until_it_listens();
    nic.ping(3);
    tracer.end("INT")
}

#[test]
fn a_devices_name_commands_no_terminal() {
    let nic = hostile();
    for words in
        [&["list"][..], &["list", "-v"], &["list", "--json"], &["check", "-i", NAME], &["check", "--json", "-i", NAME]]
    {
        is_plain(words, &says(&nic, words)[0]);
    }
    for words in [&["-i", NAME, "-p", "nosuch"][..], &["-i", &format!("{NAME}x")], &["list", "-i", &format!("{NAME}x")]]
    {
        let [stdout, stderr] = says(&nic, words);
        is_plain(words, &stderr);
        assert_eq!((stdout.as_str(), stderr.lines().count()), ("", 1), "{words:?}: {stderr}");
    }
    let file = Path::new("/tmp/xdptrace-hostile.pcapng").to_str().unwrap();
    for words in [&["-o", "text"][..], &["-o", "json"], &["-v", "-e", "-X"], &["-w", file, "--print"]] {
        let ended = traces(&nic, words);
        assert!(ended.counts().traced >= 3, "{words:?}: {ended:?}");
        is_plain(words, &ended.stdout.join("\n").replace('\t', " "));
        assert!(!ended.stderr.concat().contains(char::is_control), "{words:?}: {ended:?}");
    }
    for words in [&["read", file][..], &["read", file, "-o", "json"]] {
        is_plain(words, &says(&nic, words)[0]);
    }
}

#[test]
fn numbers_of_a_device_command_no_terminal() {
    let nic = hostile();
    for words in [&["stats"][..], &["stats", "--json"]] {
        let mut tracer = Tracer::spawn(&nic, &[words, &["-i", NAME, "--interval", "500ms"]].concat());
        tracer.wait_until_it_listens();
        nic.ping(3);
        let ended = tracer.end("INT");
        is_plain(words, &ended.stdout.join("\n"));
        assert!(!ended.stderr.concat().contains(char::is_control), "{words:?}: {ended:?}");
    }
}

#[test]
fn metrics_and_screens_have_the_name_escaped() {
    let nic = hostile();
    let exporter = Exporter::start(&nic, &[], &[]);
    let name = SHOWN.replace('\\', "\\\\");
    for accept in ["", "application/openmetrics-text"] {
        let metrics = exporter.get("/metrics", accept).body;
        assert!(metrics.lines().all(|line| !line.contains(char::is_control)), "{metrics:?}");
        for metric in ["program_info", "packets_total"] {
            let start = format!("xdptrace_{metric}{{");
            let is_it = |line: &str| line.starts_with(&start) && line.contains(&format!("device=\"{name}\""));
            assert!(metrics.lines().any(is_it), "{metric}: {metrics}");
        }
    }
    assert!(exporter.end().status.success());
    let pane = Pane::open(&nic, "hostile");
    pane.enter(&format!("clear; {XDPTRACE} top --interval 200ms"));
    pane.wait("the name", |screen| screen.lines().any(|line| line.trim_start_matches('>').starts_with(SHOWN)));
}
