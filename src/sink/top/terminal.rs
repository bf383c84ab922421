//! The terminal, taken and given back: raw mode, and the screen that programs have to themselves.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{Pid, getppid, getsid, read};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::style::ResetColor;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::crossterm::{execute, queue};
use signal_hook::{flag, low_level};

use super::draw::draw;
use super::keys::{Key, keys};
use super::model::Model;
use crate::outlet::Outlet;
use crate::stop::Signals;

/// An output to the terminal that `out` is: writing never waits, however much it has room for, if it can be opened anew.
///
/// # Errors
/// As [`Outlet::new`].
pub fn outlet(out: BorrowedFd<'_>) -> io::Result<Outlet> {
    let path = format!("/proc/self/fd/{}", out.as_raw_fd());
    // Opened anew, because others share the one there is, and would not wait either.
    let own = File::options().write(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits()).open(path);
    match own {
        Ok(own) => Outlet::new(own.as_fd()),
        Err(_) => Outlet::new(out),
    }
}

/// Whether the process has taken its terminal, and not yet given all of it back.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whose turn it is to write to it: the run's, or the last act's.
static TURN: Mutex<()> = Mutex::new(());
/// How long the last act waits for its turn: a run that is stuck in its own never ends it.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// The process's terminal.
pub struct Screen<'out> {
    out: &'out Outlet,
    /// None: not taken.
    terminal: Option<Terminal<CrosstermBackend<&'out Outlet>>>,
    input: io::Stdin,
    /// The last picture waits for the terminal to take it.
    is_stale: bool,
    resized: Arc<AtomicBool>,
    suspended: Arc<AtomicBool>,
    continued: Arc<AtomicBool>,
}

/// What was read of the keyboard.
pub enum Input {
    /// Nothing comes any more.
    Closed,
    /// These.
    Keys(Vec<Key>),
}

impl<'out> Screen<'out> {
    /// Takes nothing yet.
    ///
    /// # Errors
    /// A signal handler cannot be set.
    pub fn new(out: &'out Outlet, signals: &Signals) -> io::Result<Self> {
        restore_on_panic();
        signals.set_last_act(restore_for_good);
        let screen = Self {
            out,
            terminal: None,
            input: io::stdin(),
            is_stale: false,
            resized: Arc::default(),
            suspended: Arc::default(),
            continued: Arc::default(),
        };
        flag::register(libc::SIGWINCH, Arc::clone(&screen.resized))?;
        flag::register(libc::SIGTSTP, Arc::clone(&screen.suspended))?;
        flag::register(libc::SIGCONT, Arc::clone(&screen.continued))?;
        Ok(screen)
    }

    pub fn is_taken(&self) -> bool {
        self.terminal.is_some()
    }

    /// Takes it, if it isn't taken.
    ///
    /// # Errors
    /// The terminal cannot be read, set or written.
    pub fn take(&mut self) -> io::Result<()> {
        if self.is_taken() {
            return Ok(());
        }
        let _turn = turn();
        TAKEN.store(true, Ordering::Relaxed);
        enable_raw_mode()?;
        let mut out = self.out;
        queue!(out, EnterAlternateScreen, Hide)?;
        let mut terminal = Terminal::new(CrosstermBackend::new(out))?;
        terminal.clear()?;
        self.terminal = Some(terminal);
        Ok(())
    }

    /// Gives it back as it was, if it is taken. What cannot be written to it any more is no use to anybody.
    pub fn give_back(&mut self) {
        let _turn = turn();
        drop(self.terminal.take());
        if TAKEN.load(Ordering::Relaxed) {
            // First, for the rest may have to wait for the terminal, and be cut short by a signal.
            let _ = disable_raw_mode();
            let mut out = self.out;
            let _ = queue!(out, ResetColor, LeaveAlternateScreen, Show);
            let _ = out.push_all();
            TAKEN.store(false, Ordering::Relaxed);
        }
    }

    /// Draws it, or, where it hasn't taken the last picture yet, later.
    ///
    /// # Errors
    /// It cannot be written; [`ErrorKind::BrokenPipe`] where it is gone.
    pub fn draw(&mut self, model: &Model) -> io::Result<()> {
        if !self.is_taken() {
            return Ok(());
        }
        self.push()?;
        self.is_stale = self.out.is_blocked();
        if let Some(terminal) = self.terminal.as_mut().filter(|_| !self.is_stale) {
            let _turn = turn();
            terminal.draw(|frame| draw(frame, model)).map_err(closed)?;
        }
        Ok(())
    }

    /// Draws it anew, whatever somebody else has written there.
    ///
    /// # Errors
    /// As [`Self::draw`].
    pub fn redraw(&mut self, model: &Model) -> io::Result<()> {
        if let Some(terminal) = &mut self.terminal {
            let _turn = turn();
            terminal.clear().map_err(closed)?;
        }
        self.draw(model)
    }

    /// Does what signals ask for, and writes what waits.
    ///
    /// # Errors
    /// As [`Self::take`] and [`Self::draw`].
    pub fn heed(&mut self, model: &Model) -> io::Result<()> {
        if !self.is_taken() {
            return Ok(());
        }
        if self.suspended.swap(false, Ordering::Relaxed) {
            return self.suspend(model);
        }
        // Whoever stopped and continued it may have left the terminal otherwise.
        if self.continued.swap(false, Ordering::Relaxed) {
            self.give_back();
            self.take()?;
            return self.draw(model);
        }
        self.push()?;
        let is_resized = self.resized.swap(false, Ordering::Relaxed);
        if is_resized || (self.is_stale && !self.out.is_blocked()) { self.draw(model) } else { Ok(()) }
    }

    fn push(&self) -> io::Result<()> {
        let _turn = turn();
        self.out.push().map_err(closed)
    }

    /// Gives the terminal back, and stops until somebody has the process go on. Without a shell that could, goes on.
    ///
    /// # Errors
    /// As [`Self::take`] and [`Self::draw`].
    pub fn suspend(&mut self, model: &Model) -> io::Result<()> {
        if has_nobody_to_continue_it() {
            return Ok(());
        }
        self.give_back();
        low_level::raise(libc::SIGSTOP)?;
        self.continued.store(false, Ordering::Relaxed);
        self.take()?;
        self.draw(model)
    }

    /// What keys are waited for on.
    pub fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    /// The keys that were pressed, without waiting for any.
    ///
    /// # Errors
    /// The keyboard cannot be read; that it is gone is [`Input::Closed`].
    pub fn read(&self) -> io::Result<Input> {
        let mut bytes = [0; 256];
        let mut fds = [PollFd::new(self.input(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::ZERO) {
            Ok(0) | Err(Errno::EINTR) => return Ok(Input::Keys(Vec::new())),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        match read(self.input(), &mut bytes) {
            Ok(0) | Err(Errno::EIO) => Ok(Input::Closed),
            Ok(length) => Ok(Input::Keys(keys(&bytes[..length]))),
            Err(Errno::EINTR | Errno::EAGAIN) => Ok(Input::Keys(Vec::new())),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// A terminal that is gone is an output that nobody reads.
fn closed(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(libc::EIO) { ErrorKind::BrokenPipe.into() } else { error }
}

/// Whether its parent is of another session, as where a terminal has been opened for it alone: there is no shell then.
fn has_nobody_to_continue_it() -> bool {
    getsid(Some(getppid())) != getsid(Some(Pid::this()))
}

fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |information| {
            restore();
            previous(information);
        }));
    });
}

/// Waits for the run's turn to write to the terminal: for ever, once there is none.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the terminal back before the process ends, and lets the run, which goes on until then, write no more to it.
fn restore_for_good() {
    let began = Instant::now();
    let turn = loop {
        match TURN.try_lock() {
            Ok(turn) => break Some(turn),
            Err(_) if began.elapsed() > LAST_WAIT => break None,
            Err(_) => thread::sleep(LAST_WAIT / 20),
        }
    };
    restore();
    mem::forget(turn);
}

/// Gives the terminal back where there is no time for anything else.
fn restore() {
    if TAKEN.swap(false, Ordering::Relaxed) {
        let _ = disable_raw_mode();
        let mut out = io::stdout();
        let mut fds = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
        // One that takes nothing would have us wait forever.
        if poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
            let _ = execute!(out, ResetColor, LeaveAlternateScreen, Show).and_then(|()| out.flush());
        }
    }
}
