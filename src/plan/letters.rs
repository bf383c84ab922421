//! tcpdump's letters that mean nothing here.

use anyhow::Result;

use crate::cli::{Direction, Packets};
use crate::failure::Failure;

/// tcpdump's letters mean what they mean there, or nothing.
///
/// # Errors
/// One of them was given: a wrong usage.
pub(super) fn refuse_letters(packets: &Packets) -> Result<()> {
    if let Some(letter) = packets.letters.first() {
        return Err(Failure::usage(format!("{} is not for XDP programs: {}", letter.name(), letter.why())));
    }
    match (packets.direction, packets.linktype.as_deref()) {
        (Some(Direction::Out | Direction::Inout), _) => {
            Err(Failure::usage("-Q: an XDP program sees what comes in, and nothing else: leave it out"))
        }
        (_, Some(name)) if !name.eq_ignore_ascii_case("EN10MB") => {
            Err(Failure::usage("-y: an XDP program sees Ethernet frames (EN10MB), and nothing else: leave it out"))
        }
        _ => Ok(()),
    }
}
