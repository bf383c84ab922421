//! `xdptrace check`: whether tracing works here, or works for a target, before anything is traced.

use serde_json::Value;

use crate::lab::{NOBTF, Nic, run};
use crate::loader::{CHAINS, COMPONENTS, Mode, Programs};
use crate::refusals::Public;
use crate::tracer::XDPTRACE;

/// The exit status and the lines of the standard output of `xdptrace check` with these options.
fn check(nic: &Nic, before: &[&str], words: &[&str]) -> (i32, Vec<String>) {
    let words = nic.inside(&[before, words].concat());
    let done = run(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let lines = String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect();
    (done.status.code().unwrap_or_else(|| panic!("{words:?}: {}", done.status)), lines)
}

/// The lines `WHAT: yes|no|unknown…`; anything else fails.
fn answers(lines: &[String]) -> Vec<(&str, &str)> {
    let answer = |line: &'_ String| {
        let (what, rest) = line.split_once(": ")?;
        ["yes", "no", "unknown"].into_iter().find(|word| rest.starts_with(word)).map(|word| (what.len(), word))
    };
    lines
        .iter()
        .map(|line| answer(line).map(|(end, word)| (&line[..end], word)).unwrap_or_else(|| panic!("{lines:#?}")))
        .collect()
}

#[test]
fn where_tracing_works() {
    let nic = Nic::veth();
    let (status, lines) = check(&nic, &[XDPTRACE], &["check"]);
    assert_eq!(status, 0, "{lines:#?}");
    assert!(answers(&lines).len() > 1, "{lines:#?}");
    let (status, json) = check(&nic, &[XDPTRACE], &["check", "--json"]);
    assert_eq!(status, 0, "{json:#?}");
    let json: Value = serde_json::from_str(&json.join("\n")).unwrap();
    assert_eq!(json["schema_version"], 1);
}

#[test]
fn a_target() {
    let nic = Nic::veth();
    let other = nic.another("veth2");
    let programs = Programs::load(COMPONENTS, &["component_one"]);
    programs.attach(&nic, Mode::Native, "component_one");
    other.attach("xdpgeneric", NOBTF, "nobtf");
    let id = programs.id("component_one").to_string();
    for (words, expected) in [
        (&["-i", "veth0"][..], 0),
        (&["-p", &id], 0),
        (&["-p", "component_one"], 0),
        (&["-i", "veth2"], 4),
        (&["-i", "nosuch"], 4),
        (&["-p", "nosuch"], 4),
    ] {
        let (status, lines) = check(&nic, &[XDPTRACE, "check"], words);
        assert_eq!(status, expected, "{words:?}: {lines:#?}");
        // Where all is well something that isn't needed may still be missing.
        assert!(expected == 0 || answers(&lines).iter().any(|(_, answer)| *answer == "no"), "{words:?}: {lines:#?}");
        assert!(words[1] != "veth2" || lines.iter().any(|line| line.contains("clang -g")), "{lines:#?}");
    }
}

/// It must not try what panics the kernel.
#[test]
fn a_hazard() {
    let nic = Nic::veth();
    let programs = Programs::load(CHAINS, &["tail_subprogram"]);
    programs.attach(&nic, Mode::Native, "tail_subprogram");
    let (status, lines) = check(&nic, &[XDPTRACE, "check"], &["-p", "tail_subprogram:tail_jump"]);
    if crate::lab::kernel() < (6, 1) {
        assert_eq!(status, 4, "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("subprogram-tail-call")), "{lines:#?}");
    } else {
        assert_eq!(status, 0, "{lines:#?}");
    }
}

#[test]
fn without_privilege() {
    let nic = Nic::veth();
    let public = Public::new("check");
    let nobody = ["setpriv", "--reuid=65534", "--clear-groups", &public.path()];
    let (status, lines) = check(&nic, &nobody, &["check"]);
    assert_eq!(status, 3, "{lines:#?}");
    assert!(answers(&lines).iter().any(|(_, answer)| *answer == "no"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("CAP_") || line.contains("sudo")), "{lines:#?}");
}
