//! The two halves of a run → one event, however far apart they stand, in the order in which the first ones do.
//!
//! What waits is bounded: a half that has waited for a second of the file's time, or has too many others behind it, is
//! shown alone.

use std::collections::{HashMap, VecDeque};

use super::half::Half;
use super::interface::{End, Interface, Interfaces};

/// No run takes as long: the kernel's own watchdogs would have noticed.
const LONGEST_RUN_NS: u64 = 1_000_000_000;
/// Runs that wait, at most.
const MOST: usize = 1 << 16;
/// … and their bytes.
const MOST_BYTES: usize = 16 << 20;
/// Buffers that are kept for the next packets, and how large they may be.
const MOST_SPARE: usize = 1024;
const LARGEST_SPARE: usize = 4096;

/// Runs that are shown together with what they have met.
#[derive(Debug, Default)]
pub struct Pairs {
    waiting: VecDeque<Waiting>,
    /// Number of the first that waits; they are numbered in their order.
    first: u64,
    by_key: HashMap<Key, u64>,
    bytes: usize,
    spare: Vec<Vec<u8>>,
}

/// What the halves of a run have in common: a point, a packet's id, and the latency, if that is told. Ids come again where
/// files were merged.
type Key = (u32, u64, Option<u64>);

/// The words for what became of the verdict stand behind the packet's bytes.
type Kept = Half<Vec<u8>, usize>;

/// A run that isn't shown yet.
#[derive(Debug)]
struct Waiting {
    entry: Option<Kept>,
    exit: Option<Kept>,
    /// Where the other half is waited for.
    key: Option<Key>,
    time_ns: u64,
}

/// The halves of a run: at least one of them.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    pub entry: Option<&'a Half<&'a [u8]>>,
    pub exit: Option<&'a Half<&'a [u8]>>,
}

impl Pairs {
    /// Takes in the next half, and gives what can be shown now to `show`, as long as that says so.
    ///
    /// # Errors
    /// Those of `show`.
    pub fn take<E>(
        &mut self,
        half: &Half<&[u8]>,
        interfaces: &Interfaces,
        show: &mut dyn FnMut(Run<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.give_up_old(half.time_ns, show)?;
        let Some(interface) = interfaces.get(half.interface) else { return Ok(()) };
        let key = half.packet_id.filter(|_| interface.end.is_some()).map(|id| (interface.point, id, half.latency_ns));
        match key.and_then(|key| self.take_partner(key, interfaces, half)) {
            Some(number) if number == self.first => self.show_first(Some((half, interface)), show)?,
            Some(number) => self.complete(number, half, interface),
            None => {
                // Where the other ends aren't captured, it is alone: then it need not wait, and nothing is copied.
                let key = key.filter(|_| is_awaited(half, interface, interfaces));
                if key.is_none() && self.waiting.is_empty() {
                    return show(Run::of(half, interface));
                }
                self.push(half, interface, key);
            }
        }
        self.show_complete(show)
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Shows all that wait.
    ///
    /// # Errors
    /// Those of `show`.
    pub fn end<E>(&mut self, show: &mut dyn FnMut(Run<'_>) -> Result<(), E>) -> Result<(), E> {
        while !self.waiting.is_empty() {
            self.show_first(None, show)?;
        }
        Ok(())
    }

    /// The number of the run that this is the other half of. One of the same name that isn't will not be found any more.
    fn take_partner(&mut self, key: Key, interfaces: &Interfaces, half: &Half<&[u8]>) -> Option<u64> {
        let interface = interfaces.get(half.interface)?;
        let number = self.by_key.remove(&key)?;
        let waiting = self.at(number)?;
        waiting.key = None;
        let (other, entry_ns, exit_ns) = match (interface.end?, &waiting.entry, &waiting.exit) {
            (End::Entry, None, Some(exit)) => (exit, half.time_ns, exit.time_ns),
            (End::Exit, Some(entry), None) => (entry, entry.time_ns, half.time_ns),
            _ => return None,
        };
        let is_one_program = half.program_id.zip(other.program_id).is_none_or(|(one, other)| one == other);
        let is_fine =
            interface.tells_nanoseconds() && interfaces.get(other.interface).is_some_and(Interface::tells_nanoseconds);
        // Clocks whose ticks are no whole nanoseconds are rounded.
        let fits = |latency_ns| !is_fine || exit_ns.saturating_sub(entry_ns).abs_diff(latency_ns) <= 1;
        let is_as_long = half.latency_ns.is_none_or(fits);
        (entry_ns <= exit_ns && is_one_program && is_as_long).then_some(number)
    }

    fn push(&mut self, half: &Half<&[u8]>, interface: &Interface, key: Option<Key>) {
        let number = self.first + self.waiting.len() as u64;
        if let Some(key) = key {
            self.by_key.insert(key, number);
        }
        let (time_ns, kept) = (half.time_ns, self.keep(half));
        let (entry, exit) = match interface.end {
            Some(End::Exit) => (None, Some(kept)),
            _ => (Some(kept), None),
        };
        self.waiting.push_back(Waiting { entry, exit, key, time_ns });
    }

    fn complete(&mut self, number: u64, half: &Half<&[u8]>, interface: &Interface) {
        let kept = self.keep(half);
        let Some(waiting) = self.at(number) else { return };
        match interface.end {
            Some(End::Exit) => waiting.exit = Some(kept),
            _ => waiting.entry = Some(kept),
        }
    }

    fn at(&mut self, number: u64) -> Option<&mut Waiting> {
        self.waiting.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn keep(&mut self, half: &Half<&[u8]>) -> Kept {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.extend_from_slice(half.bytes);
        // Most have none.
        if !half.outcome.is_empty() {
            bytes.extend_from_slice(half.outcome);
        }
        self.bytes += bytes.len();
        half.with(bytes, half.outcome.len())
    }

    fn give_back(&mut self, mut bytes: Vec<u8>) {
        self.bytes -= bytes.len();
        if self.spare.len() < MOST_SPARE && bytes.capacity() <= LARGEST_SPARE {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// Shows those that have waited for too long, and behind them those that waited for these only.
    fn give_up_old<E>(&mut self, now_ns: u64, show: &mut dyn FnMut(Run<'_>) -> Result<(), E>) -> Result<(), E> {
        while let Some(first) = self.waiting.front() {
            let is_old = now_ns > first.time_ns.saturating_add(LONGEST_RUN_NS);
            if !is_old && self.waiting.len() < MOST && self.bytes < MOST_BYTES {
                break;
            }
            self.show_first(None, show)?;
            self.show_complete(show)?;
        }
        Ok(())
    }

    fn show_complete<E>(&mut self, show: &mut dyn FnMut(Run<'_>) -> Result<(), E>) -> Result<(), E> {
        while self.waiting.front().is_some_and(|first| first.key.is_none()) {
            self.show_first(None, show)?;
        }
        Ok(())
    }

    /// Shows the first that waits, perhaps with the other half, which has just come.
    fn show_first<E>(
        &mut self,
        other: Option<(&Half<&[u8]>, &Interface)>,
        show: &mut dyn FnMut(Run<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(first) = self.waiting.pop_front() else { return Ok(()) };
        self.first += 1;
        if let Some(key) = first.key {
            self.by_key.remove(&key);
        }
        let [entry, exit] = [&first.entry, &first.exit].map(|half| half.as_ref().map(Half::view));
        let mut run = Run { entry: entry.as_ref(), exit: exit.as_ref() };
        if let Some((half, interface)) = other {
            let Run { entry, exit } = Run::of(half, interface);
            run = Run { entry: run.entry.or(entry), exit: run.exit.or(exit) };
        }
        let shown = show(run);
        for half in [first.entry, first.exit].into_iter().flatten() {
            self.give_back(half.bytes);
        }
        shown
    }
}

/// Whether the other half may come. An exit's interface is described with the first exit only, but whoever tells an entry's
/// latency has seen its exit.
fn is_awaited(half: &Half<&[u8]>, interface: &Interface, interfaces: &Interfaces) -> bool {
    match interface.end {
        Some(End::Entry) => half.latency_ns.is_some() || interfaces.has(End::Exit, interface),
        _ => interfaces.has(End::Entry, interface),
    }
}

impl Kept {
    fn view(&self) -> Half<&[u8]> {
        let (bytes, outcome) = self.bytes.split_at(self.bytes.len() - self.outcome);
        self.with(bytes, outcome)
    }
}

impl<'a> Run<'a> {
    /// A packet that no probe saw is one as it arrived.
    fn of(half: &'a Half<&'a [u8]>, interface: &Interface) -> Self {
        match interface.end {
            Some(End::Exit) => Self { entry: None, exit: Some(half) },
            _ => Self { entry: Some(half), exit: None },
        }
    }
}

#[cfg(test)]
mod tests;
