//! Where data goes: the standard output, which may block, as a pipe into a pager does, while the tracer must not; or files.

mod files;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

pub use files::{Due, Files, now, open};

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
    /// A write to a file doesn't wait for a reader.
    is_file: bool,
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

/// An output to the terminal that `out` is: writing never waits, however much it has room for, if it can be opened anew.
///
/// # Errors
/// As [`Outlet::new`].
pub fn terminal(out: BorrowedFd<'_>) -> io::Result<Outlet> {
    let path = format!("/proc/self/fd/{}", out.as_raw_fd());
    // Opened anew, because others share the one there is, and would not wait either.
    let own = File::options().write(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits()).open(path);
    match own {
        Ok(own) => Outlet::new(own.as_fd()),
        Err(_) => Outlet::new(out),
    }
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
        state.is_file = out.metadata()?.is_file();
        state.out = Some(Rc::new(out));
        Ok(())
    }

    /// What was written since the last time is this event.
    pub fn end_event(&self, event: Ended) {
        self.end_part(Some(event));
    }

    /// What was written since the last time is one part; with it ends this event.
    pub fn end_part(&self, event: Option<Ended>) {
        let mut state = self.state.borrow_mut();
        // What can't be written any more never ends.
        let end = if state.is_broken { u64::MAX } else { state.written + state.waiting.len() as u64 };
        state.ends.push_back((end, event));
        state.forget_written();
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
                let _ = poll(&mut [PollFd::new(out.as_fd(), PollFlags::POLLOUT)], PollTimeout::from(50_u16));
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

/// How long a reader is waited for: as long as it goes on reading.
#[derive(Debug)]
pub struct Patience<'run> {
    outputs: &'run [&'run Outlet],
    waiting: usize,
    ends: Instant,
}

impl<'run> Patience<'run> {
    /// Begins to wait for those of `outputs`.
    pub fn new(outputs: &'run [&'run Outlet]) -> Self {
        Self { outputs, waiting: 0, ends: Instant::now() + PATIENCE }
    }

    /// Whether to go on: something was read lately, or nothing waits.
    pub fn lasts(&mut self) -> bool {
        let waiting: usize = self.outputs.iter().map(|output| output.waiting()).sum();
        if std::mem::replace(&mut self.waiting, waiting) != waiting || waiting == 0 {
            self.ends = Instant::now() + PATIENCE;
        }
        Instant::now() < self.ends
    }
}

impl State {
    fn push(&mut self) -> io::Result<()> {
        let Some(out) = self.out.clone() else { return Ok(()) };
        while !self.waiting.is_empty() && (self.is_file || is_ready(&out)) {
            let (first, _) = self.waiting.as_slices();
            let length = match (&*out).write(&first[..self.at_once(first.len())]) {
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => 0,
                Err(error) => {
                    self.break_off(&out);
                    return Err(error);
                }
                Ok(length) => length,
            };
            self.waiting.drain(..length);
            self.written += length as u64;
            self.forget_written();
        }
        Ok(())
    }

    /// How many of so many bytes to write at once. A pipe is ready while it has room for a page, so nothing longer may be;
    /// and where whole parts fit, no half one.
    fn at_once(&self, length: usize) -> usize {
        let most = length.min(libc::PIPE_BUF);
        if self.is_file || most == self.waiting.len() {
            return length.min(if self.is_file { usize::MAX } else { most });
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
    fn break_off(&mut self, out: &File) {
        self.give_up();
        let half = self.written - self.whole;
        // Others may append to such a file (`>> log`): what stands behind the half part is theirs.
        if !self.is_file || half == 0 || is_appended_to(out) {
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

fn is_ready(out: &File) -> bool {
    let mut fds = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

impl Write for &Outlet {
    /// Takes all of `bytes`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_enough = {
            let mut state = self.state.borrow_mut();
            if !state.is_broken {
                state.waiting.extend(bytes);
            }
            state.waiting.len() >= state.gathered
        };
        if is_enough {
            self.push()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push()
    }
}

#[cfg(test)]
mod tests;
