//! Bytes → packets, by the format of the file: pcapng (draft-ietf-opsawg-pcapng), or the older pcap.

use pcap_file::pcap::PcapParser;
use pcap_file::pcapng::PcapNgParser;
use pcap_file::pcapng::blocks::{ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, SECTION_HEADER_BLOCK};
use pcap_file::{Endianness, PcapError, TsResolution};

use super::half::{Half, Order};
use super::interface::Interfaces;

/// A file whose beginning was read.
#[allow(missing_debug_implementations)]
pub struct Format {
    kind: Kind,
    /// Those described so far in this section.
    pub interfaces: Interfaces,
    /// Bytes of their blocks.
    described: usize,
    /// Packets of kinds of blocks that have no time, or are obsolete: they are not read.
    pub left_out: u64,
}

enum Kind {
    Pcapng(PcapNgParser),
    Pcap(PcapParser),
}

/// What the next bytes are.
#[derive(Debug)]
pub enum Piece {
    /// One that was put where it was asked for.
    Packet,
    /// A section begins, whose interfaces are others.
    Section,
    /// What is of no interest.
    Other,
}

/// Why there is no next piece.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// There are too few bytes.
    Incomplete,
    /// In words that fit "broken".
    Broken(String),
}

const SECTION_HEADER: [u8; 4] = SECTION_HEADER_BLOCK.to_be_bytes();
/// Blocks of packets that aren't read: obsolete ones, and simple ones, which have no time.
const LEFT_OUT: [u32; 2] = [2, 3];
/// What describes a section and its interfaces has no more bytes: pcap-file keeps each option, which takes ten times as
/// much memory as the shortest ones do in the file.
const MOST_DESCRIBED: usize = 1 << 20;
/// pcap's header: 4 bytes of magic number, 2 and 2 of version, 16 of which only the link type is of interest.
const PCAP_HEADER: usize = 24;

impl Format {
    /// Reads a file's beginning; how many bytes it takes.
    ///
    /// # Errors
    /// There are too few bytes, or it is no such file.
    pub fn new(bytes: &[u8]) -> Result<(usize, Self), Fault> {
        let Some(magic) = bytes.first_chunk::<4>() else { return Err(Fault::Incomplete) };
        if *magic == SECTION_HEADER {
            check_description(bytes, Endianness::native())?;
            let (rest, parser) = PcapNgParser::new(bytes)?;
            let kind = Kind::Pcapng(parser);
            return Ok((
                bytes.len() - rest.len(),
                Self { kind, interfaces: Interfaces::default(), described: 0, left_out: 0 },
            ));
        }
        let parser = match PcapParser::new(bytes) {
            Ok((_, parser)) => parser,
            Err(PcapError::IncompleteBuffer) => return Err(Fault::Incomplete),
            Err(_) => return Err(Fault::Broken("neither pcapng nor pcap".into())),
        };
        let interfaces = Interfaces::unnamed(parser.header().datalink);
        Ok((PCAP_HEADER, Self { kind: Kind::Pcap(parser), interfaces, described: 0, left_out: 0 }))
    }

    /// What `bytes` begin with, and how many of them that is. A packet is put into `half`: handing it on and on would cost
    /// as much as reading it.
    ///
    /// # Errors
    /// There are too few bytes, or they mean nothing.
    #[inline]
    pub fn next<'a>(&mut self, bytes: &'a [u8], half: &mut Half<&'a [u8]>) -> Result<(usize, Piece), Fault> {
        match &mut self.kind {
            Kind::Pcap(parser) => next_of_pcap(parser, &self.interfaces, bytes, half),
            Kind::Pcapng(_) => self.next_block(bytes, half),
        }
    }

    fn next_block<'a>(&mut self, bytes: &'a [u8], half: &mut Half<&'a [u8]>) -> Result<(usize, Piece), Fault> {
        let Kind::Pcapng(parser) = &mut self.kind else { return Err(Fault::Incomplete) };
        check_description(bytes, parser.section().endianness)?;
        let (rest, block) = parser.next_raw_block(bytes)?;
        let length = bytes.len() - rest.len();
        let piece = match block.type_ {
            ENHANCED_PACKET_BLOCK => {
                // 8 bytes of type and length stand before a block's body, and the length again behind it.
                let body = bytes.get(8..length.saturating_sub(4)).unwrap_or_default();
                let order = Order::new(parser.section().endianness);
                half.read(body, order, &self.interfaces).map_err(Fault::Broken)?;
                Piece::Packet
            }
            INTERFACE_DESCRIPTION_BLOCK => {
                self.described += length;
                if self.described > MOST_DESCRIBED {
                    return Err(too_much_described());
                }
                parser.interfaces().last().into_iter().for_each(|block| self.interfaces.add(block));
                Piece::Other
            }
            SECTION_HEADER_BLOCK => {
                self.described = 0;
                Piece::Section
            }
            kind => {
                self.left_out += u64::from(LEFT_OUT.contains(&kind));
                Piece::Other
            }
        };
        Ok((length, piece))
    }

    /// Forgets the interfaces of the section before.
    pub fn begin_section(&mut self) {
        self.interfaces = Interfaces::default();
    }
}

/// Refuses a block that pcap-file would take apart at once, and is too long for that.
#[inline]
fn check_description(bytes: &[u8], order: Endianness) -> Result<(), Fault> {
    const BIG_ENDIAN_MAGIC: [u8; 4] = [0x1a, 0x2b, 0x3c, 0x4d];
    let order = match bytes.starts_with(&SECTION_HEADER) {
        true if bytes.get(8..).is_some_and(|behind| behind.starts_with(&BIG_ENDIAN_MAGIC)) => Endianness::Big,
        true => Endianness::Little,
        false => order,
    };
    let [kind, length] = [0, 4].map(|at| Order::new(order).u32(bytes, at).unwrap_or_default());
    let is_description = [SECTION_HEADER_BLOCK, INTERFACE_DESCRIPTION_BLOCK].contains(&kind);
    if is_description && length as usize > MOST_DESCRIBED { Err(too_much_described()) } else { Ok(()) }
}

fn too_much_described() -> Fault {
    Fault::Broken("more than 1 MiB on a section and its interfaces".into())
}

/// A packet of the older format: seconds, their fraction, captured length, length, 32 bits each; the bytes.
fn next_of_pcap<'a>(
    parser: &PcapParser,
    interfaces: &Interfaces,
    bytes: &'a [u8],
    half: &mut Half<&'a [u8]>,
) -> Result<(usize, Piece), Fault> {
    const HEAD: usize = 16;
    let (rest, raw) = parser.next_raw_packet(bytes)?;
    let length = bytes.len() - rest.len();
    if let Some(link_type) = interfaces.get(0).and_then(|interface| interface.foreign_link_type()) {
        return Err(Fault::Broken(format!("link type {link_type}, and only Ethernet, 1, can be read")));
    }
    let fraction_ns = match parser.header().ts_resolution {
        TsResolution::MicroSecond => 1000,
        TsResolution::NanoSecond => 1,
    };
    let time_ns = u64::from(raw.ts_sec) * 1_000_000_000 + u64::from(raw.ts_frac) * fraction_ns;
    let captured = bytes.get(HEAD..length).unwrap_or_default();
    *half = Half::new(0, time_ns, raw.orig_len, captured);
    Ok((length, Piece::Packet))
}

impl From<PcapError> for Fault {
    fn from(error: PcapError) -> Self {
        match error {
            PcapError::IncompleteBuffer => Self::Incomplete,
            other => Self::Broken(other.to_string()),
        }
    }
}
