//! The blocks of a pcapng and their options, by hand: whoever wrote an option that can't be read has written packets all the
//! same.

use pcap_file::pcapng::blocks::{INTERFACE_DESCRIPTION_BLOCK, SECTION_HEADER_BLOCK};

/// Why there is no next piece.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// There are too few bytes.
    Incomplete,
    /// In words that fit "broken".
    Broken(String),
}

/// A block, whole.
#[derive(Debug)]
pub struct Block<'a> {
    /// Its type, as pcapng numbers them (draft-ietf-opsawg-pcapng).
    pub kind: u32,
    /// What is between its length and that again, with the options.
    pub body: &'a [u8],
    /// Bytes with all that is around its body.
    pub length: usize,
    /// Its section's, which is its own if it begins one.
    pub order: Order,
}

/// What describes a section and its interfaces has no more bytes: the interfaces are kept.
pub const MOST_DESCRIBED: usize = 1 << 20;
/// Type and length before the body, and the length again behind it.
const AROUND: usize = 12;
/// What a body has before its options: byte-order magic, versions, the section's length; link type, longest packet.
const SECTION_HEAD: usize = 16;
const INTERFACE_HEAD: usize = 8;

impl<'a> Block<'a> {
    /// The block that `bytes` begin with, in a section of this byte order.
    ///
    /// # Errors
    /// There are too few bytes, or they are no block, or one on a section or an interface that is too short or too long.
    #[inline]
    pub fn new(bytes: &'a [u8], order: Order) -> Result<Self, Fault> {
        let Some((head, behind)) = bytes.split_first_chunk::<8>() else { return Err(Fault::Incomplete) };
        // The kind of a block that begins a section reads the same in either order.
        let order = match order.u32(head, 0) {
            Some(SECTION_HEADER_BLOCK) => Order::of_magic(behind)?,
            _ => order,
        };
        let [kind, length] = [0, 4].map(|at| order.u32(head, at).unwrap_or_default());
        let length = length as usize;
        let least = match kind {
            SECTION_HEADER_BLOCK => AROUND + SECTION_HEAD,
            INTERFACE_DESCRIPTION_BLOCK => AROUND + INTERFACE_HEAD,
            _ => AROUND,
        };
        if length < least || length % 4 != 0 {
            return Err(Fault::Broken(format!("a block of {length} bytes, which can't be")));
        }
        // It will not be waited for.
        if least > AROUND && length > MOST_DESCRIBED {
            return Err(too_much_described());
        }
        let Some(rest) = behind.get(..length - head.len()) else { return Err(Fault::Incomplete) };
        let (body, again) = rest.split_at(length - AROUND);
        if again != &head[4..] {
            return Err(Fault::Broken("a block whose two lengths differ".into()));
        }
        Ok(Self { kind, body, length, order })
    }

    /// The options of a block that describes an interface.
    pub fn interface_options(&self) -> Options<'a> {
        Options::new(self.body.get(INTERFACE_HEAD..).unwrap_or_default(), self.order)
    }
}

pub fn too_much_described() -> Fault {
    Fault::Broken("more than 1 MiB on a section and its interfaces".into())
}

/// Options as far as they are whole: code and length, 16 bits each; the value, padded to 32 bits.
#[derive(Debug)]
pub struct Options<'a> {
    rest: &'a [u8],
    order: Order,
}

impl<'a> Options<'a> {
    pub fn new(bytes: &'a [u8], order: Order) -> Self {
        Self { rest: bytes, order }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        const END: u16 = 0;
        let (head, behind) = self.rest.split_first_chunk::<4>()?;
        let [code, length] = self.order.halves(*head);
        let length = usize::from(length);
        let value = behind.get(..length).filter(|_| code != END)?;
        self.rest = behind.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((code, value))
    }
}

/// A section's byte order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Order {
    is_other: bool,
}

impl Order {
    /// That in which the byte-order magic has been written.
    fn of_magic(bytes: &[u8]) -> Result<Self, Fault> {
        const MAGIC: u32 = 0x1a2b_3c4d;
        let both = [false, true].map(|is_other| Self { is_other });
        let magic = bytes.first_chunk::<4>().ok_or(Fault::Incomplete)?;
        let broken = || Fault::Broken("a section whose byte order can't be told".into());
        both.into_iter().find(|order| order.u32(magic, 0) == Some(MAGIC)).ok_or_else(broken)
    }

    /// Two 16-bit integers.
    #[inline]
    fn halves(self, [a, b, c, d]: [u8; 4]) -> [u16; 2] {
        [[a, b], [c, d]].map(u16::from_ne_bytes).map(|value| if self.is_other { value.swap_bytes() } else { value })
    }

    #[inline]
    pub fn u16(self, bytes: &[u8]) -> Option<u16> {
        let value = u16::from_ne_bytes(*bytes.first_chunk()?);
        Some(if self.is_other { value.swap_bytes() } else { value })
    }

    #[inline]
    pub fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let value = u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?);
        Some(if self.is_other { value.swap_bytes() } else { value })
    }

    #[inline]
    pub fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let value = u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?);
        Some(if self.is_other { value.swap_bytes() } else { value })
    }
}
