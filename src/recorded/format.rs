//! Bytes → packets, by the format of the file: pcapng (draft-ietf-opsawg-pcapng), or the older pcap.

use pcap_file::pcap::PcapParser;
use pcap_file::pcapng::PcapNgParser;
use pcap_file::pcapng::blocks::{ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, SECTION_HEADER_BLOCK};
use pcap_file::{PcapError, TsResolution};

use super::half::{Half, Order};
use super::interface::Interfaces;
use super::source::LONGEST_BLOCK;

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
pub enum Piece<'a> {
    Packet(Half<&'a [u8]>),
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

    /// What `bytes` begin with, and how many of them that is.
    ///
    /// # Errors
    /// There are too few bytes, or they mean nothing.
    #[inline]
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Piece<'a>), Fault> {
        match &mut self.kind {
            Kind::Pcap(parser) => next_of_pcap(parser, &self.interfaces, bytes),
            Kind::Pcapng(_) => self.next_block(bytes),
        }
    }

    fn next_block<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Piece<'a>), Fault> {
        let Kind::Pcapng(parser) = &mut self.kind else { return Err(Fault::Incomplete) };
        let (rest, block) = parser.next_raw_block(bytes)?;
        let length = bytes.len() - rest.len();
        let piece = match block.type_ {
            ENHANCED_PACKET_BLOCK => {
                // 8 bytes of type and length stand before a block's body, and the length again behind it.
                let body = bytes.get(8..length.saturating_sub(4)).unwrap_or_default();
                let order = Order(parser.section().endianness);
                Piece::Packet(Half::parse(body, order, &self.interfaces).map_err(Fault::Broken)?)
            }
            INTERFACE_DESCRIPTION_BLOCK => {
                self.described += length;
                if self.described > LONGEST_BLOCK {
                    return Err(Fault::Broken(format!("more than {LONGEST_BLOCK} bytes describe interfaces")));
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

/// A packet of the older format: seconds, their fraction, captured length, length, 32 bits each; the bytes.
fn next_of_pcap<'a>(
    parser: &PcapParser,
    interfaces: &Interfaces,
    bytes: &'a [u8],
) -> Result<(usize, Piece<'a>), Fault> {
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
    Ok((length, Piece::Packet(Half::new(0, time_ns, raw.orig_len, captured))))
}

impl From<PcapError> for Fault {
    fn from(error: PcapError) -> Self {
        match error {
            PcapError::IncompleteBuffer => Self::Incomplete,
            other => Self::Broken(other.to_string()),
        }
    }
}
