//! The wish to end: Ctrl-C, SIGTERM and SIGHUP set a flag, and a second one later ends the process at once.

use std::fs::File;
use std::io::{self, ErrorKind, LineWriter, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::process;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// `timeout` and `sudo` send a signal to the process and to its group: the second copy is no second wish.
const SAME_WISH: Duration = Duration::from_millis(500);

/// How long to wait for an output before looking at the flag again.
const POLL_MS: u16 = 100;

/// A flag that SIGINT, SIGTERM and, unless it is ignored as under nohup, SIGHUP set.
///
/// A later signal ends the process with status 130; the kernel then takes down what was attached.
///
/// # Errors
/// A handler is set already, or no thread could be started for it.
pub fn on_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let mut first: Option<Instant> = None;
    let hangup_is_ignored = is_ignored(libc::SIGHUP);
    ctrlc::set_handler(move || {
        flag.store(true, Ordering::Relaxed);
        if first.get_or_insert_with(Instant::now).elapsed() > SAME_WISH {
            process::exit(130);
        }
    })
    .context("failed to set the signal handler")?;
    if hangup_is_ignored {
        ignore(libc::SIGHUP);
    }
    Ok(stop)
}

/// An output that may block, as a pipe into a pager does, but not beyond the wish to end: then writing to it fails with
/// [`ErrorKind::BrokenPipe`]. Lines leave whole, as they are made.
#[derive(Debug)]
pub struct Patient<'stop> {
    out: File,
    stop: &'stop AtomicBool,
}

impl<'stop> Patient<'stop> {
    /// Writes to `out`, until it blocks and `stop` is set.
    ///
    /// # Errors
    /// No more file descriptors.
    pub fn new(out: BorrowedFd<'_>, stop: &'stop AtomicBool) -> io::Result<LineWriter<Self>> {
        let out = File::from(out.try_clone_to_owned()?);
        // A pipe is ready for writing while it has room for a page, so nothing longer may be written at once.
        Ok(LineWriter::with_capacity(libc::PIPE_BUF, Self { out, stop }))
    }

    fn is_ready(&self) -> bool {
        let mut fds = [PollFd::new(self.out.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::from(POLL_MS)).is_ok_and(|ready| ready > 0)
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while !self.is_ready() {
            if self.stop.load(Ordering::Relaxed) {
                return Err(ErrorKind::BrokenPipe.into());
            }
        }
        self.out.write(&bytes[..bytes.len().min(libc::PIPE_BUF)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Has `signal` ignored from now on.
pub fn ignore(signal: libc::c_int) {
    // SAFETY: SIG_IGN installs no handler, so no code of ours runs in signal context.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: sigaction(2) without a new action only fills the old one, and does so if it returns 0.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
