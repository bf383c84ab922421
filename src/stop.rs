//! The wish to end: Ctrl-C, SIGTERM and SIGHUP set a flag, and a second one later ends the process at once.

use std::mem::MaybeUninit;
use std::process;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// `timeout` and `sudo` send a signal to the process and to its group: the second copy is no second wish.
const SAME_WISH: Duration = Duration::from_millis(500);

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
