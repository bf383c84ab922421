//! From the programs on the devices' paths to those that were asked for.

use std::collections::HashSet;
use std::fmt;
use std::os::fd::AsFd;
use std::path::Path;

use super::behind::behind;
use super::function::Function;
use super::guards::Guards;
use super::object;
use super::obstacle::Obstacle;
use super::place::{self, Place};
use super::program::Program;
use super::tree::{Node, Role, Tree};
use crate::event::Subject;
use crate::kernel::Kernel;
use crate::numbers::Behind;
use crate::plan::{Narrowing, Probes, Selector};

/// A function of a program, to be traced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Program id.
    pub program: u32,
    /// The kernel's name for the program: at most 15 characters.
    pub program_name: String,
    /// The function: the program's entry function, or another one that was asked for.
    pub function: Function,
    /// The devices on whose path it was found, by name; none where it was named without a device.
    pub devices: Vec<String>,
    /// Which probes it gets.
    pub probes: Probes,
    /// Where the kernel runs it.
    pub place: Place,
    /// What hands packets on to it; None: it is a device's own, or that isn't known.
    pub behind: Option<Behind>,
    /// When the program was loaded: nanoseconds of CLOCK_BOOTTIME.
    pub loaded_ns: u64,
    /// Id of the program that the kernel runs: this one, or the one whose place it has taken. None: what the function returns need
    /// not be the packet's verdict, as of one of several components, or of one that is not its program's entry.
    pub root: Option<u32>,
    /// It is the device's own program, of which a change is noticed sooner than of others.
    pub is_devices_own: bool,
}

impl Target {
    /// What it is called where events are shown.
    pub fn subject(&self) -> Subject {
        Subject {
            program_id: self.program,
            program_name: self.program_name.clone(),
            function: self.function.name.clone(),
            devices: self.devices.clone(),
        }
    }
}

impl fmt::Display for Target {
    /// `xdp_lb#12 on eth0`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.subject().fmt(f)
    }
}

/// Something that was asked for and is not traced.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Refused {
    /// `xdp_lb#12 on eth0`; empty where the reason says it.
    pub what: String,
    /// Why not.
    pub why: String,
    /// What would help at the start of a run, where the reason doesn't say it.
    pub remedy: Option<&'static str>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.what.is_empty() { f.write_str(&self.why) } else { write!(f, "{}: {}", self.what, self.why) }
    }
}

/// The outcome of a selection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// To be traced.
    pub targets: Vec<Target>,
    /// Not to be traced.
    pub refused: Vec<Refused>,
    /// What stands for no program at all.
    pub missing: Vec<Narrowing>,
}

/// Selects what is to be traced of the programs in `trees`.
pub fn select(trees: &[Tree], narrowing: &[Narrowing], guards: &Guards) -> Selection {
    let mut selection = Selection::default();
    for tree in trees {
        if narrowing.is_empty() {
            tree.programs.iter().for_each(|node| selection.add_default(tree, node, guards));
        }
        for narrowing in narrowing {
            match chosen(tree, narrowing) {
                Ok(nodes) => nodes.iter().for_each(|node| {
                    selection.add_function(tree, node, narrowing.function.as_deref(), guards);
                }),
                Err(why) => selection.refuse(String::new(), format!("program name '{narrowing}' is {why}")),
            }
        }
    }
    // Missing on one device, a program may well be found on another.
    for narrowing in narrowing {
        let found = |tree: &Tree| !chosen(tree, narrowing).is_ok_and(|nodes| nodes.is_empty());
        if !trees.iter().any(found) {
            selection.missing.push(narrowing.clone());
        }
    }
    selection
}

impl Selection {
    /// Adds another one.
    pub fn extend(&mut self, other: Self) {
        other.targets.into_iter().for_each(|target| self.take(target));
        other.refused.into_iter().for_each(|Refused { what, why, .. }| self.refuse(what, why));
        self.missing.extend(other.missing);
    }

    /// Says of what is missing in `trees` that it is, and what there is instead.
    pub fn refuse_missing(&mut self, trees: &[Tree]) {
        let missing = std::mem::take(&mut self.missing);
        let (pins, others): (Vec<_>, Vec<_>) = missing.iter().partition(|one| matches!(one.program, Selector::Pin(_)));
        pins.into_iter().for_each(|pin| self.refuse(String::new(), missing_pin(pin, trees)));
        if !others.is_empty() {
            let names = in_one_line(others.iter().map(ToString::to_string));
            self.refuse(String::new(), format!("no program {names}{}: {}", places(trees), there_are(trees)));
        }
    }

    /// The device's own program; where its only component has taken its place, that one.
    fn add_default(&mut self, tree: &Tree, node: &Node, guards: &Guards) {
        let components = node.children.iter().filter(|child| matches!(child.role, Role::Component { .. }));
        match (&node.obstacle, &components.collect::<Vec<_>>()[..]) {
            (Some(Obstacle::Held { .. }), [only]) => self.add_function(tree, only, None, guards),
            _ => self.add_function(tree, node, None, guards),
        }
    }

    fn add_function(&mut self, tree: &Tree, node: &Node, function: Option<&str>, guards: &Guards) {
        let found = find_function(node, function).and_then(|found| {
            let is_entry = node.program.entry().is_some_and(|entry| entry.type_id == found.type_id);
            let probes = guards.probes(node, is_entry).map_err(|hazard| hazard.to_string())?;
            Ok((probes, found, is_entry))
        });
        match found {
            Ok((probes, function, is_entry)) => self.take(Target {
                program: node.program.id,
                program_name: node.program.name.clone(),
                function,
                devices: tree.device.iter().map(|device| device.name.clone()).collect(),
                probes,
                place: Place::of(tree, node),
                behind: behind(tree, node, is_entry),
                root: place::root(tree, node).filter(|_| is_entry),
                loaded_ns: node.program.loaded_ns,
                is_devices_own: matches!(node.role, Role::Device(_)),
            }),
            Err(why) => {
                let function = function.map_or_else(String::new, |function| format!(":{}", function.escape_default()));
                self.refuse(format!("{}{function}{}", node.program, tree.place()), why);
            }
        }
    }

    fn take(&mut self, target: Target) {
        let same =
            |known: &&mut Target| known.program == target.program && known.function.type_id == target.function.type_id;
        match self.targets.iter_mut().find(same) {
            Some(known) => {
                let new = target.devices.into_iter().filter(|device| !known.devices.contains(device));
                let new: Vec<String> = new.collect();
                known.devices.extend(new);
            }
            None => self.targets.push(target),
        }
    }

    fn refuse(&mut self, what: String, why: String) {
        let refused = Refused { what, why, remedy: None };
        if !self.refused.contains(&refused) {
            self.refused.push(refused);
        }
    }
}

/// The function to trace of the program at `node`: its entry function unless another one is named.
fn find_function(node: &Node, name: Option<&str>) -> Result<Function, String> {
    let is_entry = |name: &str| node.program.entry().is_some_and(|entry| entry.name == name);
    match name {
        Some(name) if !is_entry(name) => {
            let function = node.program.functions.iter().find(|function| function.name == name);
            match (function.map(|function| (function, function_obstacle(node, function))), &node.obstacle) {
                (Some((_, Some(obstacle))), _) => Err(obstacle.to_string()),
                (Some((function, None)), _) => Ok(function.clone()),
                (None, Some(obstacle)) if node.program.functions.is_empty() => Err(obstacle.to_string()),
                (None, _) => Err(there_are_functions(&node.program)),
            }
        }
        _ => match (&node.obstacle, node.program.entry()) {
            (Some(obstacle), _) => Err(obstacle.to_string()),
            (None, Some(entry)) => Ok(entry.as_entry()),
            (None, None) => Err(Obstacle::NoBtf.to_string()),
        },
    }
}

/// Why `function` of the program at `node`, which is not its entry function, cannot be traced.
pub fn function_obstacle(node: &Node, function: &Function) -> Option<Obstacle> {
    if let Some((_, by)) = node.held.iter().find(|(held, _)| *held == function.type_id) {
        return Some(Obstacle::Held { function: function.name.clone(), by: *by });
    }
    match &node.obstacle {
        // One that is held, or only tail-called, may well have functions that are entered.
        None | Some(Obstacle::Held { .. } | Obstacle::TailCalledOnly { .. }) => {
            function.context.is_none().then_some(Obstacle::NoContext)
        }
        obstacle => obstacle.clone(),
    }
}

/// Why the kernel lets no fentry and fexit onto the program at `node`, whatever its type.
pub fn kernel_obstacle(node: &Node, kernel: &Kernel) -> Option<String> {
    let program = &node.program;
    match &node.obstacle {
        Some(Obstacle::NotXdp { .. }) => {}
        Some(obstacle) => return Some(obstacle.to_string()),
        None => return None,
    }
    if !program.jited {
        return Some(Obstacle::NotJited.to_string());
    }
    // bpf_check_attach_target: none up to 6.7; since 6.8 (commit 19bfcdf9498a) one level, on those that trace no program.
    let is_tracing = matches!(program.kind_name().as_str(), "tracing");
    let recursive = is_tracing && kernel.version.is_none_or(|version| version < (6, 8, 0));
    recursive.then(|| "is itself a tracing program, which this kernel doesn't let be traced".into())
}

fn there_are_functions(program: &Program) -> String {
    let names = program.functions.iter().filter(|function| function.context.is_some());
    let names = in_one_line(names.map(|function| function.name.escape_default().to_string()));
    let there_are = if names.is_empty() { "there is none".into() } else { format!("there are {names}") };
    format!("it has no such function that isn't inlined and takes the context: {there_are}")
}

/// The nodes that `narrowing` means, each program once. With a function, `all` are those that have it.
///
/// # Errors
/// Its name is that of several programs.
fn chosen<'tree>(tree: &'tree Tree, narrowing: &Narrowing) -> Result<Vec<&'tree Node>, String> {
    let Narrowing { program: selector, function } = narrowing;
    let mut nodes: Vec<&Node> = Vec::new();
    for node in matching(tree, selector) {
        // Of a program in several places, the one in which it can be entered.
        match nodes.iter_mut().find(|known| known.program.id == node.program.id) {
            Some(known) if known.obstacle.is_some() => *known = node,
            Some(_) => {}
            None => nodes.push(node),
        }
    }
    match (selector, function, &nodes[..]) {
        (Selector::All, Some(name), _) => {
            nodes.retain(|node| node.program.functions.iter().any(|function| function.name == *name));
            Ok(nodes)
        }
        (Selector::Name(_), _, [_, _, ..]) => {
            let names = in_one_line(nodes.iter().map(|node| named(&node.program)));
            Err(format!("ambiguous: {names}{}: name one of these", tree.place()))
        }
        _ => Ok(nodes),
    }
}

fn named(program: &Program) -> String {
    format!("{}@{}", program.full_name().escape_default(), program.id)
}

fn matching<'tree>(tree: &'tree Tree, selector: &Selector) -> Vec<&'tree Node> {
    let with = |wanted: &dyn Fn(&Program) -> bool| -> Vec<&'tree Node> {
        tree.nodes().filter(|node| wanted(&node.program)).collect()
    };
    // The kernel's own name, cut at 15 characters, is good only where no whole name is meant.
    let with_name = |name: &str, wanted: &dyn Fn(&Program) -> bool| {
        let whole = with(&|program| program.full_name() == name && wanted(program));
        if whole.is_empty() { with(&|program| program.name == name && wanted(program)) } else { whole }
    };
    match selector {
        Selector::All => tree.nodes().collect(),
        Selector::Id(id) => with(&|program| program.id == *id),
        Selector::Tag(tag) => with(&|program| program.tag == *tag),
        Selector::Name(name) => with_name(name, &|_| true),
        Selector::NameAtId(name, id) => with_name(name, &|program| program.id == *id),
        Selector::Pin(path) => pinned(path).map_or_else(Vec::new, |id| with(&|program| program.id == id)),
    }
}

fn pinned(path: &Path) -> Option<u32> {
    object::program_id(object::open_pinned(path).ok()?.as_fd()).ok()
}

/// Why nothing was found by a pin.
fn missing_pin(narrowing: &Narrowing, trees: &[Tree]) -> String {
    let Selector::Pin(path) = &narrowing.program else {
        return String::new();
    };
    let shown = path.to_string_lossy().escape_default().to_string();
    match object::open_pinned(path).and_then(|pin| Program::read_open(pin.as_fd())) {
        Ok(program) => format!("{program}, pinned at {shown}, doesn't run{}", places(trees)),
        Err(error) => format!("no program {shown}: no BPF program is pinned there: {error}"),
    }
}

/// ` on eth0, eth1`; nothing where programs were looked for wherever they run.
fn places(trees: &[Tree]) -> String {
    let devices: Option<Vec<String>> = trees.iter().map(|tree| tree.device.as_ref().map(ToString::to_string)).collect();
    devices
        .filter(|devices| !devices.is_empty())
        .map_or_else(String::new, |devices| format!(" on {}", in_one_line(devices)))
}

fn there_are(trees: &[Tree]) -> String {
    let is_xdp = |node: &&Node| !matches!(node.obstacle, Some(Obstacle::NotXdp { .. }));
    let mut names: Vec<String> =
        trees.iter().flat_map(Tree::nodes).filter(is_xdp).map(|node| named(&node.program)).collect();
    let mut once = HashSet::new();
    names.retain(|name| once.insert(name.clone()));
    if names.is_empty() { "there is none at all".into() } else { format!("there are {}", in_one_line(names)) }
}

/// A list for a line, without its end if it is long.
fn in_one_line(names: impl IntoIterator<Item = String>) -> String {
    const LIMIT: usize = 12;
    let names: Vec<String> = names.into_iter().collect();
    let more = names.len().saturating_sub(LIMIT);
    let shown = names[..names.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

#[cfg(test)]
mod tests;
