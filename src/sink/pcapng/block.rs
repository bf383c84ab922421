//! The blocks of a pcapng file, one at a time, in this machine's byte order (draft-ietf-opsawg-pcapng).

/// A block that is being appended to `out`. Its length stands at both of its ends, and is known at the last.
#[derive(Debug)]
pub struct Block<'out> {
    out: &'out mut Vec<u8>,
    start: usize,
}

/// What a block is, by its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The beginning of the file.
    SectionHeader = 0x0a0d_0d0a,
    /// An interface; the first is number 0.
    InterfaceDescription = 1,
    /// What became of all its packets.
    InterfaceStatistics = 5,
    /// One packet.
    EnhancedPacket = 6,
}

/// Behind the last option.
const END_OF_OPTIONS: u16 = 0;

impl<'out> Block<'out> {
    pub fn new(out: &'out mut Vec<u8>, kind: Kind) -> Self {
        let start = out.len();
        Self { out, start }.u32(kind as u32).u32(0)
    }

    pub fn u16(self, value: u16) -> Self {
        self.out.extend(value.to_ne_bytes());
        self
    }

    pub fn u32(self, value: u32) -> Self {
        self.out.extend(value.to_ne_bytes());
        self
    }

    pub fn u64(self, value: u64) -> Self {
        self.out.extend(value.to_ne_bytes());
        self
    }

    /// A time: its upper half comes first in either byte order.
    pub fn time(self, time_ns: u64) -> Self {
        self.u32((time_ns >> 32) as u32).u32(time_ns as u32)
    }

    /// Bytes, and as many zeros as it takes to fill the last four.
    pub fn padded(self, bytes: &[u8]) -> Self {
        self.out.extend(bytes);
        let padding = bytes.len().wrapping_neg() % 4;
        self.out.extend(&[0; 3][..padding]);
        self
    }

    /// An option. Options come last in a block.
    pub fn option(self, code: u16, value: &[u8]) -> Self {
        let value = &value[..value.len().min(usize::from(u16::MAX))];
        self.u16(code).u16(value.len() as u16).padded(value)
    }

    /// An option, if its value is known.
    pub fn option_if_known(self, code: u16, value: Option<impl AsRef<[u8]>>) -> Self {
        match value {
            Some(value) => self.option(code, value.as_ref()),
            None => self,
        }
    }

    /// Ends the options, and the block.
    pub fn end(self) {
        let Self { out, start } = self.u16(END_OF_OPTIONS).u16(0);
        let length = ((out.len() - start + size_of::<u32>()) as u32).to_ne_bytes();
        out[start + 4..start + 8].copy_from_slice(&length);
        out.extend(length);
    }
}
