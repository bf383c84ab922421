//! The standard output of a command that may wait for its reader, but not when it is to end.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::LOOK_EVERY_MS;
use crate::stop::Signals;

/// An output on which nobody waits who was asked to end.
#[derive(Debug)]
pub struct Outward {
    out: File,
    /// A write to a file, or to /dev/null, doesn't wait for a reader.
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
        let kind = out.metadata()?.file_type();
        let is_at_once = kind.is_file() || (kind.is_char_device() && !out.is_terminal());
        Ok(Self { is_at_once, out, stop: stop.clone() })
    }

    /// Whether it takes a page before that is longer waited for than anybody wants.
    fn is_ready(&self) -> bool {
        let mut fds = [PollFd::new(self.out.as_fd(), PollFlags::POLLOUT)];
        loop {
            match poll(&mut fds, PollTimeout::from(LOOK_EVERY_MS)) {
                Ok(0) | Err(Errno::EINTR) if self.stop.stop() => return false,
                Ok(0) | Err(Errno::EINTR) => {}
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
        // A pipe is ready while it has room for a page: anything longer would be waited for.
        self.out.write(bytes.get(..libc::PIPE_BUF).unwrap_or(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
