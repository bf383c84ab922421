//! What is being printed: the bytes as far as they may be read, and the line as far as it is written.

use super::super::put::Put;
use super::Style;
use super::conversations::Conversations;

/// The capture ends in the midst of what was to be read. The frame's words end there, with `[|tcp]` or the like.
#[derive(Debug)]
pub(super) struct Cut;

/// Told, or cut.
pub(super) type Told<T = ()> = Result<T, Cut>;

/// More packets in packets than that are not followed: each level takes stack, and 64 KiB could hold thousands.
const DEEPEST: u8 = 24;

/// One frame's words in the making. All places are offsets in the frame.
pub(super) struct Page<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) style: Style,
    pub(super) conversations: &'a mut Conversations,
    /// The frame as far as it was captured, and as far as the packet at hand goes (tcpdump's `ndo_snapend`).
    pub(super) bytes: &'a [u8],
    /// Whose header is being read (tcpdump's `ndo_protocol`): what `[|…]` says.
    pub(super) protocol: &'static str,
    depth: u8,
}

impl<'a> Page<'a> {
    pub(super) fn new(
        out: &'a mut Vec<u8>,
        style: Style,
        conversations: &'a mut Conversations,
        bytes: &'a [u8],
    ) -> Self {
        Self { out, style, conversations, bytes, protocol: "ether", depth: 0 }
    }

    pub(super) fn verbose(&self) -> bool {
        self.style.verbosity > 0
    }

    #[inline]
    pub(super) fn array<const N: usize>(&self, at: usize) -> Told<[u8; N]> {
        self.bytes.get(at..).and_then(<[u8]>::first_chunk).copied().ok_or(Cut)
    }

    #[inline]
    pub(super) fn u8(&self, at: usize) -> Told<u8> {
        self.bytes.get(at).copied().ok_or(Cut)
    }

    #[inline]
    pub(super) fn u16(&self, at: usize) -> Told<u16> {
        Ok(u16::from_be_bytes(self.array(at)?))
    }

    pub(super) fn u24(&self, at: usize) -> Told<u32> {
        let [high, middle, low] = self.array(at)?;
        Ok(u32::from_be_bytes([0, high, middle, low]))
    }

    #[inline]
    pub(super) fn u32(&self, at: usize) -> Told<u32> {
        Ok(u32::from_be_bytes(self.array(at)?))
    }

    /// Whether so many bytes are there (`ND_TTEST_LEN`).
    #[inline]
    pub(super) fn has(&self, at: usize, length: usize) -> bool {
        at.checked_add(length).is_some_and(|end| end <= self.bytes.len())
    }

    pub(super) fn need(&self, at: usize, length: usize) -> Told {
        if self.has(at, length) { Ok(()) } else { Err(Cut) }
    }

    /// How many bytes are there (`ND_BYTES_AVAILABLE_AFTER`).
    pub(super) fn left(&self, at: usize) -> usize {
        self.bytes.len().saturating_sub(at)
    }

    /// The bytes from one place on, at most so many.
    pub(super) fn at_most(&self, at: usize, length: u32) -> &'a [u8] {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.get(..length as usize).unwrap_or(rest)
    }

    /// Reads on with the packet's end where its length says, if it does not go further than what was captured
    /// (`nd_push_snaplen`).
    pub(super) fn within<T: Default>(
        &mut self,
        at: usize,
        length: u32,
        read: impl FnOnce(&mut Self) -> Told<T>,
    ) -> Told<T> {
        let outer = self.bytes;
        self.end(at, length);
        self.depth += 1;
        let told = if self.depth > DEEPEST {
            self.out.text("[nested too deep]");
            Ok(T::default())
        } else {
            read(self)
        };
        self.depth -= 1;
        self.bytes = outer;
        told
    }

    pub(super) fn end(&mut self, at: usize, length: u32) {
        self.bytes = self.bytes.get(..at.saturating_add(length as usize)).unwrap_or(self.bytes);
    }

    /// `[|tcp]`: the capture ends within this header.
    pub(super) fn cut(&mut self) {
        self.out.text(" [|").text(self.protocol).text("]");
    }

    /// A header of which less was captured than it says it has.
    pub(super) fn header_cut(&mut self, at: usize, header: u32) -> Cut {
        let captured = self.left(at) as u32;
        self.out.text(" [remaining caplen(").number(captured).text(") < header length(").number(header).text(")]");
        Cut
    }

    pub(super) fn invalid(&mut self) {
        self.out.text(" (invalid)");
    }

    /// The names of the bits that are set, with `separator` between them, or `none`.
    pub(super) fn bits(&mut self, names: &[(u32, &str)], value: u32, separator: &str, none: &str) {
        let before = self.out.len();
        for (bit, name) in names {
            if value & bit == *bit {
                if self.out.len() != before {
                    self.out.text(separator);
                }
                self.out.text(name);
            }
        }
        if self.out.len() == before {
            self.out.text(none);
        }
    }
}
