//! What the kernel says, by its tracepoints.

use std::thread;
use std::time::{Duration, Instant};

use super::table::{Batch, Expected, Said, map};
use crate::kernel_events::{KernelEvent, KernelEvents};
use crate::lab::{LIMIT, kernel};
use crate::loader::{FIRST_PORT, ifindex, send, send_frame};
use crate::packets::frame;
use crate::scenes::{Bond, By, Entry, Lab, Scene};

/// Whose events are ours: those of a program, of devices, of a cpumap.
pub struct Ours {
    pub programs: Vec<u32>,
    pub devices: Vec<u32>,
    pub cpus: u32,
}

impl Ours {
    pub fn of(lab: &Lab) -> Self {
        Self { programs: vec![lab.program.id], devices: vec![lab.number], cpus: lab.programs.map_id("cpus") }
    }
}

/// The fields of an event that the table speaks of; None: it is not one of ours.
fn said(ours: &Ours, event: &KernelEvent) -> Option<String> {
    let is = |field: &str, number: &u32| event.number(field) == Some(i64::from(*number));
    let is_any = |field: &str, numbers: &[u32]| numbers.iter().any(|number| is(field, number));
    let (is_ours, fields): (bool, &[&str]) = match event.name.as_str() {
        "redirect" | "redirect_err" => {
            (is_any("prog_id", &ours.programs), &["to_ifindex", "err", "map_id", "map_index"])
        }
        "exception" => (is_any("prog_id", &ours.programs), &["action", "ifindex"]),
        "devmap_xmit" => (is_any("from_ifindex", &ours.devices), &["to_ifindex", "sent", "drops", "err"]),
        "bulk_tx" => (is_any("ifindex", &ours.devices), &["sent", "drops", "err"]),
        "cpumap_enqueue" => (is("map_id", &ours.cpus), &["processed", "drops", "to_cpu"]),
        "cpumap_kthread" => (is("map_id", &ours.cpus), &["processed", "drops", "cpu"]),
        _ => (false, &[]),
    };
    let fields = fields.iter().map(|field| format!(" {field}={}", event.words(field).unwrap_or("?")));
    is_ours.then(|| format!("{}{}", event.name, fields.collect::<String>()))
}

/// What the table expects it to say.
pub fn should_be_said(lab: &Lab, scene: &Scene, expected: &Expected) -> Vec<String> {
    let packet = match expected.said {
        Said::Nothing | Said::Unplayed => None,
        Said::Accepted => Some(format!("redirect {}", redirect_fields(lab, scene, 0))),
        Said::Failed(error) => Some(format!("redirect_err {}", redirect_fields(lab, scene, -error))),
        Said::Exception => Some(match expected.verdict.strip_prefix("XDP_") {
            Some(action) => format!("exception action={action} ifindex={}", lab.number),
            None => {
                let number: u32 = expected.verdict.parse().unwrap();
                format!("exception action={number:#x} ifindex={}", lab.number)
            }
        }),
    };
    let batch = |batch: &Batch| match *batch {
        Batch::Xmit(to, sent, drops, error) => {
            format!("devmap_xmit to_ifindex={} sent={sent} drops={drops} err={error}", lab.numbers[to as usize])
        }
        Batch::Tx(sent, drops, error) => format!("bulk_tx sent={sent} drops={drops} err={error}"),
        Batch::Enqueue(processed, drops) => {
            format!("cpumap_enqueue processed={processed} drops={drops} to_cpu={}", scene.key)
        }
        Batch::Dequeue(processed) => format!("cpumap_kthread processed={processed} drops=0 cpu={}", scene.key),
    };
    let packets = packet.iter().flat_map(|words| vec![words.clone(); scene.datagrams]);
    packets.chain(expected.batches.iter().map(batch)).collect()
}

fn redirect_fields(lab: &Lab, scene: &Scene, error: i32) -> String {
    let number = |key: u32| lab.numbers.get(key as usize).copied().unwrap_or(0);
    let to = match scene.by {
        By::Ifindex => lab.key(scene),
        // Of a broadcast the kernel names the device that has the key, if there is one, and means all of them.
        By::Devices | By::Everyone => number(scene.key),
        By::Return | By::Cpus | By::Sockets => 0,
    };
    let (map, key) = match map(scene.by) {
        Some(map) => (lab.programs.map_id(map), scene.key),
        None if kernel() < (5, 15) => (0, 0),
        None => (i32::MAX as u32, 0),
    };
    format!("to_ifindex={to} err={error} map_id={map} map_index={key}")
}

/// Waits until the kernel has said as much as it should behind the first `before`, and holds it to that.
pub fn is_said(events: &KernelEvents, ours: &Ours, before: &mut usize, what: &str, mut should_be: Vec<String>) {
    should_be.sort();
    let limit = Instant::now() + LIMIT;
    loop {
        let all: Vec<String> = events.so_far().iter().filter_map(|event| said(ours, event)).collect();
        let mut now = all[*before..].to_vec();
        if now.len() >= should_be.len() || Instant::now() > limit {
            // Not in order: a CPU's queue is worked off by another one.
            now.sort();
            assert_eq!(now, should_be, "{what}");
            return *before = all.len();
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a bond takes a program, which must be as its kernel's line has it.
pub fn bond_takes_it(bond: &Bond) -> bool {
    let expected = if kernel() < (5, 15) { Err(libc::EOPNOTSUPP) } else { Ok(()) };
    assert_eq!(bond.attach(), expected);
    expected.is_ok()
}

/// Both send it back. What came by the member that doesn't send goes out by the other one, which is a redirect.
pub fn members_receive_one_each(bond: &Bond, events: &KernelEvents) {
    let [active, backup] = [&bond.members[0], &bond.members[1]].map(|member| ifindex(member) as u32);
    let ours = Ours { programs: vec![bond.programs.id("outcomes")], devices: vec![active, backup], cpus: 0 };
    let nowhere = i32::MAX;
    let should_be: [&[String]; 2] = [
        &["bulk_tx sent=1 drops=0 err=0".into()],
        &[
            format!("devmap_xmit to_ifindex={active} sent=1 drops=0 err=0"),
            format!("redirect to_ifindex={active} err=0 map_id={nowhere} map_index=0"),
        ],
    ];
    let mut before = 0;
    for (peer, should_be) in ["m-active-peer", "m-backup-peer"].into_iter().zip(should_be) {
        send_frame(&bond.nic.other_end(peer), &frame(LENGTH));
        is_said(events, &ours, &mut before, peer, should_be.to_vec());
    }
}

/// The first program's redirect is accepted, and then the second one's verdict can't be followed; of that the kernel
/// names the device that was to send.
pub fn an_entry_receives_one(entry: &Entry, events: &KernelEvents) {
    let [to_entry, back_at_exit] = ["to_entry", "back_at_exit"].map(|name| entry.programs.id(name));
    let out = ifindex(&entry.out);
    let ours = Ours { programs: vec![to_entry, back_at_exit], devices: vec![ifindex(&entry.nic) as u32], cpus: 0 };
    let map = entry.programs.map_id("entries");
    let mut should_be = vec![
        format!("redirect to_ifindex={out} err=0 map_id={map} map_index=0"),
        format!("exception action=TX ifindex={out}"),
    ];
    // Of what is dropped by the program, later kernels tell as if the device had dropped it.
    if kernel() >= (5, 15) {
        should_be.push(format!("devmap_xmit to_ifindex={out} sent=0 drops=1 err=0"));
    }
    send(&entry.nic, [FIRST_PORT]);
    is_said(events, &ours, &mut 0, "entry", should_be);
}

/// That of a frame that `send` would send.
const LENGTH: usize = 50;
