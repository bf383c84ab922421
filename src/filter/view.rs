//! What a filter's code reads of a packet: all it is told of it.

/// Where the members lie of what r1 points to at a filter's first instruction, in bytes from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The packet's first bytes, and at least 3 more that the verifier lets be read.
    pub bytes: i16,
    /// How many of the first bytes there is room for, a power of two; they are the packet's as far as r3 says that it has
    /// that many.
    pub room: u32,
    /// cBPF's M[]: 16 words of 32 bits.
    pub scratch: i16,
    /// 8 bytes to read others of the packet into.
    pub beyond: i16,
    /// The kernel's address of the packet's first byte, 64 bits.
    pub data: i16,
    /// 32 bits to keep in how many bytes can be read from there on.
    pub linear: i16,
    /// The packet's whole length, 32 bits.
    pub length: i16,
    /// What r0 is where the packet has too few bytes: another number than 0 and 1 for a view that may not have all of
    /// them, else 0.
    pub short: u32,
    /// r3, the bytes that the packet has from its first on, is at least this.
    pub least: u32,
}
