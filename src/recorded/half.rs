//! A packet of the file, with what its block tells of the run: one half of it, or all there is.

use super::block::{Options, Order};
use super::interface::Interfaces;
use super::outcome;
use crate::event::Verdict;

/// One packet of the file. `B` are its bytes, or what keeps them, and `O` are words, or how many bytes they are of those.
#[derive(Debug, Clone, Copy)]
pub struct Half<B, O = B> {
    /// Number of its interface.
    pub interface: u32,
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// The same for both halves of a run (`epb_packetid`).
    pub packet_id: Option<u64>,
    /// Receive queue (`epb_queue`).
    pub queue: Option<u32>,
    /// Of fexit (`epb_verdict`).
    pub verdict: Option<Verdict>,
    /// Nanoseconds between fentry and fexit; this and what follows stand in a comment of ours.
    pub latency_ns: Option<u64>,
    /// Program id.
    pub program_id: Option<u32>,
    /// The CPU that ran the program.
    pub cpu: Option<u32>,
    /// By how many bytes the packet's beginning was moved; ours don't tell where it wasn't.
    pub moved: Option<i32>,
    /// Bytes of metadata, before and after.
    pub metadata: [u16; 2],
    /// Bytes on the wire.
    pub length: u32,
    /// The first of them.
    pub bytes: B,
    /// The words for what became of the verdict; empty where there are none.
    pub outcome: O,
}

impl<B, O: Default> Half<B, O> {
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
            cpu: None,
            moved: None,
            metadata: [0; 2],
            length,
            bytes,
            outcome: O::default(),
        }
    }
}

impl<B, O> Half<B, O> {
    /// By how many bytes the packet's beginning was moved: where a file of ours doesn't tell, it wasn't.
    pub fn moved(&self) -> Option<i32> {
        self.moved.or(self.cpu.map(|_| 0))
    }

    /// The same with its bytes and words elsewhere.
    pub fn with<C, P>(&self, bytes: C, outcome: P) -> Half<C, P> {
        let Self { interface, time_ns, packet_id, queue, verdict, latency_ns, program_id, .. } = *self;
        let Self { cpu, moved, metadata, length, .. } = *self;
        Half {
            interface,
            time_ns,
            packet_id,
            queue,
            verdict,
            latency_ns,
            program_id,
            cpu,
            moved,
            metadata,
            length,
            bytes,
            outcome,
        }
    }
}

/// What a packet's options are, by their codes (draft-ietf-opsawg-pcapng, 4.3).
mod code {
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
    pub fn read(&mut self, body: &'a [u8], order: Order, interfaces: &Interfaces) -> Result<(), String> {
        let short = || "a packet that is longer than its block".to_owned();
        let (head, behind) = body.split_first_chunk::<20>().ok_or_else(short)?;
        let word = |number: usize| order.u32(head, number * 4).unwrap_or_default();
        let (number, captured) = (word(0), word(3) as usize);
        let bytes = behind.get(..captured).ok_or_else(short)?;
        let interface =
            interfaces.get(number).ok_or_else(|| format!("a packet of interface {number}, which isn't there"))?;
        if let Some(link_type) = interface.foreign_link_type() {
            return Err(format!("a packet of link type {link_type}, and only Ethernet, 1, can be read"));
        }
        let ticks = u64::from(word(1)) << 32 | u64::from(word(2));
        *self = Self::new(number, interface.time_ns(ticks), word(4), bytes);
        let options = behind.get(captured.next_multiple_of(4)..).unwrap_or_default();
        self.take_options(Options::new(options, order), order, interface.end.is_some());
        Ok(())
    }

    /// Reads what is whole: a packet whose options are damaged is a packet. What a comment seems to say of a packet that was
    /// not `traced` was never meant for us.
    fn take_options(&mut self, options: Options<'a>, order: Order, traced: bool) {
        for (code, value) in options {
            match code {
                code::PACKET_ID => self.packet_id = order.u64(value, 0),
                code::QUEUE if value.len() == 4 => self.queue = order.u32(value, 0),
                // Wireshark 4.0 gives the verdict the queue's code in what it saves.
                code::VERDICT | code::QUEUE => self.verdict = parse_verdict(value, order).or(self.verdict),
                code::COMMENT if traced => self.take_comment(value),
                _ => {}
            }
        }
    }

    /// `latency 412 ns, program 12, cpu 1, moved -20, metadata 0 8, outcome failed ENETDOWN eth1`; anything else was written
    /// by others, and tells us nothing.
    fn take_comment(&mut self, comment: &'a [u8]) {
        for words in comment.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let Some(blank) = words.iter().position(|byte| *byte == b' ') else { continue };
            let (word, value) = (&words[..blank], &words[blank + 1..]);
            match word {
                b"program" => self.program_id = whole(value).or(self.program_id),
                b"latency" => {
                    self.latency_ns = value.strip_suffix(b" ns").and_then(whole::<u64>).or(self.latency_ns);
                }
                b"cpu" => self.cpu = whole(value).or(self.cpu),
                b"moved" => self.moved = moved(value).or(self.moved),
                b"metadata" => self.metadata = metadata(value).unwrap_or(self.metadata),
                b"outcome" => self.outcome = outcome::words(comment),
                _ => {}
            }
        }
    }
}

/// A decimal number and nothing else, if it fits.
fn whole<N: TryFrom<u64>>(text: &[u8]) -> Option<N> {
    let (number, behind) = number(text);
    number.filter(|_| behind.is_empty())?.try_into().ok()
}

fn moved(text: &[u8]) -> Option<i32> {
    match text.strip_prefix(b"-") {
        Some(backward) => whole::<u32>(backward).and_then(|by| i32::try_from(-i64::from(by)).ok()),
        None => whole::<u32>(text).and_then(|by| by.try_into().ok()),
    }
}

fn metadata(text: &[u8]) -> Option<[u16; 2]> {
    let blank = text.iter().position(|byte| *byte == b' ')?;
    Some([whole(&text[..blank])?, whole(&text[blank + 1..])?])
}

fn parse_verdict(value: &[u8], order: Order) -> Option<Verdict> {
    let (VERDICT_OF_XDP, action) = value.split_first().map(|(kind, action)| (*kind, action))? else { return None };
    u32::try_from(order.u64(action, 0)?).ok().map(Verdict)
}

/// The decimal number in front, if there is one that fits, and what stands behind it.
fn number(text: &[u8]) -> (Option<u64>, &[u8]) {
    let (mut sum, mut digits) = (0_u64, 0);
    for byte in text.iter().take_while(|byte| byte.is_ascii_digit()) {
        sum = sum.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
        digits += 1;
    }
    // A u64 holds any 19 digits.
    let fits = (1..=19).contains(&digits);
    (fits.then_some(sum), text.get(digits..).unwrap_or_default())
}
