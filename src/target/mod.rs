//! Reads the kernel: NICs, the XDP programs on their path, the functions to trace. Loads and attaches nothing.
//!
//! ```text
//! links       rtnetlink → network devices and the ids of the programs on them
//! device      … one of them, by name and namespace
//! object      ids and descriptors of BPF programs and links
//! program     … what the kernel says of a program; function: what its BTF says
//! attachments EXT and tracing programs on other programs
//! dispatcher  libxdp's: its components
//! maps        the programs in maps
//! tree        all of that, as the tree of programs behind a device
//! behind      … what hands packets on to one of them
//! select      trees → targets, and why others are refused (obstacle, hazard)
//! guards      … and which probes hazards leave them
//! place       … and where the kernel runs them
//! names       what devices are called
//! watch       all of it, again and again
//! remaining   … and what of it is left, once nothing can be opened any more
//! ```

mod attachments;
mod behind;
mod device;
mod dispatcher;
mod ethtool;
mod function;
mod guards;
mod hazard;
mod links;
mod maps;
mod names;
mod object;
mod obstacle;
mod place;
mod program;
mod remaining;
mod select;
mod tree;
mod watch;

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};

pub use device::{Device, enter_netns, own_netns};
pub use ethtool::{Features, driver};
pub use function::Function;
pub use guards::Guards;
pub use hazard::{Fixed, Hazard};
pub use links::Mode;
pub use maps::Way;
pub use names::Names;
pub use object::{own, program_id, recursion_misses};
pub use obstacle::Obstacle;
pub use place::Place;
pub use program::Program;
pub use select::{Refused, Target, function_obstacle, kernel_obstacle};
pub use tree::{Depth, Known, Node, Role, Survey, Tree};
pub use watch::{View, Watch};

use crate::failure::Failure;
use object::Kind;

/// The id of the XDP program that `device` runs in the kernel or in its hardware; None where it runs none.
///
/// # Errors
/// The device is gone.
pub fn find_program(device: &Device) -> Result<Option<u32>> {
    let link = links::read_one(device.ifindex).context("failed to read a network device")?;
    let link = link.ok_or_else(|| Failure::no_target(format!("device {device} is gone")))?;
    Ok(link.programs.first().map(|(_, id)| *id))
}

/// The name of device `ifindex` in this thread's network namespace; None where there is none.
///
/// # Errors
/// The device cannot be read.
pub fn name_of(ifindex: u32) -> Result<Option<String>> {
    let link = links::read_one(ifindex).context("failed to read a network device")?;
    Ok(link.map(|link| link.name))
}

/// The names of all devices in this thread's network namespace.
///
/// # Errors
/// They cannot be read.
pub fn device_names() -> Result<Vec<String>> {
    let links = links::read().context("failed to read the network devices")?;
    Ok(links.into_iter().map(|link| link.name).collect())
}

/// Opens program `id`. Needs CAP_SYS_ADMIN. Holding it keeps it and its maps in memory.
///
/// # Errors
/// It is gone.
pub fn open_program(id: u32) -> Result<OwnedFd> {
    object::open(Kind::Program, id).with_context(|| format!("failed to open program {id}"))
}

/// `EXT program 31 (link 7)`: what has taken the place of `target`'s function. None where the kernel doesn't tell.
pub fn holder(target: &Target) -> Option<String> {
    let attachments = attachments::Attachments::read(&mut Default::default()).ok()?;
    let holder = attachments.replacing(target.program).find(|holder| holder.function == target.function.type_id)?;
    Some(format!("EXT program {} (link {})", holder.program, holder.link))
}
