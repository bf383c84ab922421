//! What a probe is aimed at and what it lets through: plain data, and how the BPF object is told.

use std::mem::offset_of;

use anyhow::{Context, Result};
use libbpf_rs::{AsRawLibbpf, OpenProgramMut, libbpf_sys};

use super::maps::possible_cpus;
use crate::bpf::{self, Devices, Extent, ListedDevice, OpenXdptraceSkel, State, Tells, View};
use crate::filter::{self, Insn};
use crate::plan::{Probes, Selection, Side};
use crate::target::{Function, Place};

/// What a probe is aimed at and what it lets through.
#[derive(Debug, Clone)]
pub struct Aim<'run> {
    /// How records tell this target from others.
    pub number: u32,
    /// The function.
    pub function: Function,
    /// Where the kernel runs the program.
    pub place: Place,
    /// Which probes it gets.
    pub probes: Probes,
    /// The packets of which devices are asked for.
    pub devices: Wanted,
    /// Which of these runs are asked for, and what of them.
    pub selection: &'run Selection,
    /// The filter, as long as its place in the object; empty: none.
    pub filter: &'run [Insn],
    /// Whether the kernel's memory may be read.
    pub can_read: bool,
    /// `xdp_lb#12 on eth0`, for what is to be said of it.
    pub shown: String,
}

/// The packets of which devices are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Of every one that runs the program.
    All,
    /// Of those of this network namespace, by inode number.
    Netns(u32),
    /// Of this one.
    One {
        /// Its network namespace, by inode number.
        netns: u32,
        /// Its index there.
        ifindex: u32,
    },
    /// Of those in [`super::Maps::set_devices`].
    Listed,
}

impl Aim<'_> {
    /// Sets all of it on the opened object.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub(super) fn configure(&self, open: &mut OpenXdptraceSkel<'_>) -> Result<()> {
        self.configure_target(open)?;
        self.configure_selection(open)?;
        if self.filter.is_empty() {
            return Ok(());
        }
        match self.selection.filter_at {
            Side::Entry => place_filter(&mut open.progs.fentry_xdp, self.filter),
            Side::Exit => place_filter(&mut open.progs.fexit_xdp, self.filter),
        }
    }

    fn configure_target(&self, open: &mut OpenXdptraceSkel<'_>) -> Result<()> {
        let cpus = possible_cpus()?;
        // It moves when it grows.
        open.maps.bss_states_data = None;
        open.maps.bss_states.set_value_size(cpus * size_of::<State>() as u32).context("failed to size the BPF maps")?;
        open.maps.batches.set_max_entries(2 * cpus).context("failed to size the BPF maps")?;
        let config = open.maps.rodata_data.as_deref_mut().context("the BPF object has no configuration")?;
        config.cpus = cpus;
        config.can_read = self.can_read;
        config.target = self.number;
        config.place = match self.place {
            Place::Device => bpf::Place::PLACE_DEVICE,
            Place::Devmap => bpf::Place::PLACE_DEVMAP,
            Place::Cpumap => bpf::Place::PLACE_CPUMAP,
        };
        config.context = self.function.context.unwrap_or(0).into();
        config.parameters = self.function.parameters.into();
        config.typed = self.function.typed;
        config.returns = self.function.returns;
        Ok(())
    }

    fn configure_selection(&self, open: &mut OpenXdptraceSkel<'_>) -> Result<()> {
        let Selection { filter_at, verdicts, changed, slower, queue, sample, rate, snap_len, .. } = *self.selection;
        let config = open.maps.rodata_data.as_deref_mut().context("the BPF object has no configuration")?;
        config.attached = halves(self.probes);
        // A hazard may have left it no more than fexit.
        config.shown = halves(if self.probes == Probes::Both { self.selection.shown } else { self.probes });
        config.snap_len = snap_len;
        config.filters_entry = !self.filter.is_empty() && filter_at == Side::Entry;
        config.filters_exit = !self.filter.is_empty() && filter_at == Side::Exit;
        config.only_queue = queue.map_or(-1, i64::from);
        config.verdicts = verdicts.unwrap_or(u32::MAX);
        config.only_changed = changed;
        config.slower_ns = slower.map_or(0, |least| least.as_nanos() as u64);
        config.sample = sample;
        config.rate = rate.unwrap_or(0);
        let (only, netns, ifindex) = match self.devices {
            Wanted::All => (Devices::DEVICES_ALL, 0, 0),
            Wanted::Netns(netns) => (Devices::DEVICES_NETNS, netns, 0),
            Wanted::One { netns, ifindex } => (Devices::DEVICES_ONE, netns, ifindex),
            Wanted::Listed => (Devices::DEVICES_LISTED, 0, 0),
        };
        config.only_devices = only;
        config.only_device = ListedDevice { netns, ifindex };
        Ok(())
    }
}

fn halves(probes: Probes) -> Tells {
    match probes {
        Probes::Both => Tells(Tells::TOLD_ENTRY.0 | Tells::TOLD_EXIT.0),
        Probes::Entry => Tells::TOLD_ENTRY,
        Probes::Exit => Tells::TOLD_EXIT,
    }
}

/// Overwrites the sled in the opened program with the filter, which is as long.
fn place_filter(program: &mut OpenProgramMut<'_>, filter: &[Insn]) -> Result<()> {
    let sled = find_sled(program.insns(), filter.len()).context("the BPF object has no place for a filter")?;
    // SAFETY: libbpf keeps a program's instructions where they are from opening to loading, 8 bytes each, and nobody else
    // has a reference to them here. `find_sled` has found as many as there are in `filter` from `sled` on.
    unsafe {
        let first = libbpf_sys::bpf_program__insns(program.as_libbpf_object().as_ptr()).cast_mut().cast::<u64>();
        for (number, insn) in filter.iter().enumerate() {
            first.add(sled + number).write(insn.to_u64());
        }
    }
    Ok(())
}

/// Where `length` instructions that do nothing begin.
fn find_sled(instructions: &[libbpf_sys::bpf_insn], length: usize) -> Option<usize> {
    /// BPF_JMP | BPF_JA, to the next instruction.
    const GOTO: u8 = 0x05;
    let is_nothing = |insn: &libbpf_sys::bpf_insn| insn.code == GOTO && insn.off == 0 && insn.imm == 0;
    instructions.windows(length).position(|window| window.iter().all(is_nothing))
}

/// The filter that `expression`, in tcpdump's language, is in the kernel; nothing where that is empty.
///
/// # Errors
/// It means nothing, or is too long.
pub fn compile(expression: &str) -> Result<Vec<Insn>> {
    if expression.is_empty() {
        return Ok(Vec::new());
    }
    filter::translate(filter::compile(expression)?.instructions(), &layout())?.fill(bpf::FILTER_LEN)
}

/// Where the filter finds what it looks at.
pub fn layout() -> filter::Layout {
    let of_extent = |offset: usize| (offset_of!(View, extent) + offset) as i16;
    filter::Layout {
        bytes: offset_of!(View, bytes) as i16,
        room: bpf::HEAD_LEN as u32,
        scratch: offset_of!(View, scratch) as i16,
        beyond: offset_of!(View, beyond) as i16,
        data: of_extent(offset_of!(Extent, data)),
        linear: of_extent(offset_of!(Extent, linear)),
        length: of_extent(offset_of!(Extent, length)),
    }
}
