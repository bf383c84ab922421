//! A network device, as one network namespace knows it.

use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result};
use nix::sched::{self, CloneFlags};

use super::links::{self, Link};
use crate::failure::Failure;

/// A network device. An index alone says nothing: each network namespace counts its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Name in this process's network namespace.
    pub name: String,
    /// Index there.
    pub ifindex: u32,
    /// Inode number of that network namespace.
    pub netns: u32,
    /// Indexes of its members, at which its packets arrive, and which they carry, as with a bond.
    pub members: Vec<u32>,
}

impl Device {
    /// Looks `name` up in the network namespace of this thread.
    ///
    /// # Errors
    /// There is no such device; the failure says so where a named namespace has it.
    pub fn find(name: &str) -> Result<Self> {
        let links = links::read().context("failed to read the network devices")?;
        let Some(link) = links.iter().find(|link| is_called(link, name)) else {
            return Err(Failure::no_target(missing(name, true)));
        };
        Ok(Self::new(link, &links, own_netns()?))
    }

    /// The device that `link`, one of `links`, tells of.
    pub fn new(link: &Link, links: &[Link], netns: u32) -> Self {
        let members = links.iter().filter(|member| has_members(link) && member.master == Some(link.ifindex));
        let members = members.map(|member| member.ifindex).collect();
        Self { name: link.name.clone(), ifindex: link.ifindex, netns, members }
    }

    /// The index as libbpf's calls take it.
    pub fn index(&self) -> i32 {
        self.ifindex as i32
    }
}

impl Display for Device {
    /// The name, such that it cannot command a terminal: the kernel forbids only blanks, slashes and colons in it.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name.escape_default())
    }
}

/// Whether a device of this kind runs its XDP program on the receive queues of its members: drivers/net/bonding, team,
/// and hyperv's netvsc, which is hardware as far as rtnetlink tells.
fn has_members(link: &Link) -> bool {
    matches!(link.kind.as_deref(), Some("bond" | "team") | None)
}

/// Whether `link` answers to `name`.
pub fn is_called(link: &Link, name: &str) -> bool {
    link.name == name || link.alternative_names.iter().any(|alternative| alternative == name)
}

/// The inode number of this thread's network namespace; the kernel's are 32 bits wide (struct ns_common).
///
/// # Errors
/// There is no /proc.
pub fn own_netns() -> Result<u32> {
    let netns = fs::metadata("/proc/thread-self/ns/net").context("failed to read /proc/thread-self/ns/net")?;
    Ok(netns.ino() as u32)
}

/// Moves this thread into the network namespace that is named, if one is: one of iproute2's by its name, any by a path
/// to it.
///
/// # Errors
/// There is none, or CAP_SYS_ADMIN is missing.
pub fn enter_netns(name: Option<&str>) -> Result<()> {
    let Some(name) = name else {
        return Ok(());
    };
    enter(&netns_path(name)).map_err(|error| {
        let failed = format!("failed to enter network namespace {}: {error}", name.escape_default());
        match error.kind() {
            io::ErrorKind::NotFound => Failure::no_target(format!("{failed}: `ip netns` lists those with a name")),
            io::ErrorKind::PermissionDenied => Failure::unable(format!("{failed}: CAP_SYS_ADMIN is needed")),
            _ => Failure::no_target(failed),
        }
    })
}

/// Whether the network namespace called `name` is still the one with this inode number. A process by which it was called
/// (/proc/PID/ns/net) may be none that may be looked at any more: it is there, then.
pub fn is_netns(name: &str, inode: u32) -> bool {
    match fs::metadata(netns_path(name)) {
        // 5.10 refuses by showing the folder that the namespace's name is in.
        Ok(found) => found.is_dir() || found.ino() == u64::from(inode),
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    }
}

fn netns_path(name: &str) -> PathBuf {
    if name.contains('/') { PathBuf::from(name) } else { Path::new(NAMED).join(name) }
}

/// Where iproute2 keeps the network namespaces that have a name.
const NAMED: &str = "/run/netns";

fn enter(netns: &Path) -> io::Result<()> {
    Ok(sched::setns(File::open(netns)?, CloneFlags::CLONE_NEWNET)?)
}

/// What to say where there is no device called `name`; with `search`, also where else there is one.
pub fn missing(name: &str, search: bool) -> String {
    let shown = name.escape_default();
    match search.then(|| named_namespace_with(name)).flatten() {
        Some(netns) => {
            format!("no device {shown} in this network namespace, but in {NAMED}/{netns}: name it by --netns {netns}")
        }
        None => format!("no device {shown} in this network namespace: `ip link` lists those there are"),
    }
}

/// The first of iproute2's named namespaces that has a device called `name`.
fn named_namespace_with(name: &str) -> Option<String> {
    let entries = fs::read_dir(NAMED).ok()?;
    // setns(2) moves one thread only: a short-lived one looks, and this one stays where it is.
    thread::scope(|scope| {
        let look = thread::Builder::new().spawn_scoped(scope, || {
            let mut paths = entries.flatten().map(|entry| entry.path());
            let has = |link: &Link| is_called(link, name);
            paths.find(|path| enter(path).is_ok() && links::read().is_ok_and(|links| links.iter().any(has)))
        });
        let path = look.ok()?.join().ok()??;
        Some(path.file_name()?.to_string_lossy().escape_default().to_string())
    })
}
