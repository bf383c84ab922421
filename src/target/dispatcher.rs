//! libxdp's dispatcher: an XDP program that calls up to ten others, its components, which are EXT programs.
//!
//! Protocol: xdp-tools, lib/libxdp/protocol.org.

use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;

use libbpf_rs::btf::types::{DataSec, MemberAttr, Struct, Var};
use libbpf_rs::btf::{Btf, HasSize};
use libbpf_rs::{MapCore, MapFlags, MapHandle};

use super::attachments::Attachments;
use super::object;
use super::program::Program;

/// The name of its entry function.
const NAME: &str = "xdp_dispatcher";

/// A program called by a dispatcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component {
    /// The component's program id.
    pub program: u32,
    /// Its place in the order of calls, from 0.
    pub position: Option<u32>,
    /// The function of the dispatcher whose place it has taken, by its BTF type: one of the stubs `prog0` to `prog9`, or,
    /// as libxdp has it with a single component, the entry function.
    pub function: Option<u32>,
}

/// What is known of a dispatcher's components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Components {
    /// These, in order.
    Known(Vec<Component>),
    /// Before 5.13 the kernel doesn't tell, and there are no pins to tell instead.
    Unknown,
}

/// Whether `program` is a dispatcher.
pub fn is_one(program: &Program) -> bool {
    program.full_name() == NAME
}

/// Finds the components of `program`, as far as it is a dispatcher on device `ifindex`.
pub fn components(program: &Program, ifindex: u32, attachments: &Attachments) -> Components {
    let mut known: Vec<Component> = attachments
        .replacing(program.id)
        .map(|attachment| Component {
            program: attachment.program,
            position: position(program, attachment.function),
            function: Some(attachment.function),
        })
        .collect();
    if known.is_empty() && !attachments.told && is_one(program) {
        let Some(pinned) = pinned_components(program, ifindex) else {
            return Components::Unknown;
        };
        known = pinned;
    }
    known.sort_unstable_by_key(|component| component.position);
    Components::Known(known)
}

/// The stub that the component replaces is called `prog3`; the entry function stands for the first.
fn position(program: &Program, function: u32) -> Option<u32> {
    let name = &program.functions.iter().find(|candidate| candidate.type_id == function)?.name;
    if name == NAME { Some(0) } else { name.strip_prefix("prog")?.parse().ok() }
}

/// libxdp pins each component below the first BPF file system, as xdp/dispatch-IFINDEX-ID/progN-prog.
fn pinned_components(dispatcher: &Program, ifindex: u32) -> Option<Vec<Component>> {
    let folder = bpf_file_systems().into_iter().find_map(|root| {
        let folder = root.join(format!("xdp/dispatch-{ifindex}-{}", dispatcher.id));
        folder.is_dir().then_some(folder)
    })?;
    let pin = |position: u32| {
        let pin = object::open_pinned(&folder.join(format!("prog{position}-prog"))).ok()?;
        let program = object::program_id(pin.as_fd()).ok()?;
        let stub = format!("prog{position}");
        let function = dispatcher.functions.iter().find(|function| function.name == stub);
        let function = function.map(|function| function.type_id);
        Some(Component { program, position: Some(position), function })
    };
    let mut components: Vec<Component> = (0..MAX_COMPONENTS).map_while(pin).collect();
    if let [only] = &mut components[..] {
        only.function = dispatcher.entry().map(|entry| entry.type_id);
    }
    (!components.is_empty()).then_some(components)
}

/// libxdp's MAX_DISPATCHER_ACTIONS.
const MAX_COMPONENTS: u32 = 10;

/// Where libxdp pins components, if it does: what stands for the kernel's word before Linux 5.13.
pub fn folders_of_pins() -> Vec<PathBuf> {
    bpf_file_systems().into_iter().map(|root| root.join("xdp")).filter(|folder| folder.is_dir()).collect()
}

/// Where file systems of type bpf are mounted.
fn bpf_file_systems() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounted = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (path, kind) = (words.next()?, words.next()?);
        (kind == "bpf").then(|| PathBuf::from(path))
    });
    mounted.collect()
}

/// What a dispatcher does with the verdict of each of its components: bit N stands for going on to the next component
/// after verdict N.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain(Vec<u32>);

impl Chain {
    /// Reads it from the configuration in the dispatcher's read-only data, by the names in its BTF. Empty where there
    /// is none.
    pub fn read(program: &Program) -> Self {
        Self(read_actions(program).unwrap_or_default())
    }

    /// The verdicts after which the component at `position` is followed by the next one. None where that isn't known.
    pub fn actions(&self, position: u32) -> Option<Vec<u32>> {
        let bits = self.0.get(position as usize)?;
        // libxdp's bit 31 is for a stub without component.
        Some((0..31).filter(|action| bits >> action & 1 == 1).collect())
    }
}

fn read_actions(program: &Program) -> Option<Vec<u32>> {
    if !is_one(program) {
        return None;
    }
    let at = place_of_actions(program.id)?;
    let mut maps = program.maps.iter().filter_map(|id| MapHandle::from_map_id(*id).ok());
    let rodata = maps.find(|map| map.name().to_string_lossy().ends_with(".rodata"))?;
    let value = rodata.lookup(&0u32.to_ne_bytes(), MapFlags::ANY).ok()??;
    let actions = value.get(at..at + 4 * MAX_COMPONENTS as usize)?;
    Some(actions.chunks_exact(4).filter_map(|word| word.try_into().ok().map(u32::from_ne_bytes)).collect())
}

/// Where in the read-only data `struct xdp_dispatcher_config` has its `chain_call_actions`, in bytes. Its layout has
/// changed over the versions of libxdp.
fn place_of_actions(id: u32) -> Option<usize> {
    let btf = Btf::from_prog_id(id).ok()?;
    let section: DataSec<'_> = btf.type_by_name(".rodata")?;
    section.iter().find_map(|place| {
        let variable: Var<'_> = btf.type_by_id(place.ty)?;
        let config = Struct::try_from(variable.next_type()?.skip_mods_and_typedefs()).ok()?;
        let member = config.iter().find(|member| member.name.is_some_and(|name| name == "chain_call_actions"))?;
        match member.attr {
            MemberAttr::Normal { offset } if config.size() > 0 => Some((place.offset + offset / 8) as usize),
            _ => None,
        }
    })
}
