//! SCTP and its chunks (print-sctp.c, RFC 9260). What DATA chunks carry is not told.

use super::super::dump;
use super::super::names::name_of;
use super::super::put::Put;
use super::ip::Packet;
use super::page::{Page, Told};

const HEADER: u32 = 12;
const CHUNK_HEADER: u32 = 4;
const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const SACK: u8 = 3;

const CHUNKS: &[(u32, &str)] = &[
    (0x00, "DATA"),
    (0x01, "INIT"),
    (0x02, "INIT ACK"),
    (0x03, "SACK"),
    (0x04, "HB REQ"),
    (0x05, "HB ACK"),
    (0x06, "ABORT"),
    (0x07, "SHUTDOWN"),
    (0x08, "SHUTDOWN ACK"),
    (0x09, "OP ERR"),
    (0x0a, "COOKIE ECHO"),
    (0x0b, "COOKIE ACK"),
    (0x0c, "ECN ECHO"),
    (0x0d, "ECN CWR"),
    (0x0e, "SHUTDOWN COMPLETE"),
    (0xc0, "FOR CUM TSN"),
    (0xc1, "REL CTRL"),
    (0xc2, "REL CTRL ACK"),
];
const PAYLOADS: [&str; 28] = [
    "",
    "ISDN Q.921",
    "M2UA",
    "M3UA",
    "SUA",
    "M2PA",
    "V5.2",
    "H.248",
    "BICC",
    "TALI",
    "DUA",
    "ASAP",
    "ENRP",
    "H.323",
    "Q.IPC",
    "SIMCO",
    "DDPSC",
    "DDPSSC",
    "S1AP",
    "RUA",
    "HNBAP",
    "ForCES HP",
    "ForCES MP",
    "ForCES LP",
    "SBc-AP",
    "NBAP",
    "",
    "X2AP",
];

impl Page<'_> {
    pub(super) fn sctp(&mut self, at: usize, length: u32, ip: Packet) -> Told {
        self.protocol = "sctp";
        if length < HEADER {
            self.out.text("truncated-sctp - ").number(HEADER - length).text(" bytes missing!");
            return Ok(());
        }
        if !self.has(at, HEADER as usize) {
            self.cut();
            return Ok(());
        }
        let (source, destination) = (self.u16(at)?, self.u16(at + 2)?);
        self.sctp_ends(ip, source, destination)?;
        for port in [source, destination] {
            let channel = match port {
                6704 => "[ForCES HP]",
                6705 => "[ForCES MP]",
                6706 => "[ForCES LP]",
                _ => "",
            };
            self.out.text(channel);
        }
        self.chunks(at + HEADER as usize, length - HEADER)
    }

    /// Unlike TCP's and UDP's, the addresses are told behind extension headers, too.
    fn sctp_ends(&mut self, ip: Packet, source: u16, destination: u16) -> Told {
        if ip.version == 4 {
            let (from, to) = (self.array(ip.at + 12)?, self.array(ip.at + 16)?);
            self.out.ipv4(from).text(".").number(source.into()).text(" > ").ipv4(to);
        } else {
            let (from, to) = (self.array(ip.at + 8)?, self.array(ip.at + 24)?);
            self.out.ipv6(from).text(".").number(source.into()).text(" > ").ipv6(to);
        }
        self.out.text(".").number(destination.into()).text(": sctp");
        Ok(())
    }

    fn chunks(&mut self, at: usize, length: u32) -> Told {
        let (mut at, mut left) = (at, length);
        let mut count = 0;
        while left != 0 {
            count += 1;
            let separator = match (self.style.verbosity >= 2, count) {
                (true, _) => "\n\t",
                (false, 1) => " (",
                (false, _) => ", (",
            };
            if left < CHUNK_HEADER {
                self.out.text(separator).number(count).text(") [chunk descriptor cut off at end of packet]");
                return Ok(());
            }
            if !self.has(at, CHUNK_HEADER as usize) {
                self.cut();
                return Ok(());
            }
            let chunk = u32::from(self.u16(at + 2)?);
            let padding = chunk.next_multiple_of(4) - chunk;
            if chunk < CHUNK_HEADER || left < padding {
                self.out.text(separator).number(count).text(") [Bad chunk length ").number(chunk);
                let fault = if chunk < CHUNK_HEADER {
                    ", < size of chunk descriptor]"
                } else {
                    ", > remaining data in packet]"
                };
                self.out.text(fault);
                return Ok(());
            }
            if !self.has(at, chunk as usize) {
                self.cut();
                return Ok(());
            }
            self.out.text(separator).number(count).text(") ");
            if !self.chunk(at, chunk)? {
                return Ok(());
            }
            at += chunk as usize;
            left = left.wrapping_sub(chunk);
            if padding != 0 {
                if !self.has(at, padding as usize) {
                    self.cut();
                    return Ok(());
                }
                at += padding as usize;
                left = left.wrapping_sub(padding);
            }
        }
        Ok(())
    }

    /// Tells a chunk; whether the next one can be found.
    fn chunk(&mut self, at: usize, length: u32) -> Told<bool> {
        let kind = self.u8(at)?;
        self.out.text("[");
        match name_of(CHUNKS, kind.into()) {
            Some(name) => self.out.text(name),
            None => self.out.text("Unknown chunk type: 0x").hex(kind.into()),
        };
        self.out.text("] ");
        let (flags, body, left) = (self.u8(at + 1)?, at + CHUNK_HEADER as usize, length - CHUNK_HEADER);
        let whole = match kind {
            DATA => self.data(flags, body, left)?,
            INIT | INIT_ACK => self.init(body, left)?,
            SACK => self.sack(body, left)?,
            _ => true,
        };
        if !whole {
            self.out.text("bogus chunk length ").number(length).text("]");
        }
        Ok(whole)
    }

    fn data(&mut self, flags: u8, at: usize, left: u32) -> Told<bool> {
        for (bit, word) in [(4, "(U)"), (2, "(B)"), (1, "(E)")] {
            self.out.text(if flags & bit != 0 { word } else { "" });
        }
        self.out.text(if flags & 7 != 0 { " " } else { "" });
        if left < 12 {
            return Ok(false);
        }
        let (sequence, stream, order) = (self.u32(at)?, self.u16(at + 4)?, self.u16(at + 6)?);
        self.out.text("[TSN: ").number(sequence).text("] [SID: ").number(stream.into());
        self.out.text("] [SSEQ ").number(order.into()).text("] [PPID ");
        let payload = self.u32(at + 8)?;
        match PAYLOADS.get(payload as usize) {
            None | Some(&"") => self.out.text("0x").hex(payload),
            Some(name) => self.out.text(name),
        };
        self.out.text("] ");
        if left == 12 {
            return Ok(false);
        }
        if self.style.verbosity >= 2 {
            self.out.text("[Payload");
            if !self.style.no_payload {
                self.out.text(":");
                dump::hex_and_ascii(self.out, self.at_most(at + 12, left - 12));
            }
            self.out.text("]");
        }
        Ok(true)
    }

    fn init(&mut self, at: usize, left: u32) -> Told<bool> {
        if left < 16 {
            return Ok(false);
        }
        let (tag, window, streams) = (self.u32(at)?, self.u32(at + 4)?, self.u16(at + 8)?);
        let (inbound, sequence) = (self.u16(at + 10)?, self.u32(at + 12)?);
        self.out.text("[init tag: ").number(tag).text("] [rwnd: ").number(window);
        self.out.text("] [OS: ").number(streams.into()).text("] [MIS: ").number(inbound.into());
        self.out.text("] [init TSN: ").number(sequence).text("] ");
        Ok(true)
    }

    fn sack(&mut self, at: usize, left: u32) -> Told<bool> {
        if left < 12 {
            return Ok(false);
        }
        let (cumulative, window) = (self.u32(at)?, self.u32(at + 4)?);
        let (gaps, duplicates) = (self.u16(at + 8)?, self.u16(at + 10)?);
        self.out.text("[cum ack ").number(cumulative).text("] [a_rwnd ").number(window);
        self.out.text("] [#gap acks ").number(gaps.into()).text("] [#dup tsns ").number(duplicates.into()).text("] ");
        let (mut at, mut left) = (at + 12, left - 12);
        for n in 1..=u32::from(gaps) + u32::from(duplicates) {
            match left {
                0 => break,
                1..4 => return Ok(false),
                _ => left -= 4,
            }
            if n <= u32::from(gaps) {
                let (start, end) = (u32::from(self.u16(at)?), u32::from(self.u16(at + 2)?));
                self.out
                    .text("\n\t\t[gap ack block #")
                    .number(n)
                    .text(": start = ")
                    .number(cumulative.wrapping_add(start));
                self.out.text(", end = ").number(cumulative.wrapping_add(end)).text("] ");
            } else {
                let sequence = self.u32(at)?;
                self.out.text("\n\t\t[dup TSN #").number(n - u32::from(gaps)).text(": ").number(sequence).text("] ");
            }
            at += 4;
        }
        Ok(true)
    }
}
