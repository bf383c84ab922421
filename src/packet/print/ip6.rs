//! IPv6 and its extension headers (print-ip6.c, print-frag6.c, print-rt6.c).

use super::super::names;
use super::super::put::Put;
use super::ip::{self, Packet};
use super::page::{Page, Told};

const HEADER: usize = 40;

/// An IPv6 packet on the way through its extension headers.
struct Walk {
    /// Where the packet begins.
    at: usize,
    /// What the layer below has.
    available: u32,
    /// What the payload length says, or a jumbo payload option.
    payload: u32,
    jumbo: bool,
    extended: bool,
    hop_by_hop: bool,
    fragmented: bool,
}

/// How an extension header ends.
enum Extension {
    /// So many bytes on.
    Length(usize),
    /// It is the last one to be told.
    Last,
}

impl Page<'_> {
    /// An IPv6 packet for which the layer below has `length` bytes.
    pub(super) fn ipv6(&mut self, at: usize, length: u32) -> Told {
        self.protocol = "ip6";
        if !self.has(at, HEADER) {
            self.cut();
            return Ok(());
        }
        if (length as usize) < HEADER {
            self.out.text("truncated-ip6 ").number(length);
            return Ok(());
        }
        if !self.style.link_level {
            self.out.text("IP6 ");
        }
        let version = self.u8(at)? >> 4;
        if version != 6 {
            self.out.text("version error: ").number(version.into()).text(" != 6");
            return Ok(());
        }
        let payload = u32::from(self.u16(at + 4)?);
        let whole = if payload == 0 { length.saturating_add(40) } else { payload + 40 };
        if payload != 0 && length < whole {
            self.out.text("truncated-ip6 - ").number(whole - length).text(" bytes missing!");
        }
        if self.verbose() {
            self.ipv6_header(at, payload)?;
        }
        let walk = Walk {
            at,
            available: length,
            payload,
            jumbo: false,
            extended: false,
            hop_by_hop: false,
            fragmented: false,
        };
        self.within(at, whole, |page| page.ipv6_walk(walk, whole))
    }

    fn ipv6_header(&mut self, at: usize, payload: u32) -> Told {
        let flow = self.u32(at)?;
        let next = self.u8(at + 6)?;
        self.out.text("(");
        if flow & 0x0ff0_0000 != 0 {
            self.out.text("class 0x").hex_padded(flow >> 20 & 0xff, 2).text(", ");
        }
        if flow & 0xf_ffff != 0 {
            self.out.text("flowlabel 0x").hex_padded(flow & 0xf_ffff, 5).text(", ");
        }
        let hops = self.u8(at + 7)?;
        self.out.text("hlim ").number(hops.into());
        self.out.text(", next-header ").text(names::ip_protocol(next).unwrap_or("unknown"));
        self.out.text(" (").number(next.into()).text(") payload length: ").number(payload).text(") ");
        Ok(())
    }

    fn ipv6_walk(&mut self, mut walk: Walk, whole: u32) -> Told {
        let (mut place, mut left, mut length) = (walk.at, whole, HEADER);
        let mut next = self.u8(walk.at + 6)?;
        while place < self.bytes.len() && length > 0 {
            if (left as usize) < length {
                self.cut();
                return Ok(());
            }
            place += length;
            left -= length as u32;
            if place == walk.at + HEADER && !ip::has_ports(next) {
                let packet = Packet { at: walk.at, version: 6, fragmented: false };
                self.addresses(packet, ": ")?;
            }
            match self.extension(next, place, &mut walk)? {
                None => return self.ipv6_payload(next, place, left, &walk),
                Some(Extension::Last) => return Ok(()),
                Some(Extension::Length(found)) => length = found,
            }
            walk.extended = true;
            next = self.u8(place)?;
            self.protocol = "ip6";
        }
        Ok(())
    }

    /// Tells an extension header. `None`: it is none.
    fn extension(&mut self, next: u8, at: usize, walk: &mut Walk) -> Told<Option<Extension>> {
        Ok(Some(match next {
            ip::HOP_BY_HOP => self.hop_by_hop(at, walk)?,
            ip::DESTINATION_OPTIONS => self.destination_options(at)?,
            ip::FRAGMENT => self.fragment(at, walk)?,
            ip::ROUTING => self.routing(at)?,
            _ => return Ok(None),
        }))
    }

    fn hop_by_hop(&mut self, at: usize, walk: &mut Walk) -> Told<Extension> {
        if walk.extended {
            self.out.text(match walk.hop_by_hop {
                true => "[The Hop-by-Hop Options header was already found]",
                false => "[The Hop-by-Hop Options header don't follow the IPv6 header]",
            });
            self.invalid();
            return Ok(Extension::Last);
        }
        walk.hop_by_hop = true;
        self.protocol = "hbhopt";
        let length = (usize::from(self.u8(at + 1)?) + 1) * 8;
        let whole = self.has(at, length) && {
            self.out.text("HBH ");
            let payload = walk.payload;
            let jumbo = self.ipv6_options(at + 2, length - 2, Some(payload))?;
            if let Some(Some(jumbo)) = jumbo {
                walk.jumbo = true;
                walk.payload = jumbo;
            }
            jumbo.is_some()
        };
        if !whole {
            self.cut();
        }
        if walk.payload == 0 && !walk.jumbo {
            self.out.text("[No valid Jumbo Payload Hop-by-Hop option found]");
            self.invalid();
            return Ok(Extension::Last);
        }
        Ok(if whole { Extension::Length(length) } else { Extension::Last })
    }

    fn destination_options(&mut self, at: usize) -> Told<Extension> {
        self.protocol = "dstopt";
        let length = (usize::from(self.u8(at + 1)?) + 1) * 8;
        let whole = self.has(at, length) && {
            self.out.text("DSTOPT ");
            !self.verbose() || self.ipv6_options(at + 2, length - 2, None)?.is_some()
        };
        if whole {
            return Ok(Extension::Length(length));
        }
        self.cut();
        Ok(Extension::Last)
    }

    fn fragment(&mut self, at: usize, walk: &mut Walk) -> Told<Extension> {
        self.protocol = "frag6";
        let behind = (HEADER as u32 + u32::from(self.u16(walk.at + 4)?)).wrapping_sub((at - walk.at) as u32 + 8);
        let offset = self.u16(at + 2)? & 0xfff8;
        if self.verbose() {
            let id = self.u32(at + 4)?;
            self.out.text("frag (0x").hex_padded(id, 8).text(":");
        } else {
            self.out.text("frag (");
        }
        self.out.number(offset.into()).text("|").number(behind).text(")");
        if offset != 0 {
            return Ok(Extension::Last);
        }
        self.out.text(" ");
        walk.fragmented = true;
        Ok(if self.bytes.len() <= at + 8 { Extension::Last } else { Extension::Length(8) })
    }

    fn routing(&mut self, at: usize) -> Told<Extension> {
        if !self.has(at, 1) {
            self.cut();
            return Ok(Extension::Last);
        }
        self.protocol = "rt6";
        self.out.text("RT6");
        let words = self.u8(at + 1)?;
        self.out.text(" (len=").number(words.into());
        let kind = self.u8(at + 2)?;
        self.out.text(", type=").number(kind.into()).text(if kind == 0 { " [Deprecated]" } else { "" });
        let left = self.u8(at + 3)?;
        self.out.text(", segleft=").number(left.into());
        match kind {
            0 | 2 => {
                let reserved = self.u32(at + 4)?;
                if reserved != 0 || self.verbose() {
                    self.out.text(", rsv=0x").hex(reserved);
                }
            }
            4 => self.segment_routing(at)?,
            _ => {
                self.out.text(" (unknown type)");
                self.invalid();
                return Ok(Extension::Last);
            }
        }
        if words % 2 == 1 {
            self.out.text(" (invalid length ").number(words.into()).text(")");
            self.invalid();
            return Ok(Extension::Last);
        }
        for n in 0..usize::from(words / 2) {
            let address = self.array(at + 8 + 16 * n)?;
            self.out.text(", [").number(n as u32).text("]").ipv6(address);
        }
        self.out.text(") ");
        Ok(Extension::Length((usize::from(words) + 1) * 8))
    }

    /// RFC 8754, 2.
    fn segment_routing(&mut self, at: usize) -> Told {
        let (last, flags) = (self.u8(at + 4)?, self.u8(at + 5)?);
        self.out.text(", last-entry=").number(last.into());
        if flags != 0 || self.verbose() {
            self.out.text(", flags=0x").hex(flags.into());
        }
        let tag = self.u16(at + 6)?;
        self.out.text(", tag=").hex(tag.into());
        Ok(())
    }

    fn ipv6_payload(&mut self, next: u8, at: usize, left: u32, walk: &Walk) -> Told {
        let mut left = left;
        let headers = (at - walk.at) as u32;
        if walk.jumbo {
            let whole = walk.payload.saturating_add(40);
            if whole < headers {
                self.cut();
                return Ok(());
            }
            if walk.available < whole {
                self.out.text("truncated-ip6 - ").number(whole - walk.available).text(" bytes missing!");
            }
            self.end(walk.at, whole);
            left = whole - headers;
        } else if walk.payload == 0 {
            if walk.extended {
                self.cut();
                return Ok(());
            }
            left = 0;
            self.end(walk.at, HEADER as u32);
        }
        let packet = Packet { at: walk.at, version: 6, fragmented: walk.fragmented };
        self.by_ip_protocol(next, at, left, packet)
    }
}
