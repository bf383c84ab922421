//! The maps that the probes of all targets share, and the program that flushes batches.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use libbpf_rs::skel::OpenSkel;
use libbpf_rs::{MapCore, MapFlags, MapHandle};

use super::{open, set_autoload};
use crate::bpf::{self, ListedDevice, OpenXdptraceSkel};
use crate::refusal;

/// The maps that the probes of all targets share.
#[derive(Debug)]
pub struct Maps {
    events: MapHandle,
    batches: MapHandle,
    devices: MapHandle,
    brake: MapHandle,
    flush: OwnedFd,
    cpus: u32,
    listed: BTreeSet<(u32, u32)>,
}

impl Maps {
    /// Creates them.
    ///
    /// # Errors
    /// What the kernel refused, with its meaning and the remedy where they are known.
    pub fn create() -> Result<Self> {
        let cpus = possible_cpus()?;
        let mut storage = MaybeUninit::uninit();
        let mut open = open(&mut storage)?;
        set_autoload(&mut open, false, false);
        open.maps.batches.set_max_entries(2 * cpus).context("failed to size the BPF maps")?;
        let skeleton = refusal::try_to(|| open.load(), "create", "the BPF maps")?;
        let handle = |map| MapHandle::try_from(map).context(refusal::NO_DESCRIPTOR);
        Ok(Self {
            events: handle(&skeleton.maps.events)?,
            batches: handle(&skeleton.maps.batches)?,
            devices: handle(&skeleton.maps.devices)?,
            brake: handle(&skeleton.maps.bss_brake)?,
            flush: skeleton.progs.flush.as_fd().try_clone_to_owned().context(refusal::NO_DESCRIPTOR)?,
            cpus,
            listed: BTreeSet::new(),
        })
    }

    /// The perf event array that samples arrive by.
    pub fn events(&self) -> &MapHandle {
        &self.events
    }

    /// The records that CPUs are gathering: two batches for each CPU that there may be.
    pub fn batches(&self) -> &MapHandle {
        &self.batches
    }

    /// The program that sends a CPU's batch.
    pub fn flush(&self) -> BorrowedFd<'_> {
        self.flush.as_fd()
    }

    /// CPUs that there may be.
    pub fn cpus(&self) -> u32 {
        self.cpus
    }

    /// Begins a new second, as far as the rate goes.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub fn release_brake(&self) -> Result<()> {
        let released = self.brake.update(&0u32.to_ne_bytes(), &0u64.to_ne_bytes(), MapFlags::ANY);
        released.context("failed to begin a new second of the rate")
    }

    /// Has the packets of these devices, each a network namespace's inode number and an index in it, let through where
    /// [`super::Wanted::Listed`] is the aim.
    ///
    /// # Errors
    /// There are more than 1024.
    pub fn set_devices(&mut self, wanted: BTreeSet<(u32, u32)>) -> Result<()> {
        let listed = |(netns, ifindex): &(u32, u32)| ListedDevice { netns: *netns, ifindex: *ifindex };
        for device in wanted.difference(&self.listed).map(listed) {
            let added = self.devices.update(bpf::device_key(&device), &[1], MapFlags::ANY);
            added.context("failed to add to the list of devices (members of bonds included, it holds 1024)")?;
        }
        for device in self.listed.difference(&wanted).map(listed) {
            self.devices.delete(bpf::device_key(&device)).context("failed to take a device off the list")?;
        }
        self.listed = wanted;
        Ok(())
    }

    /// Has the object of a target use these instead of its own.
    pub(super) fn share(&self, open: &mut OpenXdptraceSkel<'_>) -> libbpf_rs::Result<()> {
        open.maps.events.reuse_fd(self.events.as_fd())?;
        open.maps.batches.reuse_fd(self.batches.as_fd())?;
        open.maps.devices.reuse_fd(self.devices.as_fd())?;
        open.maps.bss_brake.reuse_fd(self.brake.as_fd())
    }
}

/// CPUs that there may be, present or not.
///
/// # Errors
/// The kernel doesn't tell.
pub(super) fn possible_cpus() -> Result<u32> {
    let cpus = libbpf_rs::num_possible_cpus().context("failed to count the CPUs")?;
    u32::try_from(cpus).context("failed to count the CPUs")
}
