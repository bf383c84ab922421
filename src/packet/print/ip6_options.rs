//! The options of IPv6's hop-by-hop and destination headers (print-ip6opts.c), and the routing header's part in
//! checksums.

use super::super::put::Put;
use super::ip;
use super::page::{Page, Told};

const PAD1: u8 = 0;
const PADN: u8 = 1;
const ROUTER_ALERT: u8 = 5;
const JUMBO: u8 = 0xc2;
const HOME_ADDRESS: u8 = 0xc9;

/// What was read of the options: `None` where they end too early, else the length of a jumbogram if one was announced.
type Options = Option<Option<u32>>;

impl Page<'_> {
    /// `payload` is the IPv6 header's payload length where the options may announce a jumbogram (RFC 2675).
    pub(super) fn ipv6_options(&mut self, at: usize, length: usize, payload: Option<u32>) -> Told<Options> {
        let (mut place, mut jumbo, mut found) = (0, None, false);
        while place < length {
            let kind = self.u8(at + place)?;
            let whole = match kind {
                PAD1 => 1,
                _ if place + 1 < length => usize::from(self.u8(at + place + 1)?) + 2,
                _ => return Ok(None),
            };
            if place + whole > length {
                return Ok(None);
            }
            match kind {
                JUMBO => {
                    if !self.well_sized("jumbo", whole, 6, length - place) {
                        return Ok(None);
                    }
                    let told = self.jumbo(at + place, payload, found)?;
                    jumbo = jumbo.or(told);
                    found = true;
                }
                _ if !self.ipv6_option(kind, at + place, whole, length - place)? => return Ok(None),
                _ => {}
            }
            place += whole;
        }
        if self.verbose() && length > 0 {
            self.out.text(" ");
        }
        Ok(Some(jumbo))
    }

    /// Whether an option has the one length it may have.
    fn well_sized(&mut self, name: &str, whole: usize, right: usize, left: usize) -> bool {
        if left < right {
            self.out.text("(").text(name).text(": trunc)");
        } else if whole != right {
            self.out.text("(").text(name).text(": invalid len ").number(whole as u32 - 2).text(")");
        }
        left >= right && whole == right
    }

    fn ipv6_option(&mut self, kind: u8, at: usize, whole: usize, left: usize) -> Told<bool> {
        if kind == ROUTER_ALERT && !self.well_sized("rtalert", whole, 4, left) {
            return Ok(false);
        }
        if kind == HOME_ADDRESS && whole < 18 {
            return Ok(self.well_sized("homeaddr", whole, 18, left));
        }
        if !self.verbose() {
            return Ok(true);
        }
        match kind {
            PAD1 => _ = self.out.text("(pad1)"),
            PADN => _ = self.out.text("(padn)"),
            ROUTER_ALERT => {
                let value = self.u16(at + 2)?;
                self.out.text("(rtalert: 0x").hex_padded(value.into(), 4).text(") ");
            }
            HOME_ADDRESS => {
                let address = self.array(at + 2)?;
                self.out.text("(homeaddr: ").ipv6(address);
                if !self.ipv6_suboptions(at + 18, whole - 18)? {
                    return Ok(false);
                }
                self.out.text(")");
            }
            _ => {
                self.out.text("(opt_type 0x").hex_padded(kind.into(), 2);
                self.out.text(": len=").number(whole as u32 - 2).text(")");
            }
        }
        Ok(true)
    }

    fn ipv6_suboptions(&mut self, at: usize, length: usize) -> Told<bool> {
        let mut place = 0;
        while place < length {
            let kind = self.u8(at + place)?;
            let whole = match kind {
                PAD1 => 1,
                _ if place + 1 < length => usize::from(self.u8(at + place + 1)?) + 2,
                _ => return Ok(false),
            };
            if place + whole > length {
                return Ok(false);
            }
            match kind {
                PAD1 => self.out.text(", pad1"),
                PADN => self.out.text(", padn"),
                _ => {
                    self.out.text(", sopt_type 0x").hex_padded(kind.into(), 2);
                    self.out.text(": len=").number(whole as u32 - 2)
                }
            };
            place += whole;
        }
        Ok(true)
    }

    fn jumbo(&mut self, at: usize, payload: Option<u32>, seen: bool) -> Told<Option<u32>> {
        let length = self.u32(at + 2)?;
        let (fault, valid) = match payload {
            _ if seen => (" - already seen", None),
            None => (" - not a hop-by-hop option", None),
            Some(1..) => (" - payload len != 0", None),
            _ if length < 65536 => (" - < 65536", None),
            _ => ("", Some(length)),
        };
        if self.verbose() {
            self.out.text("(jumbo: ").number(length).text(fault).text(") ");
        }
        Ok(valid)
    }

    /// The destination that a checksum covers: the last one of a routing header (`ip6_finddst`).
    pub(super) fn ipv6_final_destination(&self, at: usize) -> Told<[u8; 16]> {
        let mut place = at + 40;
        let mut next = self.u8(at + 6)?;
        let mut last = at + 24;
        while place < self.bytes.len() {
            let length = match next {
                ip::HOP_BY_HOP | ip::DESTINATION_OPTIONS | 62 | 135 => (usize::from(self.u8(place + 1)?) + 1) * 8,
                ip::FRAGMENT => 8,
                ip::ROUTING => {
                    last = self.last_segment(place)?.unwrap_or(last);
                    break;
                }
                _ => break,
            };
            next = self.u8(place)?;
            place += length;
        }
        self.array(last)
    }

    fn last_segment(&self, at: usize) -> Told<Option<usize>> {
        if !self.has(at, 4) {
            return Ok(None);
        }
        let words = self.u8(at + 1)?;
        let segment = match self.u8(at + 2)? {
            _ if words % 2 == 1 => None,
            0 | 2 => (1..=usize::from(words / 2)).take_while(|n| self.has(at + 8, n * 16)).last().map(|n| n - 1),
            4 => Some(0),
            _ => None,
        };
        Ok(segment.map(|n| at + 8 + 16 * n).filter(|place| self.has(*place, 16)))
    }
}
