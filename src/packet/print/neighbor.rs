//! The options of neighbour discovery (print-icmp6.c; RFC 4861, RFC 4191, RFC 8106, RFC 6275).

use super::super::names::name_of;
use super::super::put::Put;
use super::icmp6::preference;
use super::page::{Page, Told};

const NAMES: &[(u32, &str)] = &[
    (1, "source link-address"),
    (2, "destination link-address"),
    (3, "prefix info"),
    (4, "redirected header"),
    (5, "mtu"),
    (25, "rdnss"),
    (31, "dnssl"),
    (7, "advertisement interval"),
    (8, "homeagent information"),
    (24, "route info"),
];

impl Page<'_> {
    /// The options behind the first `header` bytes of a message of `length` bytes; whether they end where they should.
    pub(super) fn discovery_options(&mut self, at: usize, length: u32, header: u32) -> Told<bool> {
        let first = at;
        let (mut at, mut left) = (at, i64::from(length) - i64::from(header));
        while at < self.bytes.len() {
            if !self.has(at + 1, 1) {
                return Ok(false);
            }
            if left <= 0 {
                return Ok(true);
            }
            let (kind, units) = (self.u8(at)?, self.u8(at + 1)?);
            let bytes = u32::from(units) * 8;
            if units == 0 || !self.has(at, bytes as usize) {
                return Ok(false);
            }
            self.out.text("\n\t  ").text(name_of(NAMES, kind.into()).unwrap_or("unknown"));
            self.out.text(" option (").number(kind.into()).text("), length ").number(bytes);
            self.out.text(" (").number(units.into()).text("): ");
            match kind {
                4 => self.unknown("\n\t    ", first, bytes),
                1..=3 | 5 | 7 | 8 | 24 | 25 | 31 => {
                    let whole = self.discovery_option(kind, at, units)?;
                    if !whole {
                        return Ok(false);
                    }
                }
                _ if self.style.verbosity <= 1 => {
                    self.unknown("\n\t  ", at + 2, bytes - 2);
                    return Ok(true);
                }
                _ => {}
            }
            if self.style.verbosity > 1 {
                self.unknown("\n\t    ", at + 2, bytes - 2);
            }
            at += bytes as usize;
            left -= i64::from(bytes);
        }
        Ok(true)
    }

    fn discovery_option(&mut self, kind: u8, at: usize, units: u8) -> Told<bool> {
        match kind {
            1 | 2 => {
                let address = self.at_most(at + 2, u32::from(units) * 8 - 2);
                self.out.mac(address);
            }
            3 => self.prefix(at, units)?,
            5 => {
                let mtu = self.u32(at + 4)?;
                self.out.text(" ").number(mtu).text(if units == 1 { "" } else { "bad option length" });
            }
            7 => {
                let interval = self.u32(at + 4)?;
                self.out.text(" ").number(interval).text("ms");
            }
            8 => {
                let (preference, lifetime) = (self.u16(at + 4)?, self.u16(at + 6)?);
                self.out.text(" preference ").number(preference.into()).text(", lifetime ").number(lifetime.into());
            }
            24 => return self.route_information(at, units),
            25 => self.name_servers(at, units)?,
            _ => return self.search_list(at, units),
        }
        Ok(true)
    }

    fn lifetime(&mut self, seconds: u32) {
        match seconds {
            u32::MAX => self.out.text("infinity"),
            _ => self.out.number(seconds).text("s"),
        };
    }

    fn prefix(&mut self, at: usize, units: u8) -> Told {
        let (prefix, length, flags) = (self.array(at + 16)?, self.u8(at + 2)?, self.u8(at + 3)?);
        let (valid, preferred) = (self.u32(at + 4)?, self.u32(at + 8)?);
        self.out.ipv6(prefix).text("/").number(length.into()).text(if units == 4 { "" } else { "badlen" });
        self.out.text(", Flags [");
        self.bits(&[(0x80, "onlink"), (0x40, "auto"), (0x20, "router")], flags.into(), ", ", "none");
        self.out.text("], valid time ");
        self.lifetime(valid);
        self.out.text(", pref. time ");
        self.lifetime(preferred);
        Ok(())
    }

    fn route_information(&mut self, at: usize, units: u8) -> Told<bool> {
        let mut prefix = [0; 16];
        match units {
            1 => {}
            2 => prefix[..8].copy_from_slice(&self.array::<8>(at + 8)?),
            3 => prefix = self.array(at + 8)?,
            _ => return Ok(false),
        }
        let (length, flags, lifetime) = (self.u8(at + 2)?, self.u8(at + 3)?, self.u32(at + 4)?);
        self.out.text(" ").ipv6(prefix).text("/").number(length.into());
        self.out.text(", pref=").text(preference(flags)).text(", lifetime=");
        self.lifetime(lifetime);
        Ok(true)
    }

    fn name_servers(&mut self, at: usize, units: u8) -> Told {
        let lifetime = self.u32(at + 4)?;
        self.out.text(" lifetime ").number(lifetime).text("s,");
        for n in 0..usize::from((units - 1) / 2) {
            let address = self.array(at + 8 + 16 * n)?;
            self.out.text(" addr: ").ipv6(address);
        }
        Ok(())
    }

    /// Domain names as DNS writes them (RFC 1035, 3.1), without its compression.
    fn search_list(&mut self, at: usize, units: u8) -> Told<bool> {
        const LONGEST_LABEL: u8 = 63;
        let lifetime = self.u32(at + 4)?;
        self.out.text(" lifetime ").number(lifetime).text("s, domain(s):");
        let end = at + usize::from(units) * 8;
        let mut place = at + 8;
        while place < end && self.u8(place)? != 0 {
            self.out.text(" ");
            loop {
                let length = self.u8(place)?;
                place += 1;
                if length == 0 {
                    break;
                }
                if length > LONGEST_LABEL {
                    return Ok(false);
                }
                self.need(place, length.into())?;
                for byte in self.at_most(place, length.into()) {
                    self.character(*byte);
                }
                place += usize::from(length);
                self.out.text(".");
            }
        }
        Ok(true)
    }
}
