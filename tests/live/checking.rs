//! `xdptrace check`: whether tracing works here, or works for a target, before anything is traced.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Instant;

use serde_json::Value;

use crate::flood::Flood;
use crate::lab::{NOBTF, Nic, json, run, wait_for};
use crate::loader::{CHAINS, COMPONENTS, Mode, NO_OBJECTS, Programs, new_objects, objects};
use crate::losses::{Counted, quiet_nic};
use crate::refusals::Public;
use crate::tracer::{Tracer, XDPTRACE};

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

/// The findings of `xdptrace check --json` with these options.
fn findings(nic: &Nic, words: &[&str]) -> Vec<Value> {
    let (status, lines) = check(nic, &[XDPTRACE, "check", "--json"], words);
    assert_eq!(status, 0, "{lines:#?}");
    let report: Value = serde_json::from_str(&lines.concat()).unwrap();
    report["findings"].as_array().unwrap().clone()
}

/// Bytes that the kernel says it has locked for these objects.
fn locked(kind: &str, ids: &BTreeSet<u32>) -> u64 {
    let all = json(&["bpftool", "-j", kind, "show"]);
    let ours = all.as_array().unwrap().iter().filter(|one| ids.contains(&(one["id"].as_u64().unwrap() as u32)));
    ours.map(|one| one["bytes_memlock"].as_u64().unwrap()).sum()
}

/// Bytes of the perf rings that a process has mapped.
fn rings(process: u32) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let size = |line: &str| {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        let [start, end] = [start, end].map(|number| u64::from_str_radix(number, 16).unwrap());
        Some(end - start)
    };
    maps.lines().filter(|line| line.ends_with("anon_inode:[perf_event]")).filter_map(size).sum()
}

#[test]
fn a_run_locks_no_more_memory_than_check_says() {
    let nic = quiet_nic();
    let _counted = Counted::drop_on(&nic);
    let findings = findings(&nic, &[]);
    let said = &findings.iter().find(|finding| finding["what"] == "memory").unwrap()["numbers"];
    let before = objects();
    let tracer = Tracer::start(&nic, &["-i", "veth0"]);
    // All that there ever is: more packets take no more.
    Flood::send(&nic, 5000);
    let now = objects();
    let [programs, maps] = [0, 1].map(|kind| now[kind].difference(&before[kind]).copied().collect());
    let (programs, maps, rings) = (locked("prog", &programs), locked("map", &maps), rings(tracer.id()));
    eprintln!("rings {rings}, maps {maps}, programs {programs}; said: {said}");
    assert_eq!(said["ring_bytes"], rings);
    let (said, all) = (said["bytes"].as_u64().unwrap(), rings + maps + programs);
    assert!(all <= said && said - rings <= 2 * (all - rings), "{all} bytes, {said} said");
    assert!(tracer.end("INT").status.success());
}

/// What is measured is a program of our own: that of the NIC doesn't run, and nothing is left.
#[test]
fn what_a_packet_costs_is_measured_beside_the_traced() {
    let nic = quiet_nic();
    let counted = Counted::drop_on(&nic);
    let before = objects();
    let costs = costs(&nic, &["--cost"]);
    assert_eq!(counted.runs.now(), 0);
    assert!(costs.iter().all(|cost| cost["numbers"]["packets_per_second"].is_null()), "{costs:#?}");
    let known: Vec<u64> = costs.iter().map(|cost| cost["numbers"]["ns_per_packet"].as_u64().unwrap()).collect();
    assert!(known.iter().all(|ns| (20..200_000).contains(ns)), "{costs:#?}");
    wait_for("end of all objects", || (new_objects(&before) == NO_OBJECTS).then_some(()));
    let flood = Flood::start(&nic, 500_000);
    counted.runs.wait_for(100);
    let costs = self::costs(&nic, &["--cost", "-i", "veth0"]);
    drop(flood);
    let rates: Vec<u64> = costs.iter().map(|cost| cost["numbers"]["packets_per_second"].as_u64().unwrap()).collect();
    assert!(rates.iter().all(|rate| (50..=20_000).contains(rate)), "{costs:#?}");
}

/// What it says of each cost once that is known: an emulated machine may be put aside in the middle of a measurement.
fn costs(nic: &Nic, words: &[&str]) -> Vec<Value> {
    let mut known = BTreeMap::new();
    wait_for("all costs", || {
        let began = Instant::now();
        let findings = findings(nic, words);
        eprintln!("{:?}", began.elapsed());
        for cost in findings.into_iter().filter(|finding| finding["what"].as_str().unwrap().starts_with("cost of ")) {
            eprintln!("{}: {}", cost["what"], cost["words"]);
            if cost["answer"] == "note" {
                known.insert(cost["what"].to_string(), cost);
            }
        }
        (known.len() == 4).then_some(())
    });
    known.into_values().collect()
}
