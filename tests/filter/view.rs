//! What a translated filter is given: `struct view`, as the sled's callers lay it out.

use xdptrace::filter::Layout;

use super::packets::Packet;

/// Bytes of the packet that lie in the view itself.
pub const COPIED: usize = 128;
/// From here to `DATA` the filter may write: `spare`, `scratch` and `beyond`.
pub const SPARE: usize = COPIED;
/// The address of the packet's first byte.
pub const DATA: usize = SPARE + 8 + 16 * 4 + 8;
const CAPTURED: usize = DATA + 8;
/// How many bytes of the packet there are, for who tells the filter; where the filter may keep it.
pub const LINEAR: usize = CAPTURED + 4;
const LENGTH: usize = LINEAR + 4;
/// Of the whole, with the padding at its end.
pub const SIZE: usize = (LENGTH + 4).next_multiple_of(8);

/// The same for the translator.
pub const LAYOUT: Layout = Layout {
    bytes: 0,
    room: COPIED as u32,
    scratch: SPARE as i16 + 8,
    beyond: DATA as i16 - 8,
    data: DATA as i16,
    linear: LINEAR as i16,
    length: LENGTH as i16,
    short: 0,
    least: 0,
};

/// What nobody wrote is no zero that a filter could take for a packet's.
const POISON: u8 = 0xa5;

/// The view of `packet` if its bytes were at `data`.
pub fn view(packet: &Packet, data: u64) -> [u8; SIZE] {
    let mut view = [POISON; SIZE];
    let linear = packet.bytes.len();
    let captured = linear.min(COPIED);
    view[..captured].copy_from_slice(&packet.bytes[..captured]);
    view[DATA..CAPTURED].copy_from_slice(&data.to_ne_bytes());
    view[CAPTURED..LINEAR].copy_from_slice(&(captured as u32).to_ne_bytes());
    view[LINEAR..LENGTH].copy_from_slice(&(linear as u32).to_ne_bytes());
    view[LENGTH..LENGTH + 4].copy_from_slice(&packet.length.to_ne_bytes());
    view
}
