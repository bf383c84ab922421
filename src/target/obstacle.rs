//! Why a program, or a function of one, cannot be traced.

use std::fmt::{self, Display, Formatter};

/// Why fentry and fexit cannot be, or are not to be, attached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Obstacle {
    /// The NIC's hardware runs it.
    Offloaded,
    /// It was built without BTF.
    NoBtf,
    /// It is interpreted.
    NotJited,
    /// An EXT program has taken its place.
    Held {
        /// The function that is held.
        function: String,
        /// The EXT program's id.
        by: u32,
    },
    /// A tail call jumps past the patch site (prog_offset in x86's arch/x86/net/bpf_jit_comp.c, prologue_offset in arm64's).
    TailCalledOnly {
        /// The program that tail-calls it, and whose exit shows the final verdict: `dummy#12`.
        seen_at: String,
    },
    /// It is no XDP program.
    NotXdp {
        /// Its type, as bpftool names it.
        kind: String,
    },
    /// The function takes no `struct xdp_md *`.
    NoContext,
    /// A hazard that was not allowed: the sentence that names the risk and the flag.
    Hazard(String),
    /// One that leaves it fexit alone, and what was asked for takes fentry.
    NeedsEntry(String),
}

impl Display for Obstacle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offloaded => f.write_str("offloaded to the NIC: no kernel function is entered"),
            Self::NoBtf => f.write_str("has no BTF: rebuild it with clang -g"),
            Self::NotJited => {
                f.write_str("not compiled by the BPF JIT: sysctl net.core.bpf_jit_enable=1, and load it anew")
            }
            Self::Held { function, by } => {
                write!(f, "{} is held by EXT program {by}", function.escape_default())
            }
            Self::TailCalledOnly { seen_at } => {
                write!(f, "entered only by tail call: its entry never fires; the verdict is seen at {seen_at}")
            }
            Self::NotXdp { kind } => write!(f, "is of type {kind}: xdptrace traces XDP programs"),
            Self::NoContext => f.write_str("takes no struct xdp_md *, the packet's context"),
            Self::Hazard(sentence) => f.write_str(sentence),
            Self::NeedsEntry(sentence) => {
                write!(
                    f,
                    "only fexit can be attached, and what is asked for takes fentry (--filter-at exit doesn't): {sentence}"
                )
            }
        }
    }
}
