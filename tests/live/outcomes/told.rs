//! What the tracer says.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::table::{Batch, Expected, Said, played};
use crate::loader::{FIRST_PORT, Mode};
use crate::scenes::{ALSO_CALLED, By, Lab, NO_DEVICE, PAIRS, Scene};
use crate::tracer::{Ended, Tracer};

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
pub enum Asked {
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

    pub fn is_failure(&self) -> bool {
        matches!(self.said, Said::Failed(_) | Said::Exception)
    }

    /// `outcome` in JSON.
    pub fn json(&self, asked: Asked, lab: &Lab, scene: &Scene) -> Value {
        match self.told(asked) {
            Said::Nothing | Said::Unplayed => Value::Null,
            Said::Accepted => json!({"status": "accepted", "to": target(lab, scene)}),
            Said::Failed(error) => json!({"status": "failed", "to": target(lab, scene), "error": word(error)}),
            Said::Exception => json!({"status": "exception"}),
        }
    }

    /// The verdict's field in text.
    pub fn text(&self, asked: Asked, lab: &Lab, scene: &Scene) -> String {
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
pub type Told<T> = Vec<(u16, T)>;

fn in_order<T>(mut told: Told<T>) -> Told<T> {
    told.sort_by_key(|(port, _)| *port);
    told
}

/// Verdicts and outcomes of the datagrams among lines of JSON.
pub fn told_in_json(lines: &[String]) -> Told<(String, Value)> {
    let one = |line: &String| {
        let record: Value = serde_json::from_str(line).unwrap();
        let layers = record["packet"].as_array().filter(|_| record["type"] == "packet")?;
        let port = layers.iter().find(|layer| layer["layer"] == "udp")?["dport"].as_u64()?;
        Some((port as u16, (record["verdict"].as_str()?.to_owned(), record["outcome"].clone())))
    };
    in_order(lines.iter().filter_map(one).collect())
}

/// The verdict's fields of the datagrams among lines of text, between the program and the latency.
pub fn told_in_text(lines: &[String]) -> Told<String> {
    told_of("outcomes", lines)
}

pub fn told_of(program: &str, lines: &[String]) -> Told<String> {
    let one = |line: &String| {
        let (start, rest) = line.split_once(" IP 192.0.2.2.")?;
        let port = rest.split_once(": UDP, length 8")?.0.rsplit_once('.')?.1.parse().ok()?;
        let verdict = start.split_once(&format!(" {program}#"))?.1.split_once(' ')?.1.rsplit_once(' ')?.0;
        Some((port, verdict.to_owned()))
    };
    in_order(lines.iter().filter_map(one).collect())
}

/// What of the played scenes' datagrams should be told, by their ports.
pub fn should_be_told<T: Clone>(mode: Mode, each: impl Fn(&Scene, &Expected) -> Option<T>) -> Told<T> {
    let told = |(number, scene, expected): (u16, Scene, Expected)| {
        let told = each(&scene, &expected).map(|told| (FIRST_PORT + number, told));
        vec![told; scene.datagrams].into_iter().flatten()
    };
    played(mode).flat_map(told).collect()
}

/// Datagrams of scenes, which the tracers are to have shown all of when they end.
pub fn play_under(lab: &Lab, mode: Mode, words: &[&[&str]]) -> Vec<Ended> {
    let start = |words: &&[&str]| Tracer::spawn(&lab.nic, &[&["-i", ALSO_CALLED], *words, &["udp"]].concat());
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
pub type Forwarded = BTreeMap<String, (u64, u64, BTreeMap<String, u64>)>;

/// What the table expects of it.
pub fn should_be_forwarded(lab: &Lab, mode: Mode) -> Forwarded {
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
pub fn forwarded(lines: &[String]) -> Forwarded {
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
