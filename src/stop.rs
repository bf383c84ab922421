//! What signals ask for: Ctrl-C, SIGTERM and SIGHUP set a flag that ends the run, and a second one later ends the process
//! at once; SIGUSR1, SIGUSR2 and, where that is wanted, SIGHUP ask for something in its course.

use std::mem::MaybeUninit;
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use signal_hook::flag;

use crate::privileges;

/// `timeout` and `sudo` send a signal to the process and to its group: the second copy is no second wish.
const SAME_WISH: Duration = Duration::from_millis(500);

/// What signals have asked for since it was looked at last. A signal also ends a poll(2), as far as it comes to the
/// thread that waits.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    stop: Arc<AtomicBool>,
    summary: Arc<AtomicBool>,
    flush: Arc<AtomicBool>,
    reopen: Arc<AtomicBool>,
    last_act: Arc<OnceLock<fn()>>,
}

impl Signals {
    /// Whether to end: SIGINT, SIGTERM or SIGHUP has come.
    pub fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What is still to be done where a second signal ends the process: by a thread of its own.
    pub fn set_last_act(&self, act: fn()) {
        // Who was first keeps it: a process has one terminal.
        let _ = self.last_act.set(act);
    }

    /// Ends the run, as a signal does.
    pub fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether to say how things stand: SIGUSR1 has come since the last call.
    pub fn take_summary(&self) -> bool {
        self.summary.swap(false, Ordering::Relaxed)
    }

    /// Whether to write out what is gathered: SIGUSR2 has come since the last call.
    pub fn take_flush(&self) -> bool {
        self.flush.swap(false, Ordering::Relaxed)
    }

    /// Whether to open the file anew: SIGHUP, which means that here, has come since the last call.
    pub fn take_reopen(&self) -> bool {
        self.reopen.swap(false, Ordering::Relaxed)
    }
}

/// Sets the handlers. SIGHUP ends the run unless it is ignored, as under nohup; or, where it `reopens`, has the file opened
/// anew instead, ignored before or not.
///
/// A later signal to end ends the process with status 130; the kernel then takes down what was attached.
///
/// # Errors
/// A handler is set already, or no thread could be started for it.
pub fn on_signals(reopens: bool) -> Result<Signals> {
    let signals = Signals::default();
    let (flag, last_act) = (Arc::clone(&signals.stop), Arc::clone(&signals.last_act));
    let mut first: Option<Instant> = None;
    let hangup_is_ignored = is_ignored(libc::SIGHUP);
    let handler = move || {
        flag.store(true, Ordering::Relaxed);
        if first.get_or_insert_with(Instant::now).elapsed() > SAME_WISH {
            last_act.get().inspect(|act| act());
            process::exit(130);
        }
    };
    // It runs in a thread of its own, which takes no privileges.
    privileges::powerless(|| ctrlc::set_handler(handler).context("failed to set the signal handler"))?;
    if hangup_is_ignored || reopens {
        // A flag is set beside what was set before, and that is what ends the run.
        ignore(libc::SIGHUP);
    }
    if reopens {
        set_flag(libc::SIGHUP, &signals.reopen)?;
    }
    set_flag(libc::SIGUSR1, &signals.summary)?;
    set_flag(libc::SIGUSR2, &signals.flush)?;
    // A file that may not grow (ulimit -f) is a write error, with its reason.
    ignore(libc::SIGXFSZ);
    Ok(signals)
}

fn set_flag(signal: libc::c_int, wish: &Arc<AtomicBool>) -> Result<()> {
    flag::register(signal, Arc::clone(wish)).context("failed to set the signal handler")?;
    Ok(())
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_wish_is_told_once() {
        let signals = on_signals(true).unwrap();
        type Take = fn(&Signals) -> bool;
        let table: [(_, Take); 3] = [
            (libc::SIGUSR1, Signals::take_summary),
            (libc::SIGUSR2, Signals::take_flush),
            (libc::SIGHUP, Signals::take_reopen),
        ];
        for (signal, take) in table {
            assert!(!take(&signals));
            signal_hook::low_level::raise(signal).unwrap();
            assert!(take(&signals) && !take(&signals));
        }
        assert!(!signals.stop());
    }
}
