//! What an ICMP error carries behind the packet that it quotes (print-icmp.c, RFC 4884, RFC 4950).

use super::super::checksum::Sum;
use super::super::dump;
use super::super::put::Put;
use super::page::{Page, Told};

/// Behind ICMP's header and 128 bytes of the quoted packet.
const PLACE: usize = 136;
const HEADER: usize = 4;
const OBJECT_HEADER: u32 = 4;
const MPLS_STACK: u8 = 1;

impl Page<'_> {
    pub(super) fn icmp_extensions(&mut self, at: usize, length: u32) -> Told {
        let place = at + PLACE;
        if length as usize <= PLACE {
            return Ok(());
        }
        if !self.has(at, PLACE + 5) {
            self.cut();
            return Ok(());
        }
        let length = length - PLACE as u32;
        let whole = self.has(place, length as usize);
        let right = Sum::default().bytes(self.at_most(place, length)).finish() == 0;
        // Not all senders set the length in ICMP's header: the checksum tells then.
        if self.u8(at + 5)? == 0 && whole && !right {
            return Ok(());
        }
        let version = self.u8(place)? >> 4;
        self.out.text("\n\tICMP Multi-Part extension v").number(version.into());
        if version != 2 {
            self.out.text(" packet not supported");
            return Ok(());
        }
        if whole {
            let sum = self.u16(place + 2)?;
            self.out.text(", checksum 0x").hex_padded(sum.into(), 4);
            self.out.text(if right { " (correct), length " } else { " (incorrect), length " }).number(length);
        }
        self.objects(place + HEADER, length.saturating_sub(HEADER as u32))
    }

    fn objects(&mut self, at: usize, length: u32) -> Told {
        let (mut at, mut left) = (at, length);
        while left > OBJECT_HEADER {
            if !self.has(at, OBJECT_HEADER as usize) {
                self.cut();
                return Ok(());
            }
            let (length, class, kind) = (u32::from(self.u16(at)?), self.u8(at + 2)?, self.u8(at + 3)?);
            let name = match class {
                1 => "MPLS Stack Entry",
                2 => "Interface Identification",
                _ => "unknown",
            };
            self.out.text("\n\t  ").text(name).text(" Object (").number(class.into());
            self.out.text("), Class-Type: ").number(kind.into()).text(", length ").number(length);
            at += OBJECT_HEADER as usize;
            left -= OBJECT_HEADER;
            if class == 0 || length < OBJECT_HEADER {
                return Ok(());
            }
            let length = length - OBJECT_HEADER;
            match (class, kind) {
                (MPLS_STACK, 1) => self.stack_entry(at)?,
                _ => self.unknown("\n\t    ", at, length),
            }
            if left < length {
                return Ok(());
            }
            left -= length;
            at += length as usize;
        }
        Ok(())
    }

    fn stack_entry(&mut self, at: usize) -> Told {
        let entry = self.u32(at)?;
        self.out.text("\n\t    label ").number(entry >> 12).text(", tc ").number(entry >> 9 & 7);
        self.out.text(if entry & 0x100 != 0 { ", [S]" } else { "" }).text(", ttl ").number(entry & 0xff);
        Ok(())
    }

    /// The bytes of what is not known, each line behind `indent` (`print_unknown_data`).
    pub(super) fn unknown(&mut self, indent: &str, at: usize, length: u32) {
        if at > self.bytes.len() {
            self.out.text(indent).text("Dissector error: print_unknown_data called with pointer past end of packet");
            return;
        }
        dump::hex_after(self.out, indent, self.at_most(at, length));
    }
}
