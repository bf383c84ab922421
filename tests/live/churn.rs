//! Numbers of devices that come and go, and of more outcomes than the kernel side's tables hold: all of them, exactly, or it is said
//! how many are missing. Nothing but what a test sends arrives at its NICs.

use std::collections::BTreeMap;
use std::fs;

use libbpf_rs::{MapCore, MapFlags, MapHandle, libbpf_sys};
use serde_json::{Value, json};

use crate::export::Exporter;
use crate::lab::{Nic, wait_for};
use crate::loader::{Mode, inside, send_frames};
use crate::losses::{Counted, quiet_nic};
use crate::stats::{last, number, programs};
use crate::tracer::{Ended, Tracer, number_of};

/// How many devices come at once, and how often: more than a target has cells for each CPU, and than are kept by themselves.
const AT_ONCE: usize = 8;
const ROUNDS: usize = 12;
const KEPT: usize = 64;

/// Lengths at which `counted_odd` returns what is no action, sends back, and aborts.
const ODD: usize = 60;
const BACK: usize = 150;
const LONG: usize = 300;

/// A NIC at which, and at whatever is made beside it, nothing arrives by itself.
fn quiet_nics() -> Nic {
    let nic = quiet_nic();
    for netns in [nic.netns.as_deref(), nic.peer_netns()] {
        inside(netns, || fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap());
    }
    nic
}

/// Frames of so many bytes, of a protocol that nobody answers.
fn frames(count: usize, length: usize) -> Vec<Vec<u8>> {
    let mut frame = vec![0; length];
    frame[..14].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0x99, 0x88, 0xb5]);
    vec![frame; count]
}

fn send(nic: &Nic, peer: &str, frames: Vec<Vec<u8>>) {
    send_frames(&nic.other_end(peer), frames);
}

/// Starts `stats` of all devices with these words.
fn start(nic: &Nic, words: &[&str]) -> Tracer {
    Tracer::start(nic, &[&["stats", "-i", "any", "--json", "--interval", "200ms"], words].concat())
}

/// Makes devices, and has the program on them.
fn make(nic: &Nic, counted: &Counted, program: &str, names: &[&str]) -> Vec<Nic> {
    let nics = nic.pairs(names);
    nics.iter().for_each(|one| counted.programs.attach(one, Mode::Native, program));
    nics
}

/// Packets by device as Prometheus has them; those of devices without a name under an empty one. None without packets.
fn packets(exporter: &Exporter) -> BTreeMap<String, u64> {
    let text = exporter.get("/metrics", "").body;
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("xdptrace_packets_total{")) {
        let device =
            line.split_once("device=\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(name, _)| name);
        let packets: u64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
        *sums.entry(device.to_owned()).or_default() += packets;
    }
    sums.retain(|_, packets| *packets > 0);
    sums
}

/// Packets of a line of `stats` by device, those of devices that have gone and aren't told apart under `None`.
fn traffic(record: &Value) -> BTreeMap<Option<String>, u64> {
    let mut sums = BTreeMap::new();
    for one in programs(record).iter().flat_map(|program| program["traffic"].as_array().unwrap()) {
        let name = one.get("device").map(|name| name.as_str().unwrap().to_owned());
        assert!(name.is_some() || one["has_gone"] == true, "{one}");
        let packets: u64 = one["verdicts"].as_object().unwrap().values().map(|tally| number(&tally["packets"])).sum();
        *sums.entry(name).or_default() += packets;
    }
    sums
}

/// Waits until `stats` tells of these devices, as of some that are there, or have gone.
fn wait_until_told(tracer: &mut Tracer, names: &[&str], has_gone: bool) {
    tracer.wait_until(&format!("{names:?}, gone: {has_gone}"), |tracer| {
        let line = tracer.stdout.iter().rfind(|line| line.contains("\"type\":\"stats\""));
        let record: Value = line.map_or(Value::Null, |line| serde_json::from_str(line).unwrap());
        let is_told = |name: &&str| {
            let is_it = |one: &Value| one["device"] == **name && one.get("has_gone").is_some() == has_gone;
            record["programs"][0]["traffic"].as_array().is_some_and(|traffic| traffic.iter().any(is_it))
        };
        names.iter().all(is_told)
    });
}

/// All that are kept by themselves, and the last one, each with what was sent to it.
fn assert_known(told: &BTreeMap<String, u64>, sent: &BTreeMap<String, u64>) {
    assert_eq!((told.len(), told.get("last0")), (KEPT + 1, Some(&7)), "{told:?}");
    told.iter().for_each(|(name, count)| assert_eq!(sent.get(name), Some(count), "{name}: {told:?}"));
}

#[test]
fn devices_that_come_and_go_are_counted_by_their_names() {
    let nic = quiet_nics();
    let counted = Counted::drop_on(&nic);
    let exporter = Exporter::start(&nic, &[], &["-i", "any"]);
    let mut tracer = start(&nic, &[]);
    let mut sent = BTreeMap::new();
    let mut runs = 0;
    for round in 0..ROUNDS {
        let names: Vec<String> = (0..AT_ONCE).map(|index| format!("d{:03}", round * AT_ONCE + index)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        make(&nic, &counted, "counted_drop", &names);
        for (index, name) in names.iter().enumerate() {
            let count = 1 + (round + index) % 5;
            send(&nic, &format!("{name}-peer"), frames(count, 60));
            sent.insert((*name).to_owned(), count as u64);
            runs += count as u64;
        }
        counted.runs.wait_for(runs);
        wait_for("all packets by name", || {
            let told = packets(&exporter);
            assert!(!told.contains_key(""), "{told:?}");
            names.iter().all(|name| told.get(*name) == sent.get(*name)).then_some(())
        });
        wait_until_told(&mut tracer, &names, false);
        nic.change(&names.iter().map(|name| format!("link delete {name}\n")).collect::<String>());
        wait_until_told(&mut tracer, &names, true);
    }
    make(&nic, &counted, "counted_drop", &["last0"]);
    send(&nic, "last0-peer", frames(7, 60));
    sent.insert("last0".to_owned(), 7);
    wait_for("the last one, and those kept", || {
        let told = packets(&exporter);
        (told.get("last0") == Some(&7) && told.len() == KEPT + 1).then_some(())
    });
    // Which are kept depends on who was seen to go first.
    assert_known(&packets(&exporter), &sent);
    assert!(exporter.end().status.success());
    let ended = tracer.end("INT");
    let mut told = traffic(&last(&ended));
    let others = told.remove(&None);
    let told: BTreeMap<String, u64> = told.into_iter().filter_map(|(name, count)| Some((name?, count))).collect();
    assert_known(&told, &sent);
    assert_eq!(others, Some(runs + 7 - told.values().sum::<u64>()));
    assert_eq!(ended.counts().seen, counted.runs.now());
}

/// Where fexit is alone, that a program has run is known by its CPU's first cell: also when that was another device's, and was given
/// back.
#[test]
fn failures_are_counted_also_behind_a_device_that_has_gone() {
    let nic = quiet_nics();
    let counted = Counted::load("counted_odd");
    counted.programs.attach(&nic, Mode::Native, "counted_odd");
    make(&nic, &counted, "counted_odd", &["first0"]);
    let mut tracer = start(&nic, &["--probe", "exit"]);
    for peer in ["first0-peer", "veth1"] {
        send(&nic, peer, frames(3, LONG));
        counted.runs.settle();
    }
    wait_until_told(&mut tracer, &["first0"], false);
    nic.change("link delete first0");
    wait_until_told(&mut tracer, &["first0"], true);
    send(&nic, "veth1", frames(5, LONG));
    counted.runs.wait_for(11);
    let last = last(&tracer.end("INT"));
    let failures = programs(&last)[0]["failures"].as_array().unwrap();
    let mut told: Vec<(&str, u64)> =
        failures.iter().map(|one| (one["device"].as_str().unwrap(), number(&one["count"]))).collect();
    told.sort_unstable();
    assert_eq!(told, [("first0", 3), ("veth0", 8)], "{last}");
}

#[test]
fn values_that_are_no_action_leave_room_for_failures() {
    let nic = quiet_nics();
    let counted = Counted::load("counted_odd");
    counted.programs.attach(&nic, Mode::Native, "counted_odd");
    let tracer = start(&nic, &[]);
    // A queue that is full drops what comes, before the program, or takes no more.
    for sent in 1..=24 {
        send(&nic, "veth1", frames(250, ODD));
        wait_for("most of them", || (counted.runs.now() >= sent * 200).then_some(()));
    }
    let odd = counted.runs.settle();
    assert!(odd > 4096, "{odd}");
    send(&nic, "veth1", frames(20, LONG));
    let aborted = counted.runs.settle() - odd;
    let last = last(&tracer.end("INT"));
    let verdicts = &programs(&last)[0]["traffic"][0]["verdicts"];
    assert_eq!((&verdicts["other"]["packets"], &verdicts["XDP_ABORTED"]["packets"]), (&json!(odd), &json!(aborted)));
    let failures = programs(&last)[0]["failures"].as_array().unwrap();
    let told: Vec<(&str, u64)> =
        failures.iter().map(|one| (one["verdict"].as_str().unwrap(), number(&one["count"]))).collect();
    assert_eq!(told, [("XDP_ABORTED", aborted), ("other", odd)], "{last}");
    assert_eq!(last["losses"], json!({"outcome_table_full": 0, "forward_table_full": 0}));
}

/// Fills all maps of this name with keys that nothing has: an unknown target, an unknown kind.
fn fill(name: &str) {
    let mut id = 0;
    // SAFETY: the kernel writes the next id there.
    while unsafe { libbpf_sys::bpf_map_get_next_id(id, &mut id) } == 0 {
        let Some(map) = MapHandle::from_map_id(id).ok().filter(|map| map.name() == name) else { continue };
        let value = vec![0; map.value_size() as usize];
        for number in 0..map.max_entries() {
            let mut key = vec![0xff; map.key_size() as usize];
            key[..4].copy_from_slice(&(0xffff_0000 + number).to_ne_bytes());
            map.update(&key, &value, MapFlags::ANY).unwrap();
        }
    }
}

#[test]
fn what_a_full_table_has_no_room_for_is_counted() {
    let nic = quiet_nics();
    let counted = Counted::load("counted_odd");
    counted.programs.attach(&nic, Mode::Native, "counted_odd");
    let exporter = Exporter::start(&nic, &[], &["-i", "any", "--outcome", "all"]);
    let tracer = start(&nic, &["--outcome", "all"]);
    ["failures", "forwards"].into_iter().for_each(fill);
    send(&nic, "veth1", [frames(7, LONG), frames(4, BACK)].concat());
    counted.runs.wait_for(11);
    for (reason, count) in [("outcome_table_full", 7), ("forward_table_full", 4)] {
        let line = format!("\nxdptrace_lost_events_total{{reason=\"{reason}\"}} {count}\n");
        wait_for(&line, || exporter.get("/metrics", "").body.contains(&line).then_some(()));
    }
    assert!(exporter.end().status.success());
    let ended: Ended = tracer.end("INT");
    let last = last(&ended);
    assert_eq!(last["losses"], json!({"outcome_table_full": 7, "forward_table_full": 4}));
    assert_eq!((&programs(&last)[0]["failures"], &last["forwards"]), (&json!([]), &json!([])));
    let words = ended.stderr.last().unwrap();
    let lost =
        ["lost outcomes for want of room in their table", "lost packets sent on for want of room in their table"];
    assert_eq!(lost.map(|lost| number_of(lost, words)), [7, 4], "{words}");
}
