//! Tracepoints of the kernel's that tell what became of verdicts.

use std::ffi::CStr;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use libbpf_rs::libbpf_sys;

use crate::target;

/// A tracepoint, attached to until dropped, if the kernel lets it be.
#[derive(Debug)]
pub(super) struct Tracepoint {
    name: &'static CStr,
    link: io::Result<OwnedFd>,
}

impl Tracepoint {
    /// Attaches a program to it.
    pub(super) fn attach(name: &'static CStr, program: BorrowedFd<'_>) -> Self {
        // SAFETY: the name ends in 0 and outlives the call, and the descriptor is open here.
        let link = unsafe { libbpf_sys::bpf_raw_tracepoint_open(name.as_ptr(), program.as_raw_fd()) };
        Self { name, link: target::own(link) }
    }

    /// Its name, and why it isn't attached to; None: it is.
    pub(super) fn untold(&self) -> Option<(&'static CStr, String)> {
        let error = self.link.as_ref().err()?;
        Some((self.name, why(error)))
    }
}

/// The kernel says ENOENT of a name that it doesn't know, and of nothing else (bpf_get_raw_tracepoint).
fn why(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "this kernel has no such tracepoint".into(),
        _ => format!("failed to attach to that tracepoint: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_not_said_to_be_a_tracepoint_that_is_missing() {
        let said = |number| why(&io::Error::from_raw_os_error(number));
        assert_eq!(said(libc::ENOENT), "this kernel has no such tracepoint");
        assert_eq!(said(libc::EPERM), "failed to attach to that tracepoint: Operation not permitted (os error 1)");
    }
}
