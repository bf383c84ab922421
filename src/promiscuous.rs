//! NICs that take frames for others as well, by membership and not by the administrator's flag.
//!
//! A packet socket can hold a NIC promiscuous (packet(7), PACKET_MR_PROMISC). The kernel counts such holders beside IFF_PROMISC, and
//! ends the membership with the socket: so the flag stays what it was, however this process ends.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::Result;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::failure::Failure;
use crate::target::{Device, View};

/// The NICs that are held promiscuous; that ends with this.
#[derive(Debug, Default)]
pub struct Promiscuous {
    /// A socket for each, by its index.
    held: BTreeMap<u32, OwnedFd>,
    /// What stood against it at the last look.
    refused: Option<String>,
}

impl Promiscuous {
    /// Holds the NICs of this thread's network namespace on which something is to be traced, and no others any more.
    ///
    /// # Errors
    /// The kernel refuses one of them. That one is gone is none.
    pub fn hold(&mut self, view: &View) -> Result<()> {
        let is_traced = |device: &&Device| view.selection.targets.iter().any(|one| one.devices.contains(&device.name));
        let devices: Vec<&Device> = view.devices.iter().filter(is_traced).collect();
        self.held.retain(|ifindex, _| devices.iter().any(|device| device.ifindex == *ifindex));
        devices.into_iter().try_for_each(|device| self.join(device).map_err(|error| explain(device, error)))
    }

    /// The same, once packets are traced, which a refusal is not to end: it is returned when it is new.
    pub fn keep(&mut self, view: &View) -> Option<String> {
        let refused = self.hold(view).err().map(|error| format!("frames for others: {error:#}"));
        let is_new = refused != self.refused;
        self.refused.clone_from(&refused);
        refused.filter(|_| is_new)
    }

    /// A NIC that is held already may have been deleted, and its index be another's by now: the membership is gone then, and
    /// asked for again. Asked for twice, it is the same.
    fn join(&mut self, device: &Device) -> Result<(), Errno> {
        let held = match self.held.remove(&device.ifindex) {
            Some(held) => held,
            // Of no protocol, it receives nothing.
            None => socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?,
        };
        match add_membership(&held, device) {
            Err(Errno::ENODEV) => Ok(()),
            done => done.map(|()| drop(self.held.insert(device.ifindex, held))),
        }
    }
}

fn add_membership(socket: &OwnedFd, device: &Device) -> Result<(), Errno> {
    let request = libc::packet_mreq {
        mr_ifindex: device.index(),
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    // SAFETY: the kernel reads `request`, no more than its length, which it is given; the socket is open.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const request).cast(),
            size_of_val(&request) as libc::socklen_t,
        )
    };
    Errno::result(done).map(drop)
}

fn explain(device: &Device, error: Errno) -> anyhow::Error {
    let failed = format!("failed to have {device} take frames for others");
    match error {
        Errno::EPERM => Failure::unable(format!(
            "{failed}: not permitted: CAP_NET_RAW is needed in the user namespace that owns its network namespace: run \
             xdptrace with sudo, or leave -P out"
        )),
        error => Failure::no_target(format!("{failed}: {}: leave -P out", io::Error::from(error))),
    }
}
