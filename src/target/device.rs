//! A network device, as one network namespace knows it.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result};

use super::ethtool;
use crate::failure::Failure;

/// A network device. An index alone says nothing: each network namespace counts its own.
#[derive(Debug, Clone)]
pub struct Device {
    /// Name in this process's network namespace.
    pub name: String,
    /// Index there.
    pub ifindex: u32,
    /// Inode number of that network namespace.
    pub netns: u32,
    /// Its packets arrive at member devices and carry their indexes, as with a bond.
    pub has_members: bool,
}

impl Device {
    /// Looks `name` up in the network namespace of this thread.
    ///
    /// # Errors
    /// There is no such device; the failure says so where a named namespace has it.
    pub fn find(name: &str) -> Result<Self> {
        let Some((ifindex, name)) = look_up(name) else {
            return Err(Failure::no_target(missing(name)));
        };
        let netns = fs::metadata("/proc/thread-self/ns/net").context("failed to read /proc/thread-self/ns/net")?.ino();
        // Drivers whose XDP program runs on the receive queues of other devices: drivers/net/bonding, team, hyperv.
        let has_members = matches!(ethtool::driver(&name).as_deref(), Ok("bonding" | "team" | "hv_netvsc"));
        // The kernel's inode numbers of namespaces are 32 bits wide (struct ns_common).
        Ok(Self { name, ifindex, netns: netns as u32, has_members })
    }

    /// The name of the device that a packet of this one's program came in by: this one, or a member of it. None where
    /// it is in another network namespace or gone.
    pub fn name_of_member(&self, netns: u32, ifindex: u32) -> Option<Cow<'_, str>> {
        match (netns == self.netns, ifindex == self.ifindex) {
            (true, true) => Some(Cow::Borrowed(&self.name)),
            (true, false) => name_of(ifindex).map(Cow::Owned),
            (false, _) => None,
        }
    }

    /// Takes over the device's present name; a device that is gone keeps its last.
    pub fn refresh_name(&mut self) {
        if let Some(name) = name_of(self.ifindex) {
            self.name = name;
        }
    }

    /// The index as libbpf's calls take it.
    pub fn index(&self) -> i32 {
        self.ifindex as i32
    }
}

/// The index of the device called `name`, and its name, which is another where an alternative one was asked for.
fn look_up(name: &str) -> Option<(u32, String)> {
    // The kernel reads no further than a colon: eth0:1 is an old way to write a second address of eth0.
    let index = index_of(name).filter(|_| !name.contains(':'))?;
    Some((index, name_of(index)?))
}

fn index_of(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: `name` is a C string that outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// The name of device `ifindex` in the network namespace of this thread.
pub fn name_of(ifindex: u32) -> Option<String> {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the size that if_indextoname(3) asks for.
    let found = unsafe { libc::if_indextoname(ifindex, name.as_mut_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: if_indextoname(3) returned its buffer, which it ends with a NUL.
    let name = unsafe { CStr::from_ptr(found) };
    Some(name.to_string_lossy().into_owned())
}

impl Display for Device {
    /// The name, such that it cannot command a terminal: the kernel forbids only blanks, slashes and colons in it.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name.escape_default())
    }
}

fn missing(name: &str) -> String {
    let shown = name.escape_default();
    match named_namespace_with(name) {
        Some(netns) => format!(
            "no device {shown} in this network namespace, but in {netns}: run xdptrace by nsenter --net=/run/netns/{netns}"
        ),
        None => format!("no device {shown} in this network namespace: `ip link` lists those there are"),
    }
}

/// The first of iproute2's named namespaces that has a device called `name`.
fn named_namespace_with(name: &str) -> Option<String> {
    let entries = fs::read_dir("/run/netns").ok()?;
    // setns(2) moves one thread only: a short-lived one looks, and this one stays where it is.
    thread::scope(|scope| {
        let look = scope.spawn(|| {
            let mut paths = entries.flatten().map(|entry| entry.path());
            paths.find(|path| enter(path).is_ok() && index_of(name).is_some())
        });
        let path = look.join().ok()??;
        Some(path.file_name()?.to_string_lossy().escape_default().to_string())
    })
}

fn enter(netns: &Path) -> io::Result<()> {
    let netns = File::open(netns)?;
    // SAFETY: setns(2) takes a descriptor that is open here, and changes the calling thread alone.
    match unsafe { libc::setns(netns.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
