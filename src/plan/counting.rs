//! Numbers instead of events: what is counted, and how often it is read.

use std::time::Duration;

/// Numbers instead of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counting {
    /// How often they are read.
    pub interval: Duration,
    /// Read them for the first time at the start, not an interval later: whoever asks for them doesn't wait.
    pub at_once: bool,
    /// Stop after they have been read so often.
    pub times: Option<u64>,
    /// By what packets are counted, besides device, queue, program and verdict.
    pub by: Option<By>,
    /// Packets that were dropped are told of as well, as events, so many a second at most.
    pub drops_a_second: Option<u64>,
}

/// By what packets are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// What of them, in the order in which it is shown.
    pub parts: Vec<Part>,
    /// Leading bits of IPv4 addresses that matter.
    pub prefix4: u8,
    /// … and of IPv6 addresses.
    pub prefix6: u8,
    /// How many are shown, at most.
    pub rows: usize,
}

/// Something that packets have in common, as they arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Source address.
    Source,
    /// Destination address.
    Destination,
    /// Source port.
    SourcePort,
    /// Destination port.
    DestinationPort,
    /// IP protocol, or EtherType.
    Protocol,
    /// Identifier of the outermost VLAN tag.
    Vlan,
    /// Length, in bytes.
    Length,
}

impl By {
    /// Keys that the kernel's table holds, at most.
    pub const KEYS: u32 = 16_384;

    /// Whether it asks for this.
    pub fn asks(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }
}
