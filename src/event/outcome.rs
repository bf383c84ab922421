//! What became of a verdict.

use nix::errno::Errno;

use super::{Device, Verdict};

/// What became of a verdict, as the kernel tells: nothing here is concluded from anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// In a word.
    pub status: Status,
    /// Where to; None: nowhere, or the kernel doesn't tell.
    pub to: Option<Way<'a>>,
    /// Why it failed; None: it didn't, or the kernel doesn't tell.
    pub error: Option<Reason<'a>>,
}

/// What became of a verdict, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The packet was accepted for being redirected, which isn't yet sent (xdp_redirect).
    Accepted,
    /// It was not (xdp_redirect_err).
    Failed,
    /// The verdict could not be followed; or it is XDP_ABORTED, or no action, which can't be (xdp_exception).
    Exception,
    /// XDP_TX on a member of a bond, which made a redirect to another member of it.
    Redirected,
}

/// Where a packet was redirected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'a> {
    /// A device; of a redirect by a bond, that. Where a map's entries are all sent to, the kernel names the one under the key that the program gave.
    Device(Device<'a>),
    /// An entry of a map.
    Map {
        /// `xsk`, `cpu`, `dev`.
        kind: &'static str,
        /// The map's id.
        id: u32,
        /// Which entry.
        index: u32,
    },
    /// A file's words for either: no more than what it holds, whatever that is.
    Words(&'a str),
}

/// Why the kernel refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason<'a> {
    /// An errno.
    Errno(i32),
    /// A file's word for it: capital letters and digits.
    Word(&'a str),
}

impl Status {
    /// All of them, by their words in JSON and in files.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Accepted, "accepted"),
        (Self::Failed, "failed"),
        (Self::Exception, "exception"),
        (Self::Redirected, "redirected"),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).map_or("", |(_, word)| word)
    }
}

impl Outcome<'_> {
    /// Whether the verdict came to nothing.
    pub fn is_failure(&self) -> bool {
        matches!(self.status, Status::Failed | Status::Exception)
    }
}

impl Verdict {
    /// XDP_ABORTED.
    pub const ABORTED: Self = Self(0);
    /// XDP_DROP.
    pub const DROP: Self = Self(1);
    /// XDP_PASS.
    pub const PASS: Self = Self(2);
    /// XDP_TX.
    pub const TX: Self = Self(3);
    /// XDP_REDIRECT.
    pub const REDIRECT: Self = Self(4);

    /// Whether the kernel may tell what becomes of it: it says nothing of packets that are dropped or passed on.
    #[inline]
    pub fn has_outcome(self) -> bool {
        self != Self::DROP && self != Self::PASS
    }
}

/// The kernel's word for an errno, or its number where it has none.
pub fn error_name(number: i32) -> String {
    /// In no user-space header.
    const ENOTSUPP: i32 = 524;
    match Errno::from_raw(number) {
        _ if number == ENOTSUPP => "ENOTSUPP".into(),
        Errno::UnknownErrno => number.to_string(),
        errno => format!("{errno:?}"),
    }
}
