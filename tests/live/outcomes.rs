//! What becomes of a verdict: what the kernel says of it, by lines of kernels, and that the tracer says the same.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::kernel_events::{KernelEvent, KernelEvents};
use crate::lab::{LIMIT, Nic, TARGETS, kernel};
use crate::loader::{FIRST_PORT, Mode, ifindex, send, send_frame};
use crate::packets::frame;
use crate::scenes::{
    BARE, BARE_AND_DOWN, BOUND, Bond, By, DOWN, Entry, GONE, LONG_QUEUE, Lab, NO_DEVICE, NOTHING, PAIRS, QUEUE_OF_ONE,
    Scene, UNBOUND, UP,
};
use crate::tracer::{Ended, Tracer};

/// What a scene comes to.
#[derive(Clone, Copy)]
struct Expected {
    /// What the program returns.
    verdict: &'static str,
    /// What the kernel says of each packet,
    said: Said,
    /// … and of many at a time.
    batches: &'static [Batch],
}

/// The tracepoints that carry the program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// None of them.
    Nothing,
    /// xdp_redirect.
    Accepted,
    /// xdp_redirect_err, with this error.
    Failed(i32),
    /// xdp_exception.
    Exception,
    /// The scene can't be played there.
    Unplayed,
}

/// Those that don't.
#[derive(Clone, Copy)]
enum Batch {
    /// xdp_devmap_xmit, from veth0 to a pair: sent, dropped, error.
    Xmit(u32, u32, u32, i32),
    /// xdp_bulk_tx, of veth0: sent, dropped, error.
    Tx(u32, u32, i32),
    /// xdp_cpumap_enqueue: processed, which counts the dropped as well, dropped.
    Enqueue(u32, u32),
    /// xdp_cpumap_kthread: processed.
    Dequeue(u32),
}

const fn redirected(said: Said, batches: &'static [Batch]) -> Expected {
    Expected { verdict: "XDP_REDIRECT", said, batches }
}

const fn accepted(batches: &'static [Batch]) -> Expected {
    redirected(Said::Accepted, batches)
}

const fn failed(error: i32) -> Expected {
    redirected(Said::Failed(error), &[])
}

const fn exception(verdict: &'static str) -> Expected {
    Expected { verdict, said: Said::Exception, batches: &[] }
}

const fn unsaid(verdict: &'static str, batches: &'static [Batch]) -> Expected {
    Expected { verdict, said: Said::Nothing, batches }
}

const ABORTED: Expected = exception("XDP_ABORTED");
const UNPLAYED: Expected = redirected(Said::Unplayed, &[]);

/// A scene, and what it comes to where the driver runs the program and where the kernel does, on 5.10, 6.1, 6.12 and 7.
struct Row {
    scene: Scene,
    native: [Expected; 4],
    generic: [Expected; 4],
}

const fn row(name: &'static str, by: By, key: u32, native: [Expected; 4], generic: [Expected; 4]) -> Row {
    Row { scene: Scene { name, by, key, flags: 0, datagrams: 1 }, native, generic }
}

impl Row {
    const fn flags(mut self, flags: u64) -> Self {
        self.scene.flags = flags;
        self
    }

    const fn datagrams(mut self, datagrams: usize) -> Self {
        self.scene.datagrams = datagrams;
        self
    }

    /// On this kernel.
    fn expected(&self, mode: Mode) -> Expected {
        let line = [(6, 1), (6, 12), (7, 0)].iter().filter(|first| kernel() >= **first).count();
        match mode {
            Mode::Native => self.native[line],
            Mode::Generic => self.generic[line],
        }
    }
}

/// Of include/uapi/linux/bpf.h.
const BPF_F_BROADCAST: u64 = 8;

/// A redirect to a device whose driver can't take the frame, which kernels up to 6.1 see only when they hand it over.
const REFUSED: [Expected; 4] = [TOO_LATE, TOO_LATE, failed(libc::EOPNOTSUPP), failed(libc::EOPNOTSUPP)];
const TOO_LATE: Expected = accepted(&[Batch::Xmit(BARE, 0, 1, -libc::ENXIO)]);

/// A broadcast, which 5.10 doesn't know: it takes the flag for a wrong argument.
const BROADCAST: [Expected; 4] = {
    let sent = accepted(&[Batch::Xmit(UP, 1, 0, 0), Batch::Xmit(UP + 1, 1, 0, 0)]);
    [ABORTED, sent, sent, sent]
};
const BROADCAST_GENERIC: [Expected; 4] = [ABORTED, accepted(&[]), accepted(&[]), accepted(&[])];

const TABLE: &[Row] = &[
    row("devmap_up", By::Devices, UP, [accepted(&[Batch::Xmit(UP, 1, 0, 0)]); 4], [accepted(&[]); 4]),
    row("devmap_down", By::Devices, DOWN, [failed(libc::ENETDOWN); 4], [failed(libc::ENETDOWN); 4]),
    // The verdict itself: there is nothing in the map.
    row("devmap_gone", By::Devices, GONE, [ABORTED; 4], [ABORTED; 4]),
    row("devmap_bare", By::Devices, BARE, REFUSED, [accepted(&[]); 4]),
    row(
        "devmap_bare_down",
        By::Devices,
        BARE_AND_DOWN,
        [failed(libc::ENETDOWN), failed(libc::ENETDOWN), failed(libc::EOPNOTSUPP), failed(libc::EOPNOTSUPP)],
        [failed(libc::ENETDOWN); 4],
    ),
    row("broadcast", By::Everyone, UP, BROADCAST, BROADCAST_GENERIC).flags(BPF_F_BROADCAST),
    row("broadcast_without_a_key", By::Everyone, NOTHING, BROADCAST, BROADCAST_GENERIC).flags(BPF_F_BROADCAST),
    row("cpumap", By::Cpus, LONG_QUEUE, [accepted(&[Batch::Enqueue(1, 0), Batch::Dequeue(1)]); 4], {
        let queued = accepted(&[Batch::Enqueue(1, 0), Batch::Dequeue(1)]);
        [failed(libc::EBADRQC), queued, queued, queued]
    }),
    // One of the eight finds room. Without the driver they don't come at once.
    row(
        "cpumap_overrun",
        By::Cpus,
        QUEUE_OF_ONE,
        [accepted(&[Batch::Enqueue(8, 7), Batch::Dequeue(1)]); 4],
        [UNPLAYED; 4],
    )
    .datagrams(8),
    row("ifindex", By::Ifindex, UP, [accepted(&[Batch::Xmit(UP, 1, 0, 0)]); 4], [accepted(&[]); 4]),
    row("ifindex_down", By::Ifindex, DOWN, [failed(libc::ENETDOWN); 4], [failed(libc::ENETDOWN); 4]),
    row("ifindex_of_nothing", By::Ifindex, NO_DEVICE, [failed(libc::EINVAL); 4], [failed(libc::EINVAL); 4]),
    row("xsk_of_nothing", By::Sockets, NOTHING, [ABORTED; 4], [ABORTED; 4]),
    row(
        "xsk_unbound",
        By::Sockets,
        UNBOUND,
        [failed(libc::EINVAL), failed(libc::ENXIO), failed(libc::ENXIO), failed(libc::ENXIO)],
        // 5.10.262 crashes: xsk_generic_rcv follows a null pointer.
        [UNPLAYED, failed(libc::ENXIO), failed(libc::ENXIO), failed(libc::ENXIO)],
    ),
    row("xsk_full", By::Sockets, BOUND, FULL, FULL),
    row("xsk_accepted", By::Sockets, BOUND, [accepted(&[]); 4], [accepted(&[]); 4]),
    // Only the counters of the driver say that it failed.
    row("tx_bare", By::Return, 3, [unsaid("XDP_TX", &[Batch::Tx(0, 1, -libc::ENXIO)]); 4], [unsaid("XDP_TX", &[]); 4]),
    row("tx", By::Return, 3, [unsaid("XDP_TX", &[Batch::Tx(1, 0, 0)]); 4], [unsaid("XDP_TX", &[]); 4]),
    row("aborted", By::Return, 0, [ABORTED; 4], [ABORTED; 4]),
    row("no_action", By::Return, 42, [exception("42"); 4], [exception("42"); 4]),
    row("pass", By::Return, 2, [unsaid("XDP_PASS", &[]); 4], [unsaid("XDP_PASS", &[]); 4]),
];

/// A socket that has no frame to receive into.
const FULL: [Expected; 4] = [failed(libc::ENOSPC), failed(libc::ENOMEM), failed(libc::ENOMEM), failed(libc::ENOMEM)];

/// The scenes that can be played in this mode on this kernel, by their numbers.
fn played(mode: Mode) -> impl Iterator<Item = (u16, Scene, Expected)> {
    let rows = (0..).zip(TABLE).map(move |(number, row)| (number, row.scene, row.expected(mode)));
    rows.filter(|(_, _, expected)| expected.said != Said::Unplayed)
}

/// The name of the map that a scene redirects by.
fn map(by: By) -> Option<&'static str> {
    match by {
        By::Devices => Some("devices"),
        By::Everyone => Some("everyone"),
        By::Cpus => Some("cpus"),
        By::Sockets => Some("sockets"),
        By::Return | By::Ifindex => None,
    }
}

// What the kernel says.

/// Whose events are ours: those of a program, of devices, of a cpumap.
struct Ours {
    programs: Vec<u32>,
    devices: Vec<u32>,
    cpus: u32,
}

impl Ours {
    fn of(lab: &Lab) -> Self {
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
fn should_be_said(lab: &Lab, scene: &Scene, expected: &Expected) -> Vec<String> {
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
fn is_said(events: &KernelEvents, ours: &Ours, before: &mut usize, what: &str, mut should_be: Vec<String>) {
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

/// By no code of the tracer's: what all the others here take for granted.
#[test]
fn the_kernel_says_what_the_table_says() {
    let events = KernelEvents::record();
    let lab = Lab::new();
    let (ours, mut before) = (Ours::of(&lab), 0);
    for mode in [Mode::Native, Mode::Generic] {
        lab.attach(mode);
        for (number, scene, expected) in played(mode) {
            lab.play(number, &scene);
            let should_be = should_be_said(&lab, &scene, &expected);
            is_said(&events, &ours, &mut before, &format!("{mode:?} {}", scene.name), should_be);
        }
    }
    drop(lab);
    let bond = Bond::new();
    if bond_takes_it(&bond) {
        members_receive_one_each(&bond, &events);
    }
    drop(events);
    an_entry_receives_one(&Entry::new(), &KernelEvents::record());
}

/// Whether a bond takes a program, which must be as its kernel's line has it.
fn bond_takes_it(bond: &Bond) -> bool {
    let expected = if kernel() < (5, 15) { Err(libc::EOPNOTSUPP) } else { Ok(()) };
    assert_eq!(bond.attach(), expected);
    expected.is_ok()
}

/// Both send it back. What came by the member that doesn't send goes out by the other one, which is a redirect.
fn members_receive_one_each(bond: &Bond, events: &KernelEvents) {
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
fn an_entry_receives_one(entry: &Entry, events: &KernelEvents) {
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

// What the tracer says.

/// The words for where a scene redirects to.
fn target(lab: &Lab, scene: &Scene) -> String {
    match scene.by {
        By::Ifindex if scene.key == NO_DEVICE => format!("ifindex {NO_DEVICE}"),
        By::Ifindex | By::Devices | By::Everyone if (scene.key as usize) < PAIRS.len() => {
            PAIRS[scene.key as usize].into()
        }
        By::Cpus => format!("cpu map {}[{}]", lab.programs.map_id("cpus"), scene.key),
        By::Sockets => format!("xsk map {}[{}]", lab.programs.map_id("sockets"), scene.key),
        By::Everyone => format!("dev map {}[{}]", lab.programs.map_id("everyone"), scene.key),
        By::Devices | By::Return | By::Ifindex => panic!("{}: there is no target", scene.name),
    }
}

/// The kernel's word for an error that the table holds.
fn word(error: i32) -> &'static str {
    match error {
        libc::EBADRQC => "EBADRQC",
        libc::EINVAL => "EINVAL",
        libc::ENETDOWN => "ENETDOWN",
        libc::ENOMEM => "ENOMEM",
        libc::ENOSPC => "ENOSPC",
        libc::ENXIO => "ENXIO",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        _ => panic!("no word for {error}"),
    }
}

/// What `--outcome` asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Off,
    Failed,
    All,
}

impl Expected {
    /// What the tracer may say of it.
    fn told(&self, asked: Asked) -> Said {
        match (self.said, asked) {
            (Said::Accepted, Asked::Failed) | (_, Asked::Off) => Said::Nothing,
            (said, _) => said,
        }
    }

    fn is_failure(&self) -> bool {
        matches!(self.said, Said::Failed(_) | Said::Exception)
    }

    /// `outcome` in JSON.
    fn json(&self, asked: Asked, lab: &Lab, scene: &Scene) -> Value {
        match self.told(asked) {
            Said::Nothing | Said::Unplayed => Value::Null,
            Said::Accepted => json!({"status": "accepted", "to": target(lab, scene)}),
            Said::Failed(error) => json!({"status": "failed", "to": target(lab, scene), "error": word(error)}),
            Said::Exception => json!({"status": "exception"}),
        }
    }

    /// The verdict's field in text.
    fn text(&self, asked: Asked, lab: &Lab, scene: &Scene) -> String {
        let verdict = self.verdict;
        match self.told(asked) {
            Said::Nothing | Said::Unplayed => verdict.into(),
            Said::Accepted => format!("{verdict} -> {}", target(lab, scene)),
            Said::Failed(error) => format!("{verdict} -> failed: {} ({})", word(error), target(lab, scene)),
            Said::Exception => format!("{verdict} (xdp_exception)"),
        }
    }
}

/// Datagrams in the tracer's output, by their destination ports, and what is said of the verdict on each. The tracer's own
/// order is that of each CPU.
type Told<T> = Vec<(u16, T)>;

fn in_order<T>(mut told: Told<T>) -> Told<T> {
    told.sort_by_key(|(port, _)| *port);
    told
}

/// Verdicts and outcomes of the datagrams among lines of JSON.
fn told_in_json(lines: &[String]) -> Told<(String, Value)> {
    let one = |line: &String| {
        let record: Value = serde_json::from_str(line).unwrap();
        let layers = record["packet"].as_array().filter(|_| record["type"] == "packet")?;
        let port = layers.iter().find(|layer| layer["layer"] == "udp")?["dport"].as_u64()?;
        Some((port as u16, (record["verdict"].as_str()?.to_owned(), record["outcome"].clone())))
    };
    in_order(lines.iter().filter_map(one).collect())
}

/// The verdict's fields of the datagrams among lines of text, between the program and the latency.
fn told_in_text(lines: &[String]) -> Told<String> {
    told_of("outcomes", lines)
}

fn told_of(program: &str, lines: &[String]) -> Told<String> {
    let one = |line: &String| {
        let (start, rest) = line.split_once(" IP 192.0.2.2.")?;
        let port = rest.split_once(": UDP, length 8")?.0.rsplit_once('.')?.1.parse().ok()?;
        let verdict = start.split_once(&format!(" {program}#"))?.1.split_once(' ')?.1.rsplit_once(' ')?.0;
        Some((port, verdict.to_owned()))
    };
    in_order(lines.iter().filter_map(one).collect())
}

/// What of the played scenes' datagrams should be told, by their ports.
fn should_be_told<T: Clone>(mode: Mode, each: impl Fn(&Scene, &Expected) -> Option<T>) -> Told<T> {
    let told = |(number, scene, expected): (u16, Scene, Expected)| {
        let told = each(&scene, &expected).map(|told| (FIRST_PORT + number, told));
        vec![told; scene.datagrams].into_iter().flatten()
    };
    played(mode).flat_map(told).collect()
}

/// Datagrams of scenes, which the tracers are to have shown all of when they end.
fn play_under(lab: &Lab, mode: Mode, words: &[&[&str]]) -> Vec<Ended> {
    let start = |words: &&[&str]| Tracer::spawn(&lab.nic, &[&["-i", "veth0"], *words, &["udp"]].concat());
    let mut tracers: Vec<Tracer> = words.iter().map(start).collect();
    tracers.iter_mut().for_each(Tracer::wait_until_it_listens);
    played(mode).for_each(|(number, scene, _)| lab.play(number, &scene));
    let end = |tracer: Tracer| {
        let ended = tracer.end("INT");
        assert!(ended.status.success() && ended.counts().lost == 0, "{ended:?}");
        ended
    };
    tracers.into_iter().map(end).collect()
}

/// What many packets at a time came to, by the path: sent, dropped, and how many of these with which error.
type Forwarded = BTreeMap<String, (u64, u64, BTreeMap<String, u64>)>;

/// What the table expects of it.
fn should_be_forwarded(lab: &Lab, mode: Mode) -> Forwarded {
    let mut forwarded = Forwarded::new();
    for (_, scene, expected) in played(mode) {
        for batch in expected.batches {
            let queue = |way: &str| format!("{way} cpu map {}[{}]", lab.programs.map_id("cpus"), scene.key);
            let (path, sent, dropped, error) = match *batch {
                Batch::Xmit(to, sent, dropped, error) => {
                    (format!("veth0 -> {}", PAIRS[to as usize]), sent, dropped, error)
                }
                Batch::Tx(sent, dropped, error) => ("veth0 -> veth0".into(), sent, dropped, error),
                Batch::Enqueue(processed, dropped) => (queue("into"), processed - dropped, dropped, 0),
                Batch::Dequeue(processed) => (queue("out of"), processed, 0, 0),
                // That program's own, and not of many.
            };
            let path = forwarded.entry(path).or_default();
            (path.0, path.1) = (path.0 + u64::from(sent), path.1 + u64::from(dropped));
            if error != 0 {
                *path.2.entry(word(-error).into()).or_default() += u64::from(dropped);
            }
        }
    }
    forwarded
}

/// What the summary, the last of these lines of JSON, tells of it.
fn forwarded(lines: &[String]) -> Forwarded {
    let summary: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    let paths = summary["forwards"].as_array().unwrap_or_else(|| panic!("nothing forwarded: {summary}"));
    let mut forwarded = Forwarded::new();
    for path in paths {
        let number = |field: &str| path[field].as_u64().unwrap();
        let device = |end: &str| path[end]["device"].as_str().unwrap().to_owned();
        let queue = |way: &str| format!("{way} cpu map {}[{}]", number("cpumap"), number("cpu"));
        let name = match path["kind"].as_str().unwrap() {
            "redirect" => format!("{} -> {}", device("from"), device("to")),
            "tx" => format!("{0} -> {0}", device("from")),
            "enqueue" => queue("into"),
            "dequeue" => queue("out of"),
            kind => panic!("{kind}"),
        };
        let (sent, dropped, errors) = forwarded.entry(name).or_default();
        (*sent, *dropped) = (*sent + number("sent"), *dropped + number("dropped"));
        if let Some(error) = path["error"].as_str() {
            *errors.entry(error.to_owned()).or_default() += number("dropped");
        }
    }
    forwarded
}

fn outcomes_are_told(mode: Mode) {
    let lab = Lab::new();
    lab.attach(mode);
    let ended = play_under(
        &lab,
        mode,
        &[
            &["-o", "json", "--outcome", "all"],
            &["-o", "text", "--outcome", "all"],
            &["-o", "json"],
            &["-o", "text", "--only-failed"],
            &["-o", "json", "--outcome", "off"],
        ],
    );
    let json = |asked: Asked| {
        should_be_told(mode, |scene, expected| Some((expected.verdict.to_owned(), expected.json(asked, &lab, scene))))
    };
    let text = |asked: Asked, is_shown: fn(&Expected) -> bool| {
        should_be_told(mode, |scene, expected| is_shown(expected).then(|| expected.text(asked, &lab, scene)))
    };
    assert_eq!(told_in_json(&ended[0].stdout), json(Asked::All));
    assert_eq!(told_in_text(&ended[1].stdout), text(Asked::All, |_| true));
    assert_eq!(told_in_json(&ended[2].stdout), json(Asked::Failed));
    assert_eq!(told_in_text(&ended[3].stdout), text(Asked::Failed, Expected::is_failure));
    assert_eq!(told_in_json(&ended[4].stdout), json(Asked::Off));
    assert_eq!(forwarded(&ended[0].stdout), should_be_forwarded(&lab, mode));
}

#[test]
fn outcomes_of_native_programs() {
    outcomes_are_told(Mode::Native);
}

#[test]
fn outcomes_of_generic_programs() {
    outcomes_are_told(Mode::Generic);
}

#[test]
fn a_bond_redirects_what_its_member_sends_back() {
    let bond = Bond::new();
    if !bond_takes_it(&bond) {
        return;
    }
    let words: [&[&str]; 2] = [&["-o", "json", "--outcome", "all"], &["--outcome", "all"]];
    let mut tracers = words.map(|words| Tracer::spawn(&bond.bond, &[&["-i", "bond0"], words, &["udp"]].concat()));
    tracers.iter_mut().for_each(Tracer::wait_until_it_listens);
    members_receive_one_each(&bond, &KernelEvents::record());
    let [in_json, in_text] = tracers.map(|tracer| tracer.end("INT").stdout);
    let told = |outcome: Value| (FIRST_PORT, ("XDP_TX".to_owned(), outcome));
    let redirected = json!({"status": "redirected", "to": "bond0"});
    // Of two CPUs either may be read first.
    let (mut lines, mut words) = (told_in_json(&in_json), told_in_text(&in_text));
    lines.sort_by_key(|(_, (_, outcome))| outcome.to_string());
    words.sort_unstable();
    assert_eq!(lines, [told(Value::Null), told(redirected)]);
    let told = ["XDP_TX", "XDP_TX -> redirected by bond0"];
    assert_eq!(words, told.map(|verdict| (FIRST_PORT, verdict.to_owned())));
}

/// XDP_TX of a program at a device that is about to send.
#[test]
fn what_cannot_be_sent_back_has_failed() {
    let entry = Entry::new();
    let words: [&[&str]; 2] = [&["-o", "json"], &["-o", "text"]];
    let mut tracers = words
        .map(|words| Tracer::spawn(&entry.nic, &[&["-i", "veth0", "-p", "back_at_exit"], words, &["udp"]].concat()));
    tracers.iter_mut().for_each(Tracer::wait_until_it_listens);
    an_entry_receives_one(&entry, &KernelEvents::record());
    let [in_json, in_text] = tracers.map(|tracer| tracer.end("INT").stdout);
    let exception = json!({"status": "exception"});
    assert_eq!(told_in_json(&in_json), [(FIRST_PORT, ("XDP_TX".to_owned(), exception))]);
    assert_eq!(told_of("back_at_exit", &in_text), [(FIRST_PORT, "XDP_TX -> failed".to_owned())]);
}

/// The driver can, and the kernel says nothing of it.
#[test]
fn virtio_tx_comes_to_nothing_else() {
    let nic = Nic::virtio();
    nic.attach("xdpdrv", TARGETS, "target_tx");
    let events = KernelEvents::record();
    let ours = Ours { programs: vec![nic.program_id() as u32], devices: vec![ifindex(&nic) as u32], cpus: 0 };
    let mut tracer = Tracer::start(&nic, &["-i", "eth0", "-o", "json", "--outcome", "all", "icmp"]);
    nic.ping(1);
    tracer.wait_for_lines(1, "\"XDP_TX\"");
    is_said(&events, &ours, &mut 0, "virtio", Vec::new());
    let ended = tracer.end("INT");
    assert!(ended.stdout.iter().all(|line| !line.contains("\"outcome\"")), "{ended:?}");
    assert_eq!(forwarded(&ended.stdout), Forwarded::new());
}
