//! Why a run ended early, with the exit status that says so to a script.

use std::fmt::{self, Display, Formatter};

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
    let words = format!("{error:#}");
    let plain = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    words.chars().map(plain).collect()
}

/// The exit status that `error` stands for.
pub fn status(error: &anyhow::Error) -> Status {
    error.downcast_ref::<Failure>().map_or(Status::Failed, |failure| failure.status)
}
