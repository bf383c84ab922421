//! Why a run ended early, with the exit status that says so to a script.

use std::fmt::{self, Display, Formatter};
use std::io;

use nix::errno::Errno;

/// The exit statuses of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done, also by Ctrl-C, SIGTERM or a closed pipe.
    Done = 0,
    /// Something failed while running.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// This user may not, or this kernel cannot.
    Unable = 3,
    /// The device or the program is missing, or cannot be traced.
    NoTarget = 4,
    /// Something was lost, and that was to count as a failure.
    Loss = 5,
}

/// A failure whose cause is known: one line with what failed on what and the remedy, and its exit status.
///
/// It travels inside [`anyhow::Error`]; any other error counts as [`Status::Failed`].
#[derive(Debug)]
pub struct Failure {
    status: Status,
    message: String,
}

impl Failure {
    /// The command line asks for something that doesn't exist.
    pub fn usage(message: impl Into<String>) -> anyhow::Error {
        Self::with(Status::Usage, message)
    }

    /// Not privileged, or the kernel cannot.
    pub fn unable(message: impl Into<String>) -> anyhow::Error {
        Self::with(Status::Unable, message)
    }

    /// No such device, no such program, or one that cannot be traced.
    pub fn no_target(message: impl Into<String>) -> anyhow::Error {
        Self::with(Status::NoTarget, message)
    }

    /// With a status of the caller's choice.
    pub fn with(status: Status, message: impl Into<String>) -> anyhow::Error {
        Self { status, message: message.into() }.into()
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// What `error` says, in one line that commands no terminal, whatever words of others are in it.
pub fn shown(error: &anyhow::Error) -> String {
    let mut words = format!("{error:#}");
    if lacks_descriptors(error) && !words.contains(ULIMIT) {
        words += ": raise the limit by ";
        words += ULIMIT;
    }
    let plain = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    words.chars().map(plain).collect()
}

/// The remedy where no file descriptor is left, whatever it was wanted for.
const ULIMIT: &str = "`ulimit -n`";

fn lacks_descriptors(error: &anyhow::Error) -> bool {
    let is_errno = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref() == Some(&Errno::EMFILE);
    let is_io = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.raw_os_error() == Some(Errno::EMFILE as i32))
    };
    error.chain().any(|cause| is_errno(cause) || is_io(cause))
}

/// The exit status that `error` stands for.
pub fn status(error: &anyhow::Error) -> Status {
    error.downcast_ref::<Failure>().map_or(Status::Failed, |failure| failure.status)
}
