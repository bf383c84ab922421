//! What a probe is aimed at and what it lets through: plain data, and how the BPF object is told.

use std::ffi::CStr;
use std::mem::offset_of;

use anyhow::Result;
use libbpf_rs::OpenProgramMut;
use libbpf_rs::libbpf_sys::bpf_insn;

use super::instructions::{Changes, overwrite};
use super::maps::{Sizes, settings_for};
use super::settings::{Settings, find_places};
use crate::bpf::{self, Answer, BATCHED_SNAP_LEN, Flag, OpenXdptraceSkel, Place, Value, View};
use crate::filter::{self, Insn};
use crate::layout;
use crate::plan::{self, Counting, Outcomes, Part, Probes, Selection, Side};
use crate::target::{self, Function};

/// What a probe is aimed at and what it lets through.
#[derive(Debug, Clone)]
pub struct Aim<'run> {
    /// How records tell this target from others.
    pub number: u32,
    /// The function.
    pub function: Function,
    /// Where the kernel runs the program.
    pub place: target::Place,
    /// Which probes it gets.
    pub probes: Probes,
    /// The packets of which devices are asked for.
    pub devices: Wanted,
    /// Which of these runs are asked for, and what of them.
    pub selection: &'run Selection,
    /// Whether they are counted instead of told of.
    pub counting: Option<&'run Counting>,
    /// Id of the program that the kernel runs; None: what became of the verdict can't be known.
    pub root: Option<u32>,
    /// The filter, if there is one.
    pub filter: Option<&'run Filter>,
    /// Whether the kernel's memory may be read.
    pub can_read: bool,
    /// `xdp_lb#12 on eth0`, for what is to be said of it.
    pub shown: String,
}

pub(super) const EXCEPTION: &CStr = c"xdp_exception";
pub(super) const REDIRECT: &CStr = c"xdp_redirect";
pub(super) const REDIRECT_ERR: &CStr = c"xdp_redirect_err";

const KEY_PARTS: [(Part, Flag); 7] = [
    (Part::Source, Flag::FLAG_KEY_SOURCE),
    (Part::Destination, Flag::FLAG_KEY_DESTINATION),
    (Part::SourcePort, Flag::FLAG_KEY_SOURCE_PORT),
    (Part::DestinationPort, Flag::FLAG_KEY_DESTINATION_PORT),
    (Part::Protocol, Flag::FLAG_KEY_PROTOCOL),
    (Part::Vlan, Flag::FLAG_KEY_VLAN),
    (Part::Length, Flag::FLAG_KEY_LENGTH),
];

/// fentry and fexit: those that do whatever may be asked for, or those that do the most usual faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pair {
    /// Whatever is asked for.
    Any,
    /// Each run is told of.
    Quick,
    /// Each run is counted.
    Count,
    /// … by what packets have in common.
    Key,
}

/// The programs of a [`Pair`] in an object: `&mut` while it is open, `&` once it is loaded, for these are two types.
macro_rules! pair_of {
    ($progs:expr, $pair:expr, $($reference:tt)+) => {
        match $pair {
            $crate::probe::aim::Pair::Any => ($($reference)+ $progs.fentry_xdp, $($reference)+ $progs.fexit_xdp),
            $crate::probe::aim::Pair::Quick => ($($reference)+ $progs.fentry_quick, $($reference)+ $progs.fexit_quick),
            $crate::probe::aim::Pair::Count => ($($reference)+ $progs.fentry_count, $($reference)+ $progs.fexit_count),
            $crate::probe::aim::Pair::Key => ($($reference)+ $progs.fentry_key, $($reference)+ $progs.fexit_key),
        }
    };
}
pub(super) use pair_of;

/// In the same way, the kernel's tracepoints and the programs for them.
macro_rules! tracepoints_of {
    ($progs:expr, $($reference:tt)+) => {
        [
            ($crate::probe::aim::EXCEPTION, $($reference)+ $progs.on_exception),
            ($crate::probe::aim::REDIRECT_ERR, $($reference)+ $progs.on_redirect_err),
            ($crate::probe::aim::REDIRECT, $($reference)+ $progs.on_redirect),
        ]
    };
}
pub(super) use tracepoints_of;

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
    /// What its programs want when they are loaded. `nests`: a program may run within itself on this kernel.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub(super) fn changes(&self, sizes: &Sizes, nests: bool) -> Result<Changes> {
        let mut settings = settings_for(sizes);
        settings.flag(Flag::FLAG_NESTS, nests);
        settings.flag(Flag::FLAG_CAN_READ, self.can_read);
        settings.flag(Flag::FLAG_HAS_FRAGMENTS, layout::has_fragments()?);
        self.set_target(&mut settings);
        self.set_selection(&mut settings);
        self.set_counting(&mut settings);
        self.set_filter(&mut settings);
        self.set_devices(&mut settings);
        Ok(Changes { settings, filter: self.filter.cloned() })
    }

    /// The programs of the object that it takes: fentry and fexit, as far as it wants both.
    pub(super) fn chosen<'a, 'obj>(
        &self,
        open: &'a mut OpenXdptraceSkel<'obj>,
    ) -> impl Iterator<Item = &'a mut OpenProgramMut<'obj>> {
        let (fentry, fexit) = pair_of!(open.progs, self.pair(), &mut);
        let fentry = (self.probes != Probes::Exit).then_some(fentry);
        let fexit = (self.probes != Probes::Entry).then_some(fexit);
        fentry.into_iter().chain(fexit)
    }

    /// The kernel's tracepoints that tell what became of verdicts, as far as they are asked for.
    pub(super) fn tracepoints(&self) -> impl Iterator<Item = &'static CStr> {
        let outcomes = if self.tells_outcomes() { self.selection.outcomes } else { Outcomes::Off };
        let failures = [EXCEPTION, REDIRECT_ERR].into_iter().filter(move |_| outcomes != Outcomes::Off);
        failures.chain([REDIRECT].into_iter().filter(move |_| outcomes == Outcomes::All))
    }

    /// … with the programs for them.
    pub(super) fn outcomes<'a, 'obj>(
        &self,
        open: &'a mut OpenXdptraceSkel<'obj>,
    ) -> impl Iterator<Item = (&'static CStr, &'a mut OpenProgramMut<'obj>)> {
        tracepoints_of!(open.progs, &mut).into_iter().filter(|(name, _)| self.tracepoints().any(|asked| asked == *name))
    }

    /// Whether what became of verdicts can be told: it takes the verdict, and reading the kernel's memory.
    fn tells_outcomes(&self) -> bool {
        self.root.is_some() && self.can_read && self.probes != Probes::Entry
    }

    /// Which of the object's programs they are.
    pub(super) fn pair(&self) -> Pair {
        let Selection { sample, rate, verdicts, changed, slower, queue, only_failed, .. } = self.selection;
        let is_asked = verdicts.is_none() && !changed && slower.is_none() && queue.is_none() && !only_failed;
        let is_each = self.filter.is_none() && *sample == 1 && rate.is_none() && is_asked;
        let is_known = self.function.typed && self.can_read && self.devices != Wanted::Listed;
        match self.counting {
            _ if !is_each || !is_known => Pair::Any,
            None => Pair::Quick,
            // They know a network namespace by its address, which is that of another one once it is gone: so of ours only.
            Some(_) if self.devices == Wanted::All => Pair::Any,
            // Which device its packets came by is to be noted.
            Some(_) if self.place == target::Place::Devmap => Pair::Any,
            Some(counting) if counting.drops_a_second.is_some() => Pair::Any,
            Some(counting) if counting.by.is_some() => Pair::Key,
            Some(_) => Pair::Count,
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
        settings.flag(Flag::FLAG_IN_DEVMAP, self.place == target::Place::Devmap);
        settings.flag(Flag::FLAG_IN_CPUMAP, self.place == target::Place::Cpumap);
    }

    fn set_selection(&self, settings: &mut Settings) {
        let selection = self.selection;
        // A hazard may have left it no more than fexit.
        let told = if self.probes == Probes::Both { selection.shown } else { self.probes };
        settings.flag(Flag::FLAG_HAS_ENTRY, self.probes != Probes::Exit);
        settings.flag(Flag::FLAG_HAS_EXIT, self.probes != Probes::Entry);
        settings.flag(Flag::FLAG_TELLS_ENTRY, told != Probes::Exit);
        settings.flag(Flag::FLAG_TELLS_EXIT, told != Probes::Entry);
        settings.flag(Flag::FLAG_TELLS_BOTH, told == Probes::Both);
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
        // The helper takes a context that the verifier knows.
        let is_long = selection.snap_len > BATCHED_SNAP_LEN && !selection.only_failed;
        settings.flag(Flag::FLAG_DIRECT, self.function.typed && (is_long || !self.can_read));
        settings.flag(Flag::FLAG_ALL_DIRECT, !self.can_read);
        settings.flag(Flag::FLAG_SHORT, shown < read);
        settings.flag(Flag::FLAG_ONLY_FAILED, selection.only_failed && self.can_read);
        settings.set(Value::VALUE_SNAP_LEN, selection.snap_len.into());
        settings.set(Value::VALUE_READ_LEN, read.into());
    }

    fn set_counting(&self, settings: &mut Settings) {
        let Some(counting) = self.counting else { return };
        settings.flag(Flag::FLAG_COUNTS, true);
        // The rate is then that of the packets told of.
        settings.flag(Flag::FLAG_LEAVES_OUT, false);
        settings.flag(Flag::FLAG_TELLS_DROPS, counting.drops_a_second.is_some());
        settings.optional(Flag::FLAG_RATED, Value::VALUE_RATE, counting.drops_a_second);
        // Who asked for fexit alone gets fentry only for a filter.
        let is_timed = counting.by.is_none() && self.selection.shown == Probes::Both;
        settings.flag(Flag::FLAG_UNTIMED, !is_timed && self.selection.slower.is_none());
        let Some(by) = &counting.by else { return };

        settings.flag(Flag::FLAG_BY_KEY, true);
        for (part, flag) in KEY_PARTS {
            settings.flag(flag, by.asks(part));
        }
        settings.set(Value::VALUE_PREFIX4, prefix4(by.prefix4).into());
        let [high, low] = prefix6(by.prefix6);
        settings.set(Value::VALUE_PREFIX6_HIGH, high);
        settings.set(Value::VALUE_PREFIX6_LOW, low);
    }

    fn set_filter(&self, settings: &mut Settings) {
        let filters = |side| self.filter.is_some() && self.selection.filter_at == side;
        settings.flag(Flag::FLAG_FILTERS_ENTRY, filters(Side::Entry));
        settings.flag(Flag::FLAG_FILTERS_EXIT, filters(Side::Exit));
        settings.flag(Flag::FLAG_FILTERS_LENGTH, self.filter.is_some_and(|filter| filter.asks_length));
        settings.set(Value::VALUE_LOOK_LEN, self.filter.map_or(0, |filter| filter.look_len.into()));
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

/// The bits of an IPv4 address that matter, as an integer in memory.
fn prefix4(bits: u8) -> u32 {
    let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
    u32::from_ne_bytes(mask.to_be_bytes())
}

/// … and of an IPv6 address, of its two halves.
fn prefix6(bits: u8) -> [u64; 2] {
    let half = |bits: u8| u64::MAX.checked_shl(64 - u32::from(bits.min(64))).unwrap_or(0);
    [half(bits), half(bits.saturating_sub(64))].map(|mask| u64::from_ne_bytes(mask.to_be_bytes()))
}

/// A filter that has its places in the object.
#[derive(Debug, Clone)]
pub struct Filter {
    /// For packets that have at least `look_len` bytes, as long as its place.
    quick: Vec<Insn>,
    /// For any packet.
    close: Vec<Insn>,
    /// How many of a packet's bytes are read for it at first.
    look_len: u32,
    asks_length: bool,
}

impl Filter {
    /// What these words are in the kernel; none where there are none.
    ///
    /// # Errors
    /// It means nothing, or is too long.
    pub fn compile(words: &plan::Filter) -> Result<Option<Self>> {
        if words.words.is_empty() {
            return Ok(None);
        }
        let program = filter::compile_with(&words.words, !words.unoptimised)?;
        let close = filter::translate(program.instructions(), &layout())?;
        // The kernel copies words of eight bytes faster than the bytes of one.
        let look_len = close.reach().next_multiple_of(8).clamp(8, bpf::HEAD_LEN as u32);
        let with_headers = filter::Layout { least: look_len, short: Answer::ANSWER_SHORT.0, ..layout() };
        let quick = filter::translate(program.instructions(), &with_headers)?;
        let fill = |code: filter::Code| code.fill(bpf::FILTER_LEN);
        Ok(Some(Self { asks_length: close.asks_length(), quick: fill(quick)?, close: fill(close)?, look_len }))
    }

    /// Overwrites the places for it in the instructions of a program that is about to be loaded.
    pub(super) fn place(&self, instructions: &mut [bpf_insn]) {
        for (code, place) in [(&self.quick, Place::PLACE_QUICK), (&self.close, Place::PLACE_CLOSE)] {
            for start in find_places(instructions, place) {
                for (place, insn) in instructions[start..].iter_mut().zip(code) {
                    overwrite(place, *insn);
                }
            }
        }
    }
}

/// Where the filter finds what it looks at.
pub fn layout() -> filter::Layout {
    filter::Layout {
        bytes: offset_of!(View, bytes) as i16,
        room: bpf::HEAD_LEN as u32,
        scratch: offset_of!(View, scratch) as i16,
        beyond: offset_of!(View, beyond) as i16,
        data: offset_of!(View, data) as i16,
        linear: offset_of!(View, linear) as i16,
        length: offset_of!(View, length) as i16,
        short: 0,
        least: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_leading_bits() {
        let table = [(0, [0; 4]), (1, [0x80, 0, 0, 0]), (24, [255, 255, 255, 0]), (32, [255; 4])];
        for (bits, bytes) in table {
            assert_eq!(prefix4(bits).to_ne_bytes(), bytes, "{bits}");
        }
        assert_eq!(prefix6(0), [0, 0]);
        assert_eq!(prefix6(64), [u64::MAX, 0]);
        assert_eq!(prefix6(128), [u64::MAX, u64::MAX]);
        assert_eq!(prefix6(72)[1].to_ne_bytes(), [255, 0, 0, 0, 0, 0, 0, 0]);
    }
}
