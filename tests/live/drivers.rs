//! NICs of other drivers than veth, and one of several queues: the program is attached natively, and what is told of queues and
//! counts is what it has seen itself.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;

use serde_json::Value;

use crate::lab::{Nic, kernel, output, run, wait_for};
use crate::loader::{HARMLESS, Mode, Programs, detach};
use crate::tracer::{Ended, Tracer, XDPTRACE};

/// XDP_ATTACHED_DRV of include/uapi/linux/if_link.h.
const NATIVE: u64 = 1;

/// The VM's NIC of this driver with at least so many receive queues, up, with this address.
fn nic_of(driver: &str, queues: usize, address: &str, peer: &str) -> Nic {
    let count = |name: &str| {
        let is_driver = |words: String| words.lines().any(|line| line == format!("DRIVER={driver}"));
        let event = fs::read_to_string(format!("/sys/class/net/{name}/device/uevent"));
        let queues = fs::read_dir(format!("/sys/class/net/{name}/queues")).ok()?;
        let receiving = queues.flatten().filter(|queue| queue.file_name().to_string_lossy().starts_with("rx-"));
        event.is_ok_and(is_driver).then(|| receiving.count())
    };
    let names = fs::read_dir("/sys/class/net").unwrap().flatten().map(|entry| entry.file_name());
    let mut names = names.map(|name| name.into_string().unwrap());
    let name = names.find(|name| count(name).is_some_and(|count| count >= queues));
    let name = name.unwrap_or_else(|| panic!("no {driver} with {queues} queues"));
    output(&["ip", "address", "replace", &format!("{address}/24"), "dev", &name]);
    output(&["ip", "link", "set", &name, "up"]);
    Nic::of_the_vm(&name, address, peer)
}

/// A vmxnet3 NIC, which has LRO, and none when it goes, if a program was attached to it, unless somebody switches it on again.
pub struct Vmxnet3(Nic);

impl Vmxnet3 {
    pub fn new() -> Self {
        Self(nic_of("vmxnet3", 1, "10.0.3.15", "10.0.3.2"))
    }

    /// Its driver runs programs since Linux 6.6 (commit 54f00cce1178).
    fn has_native_xdp() -> bool {
        kernel() >= (6, 6)
    }
}

impl Deref for Vmxnet3 {
    type Target = Nic;

    fn deref(&self) -> &Nic {
        &self.0
    }
}

impl Drop for Vmxnet3 {
    fn drop(&mut self) {
        run(&["ip", "link", "set", "dev", &self.name, "xdpdrv", "off"]);
        // Off as well, for it is wanted all the time.
        for state in ["off", "on"] {
            run(&["ethtool", "-K", &self.name, "lro", state]);
        }
    }
}

/// Packets by receive queue.
type Queues = BTreeMap<u64, u64>;

/// As the program counted them.
fn counted(programs: &Programs) -> Queues {
    let packets = programs.values("queues").into_iter().map(|value| u64::from_ne_bytes(value.try_into().unwrap()));
    (0..).zip(packets).filter(|(_, packets)| *packets > 0).collect()
}

/// As the tracer told of them.
fn told(ended: &Ended) -> Queues {
    let mut queues = Queues::new();
    let lines = ended.stdout.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    for packet in lines.filter(|line| line["type"] == "packet") {
        assert_eq!((&packet["verdict"], &packet["program"]["function"]), (&"XDP_PASS".into(), &"by_queue".into()));
        *queues.entry(packet["queue"].as_u64().unwrap()).or_default() += 1;
    }
    queues
}

/// Pings from each CPU, whose own queue sends, until packets have come by so many queues.
fn ping_from_each_cpu(nic: &Nic, programs: &Programs, queues: usize) {
    wait_for(&format!("packets by {queues} queues"), || {
        for cpu in ["0", "1"] {
            output(&["taskset", "-c", cpu, "ping", "-n", "-q", "-c", "4", "-i", "0.02", "-W", "5", &nic.peer]);
        }
        (counted(programs).len() >= queues).then_some(())
    });
}

/// A program that has counted nothing yet when it is traced: others on that network may send something before that, and then it is
/// another one's turn.
fn traced_from_the_start(nic: &Nic, words: &[&str]) -> (Programs, Tracer) {
    wait_for("a NIC that receives nothing", || {
        let programs = Programs::load(HARMLESS, &["by_queue"]);
        programs.attach(nic, Mode::Native, "by_queue");
        assert_eq!(nic.xdp()["mode"], NATIVE);
        let tracer = Tracer::start(nic, words);
        if counted(&programs).is_empty() {
            return Some((programs, tracer));
        }
        tracer.end("INT");
        detach(nic, Mode::Native);
        None
    })
}

/// Everything is told with its queue, and with --queue only what came by that one.
fn queues_are_those_that_the_program_sees(nic: &Nic, queues: usize) {
    for filtered in [None, Some(queues as u64 - 1)] {
        let queue = filtered.map(|queue| queue.to_string());
        let narrowing: Vec<&str> = queue.iter().flat_map(|queue| ["--queue", queue]).collect();
        let (programs, tracer) =
            traced_from_the_start(nic, &[&["-i", &nic.name, "-o", "json"], &narrowing[..]].concat());
        ping_from_each_cpu(nic, &programs, queues);
        detach(nic, Mode::Native);
        let ended = tracer.end("INT");
        let seen = counted(&programs);
        eprintln!("{}: {seen:?}, {:?}", nic.name, ended.stderr.last());
        let asked: Queues = seen
            .iter()
            .filter(|(queue, _)| filtered.is_none_or(|asked| asked == **queue))
            .map(|(a, b)| (*a, *b))
            .collect();
        assert_eq!(told(&ended), asked, "{:?}", ended.stderr);
        let counts = ended.counts();
        assert_eq!((counts.seen, counts.traced, counts.lost), (sum(&seen), sum(&asked), 0), "{:?}", ended.stderr);
    }
}

fn sum(queues: &Queues) -> u64 {
    queues.values().sum()
}

/// Its other end is a tap of as many queues, which sends an answer by the queue that the question came by.
#[test]
fn virtio_queues_are_those_that_the_program_sees() {
    queues_are_those_that_the_program_sees(&nic_of("virtio_net", 2, "198.18.0.2", "198.18.0.1"), 2);
}

#[test]
fn vmxnet3_runs_programs_or_refuses_them() {
    let nic = Vmxnet3::new();
    if Vmxnet3::has_native_xdp() {
        // The emulator fills the first queue alone.
        return queues_are_those_that_the_program_sees(&nic, 1);
    }
    let refused = run(&[XDPTRACE, "-i", &nic.name, "--passthrough=native"]);
    let words = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(4), "{words}");
    assert!(words.contains("its driver refuses native XDP"), "{words}");
}

/// The driver switches LRO off, and not on again.
#[test]
fn vmxnet3_has_its_features_back_when_a_native_passthrough_has_gone() {
    let nic = Vmxnet3::new();
    let before = nic.state();
    for signal in ["INT", "KILL"] {
        let mut tracer = Tracer::start(&nic, &["-i", &nic.name, "--passthrough=native", "icmp"]);
        assert_eq!(nic.xdp()["mode"], NATIVE);
        nic.ping(1);
        tracer.wait_for_lines(1, "XDP_PASS");
        tracer.end(signal);
        wait_for("state as before", || (nic.state() == before).then_some(()));
    }
}
