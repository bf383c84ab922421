//! What a probe is aimed at and what it lets through: plain data, and how the BPF object is told.

use std::mem::offset_of;

use anyhow::{Context, Result};
use libbpf_rs::{OpenProgramMut, libbpf_sys};

use super::maps::possible_cpus;
use super::settings::{Settings, overwrite};
use crate::bpf::{self, BATCHED_SNAP_LEN, Extent, Flag, OpenXdptraceSkel, State, Value, View};
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
        let cpus = possible_cpus()?;
        // It moves when it grows.
        open.maps.bss_states_data = None;
        open.maps.bss_states.set_value_size(cpus * size_of::<State>() as u32).context("failed to size the BPF maps")?;
        open.maps.batches.set_max_entries(2 * cpus).context("failed to size the BPF maps")?;
        let mut settings = Settings::default();
        settings.set(Value::VALUE_CPUS, cpus.into());
        settings.flag(Flag::FLAG_CAN_READ, self.can_read);
        self.set_target(&mut settings);
        self.set_selection(&mut settings);
        self.set_devices(&mut settings);
        for program in [&mut open.progs.fentry_xdp, &mut open.progs.fexit_xdp] {
            settings.write(program);
        }
        match (self.filter.is_empty(), self.selection.filter_at) {
            (true, _) => Ok(()),
            (false, Side::Entry) => place_filter(&mut open.progs.fentry_xdp, self.filter),
            (false, Side::Exit) => place_filter(&mut open.progs.fexit_xdp, self.filter),
        }
    }

    fn set_target(&self, settings: &mut Settings) {
        const CONTEXTS: [Flag; 4] =
            [Flag::FLAG_CONTEXT_1, Flag::FLAG_CONTEXT_2, Flag::FLAG_CONTEXT_3, Flag::FLAG_CONTEXT_4];
        const PARAMETERS: [Flag; 4] =
            [Flag::FLAG_PARAMETERS_2, Flag::FLAG_PARAMETERS_3, Flag::FLAG_PARAMETERS_4, Flag::FLAG_PARAMETERS_5];
        let Function { context, parameters, typed, returns, .. } = self.function;
        for (number, flag) in CONTEXTS.into_iter().enumerate() {
            settings.flag(flag, context.is_some_and(|context| usize::from(context) == number + 1));
        }
        for (number, flag) in PARAMETERS.into_iter().enumerate() {
            settings.flag(flag, usize::from(parameters) == number + 2);
        }
        settings.set(Value::VALUE_TARGET, self.number.into());
        settings.flag(Flag::FLAG_TYPED, typed);
        settings.flag(Flag::FLAG_RETURNS, returns);
        settings.flag(Flag::FLAG_IN_DEVMAP, self.place == Place::Devmap);
        settings.flag(Flag::FLAG_IN_CPUMAP, self.place == Place::Cpumap);
    }

    fn set_selection(&self, settings: &mut Settings) {
        let selection = self.selection;
        // A hazard may have left it no more than fexit.
        let told = if self.probes == Probes::Both { selection.shown } else { self.probes };
        settings.flag(Flag::FLAG_HAS_ENTRY, self.probes != Probes::Exit);
        settings.flag(Flag::FLAG_HAS_EXIT, self.probes != Probes::Entry);
        settings.flag(Flag::FLAG_TELLS_ENTRY, told != Probes::Exit);
        settings.flag(Flag::FLAG_TELLS_EXIT, told != Probes::Entry);
        let filters = |side| !self.filter.is_empty() && selection.filter_at == side;
        settings.flag(Flag::FLAG_FILTERS_ENTRY, filters(Side::Entry));
        settings.flag(Flag::FLAG_FILTERS_EXIT, filters(Side::Exit));
        settings.flag(Flag::FLAG_LEAVES_OUT, selection.sample > 1 || selection.rate.is_some());
        settings.flag(Flag::FLAG_BY_CHANGE, selection.changed);
        settings.set(Value::VALUE_SAMPLE, selection.sample.into());
        settings.optional(Flag::FLAG_RATED, Value::VALUE_RATE, selection.rate);
        settings.optional(Flag::FLAG_BY_VERDICT, Value::VALUE_VERDICTS, selection.verdicts.map(u64::from));
        settings.optional(Flag::FLAG_BY_QUEUE, Value::VALUE_QUEUE, selection.queue.map(u64::from));
        let slower_ns = selection.slower.map(|least| least.as_nanos() as u64);
        settings.optional(Flag::FLAG_BY_LATENCY, Value::VALUE_SLOWER_NS, slower_ns);
        let shown = selection.snap_len.min(BATCHED_SNAP_LEN);
        let read = if told == Probes::Both { shown.max(bpf::HEAD_LEN as u32) } else { shown };
        settings.flag(Flag::FLAG_LONG, selection.snap_len > BATCHED_SNAP_LEN);
        settings.set(Value::VALUE_SNAP_LEN, selection.snap_len.into());
        settings.set(Value::VALUE_READ_LEN, read.into());
    }

    fn set_devices(&self, settings: &mut Settings) {
        let (netns, ifindex) = match self.devices {
            Wanted::All | Wanted::Listed => (0, 0),
            Wanted::Netns(netns) => (netns, 0),
            Wanted::One { netns, ifindex } => (netns, ifindex),
        };
        settings.flag(Flag::FLAG_BY_DEVICES, self.devices == Wanted::Listed);
        settings.flag(Flag::FLAG_BY_NETNS, matches!(self.devices, Wanted::Netns(_)));
        settings.flag(Flag::FLAG_BY_DEVICE, matches!(self.devices, Wanted::One { .. }));
        settings.set(Value::VALUE_NETNS, netns.into());
        settings.set(Value::VALUE_IFINDEX, ifindex.into());
    }
}

/// Overwrites the sled in the opened program with the filter, which is as long.
fn place_filter(program: &mut OpenProgramMut<'_>, filter: &[Insn]) -> Result<()> {
    let sled = find_sled(program.insns(), filter.len()).context("the BPF object has no place for a filter")?;
    for (number, insn) in filter.iter().enumerate() {
        overwrite(program, sled + number, insn.to_u64());
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
