//! GRE (print-gre.c; RFC 2784, RFC 2890, RFC 1701's source routes, RFC 2637's version 1).

use super::super::put::Put;
use super::link;
use super::page::{Page, Told};

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const ACKNOWLEDGED: u16 = 0x0080;

const FLAGS: [(u32, &str); 6] = [
    (0x8000, "checksum present"),
    (0x4000, "routing present"),
    (0x2000, "key present"),
    (0x1000, "sequence# present"),
    (0x0800, "source routing present"),
    (0x0080, "ack present"),
];

/// What is left of the header to read.
struct Rest {
    at: usize,
    length: u32,
}

impl Page<'_> {
    pub(super) fn gre(&mut self, at: usize, length: u32) -> Told {
        self.protocol = "gre";
        if !self.has(at, 2) || length < 2 {
            self.cut();
            return Ok(());
        }
        let flags = self.u16(at)?;
        let version = flags & 7;
        self.out.text("GREv").number(version.into());
        if version > 1 {
            self.out.text(" ERROR: unknown-version");
            return Ok(());
        }
        if self.verbose() {
            self.out.text(", Flags [");
            self.bits(&FLAGS, flags.into(), ", ", "none");
            self.out.text("]");
        }
        let mut rest = Rest { at: at + 2, length: length - 2 };
        let told =
            if version == 0 { self.gre_0(&mut rest, flags, length)? } else { self.gre_1(&mut rest, flags, length)? };
        if told.is_none() {
            self.cut();
        }
        Ok(())
    }

    /// The place of the next bytes, if there are so many.
    fn take(&self, rest: &mut Rest, bytes: u32) -> Option<usize> {
        let at = rest.at;
        if !self.has(at, bytes as usize) || rest.length < bytes {
            return None;
        }
        rest.at += bytes as usize;
        rest.length -= bytes;
        Some(at)
    }

    fn gre_0(&mut self, rest: &mut Rest, flags: u16, length: u32) -> Told<Option<()>> {
        let Some(at) = self.take(rest, 2) else { return Ok(None) };
        let ether_type = self.u16(at)?;
        if flags & (CHECKSUM | ROUTING) != 0 {
            let Some(at) = self.take(rest, 2) else { return Ok(None) };
            if self.verbose() {
                let sum = self.u16(at)?;
                self.out.text(", sum 0x").hex(sum.into());
            }
            let Some(at) = self.take(rest, 2) else { return Ok(None) };
            let offset = self.u16(at)?;
            self.out.text(", off 0x").hex(offset.into());
        }
        if flags & KEY != 0 {
            let Some(at) = self.take(rest, 4) else { return Ok(None) };
            let key = self.u32(at)?;
            self.out.text(", key=0x").hex(key);
        }
        if flags & SEQUENCE != 0 {
            let Some(at) = self.take(rest, 4) else { return Ok(None) };
            let sequence = self.u32(at)?;
            self.out.text(", seq ").number(sequence);
        }
        if flags & ROUTING != 0 && self.source_routes(rest)?.is_none() {
            return Ok(None);
        }
        self.inner_ether_type(ether_type);
        let separator = if self.verbose() { "\n\t" } else { ": " };
        self.out.text(", length ").number(length).text(separator);
        match ether_type {
            link::IPV4 => self.ipv4(rest.at, rest.length)?,
            link::IPV6 => self.ipv6(rest.at, rest.length)?,
            link::MPLS => self.mpls(rest.at, rest.length)?,
            link::BRIDGED => self.bridged(rest.at, rest.length)?,
            _ => _ = self.out.text("gre-proto-0x").hex(ether_type.into()),
        }
        Ok(Some(()))
    }

    /// PPTP's (RFC 2637): PPP is not told.
    fn gre_1(&mut self, rest: &mut Rest, flags: u16, length: u32) -> Told<Option<()>> {
        let Some(at) = self.take(rest, 2) else { return Ok(None) };
        let protocol = self.u16(at)?;
        for (flag, name, mask) in
            [(KEY, ", call ", 0xffff), (SEQUENCE, ", seq ", u32::MAX), (ACKNOWLEDGED, ", ack ", u32::MAX)]
        {
            if flags & flag != 0 {
                let Some(at) = self.take(rest, 4) else { return Ok(None) };
                let value = self.u32(at)?;
                self.out.text(name).number(value & mask);
            }
        }
        if flags & SEQUENCE == 0 {
            self.out.text(", no-payload");
        }
        self.inner_ether_type(protocol);
        self.out.text(", length ").number(length);
        if flags & SEQUENCE != 0 {
            self.out.text(if self.verbose() { "\n\t" } else { ": " });
            self.out.text("gre-proto-0x").hex(protocol.into());
        }
        Ok(Some(()))
    }

    fn source_routes(&mut self, rest: &mut Rest) -> Told<Option<()>> {
        loop {
            let Some(at) = self.take(rest, 4) else { return Ok(None) };
            let (family, offset, length) = (self.u16(at)?, self.u8(at + 2)?, self.u8(at + 3)?);
            if family == 0 && length == 0 {
                return Ok(Some(()));
            }
            let whole = match family {
                0x0800 => self.source_route("ip", 4, offset, length, rest)?,
                0xfffe => self.source_route("asn", 2, offset, length, rest)?,
                _ => {
                    self.out.text(", (rtaf=0x").hex(family.into()).text(")");
                    true
                }
            };
            if !whole || rest.length < u32::from(length) {
                return Ok(None);
            }
            rest.at += usize::from(length);
            rest.length -= u32::from(length);
        }
    }

    /// Entries of `size` bytes each; whether all were there.
    fn source_route(&mut self, name: &str, size: u8, offset: u8, length: u8, rest: &Rest) -> Told<bool> {
        self.out.text(", (rtaf=").text(name);
        let fault = match () {
            () if offset % size != 0 => Some((", badoffset=", offset)),
            () if length % size != 0 => Some((", badlength=", length)),
            () => None,
        };
        let mut whole = true;
        if let Some((fault, value)) = fault {
            self.out.text(fault).number(value.into());
        } else if offset >= length {
            self.out.text(", badoff/len=").number(offset.into()).text("/").number(length.into());
        } else {
            whole = self.hops_of_route(size, offset, length, rest)?;
        }
        self.out.text(")");
        Ok(whole)
    }

    fn hops_of_route(&mut self, size: u8, offset: u8, length: u8, rest: &Rest) -> Told<bool> {
        for place in (0..length).step_by(size.into()) {
            let at = rest.at + usize::from(place);
            if !self.has(at, size.into()) || rest.length < u32::from(place) + u32::from(size) {
                return Ok(false);
            }
            self.out.text(if place == offset { " *" } else { " " });
            if size == 4 {
                let address = self.array(at)?;
                self.out.ipv4(address);
            } else {
                let number = self.u16(at)?;
                self.out.hex(number.into());
            }
        }
        Ok(true)
    }
}
