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

/// What the halves of a run have in common: a point, and a packet's id.
type Key = (u32, u64);

/// A run that isn't shown yet.
#[derive(Debug)]
struct Waiting {
    entry: Option<Half<Vec<u8>>>,
    exit: Option<Half<Vec<u8>>>,
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
        let key = half.packet_id.filter(|_| interface.end.is_some()).map(|id| (interface.point, id));
        match key.and_then(|key| self.partner(key, interface, half)) {
            Some(number) if number == self.first => self.show_first(Some((half, interface)), show)?,
            Some(number) => self.complete(number, half, interface),
            None => {
                // An exit is alone where no entries are captured: then it need not wait, and nothing is copied.
                let key = key.filter(|_| interface.end == Some(End::Entry) || interfaces.has_entry(interface));
                if key.is_none() && self.waiting.is_empty() {
                    return show(Run::of(half, interface));
                }
                self.push(half, interface, key);
            }
        }
        self.show_complete(show)
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

    /// The number of the run that this is the other half of.
    fn partner(&self, key: Key, interface: &Interface, half: &Half<&[u8]>) -> Option<u64> {
        let number = *self.by_key.get(&key)?;
        let waiting = self.waiting.get(usize::try_from(number.checked_sub(self.first)?).ok()?)?;
        let (entry_ns, exit_ns, other) = match interface.end? {
            End::Entry => (half.time_ns, waiting.exit.as_ref()?.time_ns, waiting.exit.as_ref()?),
            End::Exit => (waiting.entry.as_ref()?.time_ns, half.time_ns, waiting.entry.as_ref()?),
        };
        let is_one_program = half.program_id.zip(other.program_id).is_none_or(|(one, other)| one == other);
        (entry_ns <= exit_ns && is_one_program).then_some(number)
    }

    fn push(&mut self, half: &Half<&[u8]>, interface: &Interface, key: Option<Key>) {
        let number = self.first + self.waiting.len() as u64;
        if let Some(before) = key.and_then(|key| self.by_key.insert(key, number)) {
            // One of the same name will not be found any more.
            if let Some(waiting) = self.at(before) {
                waiting.key = None;
            }
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
        if let Some(key) = waiting.key.take() {
            self.by_key.remove(&key);
        }
    }

    fn at(&mut self, number: u64) -> Option<&mut Waiting> {
        self.waiting.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn keep(&mut self, half: &Half<&[u8]>) -> Half<Vec<u8>> {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.extend_from_slice(half.bytes);
        self.bytes += bytes.len();
        half.with(bytes)
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

impl Half<Vec<u8>> {
    fn view(&self) -> Half<&[u8]> {
        self.with(&self.bytes)
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
