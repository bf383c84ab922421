//! A CPU that goes offline and comes back while packets come.

use std::cell::Cell;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::Stream;
use crate::lab::{Nic, wait_for};
use crate::loader::{COMPONENTS, FIRST_PORT, Mode, OUTCOMES, Programs};
use crate::losses::{is_moved_to, quiet_nic};
use crate::scenes::{By, UP};
use crate::tracer::{Tracer, number_of};

const SWITCH: &str = "/sys/devices/system/cpu/cpu1/online";
const ROUNDS: usize = 4;

/// The second CPU, offline; back when this ends, also where a test fails.
struct Offline;

impl Offline {
    fn take() -> Self {
        fs::write(SWITCH, "0").unwrap();
        Self
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        fs::write(SWITCH, "1").unwrap();
    }
}

/// A program that redirects to another device, which takes it.
fn redirecting(nic: &Nic) -> (Programs, Programs) {
    let out = nic.pairs(&["v-up"]).remove(0);
    let others = Programs::load(COMPONENTS, &["component_one"]);
    others.attach(&nic.other_end("v-up-peer"), Mode::Native, "component_one");
    let programs = Programs::load(OUTCOMES, &["outcomes"]);
    programs.set_device("devices", UP, &out);
    programs.set("scenes", 0, &[By::Devices as u32, UP, 0, 0].map(u32::to_ne_bytes).concat());
    programs.attach(nic, Mode::Native, "outcomes");
    // Each CPU has a queue of its own, which it serves itself.
    let script = "cd /sys/class/net/veth1/queues; echo 1 >tx-0/xps_cpus; echo 2 >tx-1/xps_cpus";
    let done = nic.there(&["bash", "-ec", script]);
    assert!(done.status.success(), "{done:?}");
    (programs, others)
}

/// Waits for a few more packets of this CPU's.
fn wait_for_packets_of(tracer: &mut Tracer, cpu: u64) {
    let (looked_at, found) = (Cell::new(tracer.stdout.len()), Cell::new(0));
    let words = format!("\"cpu\":{cpu},");
    tracer.wait_until(&format!("packets of CPU {cpu}"), |tracer| {
        let lines = &tracer.stdout[looked_at.replace(tracer.stdout.len())..];
        found.set(found.get() + lines.iter().filter(|line| line.contains(&words)).count());
        found.get() >= 20
    });
}

#[test]
#[ignore = "takes a CPU of the machine offline"]
fn a_cpu_that_goes_offline_and_comes_back_is_traced_again() {
    let nic = quiet_nic();
    let (programs, _others) = redirecting(&nic);
    let mut tracer = Tracer::start(&nic, &["-i", "veth0", "--outcome", "all", "-o", "json"]);
    let stream = Stream::start_with(&nic, Duration::from_millis(1), || {
        is_moved_to(1);
    });
    wait_for_packets_of(&mut tracer, 1);
    for _ in 0..ROUNDS {
        let offline = Offline::take();
        wait_for_packets_of(&mut tracer, 0);
        drop(offline);
        wait_for_packets_of(&mut tracer, 1);
    }
    let sent = stream.stop();
    wait_for("the last packet", || (programs.ports().of(FIRST_PORT) >= sent).then_some(()));
    assert_eq!(programs.ports().of(FIRST_PORT), sent);
    let ended = tracer.end("INT");
    let (counts, last) = (ended.counts(), ended.stderr.last().unwrap());
    eprintln!("{last}");
    assert_eq!((counts.seen, counts.filtered, counts.skipped), (sent, 0, 0), "{last}");
    assert_eq!(number_of("unpaired", last), 0, "{last}");
    let packets = ended.stdout.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let packets: Vec<Value> = packets.filter(|packet| packet["type"] == "packet").collect();
    assert_eq!(packets.len() as u64, counts.traced);
    for packet in &packets {
        assert_eq!(
            (&packet["outcome"]["status"], &packet["outcome"]["to"]),
            (&"accepted".into(), &"v-up".into()),
            "{packet}"
        );
    }
}
