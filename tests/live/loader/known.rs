//! What the kernel has: programs by their ids, and what they counted.

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libbpf_rs::libbpf_sys as sys;
use libbpf_rs::{MapCore, MapFlags, MapHandle};

use super::{FIRST_PORT, PORTS, ifindex, inside, returned};
use crate::lab::{Nic, wait_for};

/// A program in the kernel, whoever loaded it; held by the kernel alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: u32,
    /// The kernel's own name of it.
    pub name: String,
    /// Its tag, in hexadecimal digits.
    pub tag: String,
    maps: Vec<u32>,
}

/// A program by its id: its descriptor, unless it is gone.
fn open(id: u32) -> Option<OwnedFd> {
    // SAFETY: the call takes no pointer, and what it returns is ours.
    let fd = unsafe { sys::bpf_prog_get_fd_by_id(id) };
    // SAFETY: as above.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The ids of all programs, maps and links that the kernel has: never those of others that there were before.
pub fn objects() -> [BTreeSet<u32>; 3] {
    let calls = [sys::bpf_prog_get_next_id, sys::bpf_map_get_next_id, sys::bpf_link_get_next_id];
    calls.map(|next_of| {
        let next = |id: &u32| {
            let mut next = 0;
            // SAFETY: the kernel writes the id there.
            (unsafe { next_of(*id, &mut next) } == 0).then_some(next)
        };
        std::iter::successors(next(&0), next).collect()
    })
}

/// Those that there were not before. Of those, some may still be going that earlier tests have left.
pub fn new_objects(before: &[BTreeSet<u32>; 3]) -> [BTreeSet<u32>; 3] {
    let mut kinds = before.iter();
    objects().map(|now| kinds.next().map_or_else(BTreeSet::new, |before| &now - before))
}

/// None of each.
pub const NO_OBJECTS: [BTreeSet<u32>; 3] = [const { BTreeSet::new() }; 3];

/// Whether the kernel still has a program.
pub fn exists(id: u32) -> bool {
    open(id).is_some()
}

impl Known {
    /// `FUNC#ID`, as the tracer calls it.
    pub fn called(&self, function: &str) -> String {
        format!("{function}#{}", self.id)
    }

    /// The program with this id, which must be there.
    pub fn by_id(id: u32) -> Self {
        let program = open(id).unwrap_or_else(|| panic!("no program {id}"));
        let mut maps = [0_u32; 16];
        let mut info = sys::bpf_prog_info { nr_map_ids: 16, map_ids: maps.as_mut_ptr() as u64, ..Default::default() };
        let mut length = size_of_val(&info) as u32;
        // SAFETY: the kernel writes into `info` and `maps`, no more than their lengths, which it is given.
        let done = unsafe { sys::bpf_prog_get_info_by_fd(program.as_raw_fd(), &mut info, &mut length) };
        returned("information about a program", done);
        let name = info.name.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8 as char).collect();
        let tag = info.tag.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { id, name, tag, maps: maps[..info.nr_map_ids as usize].to_vec() }
    }

    /// The XDP program of a NIC.
    pub fn on(nic: &Nic) -> Self {
        Self::by_id(program_on(nic))
    }

    /// What it counts datagrams in, which outlives it.
    pub fn ports(&self) -> Ports {
        Ports(self.map("ports"))
    }

    /// What it counts its runs in, which outlives it.
    pub fn runs(&self) -> Runs {
        Runs(self.map("runs"))
    }

    fn map(&self, name: &str) -> MapHandle {
        let mut maps = self.maps.iter().map(|id| MapHandle::from_map_id(*id).unwrap());
        maps.find(|map| map.name() == name).unwrap_or_else(|| panic!("no map {name}"))
    }
}

/// The id of a NIC's XDP program in whatever mode; 0 without.
pub fn program_on(nic: &Nic) -> u32 {
    let ifindex = ifindex(nic);
    inside(nic.netns.as_deref(), || {
        let mut id = 0;
        // SAFETY: libbpf writes the id there.
        returned("query", unsafe { sys::bpf_xdp_query_id(ifindex, 0, &mut id) });
        id
    })
}

/// The datagrams that a program counted.
pub struct Ports(pub(super) MapHandle);

impl Ports {
    /// Waits until the program has seen these ports, the last of which it has then run on: a packet may lie in a queue.
    pub fn wait_for(&self, ports: &[u16]) {
        let has_come = |port: &u16| self.count(port - FIRST_PORT) > 0;
        wait_for("datagrams at the program", || ports.iter().all(has_come).then_some(()));
    }

    /// The ports that the program saw, in order.
    pub fn seen(&self) -> Vec<u16> {
        (0..PORTS).filter(|number| self.count(*number) > 0).map(|number| FIRST_PORT + number).collect()
    }

    /// How many datagrams to this port it saw.
    pub fn of(&self, port: u16) -> u64 {
        self.count(port - FIRST_PORT).into()
    }

    fn count(&self, number: u16) -> u32 {
        let value = self.0.lookup(&u32::from(number).to_ne_bytes(), MapFlags::ANY).unwrap().unwrap();
        u32::from_ne_bytes(value.try_into().unwrap())
    }
}

/// How often a program ran, by its own count.
pub struct Runs(MapHandle);

impl Runs {
    /// So far.
    pub fn now(&self) -> u64 {
        let value = self.0.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY).unwrap().unwrap();
        u64::from_ne_bytes(value.try_into().unwrap())
    }

    /// Waits until there were so many.
    pub fn wait_for(&self, runs: u64) {
        wait_for(&format!("{runs} runs"), || (self.now() >= runs).then_some(()));
    }

    /// Waits until there are no more, after the last packet was sent: some may still lie in a queue.
    pub fn settle(&self) -> u64 {
        let mut before = u64::MAX;
        wait_for("end of the runs", || {
            let now = self.now();
            (std::mem::replace(&mut before, now) == now).then_some(now)
        })
    }
}

/// Waits until the kernel has let go of a program.
pub fn wait_until_gone(id: u32) {
    wait_for(&format!("end of program {id}"), || (!exists(id)).then_some(()));
}
