//! The translated code against libpcap's own interpreter, in a strict interpreter of eBPF.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compiling;
mod differing;
mod dumping;
mod interpreter;
mod matching;
mod oracle;
mod random;
mod sled;

use super::Layout;

/// The view of the tests: its members in the order in which the BPF side has them, with gaps that no code may touch.
const LAYOUT: Layout =
    Layout { bytes: 8, room: 128, scratch: 152, beyond: 224, data: 240, linear: 252, length: 260, short: 0, least: 0 };
