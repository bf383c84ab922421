//! Bytes → packets, by the format of the file: pcapng (draft-ietf-opsawg-pcapng), or the older pcap.

use pcap_file::pcap::PcapParser;
use pcap_file::pcapng::blocks::{ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, SECTION_HEADER_BLOCK};
use pcap_file::{PcapError, TsResolution};

use super::block::{Block, Fault, MOST_DESCRIBED, Order, too_much_described};
use super::half::Half;
use super::interface::{Description, Interfaces};

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
    /// The byte order of the present section.
    Pcapng(Order),
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
            let Block { order, length, .. } = Block::new(bytes, Order::default())?;
            return Ok((length, Self::with(Kind::Pcapng(order), Interfaces::default())));
        }
        let parser = match PcapParser::new(bytes) {
            Ok((_, parser)) => parser,
            Err(PcapError::IncompleteBuffer) => return Err(Fault::Incomplete),
            Err(_) => return Err(Fault::Broken("neither pcapng nor pcap".into())),
        };
        // Above the link type stands how long the checksums behind the frames are.
        const LINK_TYPE: u32 = 0x03ff_ffff;
        let interfaces = Interfaces::unnamed(u32::from(parser.header().datalink) & LINK_TYPE);
        Ok((PCAP_HEADER, Self::with(Kind::Pcap(parser), interfaces)))
    }

    fn with(kind: Kind, interfaces: Interfaces) -> Self {
        Self { kind, interfaces, described: 0, left_out: 0 }
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
            Kind::Pcapng(order) => {
                let block = Block::new(bytes, *order)?;
                *order = block.order;
                Ok((block.length, self.take_block(&block, half)?))
            }
        }
    }

    fn take_block<'a>(&mut self, block: &Block<'a>, half: &mut Half<&'a [u8]>) -> Result<Piece, Fault> {
        Ok(match block.kind {
            ENHANCED_PACKET_BLOCK => {
                half.read(block.body, block.order, &self.interfaces).map_err(Fault::Broken)?;
                Piece::Packet
            }
            INTERFACE_DESCRIPTION_BLOCK => {
                self.described += block.length;
                if self.described > MOST_DESCRIBED {
                    return Err(too_much_described());
                }
                Description::new(block).iter().for_each(|description| self.interfaces.add(description));
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
        })
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
