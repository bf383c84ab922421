//! A packet of the file, with what its block tells of the run: one half of it, or all there is.

use pcap_file::Endianness;

use super::interface::Interfaces;
use crate::event::Verdict;

/// One packet of the file. `B` are its bytes, or what keeps them.
#[derive(Debug, Clone, Copy)]
pub struct Half<B> {
    /// Number of its interface.
    pub interface: u32,
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    pub packet_id: Option<u64>,
    pub queue: Option<u32>,
    pub verdict: Option<Verdict>,
    pub latency_ns: Option<u64>,
    pub program_id: Option<u32>,
    /// Bytes on the wire.
    pub length: u32,
    /// The first of them.
    pub bytes: B,
}

impl<B> Half<B> {
    /// Nothing but the packet.
    pub fn new(interface: u32, time_ns: u64, length: u32, bytes: B) -> Self {
        Self {
            interface,
            time_ns,
            packet_id: None,
            queue: None,
            verdict: None,
            latency_ns: None,
            program_id: None,
            length,
            bytes,
        }
    }

    /// The same with its bytes elsewhere.
    pub fn with<C>(&self, bytes: C) -> Half<C> {
        let Self { interface, time_ns, packet_id, queue, verdict, latency_ns, program_id, length, .. } = *self;
        Half { interface, time_ns, packet_id, queue, verdict, latency_ns, program_id, length, bytes }
    }
}

/// What a packet's options are, by their codes (draft-ietf-opsawg-pcapng, 4.3).
mod code {
    pub const END: u16 = 0;
    pub const COMMENT: u16 = 1;
    pub const PACKET_ID: u16 = 5;
    pub const QUEUE: u16 = 6;
    pub const VERDICT: u16 = 7;
}

/// A verdict's first byte where an XDP program's follows, as a 64-bit integer.
const VERDICT_OF_XDP: u8 = 2;

impl<'a> Half<&'a [u8]> {
    /// Reads the body of an Enhanced Packet Block: interface, time (upper half first), captured length, length, 32 bits
    /// each; the bytes, padded to 32 bits; options.
    ///
    /// # Errors
    /// It isn't one, or is of an interface that isn't there or isn't Ethernet.
    pub fn parse(body: &'a [u8], order: Order, interfaces: &Interfaces) -> Result<Self, String> {
        let short = || "a packet that is longer than its block".to_owned();
        let word = |at| order.u32(body, at).ok_or_else(short);
        let (number, captured) = (word(0)?, word(12)? as usize);
        let bytes = body.get(20..).and_then(|behind| behind.get(..captured)).ok_or_else(short)?;
        let interface =
            interfaces.get(number).ok_or_else(|| format!("a packet of interface {number}, which isn't there"))?;
        if let Some(link_type) = interface.foreign_link_type() {
            return Err(format!("a packet of link type {link_type}, and only Ethernet, 1, can be read"));
        }
        let ticks = u64::from(word(4)?) << 32 | u64::from(word(8)?);
        let mut half = Self::new(number, interface.time_ns(ticks), word(16)?, bytes);
        half.take_options(body.get(20 + captured.next_multiple_of(4)..).unwrap_or_default(), order);
        Ok(half)
    }

    /// Reads options as far as they are whole: a packet whose options are damaged is a packet.
    fn take_options(&mut self, mut rest: &[u8], order: Order) {
        while let (Some(code), Some(length)) = (order.u16(rest, 0), order.u16(rest, 2)) {
            let length = usize::from(length);
            let Some(value) = rest.get(4..).and_then(|behind| behind.get(..length)) else { return };
            match code {
                code::END => return,
                code::PACKET_ID => self.packet_id = order.u64(value, 0),
                code::QUEUE if length == 4 => self.queue = order.u32(value, 0),
                // Wireshark 4.0 gives the verdict the queue's code in what it saves.
                code::VERDICT | code::QUEUE => self.verdict = parse_verdict(value, order).or(self.verdict),
                code::COMMENT => self.take_comment(value),
                _ => {}
            }
            rest = rest.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
        }
    }

    /// `latency 412 ns, program 12`; anything else was written by others, and tells us nothing.
    fn take_comment(&mut self, comment: &[u8]) {
        for words in comment.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if let Some(id) = words.strip_prefix(b"program ").and_then(number) {
                self.program_id = u32::try_from(id).ok().or(self.program_id);
            } else if let Some(words) = words.strip_prefix(b"latency ").and_then(|words| words.strip_suffix(b" ns")) {
                self.latency_ns = number(words).or(self.latency_ns);
            }
        }
    }
}

fn parse_verdict(value: &[u8], order: Order) -> Option<Verdict> {
    let (VERDICT_OF_XDP, action) = value.split_first().map(|(kind, action)| (*kind, action))? else { return None };
    u32::try_from(order.u64(action, 0)?).ok().map(Verdict)
}

/// A decimal number, and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    let is_number = (1..=20).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    is_number.then(|| digits.iter().try_fold(0, add))?
}

/// A section's byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order(pub Endianness);

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        self.bytes(bytes, at).map(u16::from_le_bytes)
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        self.bytes(bytes, at).map(u32::from_le_bytes)
    }

    fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        self.bytes(bytes, at).map(u64::from_le_bytes)
    }

    /// The least significant first.
    #[inline]
    fn bytes<const N: usize>(self, bytes: &[u8], at: usize) -> Option<[u8; N]> {
        let mut value = *bytes.get(at..)?.first_chunk()?;
        if self.0 == Endianness::Big {
            value.reverse();
        }
        Some(value)
    }
}
