//! What the program is about: one run of an XDP program on one packet, and the counts that account for all of them.

use std::fmt::{self, Display, Formatter};

use crate::bpf::{Counted, Half, Record, Snap};

/// What an XDP program returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict(pub u32);

impl Display for Verdict {
    /// The action's name in include/uapi/linux/bpf.h, or the number where there is none.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const ACTIONS: [&str; 5] = ["XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"];
        match ACTIONS.get(self.0 as usize) {
            Some(action) => f.write_str(action),
            None => write!(f, "{}", self.0),
        }
    }
}

/// The packet as one of the two probes saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Bytes from `data` to `data_end`: of a multi-buffer packet the first buffer only.
    pub length: u32,
    /// Bytes of metadata in front of the packet.
    pub metadata: u16,
    /// The packet's first bytes, from the Ethernet header on: at most `SNAP_LEN` of record.h.
    pub bytes: &'a [u8],
}

impl<'a> From<&'a Snap> for Frame<'a> {
    fn from(snap: &'a Snap) -> Self {
        let captured = usize::from(snap.captured).min(snap.bytes.len());
        Self { length: snap.length, metadata: snap.metadata, bytes: &snap.bytes[..captured] }
    }
}

/// One run of the traced program. What the probes did not see is None, never a plausible value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// When the program began (when it ended if only fexit saw the run): nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// Receiving device; None where the index is one of another network namespace, or no longer in use.
    pub device: Option<&'a str>,
    /// Receiving device's index in its network namespace.
    pub ifindex: u32,
    /// Receive queue.
    pub queue: u32,
    /// CPU that ran the program.
    pub cpu: u32,
    /// Name of the traced function.
    pub function: &'a str,
    /// Program id.
    pub program_id: u32,
    /// What the function returned; None also of one that returns nothing.
    pub verdict: Option<Verdict>,
    /// Nanoseconds between fentry and fexit.
    pub latency_ns: Option<u64>,
    /// The packet as it arrived.
    pub before: Option<Frame<'a>>,
    /// The packet as the program left it.
    pub after: Option<Frame<'a>>,
}

impl<'a> Event<'a> {
    /// An event from a record, `boot_ns` being what to add to CLOCK_MONOTONIC for the time of day.
    pub fn new(record: &'a Record, device: Option<&'a str>, function: &'a str, boot_ns: u64) -> Self {
        let entered = record.halves.0 & Half::HALF_ENTRY.0 != 0;
        let exited = record.halves.0 & Half::HALF_EXIT.0 != 0;
        Self {
            time_ns: boot_ns.wrapping_add(record.time_ns),
            device,
            ifindex: record.ifindex,
            queue: record.queue,
            cpu: record.cpu,
            function,
            program_id: record.program_id,
            verdict: (record.halves.0 & Half::HALF_VERDICT.0 != 0).then_some(Verdict(record.verdict)),
            latency_ns: (entered && exited).then_some(record.latency_ns),
            before: entered.then(|| Frame::from(&record.before)),
            after: exited.then(|| Frame::from(&record.after)),
        }
    }

    /// The packet as it arrived, or, where only fexit saw it, as it left.
    pub fn packet(&self) -> Option<Frame<'a>> {
        self.before.or(self.after)
    }
}

/// Where every run of the traced program went: `seen = filtered + traced + lost`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Runs of the program while it was traced, counted as they ended.
    pub seen: u64,
    /// Not asked for.
    pub filtered: u64,
    /// Handed to the output.
    pub traced: u64,
    /// Not handed to the output: the ring was full, or the output had failed.
    pub lost: u64,
    /// Runs that only one of the two probes saw.
    pub unpaired: u64,
}

impl Counts {
    /// Sums the counters of all CPUs; `traced` is what reached the output, known to user space alone.
    pub fn new(cpus: impl IntoIterator<Item = Counted>, traced: u64) -> Self {
        let mut counts = Self { traced, ..Self::default() };
        let mut sent = 0;
        for cpu in cpus {
            counts.seen += cpu.seen;
            counts.filtered += cpu.filtered;
            counts.lost += cpu.lost;
            counts.unpaired += cpu.unpaired;
            sent += cpu.sent;
        }
        counts.lost += u64::saturating_sub(sent, traced);
        counts
    }
}

impl Display for Counts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { seen, filtered, traced, lost, unpaired } = self;
        write!(f, "{seen} seen = {filtered} filtered + {traced} traced + {lost} lost")?;
        if *unpaired > 0 { write!(f, " ({unpaired} unpaired)") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_have_the_kernels_names() {
        let shown: Vec<String> = (0..6).map(|value| Verdict(value).to_string()).collect();
        assert_eq!(shown, ["XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT", "5"]);
        assert_eq!(Verdict(u32::MAX).to_string(), "4294967295");
    }

    #[test]
    fn an_unpaired_exit_claims_nothing_of_the_entry() {
        let halves = Half(Half::HALF_EXIT.0 | Half::HALF_VERDICT.0);
        let record = Record { halves, verdict: 1, latency_ns: 99, ..Record::default() };
        let event = Event::new(&record, None, "prog", 0);
        assert_eq!((event.verdict, event.latency_ns, event.before), (Some(Verdict(1)), None, None));
        assert_eq!(event.packet(), event.after);
    }

    #[test]
    fn a_captured_length_beyond_the_record_is_cut() {
        let snap = Snap { captured: u16::MAX, ..Snap::default() };
        assert_eq!(Frame::from(&snap).bytes.len(), 128);
    }

    #[test]
    fn counts_add_up_over_cpus_and_an_output_that_failed() {
        let cpu = |seen, filtered, sent, lost| Counted { seen, filtered, sent, lost, unpaired: 0 };
        let counts = Counts::new([cpu(10, 2, 7, 1), cpu(5, 0, 5, 0)], 11);
        assert_eq!(counts.to_string(), "15 seen = 2 filtered + 11 traced + 2 lost");
        assert_eq!(counts.seen, counts.filtered + counts.traced + counts.lost);
    }
}
