//! What a run waits for between its turns.

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::AsFd;
use std::rc::Rc;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Run, TICK};
use crate::delivery::Delivery;
use crate::reader::Reader;

impl Run<'_> {
    /// Sleeps until there are records, word of a change, or it is time to look around; while the output is blocked, until
    /// it no longer is. False once the output is a pipe or socket that nobody reads any more.
    ///
    /// # Errors
    /// poll(2) fails, of which a signal is no case.
    pub(super) fn wait(&self, reader: &Reader<'_>, delivery: &RefCell<Delivery<'_>>) -> Result<bool> {
        let is_hurried = self.unfinished.is_some() || (self.more && !self.is_blocked());
        let tick = self.counting.as_ref().map_or(TICK, |counting| counting.due_in().min(TICK));
        let timeout_ms = if is_hurried { 0 } else { tick.as_micros().div_ceil(1000) as u16 };
        let (records, output) = match self.is_blocked() {
            true => (PollFlags::empty(), PollFlags::POLLOUT),
            false => (PollFlags::POLLIN, PollFlags::empty()),
        };
        let mut fds = vec![PollFd::new(self.watch.as_fd(), PollFlags::POLLIN), PollFd::new(reader.as_fd(), records)];
        let files: Vec<Rc<File>> = self.outputs.iter().filter_map(|output| output.file()).collect();
        fds.extend(files.iter().map(|file| PollFd::new(file.as_fd(), output)));
        let listener = delivery.borrow();
        fds.extend(listener.input().map(|input| PollFd::new(input, PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::from(timeout_ms)) {
            // A signal: whoever set the handler looks at its flag.
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("failed to wait for events"),
        }
        let came = |fd: &PollFd<'_>| fd.any() == Some(true);
        let has_input = fds.iter().skip(2 + files.len()).any(came);
        let mut closed = fds.iter().skip(2).take(files.len()).filter_map(PollFd::revents);
        let is_closed = closed.any(|events| events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP));
        drop(fds);
        drop(listener);
        if has_input {
            delivery.borrow_mut().read_input();
        }
        Ok(!is_closed)
    }
}
