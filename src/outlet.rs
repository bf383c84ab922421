//! Where data goes: the standard output, which may block, as a pipe into a pager does, while the tracer must not; or files.

mod files;
mod patience;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

pub use files::{Due, Files, now, open};
pub use patience::Patience;

use crate::event::Verdict;

/// What writing came to: a closed pipe is success, as in `xdptrace list | head -1`.
///
/// # Errors
/// Any other failure.
pub fn written(result: io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("failed to write the output"),
    }
}

/// An output that keeps what cannot be written yet. How much that can be is bounded by who writes: while there is any,
/// nothing more is read from the ring.
///
/// What is written consists of parts: lines, or the blocks of a file. Where it can be helped, none is left half written.
#[derive(Debug)]
pub struct Outlet {
    /// As errors call it.
    name: String,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    /// None: not opened yet.
    out: Option<Rc<File>>,
    is_file: bool,
    /// See [`is_at_once`].
    is_at_once: bool,
    /// Bytes that are gathered before they are written.
    gathered: usize,
    waiting: VecDeque<u8>,
    /// Bytes written so far.
    written: u64,
    /// … and of these, those of whole parts.
    whole: u64,
    /// For each part not yet written whole, where it ends, counted in bytes; and the event that ends there, if one does.
    ends: VecDeque<(u64, Option<Ended>)>,
    /// A write has failed, or was given up; nothing is written any more.
    is_broken: bool,
}

/// What has to be known of an event to take it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The number of its target.
    pub target: u32,
    /// What the program returned, if it is known.
    pub verdict: Option<Verdict>,
}

/// A system call for each line would be most of the work.
const GATHERED: usize = 1 << 16;

/// How long to wait at the end for a reader that doesn't read, and for one that reads slowly.
const PATIENCE: Duration = Duration::from_secs(1);
const PATIENCE_IN_ALL: Duration = Duration::from_secs(10);

impl Outlet {
    /// Writes to `out`, the standard output or the like.
    ///
    /// # Errors
    /// No more file descriptors, or `out` is none.
    pub fn new(out: BorrowedFd<'_>) -> io::Result<Self> {
        let outlet = Self::unopened("the output".into(), GATHERED);
        outlet.switch(File::from(out.try_clone_to_owned()?))?;
        Ok(outlet)
    }

    /// To be opened; `name` is how errors call it, and so many bytes are gathered.
    fn unopened(name: String, gathered: usize) -> Self {
        let state = State {
            out: None,
            is_file: true,
            is_at_once: true,
            gathered,
            waiting: VecDeque::new(),
            written: 0,
            whole: 0,
            ends: VecDeque::new(),
            is_broken: false,
        };
        Self { name, state: RefCell::new(state) }
    }

    /// Writes to `out` from now on.
    fn switch(&self, out: File) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        (state.is_file, state.is_at_once) = (out.metadata()?.is_file(), is_at_once(&out)?);
        state.out = Some(Rc::new(out));
        Ok(())
    }

    /// What was written since the last time is one part: this event.
    pub fn end_event(&self, event: Ended) {
        let mut state = self.state.borrow_mut();
        let end = state.end();
        state.ends.push_back((end, Some(event)));
        state.forget_written();
    }

    /// Writes parts that lie one behind the other: for each, its length and the event that ends with it. Many at once are
    /// not gathered first.
    ///
    /// # Errors
    /// As [`Outlet::push`].
    pub fn write_parts(&self, bytes: &[u8], parts: impl Iterator<Item = (usize, Option<Ended>)>) -> io::Result<()> {
        self.state.borrow_mut().write_parts(bytes, parts).map_err(|error| self.explain(error))
    }

    /// Whether more should be written for now: not where the rest waits.
    pub fn has_room(&self) -> bool {
        self.state.borrow().waiting.len() < GATHERED
    }

    /// Gives up the events that aren't written whole.
    pub fn take_unwritten(&self) -> Vec<Ended> {
        self.state.borrow_mut().ends.drain(..).filter_map(|(_, event)| event).collect()
    }

    /// Writes nothing any more, neither what waits nor what is yet to come.
    pub fn give_up(&self) {
        self.state.borrow_mut().give_up();
    }

    /// Gives it up if nobody reads what waits; where one is `patient`, not before it has been waited for.
    pub fn give_up_unread(&self, patient: bool) {
        let pushed = if patient { self.push_all() } else { Ok(()) };
        if pushed.is_err() || self.is_blocked() {
            self.give_up();
        }
    }

    /// Bytes that are still to be written.
    pub fn waiting(&self) -> usize {
        self.state.borrow().waiting.len()
    }

    /// Whether something is still to be written.
    pub fn is_blocked(&self) -> bool {
        !self.state.borrow().waiting.is_empty()
    }

    /// Whether a write has failed, or was given up.
    pub fn is_broken(&self) -> bool {
        self.state.borrow().is_broken
    }

    /// Whether it is a file, or will be one.
    pub fn is_file(&self) -> bool {
        self.state.borrow().is_file
    }

    /// What is written to, to wait for it; None: nothing yet.
    pub fn file(&self) -> Option<Rc<File>> {
        self.state.borrow().out.clone()
    }

    /// Writes what can be written without waiting.
    ///
    /// # Errors
    /// Of writing; a closed pipe is [`ErrorKind::BrokenPipe`].
    pub fn push(&self) -> io::Result<()> {
        self.state.borrow_mut().push().map_err(|error| self.explain(error))
    }

    /// Writes all that waits, as long as somebody reads it.
    ///
    /// # Errors
    /// As [`Outlet::push`]. That nobody reads it is none.
    pub fn push_all(&self) -> io::Result<()> {
        let (began, mut moved) = (Instant::now(), Instant::now());
        let waiting = || self.state.borrow().waiting.len();
        while self.is_blocked() && moved.elapsed() < PATIENCE && began.elapsed() < PATIENCE_IN_ALL {
            let before = waiting();
            self.push()?;
            if waiting() < before {
                moved = Instant::now();
            } else if let Some(out) = self.file() {
                // A signal: a second one ends the process by itself.
                let _ = is_ready(&out, PollTimeout::from(50_u16));
            }
        }
        Ok(())
    }

    fn explain(&self, error: io::Error) -> io::Error {
        let remedy = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ": make room, or write elsewhere",
            ErrorKind::FileTooLarge => ": allow larger files (ulimit -f), or rotate them (-C)",
            _ => "",
        };
        io::Error::new(error.kind(), format!("failed to write {}: {error}{remedy}", self.name))
    }
}

impl State {
    /// Where that ends which there is to write, counted in bytes. What can't be written any more never ends.
    fn end(&self) -> u64 {
        if self.is_broken { u64::MAX } else { self.written + self.waiting.len() as u64 }
    }

    fn write_parts(&mut self, bytes: &[u8], parts: impl Iterator<Item = (usize, Option<Ended>)>) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let is_enough = bytes.len() >= self.gathered;
        let pushed = if is_enough { self.push() } else { Ok(()) };
        let (end, before) = (self.end(), self.written);
        let passed = if is_enough { self.pass(bytes) } else { Ok(()) };
        let rest = &bytes[(self.written - before) as usize..];
        if rest.is_empty() {
            self.whole = self.written;
            return Ok(());
        }
        self.expect(end, parts);
        if passed.is_err() {
            self.break_off();
        } else if !self.is_broken {
            self.waiting.extend(rest);
        }
        pushed.and(passed).and(self.push_if_enough())
    }

    /// Notes where parts end of which the first begins at `end`; some may be written already.
    fn expect(&mut self, mut end: u64, parts: impl Iterator<Item = (usize, Option<Ended>)>) {
        self.ends.extend(parts.map(|(length, event)| {
            end = end.saturating_add(length as u64);
            (end, event)
        }));
        self.forget_written();
    }

    /// Writes `bytes` past what is gathered, if nothing has to be waited for: a copy less.
    fn pass(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let Some(out) = self.out.clone().filter(|_| self.is_at_once && !self.is_broken && self.waiting.is_empty())
        else {
            return Ok(());
        };
        while !bytes.is_empty() {
            let Some(length) = write_some(&out, bytes)? else { break };
            bytes = &bytes[length..];
            self.written += length as u64;
        }
        Ok(())
    }

    fn push_if_enough(&mut self) -> io::Result<()> {
        if self.waiting.len() >= self.gathered { self.push() } else { Ok(()) }
    }

    fn push(&mut self) -> io::Result<()> {
        let Some(out) = self.out.clone() else { return Ok(()) };
        while !self.waiting.is_empty() && (self.is_at_once || is_ready(&out, PollTimeout::ZERO).unwrap_or(false)) {
            let (first, _) = self.waiting.as_slices();
            match write_some(&out, &first[..self.at_once(first.len())]) {
                Ok(Some(length)) => {
                    self.waiting.drain(..length);
                    self.written += length as u64;
                    self.forget_written();
                }
                Ok(None) => break,
                Err(error) => {
                    self.break_off();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// How many of so many bytes to write at once: where whole parts fit, no half one.
    fn at_once(&self, length: usize) -> usize {
        let most = if self.is_at_once { length } else { length.min(AT_ONCE) };
        if self.is_at_once || most == self.waiting.len() {
            return most;
        }
        let fitting = self.ends.partition_point(|(end, _)| *end <= self.written + most as u64);
        let whole =
            fitting.checked_sub(1).and_then(|last| self.ends.get(last)).map_or(0, |(end, _)| end - self.written);
        if whole > 0 { whole as usize } else { most }
    }

    fn forget_written(&mut self) {
        while let Some((end, _)) = self.ends.front().filter(|(end, _)| *end <= self.written) {
            self.whole = *end;
            self.ends.pop_front();
        }
    }

    fn give_up(&mut self) {
        self.is_broken = true;
        self.waiting = VecDeque::new();
    }

    /// Nothing is written any more. The half part at the end of a file goes, so that it stays one that can be read.
    fn break_off(&mut self) {
        self.give_up();
        let half = self.written - self.whole;
        let Some(out) = self.out.as_deref().filter(|_| self.is_file && half > 0) else { return };
        // Others may append to such a file (`>> log`): what stands behind the half part is theirs.
        if is_appended_to(out) {
            return;
        }
        let mut file = out;
        if let Ok(end) = file.stream_position() {
            // Where even that fails, the file is what it is.
            let end = end.saturating_sub(half);
            let _ = file.set_len(end).and_then(|()| file.seek(io::SeekFrom::Start(end)));
        }
    }
}

fn is_appended_to(out: &File) -> bool {
    fcntl(out, FcntlArg::F_GETFL).is_ok_and(|flags| OFlag::from_bits_retain(flags).contains(OFlag::O_APPEND))
}

/// Whether a write to `out` waits for no reader: it is a file, or /dev/null and the like.
///
/// # Errors
/// It can't be looked at.
pub fn is_at_once(out: &File) -> io::Result<bool> {
    let kind = out.metadata()?.file_type();
    Ok(kind.is_file() || (kind.is_char_device() && !out.is_terminal()))
}

/// What anything else takes at once when it is ready, which a pipe is while it has room for a page.
pub const AT_ONCE: usize = libc::PIPE_BUF;

/// Whether it is ready, or has been closed, before the time is over.
///
/// # Errors
/// A signal.
pub fn is_ready(out: &File, timeout: PollTimeout) -> nix::Result<bool> {
    poll(&mut [PollFd::new(out.as_fd(), PollFlags::POLLOUT)], timeout).map(|ready| ready > 0)
}

/// Writes as much as it takes; None where that is nothing for now.
fn write_some(mut out: &File, bytes: &[u8]) -> io::Result<Option<usize>> {
    loop {
        match out.write(bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Ok(0) => return Ok(None),
            written => return written.map(Some),
        }
    }
}

impl Write for &Outlet {
    /// Takes all of `bytes`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let pushed = {
            let mut state = self.state.borrow_mut();
            if !state.is_broken {
                state.waiting.extend(bytes);
            }
            state.push_if_enough()
        };
        pushed.map_err(|error| self.explain(error))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push()
    }
}

#[cfg(test)]
pub(crate) mod tests;
