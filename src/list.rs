//! `xdptrace list`: the programs on the NICs' paths, or all BPF programs of the machine, and whether they can be traced.

use std::io::{self, Write};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::event::Verdict;
use crate::failure::Failure;
use crate::kernel::{self, Kernel};
use crate::outlet::written;
use crate::plan::{Devices, Listing, Selection, hex};
use crate::privileges;
use crate::probe;
use crate::refusal;
use crate::sink::{self, LocalTime};
use crate::target::{self, Depth, Function, Guards, Known, Mode, Node, Role, Survey, Tree, Watch, Way};

const SCHEMA_VERSION: u32 = 1;

/// Writes the list to `out`.
///
/// # Errors
/// Not privileged, no such device, or the output cannot be written.
pub fn run(listing: &Listing, out: &mut dyn Write) -> Result<()> {
    refusal::capture_messages();
    privileges::check_reading()?;
    target::enter_netns(listing.scope.netns.as_deref())?;
    if listing.all { all(listing, out) } else { paths(listing, out) }
}

/// Says of programs and functions whether they can be traced: first what this kernel says of any.
struct Judge {
    running: Kernel,
    kernel: Option<String>,
    guards: Guards,
    boot_ns: u64,
}

impl Judge {
    fn new() -> Result<Self> {
        let kernel = probe::try_probes().err().map(|error| refusal::reason(&error));
        let running = Kernel::running();
        let guards = Guards::new(&running, &[], &Selection::default())?;
        Ok(Self { running, kernel, guards, boot_ns: kernel::boot_time_ns().context("failed to read the clock")? })
    }

    /// Why the program at `node` cannot be traced, if it can't.
    fn program(&self, node: &Node) -> Option<String> {
        let hazard = || self.guards.probes(node, true).err().map(|hazard| hazard.to_string());
        self.kernel.clone().or_else(|| node.obstacle.as_ref().map(ToString::to_string)).or_else(hazard)
    }

    /// Why `function` of the program at `node` cannot be traced, if it can't.
    fn function(&self, node: &Node, function: &Function) -> Option<String> {
        if node.program.entry() == Some(function) {
            return self.program(node);
        }
        let hazard = || self.guards.probes(node, false).err().map(|hazard| hazard.to_string());
        let obstacle = || target::function_obstacle(node, function).map(|obstacle| obstacle.to_string());
        // Of a static function, only the kernel knows whether it is called as declared.
        let trial = || probe::try_function(node.program.id, function).err().map(|error| refusal::reason(&error));
        let trial = || function.is_static.then(trial).flatten();
        self.kernel.clone().or_else(obstacle).or_else(hazard).or_else(trial)
    }
}

fn paths(listing: &Listing, out: &mut dyn Write) -> Result<()> {
    let mut watch = Watch::new(&listing.scope, Guards::default(), Depth::Everything)?;
    let view = watch.look()?.context("the first look shows nothing")?;
    if let (Devices::Named(_), Some(missing)) = (&listing.scope.devices, view.missing.first()) {
        if view.devices.is_empty() {
            return Err(Failure::no_target(missing.to_string()));
        }
    }
    // Behind the reading, so that what it loads for a trial isn't listed.
    let judge = Judge::new()?;
    let devices: Vec<DeviceEntry> =
        view.trees.iter().filter_map(|tree| DeviceEntry::new(tree, &judge, listing)).collect();
    if listing.json {
        return write_json(out, &Paths { schema_version: SCHEMA_VERSION, devices });
    }
    for missing in &view.missing {
        let _ = writeln!(io::stderr(), "{missing}");
    }
    if devices.iter().all(|device| device.programs.is_empty()) {
        if !view.missing.is_empty() {
            return Ok(());
        }
        let _ = writeln!(io::stderr(), "no XDP program on any device of this network namespace");
        return Ok(());
    }
    let mut rows = Vec::new();
    for device in &devices {
        device.programs.iter().for_each(|program| program.rows(&device.device, 0, &mut rows));
    }
    let header = ["WHERE", "PROGRAM", "NAME", "TAG", "LOADED", "CHAIN", "TRACEABLE"];
    write_table(out, &header.map(str::to_owned), &rows)
}

#[derive(Serialize)]
struct Paths {
    schema_version: u32,
    devices: Vec<DeviceEntry>,
}

#[derive(Serialize)]
struct DeviceEntry {
    device: String,
    ifindex: u32,
    netns: u32,
    programs: Vec<ProgramEntry>,
}

impl DeviceEntry {
    fn new(tree: &Tree, judge: &Judge, listing: &Listing) -> Option<Self> {
        let device = tree.device.as_ref()?;
        let programs = tree.programs.iter().map(|node| ProgramEntry::new(node, judge, listing)).collect();
        Some(Self { device: device.name.clone(), ifindex: device.ifindex, netns: device.netns, programs })
    }
}

/// A program in its place. What doesn't apply, or isn't known, is absent.
#[derive(Serialize)]
struct ProgramEntry {
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<MapEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    id: u32,
    name: String,
    function: Option<String>,
    tag: String,
    loaded: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain_actions: Option<Vec<String>>,
    traceable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    functions: Option<Vec<FunctionEntry>>,
    programs: Vec<Self>,
}

#[derive(Serialize)]
struct MapEntry {
    id: u32,
    name: String,
}

#[derive(Serialize)]
struct FunctionEntry {
    name: String,
    traceable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl ProgramEntry {
    fn new(node: &Node, judge: &Judge, listing: &Listing) -> Self {
        let program = &node.program;
        let reason = judge.program(node);
        let functions = listing.functions.then(|| {
            let functions = program.functions.iter().map(|function| {
                let reason = judge.function(node, function);
                FunctionEntry { name: function.name.clone(), traceable: reason.is_none(), reason }
            });
            functions.collect()
        });
        let loaded = LocalTime::new(judge.boot_ns + program.loaded_ns);
        let mut entry = Self {
            role: "loaded",
            mode: None,
            position: None,
            map: None,
            key: None,
            keys: Vec::new(),
            to: None,
            id: program.id,
            name: program.name.clone(),
            function: program.entry().map(|function| function.name.clone()),
            tag: hex(&program.tag),
            loaded: loaded.map_or_else(|| "?".into(), |time| time.rfc3339().to_string()),
            chain_actions: None,
            traceable: reason.is_none(),
            reason,
            note: node.note,
            functions,
            programs: node.children.iter().map(|child| Self::new(child, judge, listing)).collect(),
        };
        entry.set_role(&node.role);
        entry
    }

    fn set_role(&mut self, role: &Role) {
        match role {
            Role::Device(mode) => {
                self.role = "device";
                self.mode = Some(mode_name(*mode));
            }
            Role::Component { position, actions } => {
                self.role = "component";
                self.position = *position;
                let names = |actions: &Vec<u32>| actions.iter().map(|action| Verdict(*action).to_string()).collect();
                self.chain_actions = actions.as_ref().map(names);
            }
            Role::Map(entry) => {
                self.role = match entry.way {
                    Way::TailCall => "tail-call",
                    Way::Devmap => "devmap",
                    Way::Cpumap => "cpumap",
                };
                self.map = Some(MapEntry { id: entry.map, name: entry.map_name.clone() });
                self.key = entry.keys.first().copied();
                self.keys.clone_from(&entry.keys);
                let device = entry.devices.first();
                self.to =
                    device.map(|index| target::name_of(*index).ok().flatten().unwrap_or_else(|| format!("if{index}")));
            }
            Role::Loaded => {}
        }
    }

    /// This program's row, and those of its functions and of the programs behind it.
    fn rows(&self, device: &str, depth: usize, rows: &mut Vec<[String; 7]>) {
        let indent = "  ".repeat(depth);
        let place = match (&self.map, self.mode) {
            (_, Some(mode)) => format!("{} {mode}", device.escape_default()),
            (Some(map), _) => self.place_in(map),
            _ => format!("component {}", self.position.map_or_else(|| "?".into(), |position| position.to_string())),
        };
        let shown = self.function.as_ref().unwrap_or(&self.name).escape_default();
        let traceable = verdict(self.reason.as_deref());
        rows.push([
            indent.clone() + &place,
            format!("{shown}#{}", self.id),
            self.name.escape_default().to_string(),
            self.tag.clone(),
            self.loaded.get(..19).unwrap_or(&self.loaded).replace('T', " "),
            self.chain_actions.as_ref().map_or_else(|| "-".into(), |actions| actions.join(",")),
            self.note.map_or_else(|| traceable.clone(), |note| format!("{traceable}; {note}")),
        ]);
        for function in self.functions.iter().flatten() {
            let mut row: [String; 7] = std::array::from_fn(|_| "-".to_owned());
            row[0] = format!("{indent}  function");
            row[1] = function.name.escape_default().to_string();
            row[6] = verdict(function.reason.as_deref());
            rows.push(row);
        }
        self.programs.iter().for_each(|program| program.rows(device, depth + 1, rows));
    }

    /// `tail call jmp_table[3] +2`
    fn place_in(&self, map: &MapEntry) -> String {
        let way = self.role.replace('-', " ");
        let key = self.key.map_or_else(|| "?".into(), |key| key.to_string());
        let more = self.keys.len().saturating_sub(1);
        let more = if more > 0 { format!(" +{more}") } else { String::new() };
        let to = self.to.as_ref().map_or_else(String::new, |to| format!(" to {}", to.escape_default()));
        format!("{way} {}[{key}]{more}{to}", map.name.escape_default())
    }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Native => "native",
        Mode::Generic => "generic",
        Mode::Offloaded => "offloaded",
    }
}

fn verdict(reason: Option<&str>) -> String {
    reason.map_or_else(|| "yes".into(), |reason| format!("no: {reason}"))
}

/// Every BPF program: whether fentry and fexit can trace it, and whether xdptrace does.
fn all(listing: &Listing, out: &mut dyn Write) -> Result<()> {
    let tree = Survey::new(Known::default(), Depth::Everything).loaded()?;
    let judge = Judge::new()?;
    let programs: Vec<AnyProgram> = tree.programs.iter().map(|node| AnyProgram::new(node, &judge)).collect();
    if listing.json {
        return write_json(out, &AnyPrograms { schema_version: SCHEMA_VERSION, programs });
    }
    let rows: Vec<[String; 5]> = programs.iter().map(AnyProgram::row).collect();
    write_table(out, &["ID", "TYPE", "PROGRAM", "FENTRY/FEXIT", "XDPTRACE"].map(str::to_owned), &rows)
}

#[derive(Serialize)]
struct AnyPrograms {
    schema_version: u32,
    programs: Vec<AnyProgram>,
}

#[derive(Serialize)]
struct AnyProgram {
    id: u32,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    function: Option<String>,
    fentry_fexit: Answer,
    xdptrace: Answer,
}

#[derive(Serialize)]
struct Answer {
    traceable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Answer {
    fn new(reason: Option<String>) -> Self {
        Self { traceable: reason.is_none(), reason }
    }
}

impl AnyProgram {
    fn new(node: &Node, judge: &Judge) -> Self {
        let program = &node.program;
        let by_fentry = judge.kernel.clone().or_else(|| target::kernel_obstacle(node, &judge.running));
        let not_yet = matches!(program.kind_name().as_str(), "sched_cls" | "sched_act");
        let by_xdptrace = if not_yet { Some("not yet: tc".into()) } else { judge.program(node) };
        Self {
            id: program.id,
            kind: program.kind_name(),
            name: program.name.clone(),
            function: program.entry().map(|function| function.name.clone()),
            fentry_fexit: Answer::new(by_fentry),
            xdptrace: Answer::new(by_xdptrace),
        }
    }

    fn row(&self) -> [String; 5] {
        let shown = self.function.as_ref().unwrap_or(&self.name).escape_default().to_string();
        [
            self.id.to_string(),
            self.kind.clone(),
            shown,
            verdict(self.fentry_fexit.reason.as_deref()),
            verdict(self.xdptrace.reason.as_deref()),
        ]
    }
}

fn write_json(out: &mut dyn Write, value: &impl Serialize) -> Result<()> {
    written(sink::write_json(&mut *out, value).and_then(|()| writeln!(out)))
}

/// Columns as wide as their widest cell, but for the last one.
fn write_table<const N: usize>(out: &mut dyn Write, header: &[String; N], rows: &[[String; N]]) -> Result<()> {
    let width = |column: usize| [header].into_iter().chain(rows).map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in [header].into_iter().chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        written(writeln!(out, "{}", line.trim_end()))?;
    }
    written(out.flush())
}
