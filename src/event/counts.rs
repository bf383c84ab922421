//! What accounts for all runs of the traced programs.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::{Forward, Verdict};
use crate::bpf::{Counted, State};

/// A function of a program that is traced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// Program id.
    pub program_id: u32,
    /// The kernel's name for the program: at most 15 characters.
    pub program_name: String,
    /// The function's name, whole.
    pub function: String,
    /// The devices on whose path it was found, by name; none where it was named without a device.
    pub devices: Vec<String>,
}

impl Subject {
    /// Whether it is one, and not all those together of which no more is known than their numbers.
    pub fn is_one(&self) -> bool {
        self.program_id != 0
    }

    /// `xdp_lb#12`, such that it cannot command a terminal.
    pub fn shown(&self) -> String {
        match self.is_one() {
            true => format!("{}#{}", self.function.escape_default(), self.program_id),
            false => "programs gone before".into(),
        }
    }
}

impl Display for Subject {
    /// `xdp_lb#12 on eth0`, such that it cannot command a terminal.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())?;
        let devices: Vec<String> = self.devices.iter().map(|device| device.escape_default().to_string()).collect();
        if devices.is_empty() { Ok(()) } else { write!(f, " on {}", devices.join(", ")) }
    }
}

/// Where every run of a traced program went: `seen = filtered + skipped + traced + lost`, and `under_way` until the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Runs of the program while it was traced, counted as they ended.
    pub seen: u64,
    /// Not asked for.
    pub filtered: u64,
    /// Left out by sampling, by the rate, or because enough had been shown.
    pub skipped: u64,
    /// Handed to the output.
    pub traced: u64,
    /// Not handed to the output.
    pub lost: u64,
    /// Still on their way to the output; none at the end.
    pub under_way: u64,
    /// Runs that only one of the two probes saw.
    pub unpaired: u64,
    /// Runs, of any program, that the kernel didn't call a probe for because one was at work; None: the kernel doesn't
    /// tell (before 5.12).
    pub recursion_misses: Option<u64>,
}

/// What the BPF side has counted of one program, and the output has got of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Handed to the output.
    pub traced: u64,
    /// Left out because enough had been shown.
    pub cut: u64,
}

impl Counts {
    /// What nobody has told yet: nothing, no recursion.
    pub fn none() -> Self {
        Self { recursion_misses: Some(0), ..Self::default() }
    }

    /// Those of one program, from the states of all CPUs. What was put into batches and isn't `delivered` is lost: so this
    /// is for when all that was sent has been read.
    pub fn new(states: &[State], delivered: Delivered, recursion_misses: Option<u64>) -> Self {
        let mut counts = Self { recursion_misses, ..Self::default() };
        for state in states {
            let Counted { kept, filtered, skipped, lost, unpaired } = state.counts;
            // A run that is noted and hasn't ended had not ended when the probes were taken off: it is nowhere counted, unless
            // fentry had decided about it.
            counts.seen += kept + filtered + skipped + lost;
            counts.unpaired += unpaired;
            counts.filtered += filtered;
            counts.skipped += skipped;
        }
        counts.skipped += delivered.cut;
        counts.traced = delivered.traced;
        counts.lost = counts.seen.saturating_sub(counts.filtered + counts.skipped + counts.traced);
        counts
    }

    /// Those of one program that is still traced: what has neither been decided against nor `delivered` is under way. How
    /// much of that has been lost on its way, its counters don't tell: see [`Counts::lose`].
    pub fn so_far(states: &[State], delivered: Delivered, recursion_misses: Option<u64>) -> Self {
        let counts = Self::new(states, delivered, recursion_misses);
        let lost = states.iter().map(|state| state.counts.lost).sum::<u64>().min(counts.lost);
        Self { lost, under_way: counts.lost - lost, ..counts }
    }

    /// Those of one program whose runs are counted instead of being told of: `traced` of them stand in its cells. Records, of
    /// which there may be some besides, are none of these.
    pub fn counted(states: &[State], traced: u64, recursion_misses: Option<u64>) -> Self {
        let sum = |of: fn(&Counted) -> u64| states.iter().map(|state| of(&state.counts)).sum::<u64>();
        let (filtered, skipped) = (sum(|counts| counts.filtered), sum(|counts| counts.skipped));
        let (seen, unpaired) = (filtered + skipped + traced, sum(|counts| counts.unpaired));
        Self { seen, filtered, skipped, traced, unpaired, recursion_misses, ..Self::default() }
    }

    /// So many that were under way are lost.
    pub fn lose(&mut self, records: u64) {
        let records = records.min(self.under_way);
        self.under_way -= records;
        self.lost += records;
    }

    /// Adds another program's.
    pub fn add(&mut self, other: &Self) {
        self.seen += other.seen;
        self.filtered += other.filtered;
        self.skipped += other.skipped;
        self.traced += other.traced;
        self.lost += other.lost;
        self.under_way += other.under_way;
        self.unpaired += other.unpaired;
        self.recursion_misses = self.recursion_misses.zip(other.recursion_misses).map(|(one, two)| one + two);
    }
}

/// Records that were lost, by the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// The CPU's ring was full.
    pub full: u64,
    /// The CPU had no ring: it came online after the start, or again.
    pub no_ring: u64,
    /// Anything else that the kernel refused for.
    pub other: u64,
    /// The output took no more.
    pub unwritten: u64,
    /// No records, but what is counted in the kernel.
    pub overflow: Overflow,
}

/// What the kernel side had no room for in its tables of what became of verdicts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overflow {
    /// Verdicts that came to nothing.
    pub outcomes: u64,
    /// Packets sent on, or dropped on that way.
    pub forwards: u64,
}

impl Losses {
    /// All records.
    pub fn sum(&self) -> u64 {
        self.full + self.no_ring + self.other + self.unwritten
    }

    /// Those since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            full: self.full.saturating_sub(earlier.full),
            no_ring: self.no_ring.saturating_sub(earlier.no_ring),
            other: self.other.saturating_sub(earlier.other),
            unwritten: self.unwritten.saturating_sub(earlier.unwritten),
            overflow: Overflow {
                outcomes: self.overflow.outcomes.saturating_sub(earlier.overflow.outcomes),
                forwards: self.overflow.forwards.saturating_sub(earlier.overflow.forwards),
            },
        }
    }
}

/// A function that was traced, and where its runs went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Which.
    pub subject: Subject,
    /// Where its runs went.
    pub counts: Counts,
}

impl Display for Account {
    /// `xdp_lb#12 on eth0: 3 seen = …`
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.counts)
    }
}

/// The last words of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The programs that were traced to the end, each with its own.
    pub programs: Vec<Account>,
    /// Those of all programs.
    pub total: Counts,
    /// How many of the traced had which verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// … and how many another one, where those aren't told apart.
    pub others: u64,
    /// Why records were lost on the way to the output.
    pub losses: Losses,
    /// Packets that stand in a file behind later ones.
    pub late: u64,
    /// What the kernel told of packets that it sent on many at a time; None: it wasn't asked.
    pub forwards: Option<Vec<Forward>>,
}

impl Display for Summary {
    /// A line for each program where there are several, and a last one for all of them.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.programs.len() > 1 {
            for program in &self.programs {
                writeln!(f, "{program}")?;
            }
        }
        for forward in self.forwards.iter().flatten() {
            writeln!(f, "{forward}")?;
        }
        write!(f, "{}{}", self.total, self.losses)?;
        if self.late > 0 {
            write!(f, "; {} late in the file", self.late)?;
        }
        let all = self.verdicts.values().sum::<u64>() + self.others;
        let percent = |count: u64| count as f64 * 100.0 / all as f64;
        for (verdict, count) in &self.verdicts {
            write!(f, "; {verdict} {:.1} %", percent(*count))?;
        }
        if self.others > 0 { write!(f, "; other {:.1} %", percent(self.others)) } else { Ok(()) }
    }
}

impl Display for Losses {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let reasons = [
            (self.full, "for want of room in a ring (-B)"),
            (self.no_ring, "on CPUs that came online meanwhile"),
            (self.other, "because the kernel refused them"),
            (self.unwritten, "because they could not be written"),
            (self.overflow.outcomes, "outcomes for want of room in their table"),
            (self.overflow.forwards, "packets sent on for want of room in their table"),
        ];
        for (count, reason) in reasons.iter().filter(|(count, _)| *count > 0) {
            write!(f, "; {count} lost {reason}")?;
        }
        Ok(())
    }
}

impl Display for Counts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { seen, filtered, skipped, traced, lost, under_way, unpaired, recursion_misses } = self;
        write!(f, "{seen} seen = {filtered} filtered + {skipped} skipped + {traced} traced + {lost} lost")?;
        if *under_way > 0 {
            write!(f, " + {under_way} under way")?;
        }
        if *unpaired > 0 {
            write!(f, "; {unpaired} unpaired")?;
        }
        match recursion_misses {
            Some(0) => Ok(()),
            Some(misses) => write!(f, "; {misses} recursion misses"),
            None => f.write_str("; recursion misses: ?"),
        }
    }
}
