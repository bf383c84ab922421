//! The programs on a device's path, as a tree: the one on the device, a dispatcher's components, and what they hand
//! packets on to.

use std::collections::{HashMap, HashSet};
use std::io;
use std::rc::Rc;

use anyhow::{Context, Result};

use super::attachments::{Attachments, KnownLinks};
use super::device::Device;
use super::dispatcher::{self, Chain, Components};
use super::links::{Link, Mode};
use super::maps::{self, Contents, Entry, Way};
use super::object::{self, Kind};
use super::obstacle::Obstacle;
use super::program::Program;

/// How a program comes to see packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It is the device's own.
    Device(Mode),
    /// A dispatcher calls it.
    Component {
        /// Its place in the order of calls, from 0.
        position: Option<u32>,
        /// The verdicts after which the next component is called, where that is known.
        actions: Option<Vec<u32>>,
    },
    /// It is in a map.
    Map(Entry),
    /// It is loaded; what enters it isn't known.
    Loaded,
}

/// A program in its place, with those behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// How it comes to see packets.
    pub role: Role,
    /// The program.
    pub program: Rc<Program>,
    /// Why it cannot be traced.
    pub obstacle: Option<Obstacle>,
    /// Functions whose place EXT programs have taken: the BTF type, and the EXT program's id.
    pub held: Vec<(u32, u32)>,
    /// It uses a map of programs to tail-call.
    pub tail_calls: bool,
    /// Ids of the tracing programs on it, as far as the kernel tells.
    pub tracers: Vec<u32>,
    /// What isn't known of it.
    pub note: Option<&'static str>,
    /// The programs behind it.
    pub children: Vec<Node>,
}

/// The programs on the path of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The device; None for programs that are loaded, wherever they run.
    pub device: Option<Device>,
    /// One program for each mode that has one.
    pub programs: Vec<Node>,
}

impl Tree {
    /// All nodes, each before those behind it.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        let mut waiting: Vec<&Node> = self.programs.iter().rev().collect();
        std::iter::from_fn(move || {
            let node = waiting.pop()?;
            waiting.extend(node.children.iter().rev());
            Some(node)
        })
    }

    /// ` on eth0`, or nothing of programs that are merely loaded.
    pub fn place(&self) -> String {
        self.device.as_ref().map_or_else(String::new, |device| format!(" on {device}"))
    }
}

/// What was read before and needn't be read again: an id is never given to another object, a program stays as it was
/// loaded but for its maps' contents, and a link stays where it was made.
#[derive(Debug, Default)]
pub struct Known {
    programs: HashMap<u32, Rc<Program>>,
    links: KnownLinks,
}

/// How much is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What tracing takes. Links are read only where there is a dispatcher.
    Needed,
    /// All there is.
    Everything,
}

/// A reading of the kernel's BPF objects, each at most once.
#[derive(Debug)]
pub struct Survey {
    depth: Depth,
    known: Known,
    attachments: Option<Rc<Attachments>>,
    programs: HashMap<u32, Option<Rc<Program>>>,
    maps: HashMap<u32, Rc<Contents>>,
}

/// Numbers of include/uapi/linux/bpf.h.
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_PROG_TYPE_EXT: u32 = 28;

impl Survey {
    /// Begins one that needn't read again what is `known`.
    pub fn new(known: Known, depth: Depth) -> Self {
        let (programs, maps) = (HashMap::new(), HashMap::new());
        Self { depth, known, attachments: None, programs, maps }
    }

    /// The trees of these devices. What vanishes meanwhile is left out.
    ///
    /// # Errors
    /// The kernel refuses to tell.
    pub fn trees<'d>(&mut self, devices: impl IntoIterator<Item = (&'d Device, &'d Link)>) -> Result<Vec<Tree>> {
        let mut trees = Vec::new();
        for (device, link) in devices {
            let (maps, entered) = (HashSet::new(), HashSet::new());
            let mut branch = Branch { survey: self, ifindex: device.ifindex, maps, entered };
            let mut programs = Vec::new();
            for (mode, id) in &link.programs {
                programs.extend(branch.grow(*id, Role::Device(*mode))?);
            }
            programs.iter_mut().for_each(|node| settle(node, "", &branch.entered));
            trees.push(Tree { device: Some(device.clone()), programs });
        }
        Ok(trees)
    }

    /// All loaded programs of a type that XDP knows, wherever they run.
    ///
    /// # Errors
    /// The kernel refuses to tell.
    pub fn loaded(&mut self) -> Result<Tree> {
        let mut programs = Vec::new();
        for id in object::ids(Kind::Program).context("failed to read the BPF programs")? {
            let Some(program) = self.program(id)? else {
                continue;
            };
            programs.push(self.node(program, Role::Loaded)?);
        }
        Ok(Tree { device: None, programs })
    }

    /// What it came by.
    pub fn into_known(self) -> Known {
        let programs = self.programs.into_iter().filter_map(|(id, program)| Some((id, program?))).collect();
        Known { programs, ..self.known }
    }

    /// What is attached to BPF programs, as far as that matters for `program`.
    fn attachments(&mut self, program: &Program) -> Result<Rc<Attachments>> {
        if self.depth == Depth::Needed && !dispatcher::is_one(program) {
            return Ok(Rc::default());
        }
        if let Some(read) = &self.attachments {
            return Ok(Rc::clone(read));
        }
        let read = Attachments::read(&mut self.known.links).context("failed to read the BPF links")?;
        Ok(Rc::clone(self.attachments.insert(Rc::new(read))))
    }

    fn program(&mut self, id: u32) -> Result<Option<Rc<Program>>> {
        if let Some(known) = self.programs.get(&id) {
            return Ok(known.clone());
        }
        let known = self.known.programs.get(&id).map(Rc::clone);
        let program = match known.map_or_else(|| Program::read(id).map(Rc::new), Ok) {
            Ok(program) => Some(program),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("failed to read BPF program {id}")),
        };
        self.programs.insert(id, program.clone());
        Ok(program)
    }

    fn map(&mut self, id: u32) -> Result<Rc<Contents>> {
        if let Some(known) = self.maps.get(&id) {
            return Ok(Rc::clone(known));
        }
        let contents = Rc::new(maps::read(id).with_context(|| format!("failed to read BPF map {id}"))?);
        self.maps.insert(id, Rc::clone(&contents));
        Ok(contents)
    }

    fn node(&mut self, program: Rc<Program>, role: Role) -> Result<Node> {
        let attachments = self.attachments(&program)?;
        let obstacle = obstacle(&program, &role, &attachments);
        let mut tail_calls = false;
        for map in &program.maps {
            tail_calls |= self.map(*map)?.tail_calls;
        }
        let tracers = attachments.tracing(program.id).map(|tracer| tracer.program).collect();
        Ok(Node { role, program, obstacle, held: vec![], tail_calls, tracers, note: None, children: vec![] })
    }
}

/// Why the program cannot be traced.
fn obstacle(program: &Program, role: &Role, attachments: &Attachments) -> Option<Obstacle> {
    let Some(entry) = program.entry() else {
        return Some(if program.offloaded { Obstacle::Offloaded } else { Obstacle::NoBtf });
    };
    let is_xdp = match program.kind {
        BPF_PROG_TYPE_XDP => true,
        BPF_PROG_TYPE_EXT => *role != Role::Loaded || entry.context == Some(0),
        _ => false,
    };
    if !is_xdp {
        return Some(Obstacle::NotXdp { kind: program.kind_name() });
    }
    if program.offloaded || *role == Role::Device(Mode::Offloaded) {
        return Some(Obstacle::Offloaded);
    }
    if !program.jited {
        return Some(Obstacle::NotJited);
    }
    let holder = attachments.replacing(program.id).find(|attachment| attachment.function == entry.type_id);
    holder.map(|holder| Obstacle::Held { function: entry.name.clone(), by: holder.program })
}

/// Says of each program that is only ever tail-called on this path that it is: known once the whole tree is.
fn settle(node: &mut Node, caller: &str, entered: &HashSet<u32>) {
    let tail_called = matches!(&node.role, Role::Map(entry) if entry.way == Way::TailCall);
    if tail_called && node.obstacle.is_none() && !entered.contains(&node.program.id) {
        node.obstacle = Some(Obstacle::TailCalledOnly { seen_at: caller.to_owned() });
    }
    let shown = if tail_called { caller.to_owned() } else { node.program.to_string() };
    for child in &mut node.children {
        settle(child, &shown, entered);
    }
}

/// One device's tree while it grows.
struct Branch<'survey> {
    survey: &'survey mut Survey,
    ifindex: u32,
    /// Maps whose programs are in the tree already: those of a prog array mostly share it.
    maps: HashSet<u32>,
    /// Programs found in a role in which the kernel enters them by their entry function.
    entered: HashSet<u32>,
}

impl Branch<'_> {
    fn grow(&mut self, id: u32, role: Role) -> Result<Option<Node>> {
        let Some(program) = self.survey.program(id)? else {
            return Ok(None);
        };
        if !matches!(&role, Role::Map(entry) if entry.way == Way::TailCall) {
            self.entered.insert(id);
        }
        let mut node = self.survey.node(program, role)?;
        self.add_components(&mut node)?;
        self.add_programs_in_maps(&mut node)?;
        Ok(Some(node))
    }

    fn add_components(&mut self, node: &mut Node) -> Result<()> {
        let attachments = self.survey.attachments(&node.program)?;
        let components = match dispatcher::components(&node.program, self.ifindex, &attachments) {
            Components::Known(components) => components,
            Components::Unknown => {
                node.note = Some("components unknown: this kernel doesn't tell");
                return Ok(());
            }
        };
        let chain = match self.survey.depth {
            Depth::Needed => Chain::default(),
            Depth::Everything => Chain::read(&node.program),
        };
        for component in components {
            let by = component.program;
            let entry = node.program.entry().filter(|entry| Some(entry.type_id) == component.function);
            if let (Some(entry), None) = (entry, &node.obstacle) {
                node.obstacle = Some(Obstacle::Held { function: entry.name.clone(), by });
            }
            node.held.extend(component.function.map(|function| (function, by)));
            let actions = component.position.and_then(|position| chain.actions(position));
            let role = Role::Component { position: component.position, actions };
            node.children.extend(self.grow(by, role)?);
        }
        Ok(())
    }

    fn add_programs_in_maps(&mut self, node: &mut Node) -> Result<()> {
        for map in &node.program.maps {
            if !self.maps.insert(*map) {
                continue;
            }
            for entry in &self.survey.map(*map)?.entries {
                node.children.extend(self.grow(entry.program, Role::Map(entry.clone()))?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::function::Function;
    use super::super::guards::Guards;
    use super::super::select::select;
    use super::*;

    /// The tree of a device with this program, read from no kernel.
    fn tree(mode: Mode, program: Program) -> Tree {
        let link = Link { ifindex: 1, name: "eth0".into(), programs: vec![(mode, program.id)], ..Link::default() };
        let device = Device::new(&link, &[], 1);
        let known = Known { programs: HashMap::from([(program.id, Rc::new(program))]), ..Known::default() };
        let mut survey = Survey::new(known, Depth::Needed);
        survey.trees([(&device, &link)]).unwrap().remove(0)
    }

    fn xdp(name: &str) -> Program {
        let entry = Function { name: name.into(), type_id: 1, context: Some(0), ..Function::default() };
        Program {
            id: 12,
            kind: BPF_PROG_TYPE_XDP,
            name: name.into(),
            jited: true,
            functions: vec![entry],
            ..Program::default()
        }
    }

    fn refused(tree: Tree) -> String {
        select(&[tree], &[], &Guards::default()).refused[0].to_string()
    }

    #[test]
    fn a_program_in_the_nics_hardware_is_said_and_not_traced() {
        // Some drivers take BTF along, others don't.
        let expected = "xdp_lb#12 on eth0: offloaded to the NIC: no kernel function is entered";
        assert_eq!(refused(tree(Mode::Offloaded, Program { offloaded: true, ..xdp("xdp_lb") })), expected);
        let without = Program { offloaded: true, functions: vec![], ..xdp("xdp_lb") };
        assert_eq!(refused(tree(Mode::Offloaded, without)), expected);
    }

    #[test]
    fn an_interpreted_program_is_not_traced() {
        let expected =
            "xdp_lb#12 on eth0: not compiled by the BPF JIT: sysctl net.core.bpf_jit_enable=1, and load it anew";
        assert_eq!(refused(tree(Mode::Native, Program { jited: false, ..xdp("xdp_lb") })), expected);
    }
}
