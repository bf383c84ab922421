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
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<u8>,
    /// Bytes written so far.
    written: u64,
    /// For each event not yet written whole, where it ends: counted in bytes.
    ends: VecDeque<u64>,
    /// Events written whole.
    delivered: u64,
}

impl Outlet {
    /// Writes to `out`.
    ///
    /// # Errors
    /// No more file descriptors.
    pub fn new(out: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { out: File::from(out.try_clone_to_owned()?), state: RefCell::default() })
    }

    /// What was written since the last time is one event.
    pub fn end_event(&self) {
        let mut state = self.state.borrow_mut();
        let end = state.written + state.waiting.len() as u64;
        state.ends.push_back(end);
        state.count_delivered();
    }

    /// How many events have been written whole.
    pub fn delivered(&self) -> u64 {
        self.state.borrow().delivered
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
            let length = match (&self.out).write(&first[..first.len().min(libc::PIPE_BUF)]) {
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => 0,
                length => length?,
            };
            state.waiting.drain(..length);
            state.written += length as u64;
            state.count_delivered();
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        let mut fds = [PollFd::new(self.out.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }
}

impl State {
    fn count_delivered(&mut self) {
        while self.ends.front().is_some_and(|end| *end <= self.written) {
            self.ends.pop_front();
            self.delivered += 1;
        }
    }
}

impl AsFd for Outlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.out.as_fd()
    }
}

impl Write for &Outlet {
    /// Takes all of `bytes`; lines leave as they are made, if they can.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.state.borrow_mut().waiting.extend(bytes);
        if bytes.contains(&b'\n') {
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
        for _ in 0..1000 {
            (&outlet).write_all(&line).unwrap();
            outlet.end_event();
        }
        assert!(outlet.is_blocked());
        let before = outlet.delivered();
        // A pipe holds 64 KiB: 655 of these lines, less one page at most.
        assert!((600..=655).contains(&before), "{before}");
        let mut read = vec![0; 50_000];
        reader.read_exact(&mut read).unwrap();
        outlet.push().unwrap();
        assert!(outlet.delivered() > before);
        while outlet.is_blocked() {
            let length = reader.read(&mut read).unwrap();
            assert!(length > 0);
            outlet.push().unwrap();
        }
        assert_eq!(outlet.delivered(), 1000);
    }

    #[test]
    fn a_pipe_that_was_closed_is_broken() {
        let (reader, writer) = io::pipe().unwrap();
        let outlet = Outlet::new(OwnedFd::from(writer).as_fd()).unwrap();
        drop(reader);
        assert_eq!((&outlet).write_all(b"x\n").unwrap_err().kind(), ErrorKind::BrokenPipe);
        outlet.end_event();
        assert_eq!(outlet.delivered(), 0);
    }
}
