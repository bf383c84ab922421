//! How much memory the kernel holds for the probes, by its own account.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use anyhow::{Context, Result};
use libbpf_rs::skel::Skel;

use crate::bpf::XdptraceSkel;

/// Bytes of maps and programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Of what all targets share.
    pub shared: u64,
    /// Of what each target has of its own.
    pub each: u64,
}

impl Memory {
    /// Those of one target's object that shares its maps with nobody.
    ///
    /// # Errors
    /// There is no /proc.
    pub(super) fn of(skeleton: &XdptraceSkel<'_>) -> Result<Self> {
        let (object, maps, progs) = (skeleton.object(), &skeleton.maps, &skeleton.progs);
        let all = sum(object.maps().map(|map| locked(map.as_fd())))?;
        let shared = [
            &maps.events,
            &maps.bss_batches,
            &maps.second_batches,
            &maps.devices,
            &maps.key_sets,
            &maps.failures,
            &maps.forwards,
            &maps.bss_refused,
            &maps.bss_brake,
        ];
        let shared = sum(shared.into_iter().map(|map| locked(map.as_fd())))?;
        let flush = locked(progs.flush.as_fd())?;
        let loaded = object.progs().filter(|program| program.as_fd().as_raw_fd() > 0);
        let programs = sum(loaded.map(|program| locked(program.as_fd())))?;
        let own = all - shared;
        // The program that flushes has the others of its object's maps, too.
        Ok(Self { shared: shared + flush + own, each: own + programs.saturating_sub(flush) })
    }
}

fn sum(bytes: impl Iterator<Item = Result<u64>>) -> Result<u64> {
    bytes.sum()
}

/// bpf_map_show_fdinfo and bpf_prog_show_fdinfo (kernel/bpf/syscall.c).
fn locked(fd: BorrowedFd<'_>) -> Result<u64> {
    let file = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
    let info = fs::read_to_string(&file).with_context(|| format!("failed to read {file}"))?;
    let bytes = info.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok());
    bytes.with_context(|| format!("{file} doesn't say how much memory is locked"))
}
