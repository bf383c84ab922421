//! The standard output of a command that may wait for its reader, but not when it is to end.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::poll::PollTimeout;

use super::LOOK_EVERY_MS;
use crate::outlet::{AT_ONCE, is_at_once, is_ready};
use crate::stop::Signals;

/// An output on which nobody waits who was asked to end.
#[derive(Debug)]
pub struct Outward {
    out: File,
    is_at_once: bool,
    stop: Signals,
}

impl Outward {
    /// Writes to `out`.
    ///
    /// # Errors
    /// No more file descriptors, or `out` is none.
    pub fn new(out: BorrowedFd<'_>, stop: &Signals) -> io::Result<Self> {
        let out = File::from(out.try_clone_to_owned()?);
        Ok(Self { is_at_once: is_at_once(&out)?, out, stop: stop.clone() })
    }

    /// Whether it takes a page before that is longer waited for than anybody wants.
    fn is_ready(&self) -> bool {
        loop {
            match is_ready(&self.out, PollTimeout::from(LOOK_EVERY_MS)) {
                Ok(false) | Err(Errno::EINTR) if self.stop.stop() => return false,
                Ok(false) | Err(Errno::EINTR) => {}
                // What is wrong is told by the write.
                _ => return true,
            }
        }
    }
}

impl Write for Outward {
    /// Once it is to end, a reader that doesn't read is one that has gone.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_at_once {
            return self.out.write(bytes);
        }
        if !self.is_ready() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.out.write(bytes.get(..AT_ONCE).unwrap_or(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
