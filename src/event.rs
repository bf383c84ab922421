//! What the program is about: one run of an XDP program on one packet, and the counts that account for all of them.

mod counts;
mod forward;
mod outcome;

use std::fmt::{self, Display, Formatter};

pub use counts::{Account, Counts, Delivered, Losses, Overflow, Subject, Summary};
pub use forward::{Forward, Path, Port, Standing};
pub use outcome::{Outcome, Reason, Status, Way, error_name};

use crate::bpf::{Record, Tells, Told};

/// What an XDP program returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Verdict(pub u32);

impl Verdict {
    /// The actions' names in include/uapi/linux/bpf.h, by their number.
    pub const ACTIONS: [&str; 5] = ["XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"];
}

impl Display for Verdict {
    /// The action's name, or the number where there is none.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match Self::ACTIONS.get(self.0 as usize) {
            Some(action) => f.write_str(action),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A network device. An index says nothing without its network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device<'a> {
    /// Inode number of its network namespace; 0, which none has, where it is not known.
    pub netns: u32,
    /// Its index there; 0, which none has, where it is not known.
    pub ifindex: u32,
    /// Its name; None where it is one of another network namespace, or the index is no longer in use.
    pub name: Option<&'a str>,
}

/// The packet as one of the two probes saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Bytes in all its buffers; None where there are more than the first, and theirs could not be read.
    pub length: Option<u32>,
    /// Bytes of metadata in front of the packet.
    pub metadata: u16,
    /// The packet's first bytes, from the Ethernet header on.
    pub bytes: &'a [u8],
}

/// One run of the traced program. What the probes did not see is None, never a plausible value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// When the program began (when it ended if only fexit tells of the run): nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// The same by CLOCK_MONOTONIC, in nanoseconds; a file doesn't tell.
    pub monotonic_ns: Option<u64>,
    /// Tells it from all others of the tracer's run; in the order in which they were read. None for a file's packet that
    /// was traced by nobody.
    pub packet_id: Option<u64>,
    /// Receiving device.
    pub device: Option<Device<'a>>,
    /// Receive queue; None also in programs of a devmap or cpumap, where the kernel has forgotten it.
    pub queue: Option<u32>,
    /// The device that the packet is to leave by; known in programs of a devmap only.
    pub egress: Option<Device<'a>>,
    /// CPU that ran the program; a file doesn't tell.
    pub cpu: Option<u32>,
    /// Name of the traced function; None for a file's packet that was traced by nobody.
    pub function: Option<&'a str>,
    /// Program id; None for packets of a file that doesn't tell it, as xdpdump's don't.
    pub program_id: Option<u32>,
    /// The kernel's name for the program: at most 15 characters.
    pub program_name: Option<&'a str>,
    /// What the function returned; None also of one that returns nothing.
    pub verdict: Option<Verdict>,
    /// What became of that, as far as the kernel tells and it was asked for.
    pub outcome: Option<Outcome<'a>>,
    /// Nanoseconds between fentry and fexit.
    pub latency_ns: Option<u64>,
    /// The packet as it arrived.
    pub before: Option<Frame<'a>>,
    /// The packet as the program left it.
    pub after: Option<Frame<'a>>,
    /// By how many bytes the packet's beginning was moved: forward if positive, as where a header was popped.
    pub moved: Option<i32>,
    /// Whether lengths, offsets, or the first [`crate::bpf::HEAD_LEN`] bytes differ before and after.
    pub changed: Option<bool>,
    /// The metadata in front of the packet: as it left, or as it arrived where that is all that is told.
    pub metadata: &'a [u8],
}

/// What a record leaves to be known of its target.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Name of the traced function.
    pub function: &'a str,
    /// Program id.
    pub program_id: u32,
    /// The kernel's name for the program: at most 15 characters.
    pub program_name: &'a str,
    /// Whether its packets' receive queue is known.
    pub has_queue: bool,
}

impl<'a> Event<'a> {
    /// An event from a record. `name` finds the name of a device by network namespace and index; `boot_ns` is what to add
    /// to CLOCK_MONOTONIC for the time of day.
    #[inline]
    pub fn new(
        told: &Told<'a>,
        origin: Origin<'a>,
        name: impl Fn(u32, u32) -> Option<&'a str>,
        packet_id: u64,
        boot_ns: u64,
    ) -> Self {
        let record = &told.record;
        let (entered, exited) = (told.tells(Tells::TOLD_ENTRY), told.tells(Tells::TOLD_EXIT));
        let both = entered && exited;
        let device = |netns, ifindex| Device { netns, ifindex, name: name(netns, ifindex) };
        let receiving = (record.ifindex != 0).then(|| device(record.netns, record.ifindex));
        Self {
            time_ns: boot_ns.wrapping_add(record.time_ns),
            monotonic_ns: Some(record.time_ns),
            packet_id: Some(packet_id),
            device: receiving,
            queue: (receiving.is_some() && origin.has_queue).then_some(record.queue),
            egress: told.tells(Tells::TOLD_EGRESS).then(|| device(record.egress_netns, record.egress_ifindex)),
            cpu: Some(told.cpu),
            function: Some(origin.function),
            program_id: Some(origin.program_id),
            program_name: Some(origin.program_name),
            verdict: told.tells(Tells::TOLD_VERDICT).then_some(Verdict(record.verdict)),
            outcome: None,
            latency_ns: both.then_some(record.latency_ns),
            before: entered.then(|| told.arrival()),
            after: exited.then(|| told.departure()),
            moved: both.then(|| if told.tells(Tells::TOLD_SAME) { 0 } else { record.moved }),
            changed: told.is_changed(),
            metadata: told.metadata,
        }
    }

    /// The same, with so many bytes of the packet at most. More of it may be told than is to be shown: as it arrived it is kept as far as
    /// it is compared.
    #[inline]
    pub fn cut_to(self, snap_len: u32) -> Self {
        let cut = |frame: Frame<'a>| Frame { bytes: &frame.bytes[..frame.bytes.len().min(snap_len as usize)], ..frame };
        Self { before: self.before.map(cut), after: self.after.map(cut), ..self }
    }

    /// The packet as it arrived, or, where only fexit saw it, or could have it read, as it left.
    pub fn packet(&self) -> Option<Frame<'a>> {
        self.before.filter(|before| !before.bytes.is_empty()).or(self.after).or(self.before)
    }
}

impl<'a> Told<'a> {
    /// What is told once is both, where there is no other half, or they are the same; but bytes that could not be read here
    /// or there may differ.
    fn arrival(&self) -> Frame<'a> {
        let Record { length_before, metadata_before, .. } = self.record;
        let length = self.whole(length_before);
        match self.tells(Tells::TOLD_EXIT) {
            true if self.tells(Tells::TOLD_SAME) && self.tells(Tells::TOLD_UNREAD) => {
                Frame { bytes: &[], ..self.departure() }
            }
            true if self.tells(Tells::TOLD_SAME) => self.departure(),
            true => Frame { length, metadata: metadata_before, bytes: self.arrived },
            false => Frame { length, metadata: metadata_before, bytes: self.bytes },
        }
    }

    fn departure(&self) -> Frame<'a> {
        let Record { length_after, metadata_after, .. } = self.record;
        Frame { length: self.whole(length_after), metadata: metadata_after, bytes: self.bytes }
    }

    fn whole(&self, length: u32) -> Option<u32> {
        (!self.tells(Tells::TOLD_FRAGMENTS)).then_some(length)
    }

    /// None where there is nothing to compare, or what could be compared is the same and the rest could not be read.
    fn is_changed(&self) -> Option<bool> {
        let both = self.tells(Tells::TOLD_ENTRY) && self.tells(Tells::TOLD_EXIT);
        let is_half_known = self.tells(Tells::TOLD_UNREAD) || self.tells(Tells::TOLD_FRAGMENTS);
        let is_in_doubt = self.tells(Tells::TOLD_SAME) && is_half_known;
        (both && !is_in_doubt).then(|| !self.tells(Tells::TOLD_SAME))
    }
}

#[cfg(test)]
mod tests;
