//! The standard output: it may block, as a pipe into a pager does, and the tracer must not.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

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
#[derive(Debug)]
pub struct Outlet {
    out: File,
    /// A write to a file doesn't wait for a reader.
    is_file: bool,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<u8>,
    /// Bytes written so far.
    written: u64,
    /// For each event not yet written whole, where it ends, counted in bytes, and whose it is.
    ends: VecDeque<(u64, u32)>,
}

/// Bytes that are gathered before they are written: a system call for each line would be most of the work.
const GATHERED: usize = 1 << 16;

impl Outlet {
    /// Writes to `out`.
    ///
    /// # Errors
    /// No more file descriptors, or `out` is none.
    pub fn new(out: BorrowedFd<'_>) -> io::Result<Self> {
        let out = File::from(out.try_clone_to_owned()?);
        Ok(Self { is_file: out.metadata()?.is_file(), out, state: RefCell::default() })
    }

    /// What was written since the last time is one event, of the target with this number. False if no more should be
    /// written for now, because the rest waits.
    pub fn end_event(&self, target: u32) -> bool {
        let mut state = self.state.borrow_mut();
        let end = state.written + state.waiting.len() as u64;
        state.ends.push_back((end, target));
        state.forget_written();
        state.waiting.len() < GATHERED
    }

    /// Gives up the events that aren't written whole: the targets that they are of.
    pub fn take_unwritten(&self) -> Vec<u32> {
        self.state.borrow_mut().ends.drain(..).map(|(_, target)| target).collect()
    }

    /// Whether something is still to be written.
    pub fn is_blocked(&self) -> bool {
        !self.state.borrow().waiting.is_empty()
    }

    /// Writes what can be written without waiting.
    ///
    /// # Errors
    /// Of writing; a closed pipe is [`ErrorKind::BrokenPipe`].
    pub fn push(&self) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        while !state.waiting.is_empty() && self.is_ready() {
            let (first, _) = state.waiting.as_slices();
            // A pipe is ready while it has room for a page, so nothing longer may be written at once.
            let most = if self.is_file { usize::MAX } else { libc::PIPE_BUF };
            let length = match (&self.out).write(&first[..first.len().min(most)]) {
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => 0,
                length => length?,
            };
            state.waiting.drain(..length);
            state.written += length as u64;
            state.forget_written();
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        if self.is_file {
            return true;
        }
        let mut fds = [PollFd::new(self.out.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }
}

impl State {
    fn forget_written(&mut self) {
        while self.ends.front().is_some_and(|(end, _)| *end <= self.written) {
            self.ends.pop_front();
        }
    }
}

impl AsFd for Outlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.out.as_fd()
    }
}

impl Write for &Outlet {
    /// Takes all of `bytes`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let waiting = {
            let mut state = self.state.borrow_mut();
            state.waiting.extend(bytes);
            state.waiting.len()
        };
        if waiting >= GATHERED {
            self.push()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_takes_what_it_holds_and_the_rest_waits() {
        let (mut reader, writer) = io::pipe().unwrap();
        let outlet = Outlet::new(OwnedFd::from(writer).as_fd()).unwrap();
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        let mut taken = 0;
        while taken < 2000 {
            (&outlet).write_all(&line).unwrap();
            taken += 1;
            if !outlet.end_event(taken) {
                break;
            }
        }
        // A pipe holds 64 KiB, and so much is gathered beside it: 1310 of these lines, less one page at most.
        assert!((1250..=1320).contains(&taken), "{taken}");
        assert!(outlet.is_blocked());
        let mut read = vec![0; 50_000];
        reader.read_exact(&mut read).unwrap();
        outlet.push().unwrap();
        let unwritten = outlet.take_unwritten();
        // In order, to the last one.
        assert!(unwritten.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{unwritten:?}");
        assert_eq!(unwritten.last(), Some(&taken));
        let written = u64::from(taken) - unwritten.len() as u64;
        assert!((1100..1250).contains(&written), "{written}");
    }

    #[test]
    fn a_pipe_that_was_closed_is_broken() {
        let (reader, writer) = io::pipe().unwrap();
        let outlet = Outlet::new(OwnedFd::from(writer).as_fd()).unwrap();
        drop(reader);
        (&outlet).write_all(b"x\n").unwrap();
        assert!(outlet.end_event(7));
        assert_eq!((&outlet).flush().unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(outlet.take_unwritten(), [7]);
    }
}
