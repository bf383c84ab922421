//! Gives targets' cells back: those of devices that have gone.

use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapHandle};
use memmap2::{MmapOptions, MmapRaw};

use super::{Probe, wait_for_running_programs};
use crate::bpf::{self, Cell, Run, State};

/// Where the states of a target lie, with so many cells behind each: the map's own memory.
struct Memory {
    mapped: MmapRaw,
    cells: usize,
}

/// Frees these cells of each target, by their places in what [`Probe::counters`] returns, for other devices; what they held. Nothing
/// is lost where a packet comes all the same: it is in what they held, or in another cell.
///
/// A cell that has lost its device's index is nobody's: no packet finds it, and it isn't free. Once all runs are over that had found
/// it before, what it holds is all that it will. It is emptied then, and free only when no run is under way any more that may have
/// read it as it was: on some processors (arm64), what a run reads of a cell may be older than that it is free. All targets' are
/// waited for at once.
///
/// # Errors
/// A map cannot be mapped.
pub fn free(targets: &[(&Probe, Vec<usize>)]) -> Result<Vec<Vec<Cell>>> {
    if targets.iter().all(|(_, places)| places.is_empty()) {
        return Ok(vec![Vec::new(); targets.len()]);
    }
    let lots = targets.iter().map(|(probe, places)| Ok((Memory::map(&probe.states, probe.cells)?, places)));
    let lots = lots.collect::<Result<Vec<_>>>()?;
    let disown = |(memory, places): &(Memory, &Vec<usize>)| places.iter().map(|place| memory.disown(*place)).collect();
    let indexes: Vec<Vec<u32>> = lots.iter().map(disown).collect();
    wait_for_running_programs();
    let held = lots.iter().zip(indexes).map(|((memory, places), indexes)| {
        places.iter().zip(indexes).map(|(place, ifindex)| Cell { ifindex, ..memory.empty(*place) }).collect()
    });
    let held = held.collect();
    wait_for_running_programs();
    lots.iter().for_each(|(memory, places)| places.iter().for_each(|place| memory.give_back(*place)));
    Ok(held)
}

impl Memory {
    fn map(states: &MapHandle, cells: usize) -> Result<Self> {
        let mapped = MmapOptions::new().len(states.value_size() as usize).map_raw(states.as_fd().as_raw_fd());
        Ok(Self { mapped: mapped.context("failed to map the counters")?, cells })
    }

    /// The address of a part of so many bytes.
    fn at<T>(&self, offset: usize) -> *mut T {
        assert!(offset + size_of::<T>() <= self.mapped.len(), "a cell beyond the counters");
        self.mapped.as_mut_ptr().wrapping_add(offset).cast()
    }

    fn cell(&self, place: usize) -> *mut Cell {
        self.at(bpf::cell_offset(place, self.cells))
    }

    fn word(&self, place: usize, member: usize) -> &AtomicU32 {
        // SAFETY: the word lies within what is mapped as long as this, aligned as in the struct. BPF programs read it meanwhile, so it
        // is only ever written at once.
        unsafe { AtomicU32::from_ptr(self.at(bpf::cell_offset(place, self.cells) + member)) }
    }

    /// Takes the index of its device out of it.
    fn disown(&self, place: usize) -> u32 {
        self.word(place, offset_of!(Cell, ifindex)).swap(0, Ordering::SeqCst)
    }

    /// Takes all else out of it, but that it is in use.
    fn empty(&self, place: usize) -> Cell {
        let cell = self.cell(place);
        // SAFETY: the cell lies within what is mapped, aligned; no BPF program writes to it, as it has no device, and isn't free.
        let held = unsafe { ptr::read_volatile(cell) };
        // SAFETY: as above; that it is in use is written as it was.
        unsafe { ptr::write_volatile(cell, Cell { is_used: held.is_used, ..Cell::default() }) };
        held
    }

    /// Has it be free.
    fn give_back(&self, place: usize) {
        if place % self.cells == 0 {
            self.note_run(place);
        }
        self.word(place, offset_of!(Cell, is_used)).store(0, Ordering::Release);
    }

    /// That there has been a run is known by a CPU's first cell, where fexit is alone (`is_last_kept` in outcome.h), and now by its
    /// state. What the BPF side has written there meanwhile stays.
    fn note_run(&self, place: usize) {
        let run = self.at(bpf::state_offset(place, self.cells) + offset_of!(State, run));
        // SAFETY: as in `word`; it is only written where nothing was before.
        let run = unsafe { AtomicU64::from_ptr(run) };
        let (none, ended) = (Run::RUN_NONE.0 | Run::RUN_ENDED.0, Run::RUN_ENDED.0);
        let _ = run.compare_exchange(none.into(), ended.into(), Ordering::SeqCst, Ordering::SeqCst);
    }
}
