//! ICMP (print-icmp.c, RFC 792).

use super::super::checksum::{Sum, should_be};
use super::super::put::Put;
use super::ip::{self, Packet};
use super::page::{Page, Told};

const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const SOURCE_QUENCH: u8 = 4;
const REDIRECT: u8 = 5;
const ECHO: u8 = 8;
const ROUTER_ADVERTISEMENT: u8 = 9;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;
const TIMESTAMP: u8 = 13;
const TIMESTAMP_REPLY: u8 = 14;
const MASK_REPLY: u8 = 18;

/// Where the packet that an error quotes begins.
const QUOTED: usize = 8;

impl Page<'_> {
    pub(super) fn icmp(&mut self, at: usize, length: u32, ip: Packet) -> Told {
        self.protocol = "icmp";
        let (kind, code) = (self.u8(at)?, self.u8(at + 1)?);
        // Nothing of it is told unless its words are complete.
        let before = self.out.len();
        self.out.text("ICMP ");
        match self.icmp_words(at, kind, code) {
            Ok(true) => {}
            Ok(false) => {
                self.out.truncate(before);
                self.cut();
                return Ok(());
            }
            Err(cut) => {
                self.out.truncate(before);
                return Err(cut);
            }
        }
        self.out.text(", length ").number(length);
        if !self.verbose() {
            return Ok(());
        }
        self.icmp_sum(at, length, ip)?;
        if matches!(kind, UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM) {
            self.quoted(at + QUOTED)?;
        }
        self.protocol = "icmp";
        if matches!(kind, UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM) {
            self.icmp_extensions(at, length)?;
        }
        Ok(())
    }

    fn icmp_sum(&mut self, at: usize, length: u32, ip: Packet) -> Told {
        if ip.fragmented || !self.has(at, length as usize) {
            return Ok(());
        }
        let finished = Sum::default().bytes(self.at_most(at, length)).finish();
        if finished != 0 {
            let found = self.u16(at + 2)?;
            self.out.text(" (wrong icmp cksum ").hex(found.into());
            self.out.text(" (->").hex(should_be(found, finished).into()).text(")!)");
        }
        Ok(())
    }

    /// The packet that an error is about.
    fn quoted(&mut self, at: usize) -> Told {
        self.out.text("\n\t");
        let whole = u32::from(self.u16(at + 2)?);
        self.within(at, whole, |page| {
            page.need(at, 4)?;
            page.ipv4(at, whole)
        })
    }

    /// Between `ICMP ` and its length. `false`: it is cut, and -x need not show the link-layer header for it.
    fn icmp_words(&mut self, at: usize, kind: u8, code: u8) -> Told<bool> {
        match kind {
            ECHO | ECHO_REPLY => {
                let (id, sequence) = (self.u16(at + 4)?, self.u16(at + 6)?);
                self.out.text(if kind == ECHO { "echo request, id " } else { "echo reply, id " });
                self.out.number(id.into()).text(", seq ").number(sequence.into());
            }
            UNREACHABLE => return self.unreachable(at, code),
            REDIRECT => self.redirect(at, code)?,
            ROUTER_ADVERTISEMENT => return self.router_advertisement(at),
            TIME_EXCEEDED if !self.has(at + QUOTED + 16, 4) => return Ok(false),
            TIME_EXCEEDED => {
                _ = match code {
                    0 => self.out.text("time exceeded in-transit"),
                    1 => self.out.text("ip reassembly time exceeded"),
                    _ => self.out.text("time exceeded-#").number(code.into()),
                }
            }
            PARAMETER_PROBLEM if code != 0 => _ = self.out.text("parameter problem - code ").number(code.into()),
            PARAMETER_PROBLEM => {
                let octet = self.u8(at + 4)?;
                self.out.text("parameter problem - octet ").number(octet.into());
            }
            MASK_REPLY => {
                let mask = self.u32(at + 8)?;
                self.out.text("address mask is 0x").hex_padded(mask, 8);
            }
            TIMESTAMP | TIMESTAMP_REPLY => return self.timestamp(at, kind),
            _ => {
                _ = match kind {
                    SOURCE_QUENCH => self.out.text("source quench"),
                    10 => self.out.text("router solicitation"),
                    15 => self.out.text("information request"),
                    16 => self.out.text("information reply"),
                    17 => self.out.text("address mask request"),
                    _ => self.out.text("type-#").number(kind.into()),
                }
            }
        }
        Ok(true)
    }

    fn unreachable(&mut self, at: usize, code: u8) -> Told<bool> {
        const WORDS: [(&str, &str); 16] = [
            ("net ", " unreachable"),
            ("host ", " unreachable"),
            ("", ""),
            ("", ""),
            ("", " unreachable - need to frag"),
            ("", " unreachable - source route failed"),
            ("net ", " unreachable - unknown"),
            ("host ", " unreachable - unknown"),
            ("", " unreachable - source host isolated"),
            ("net ", " unreachable - admin prohibited"),
            ("host ", " unreachable - admin prohibited"),
            ("net ", " unreachable - tos prohibited"),
            ("host ", " unreachable - tos prohibited"),
            ("host ", " unreachable - admin prohibited filter"),
            ("host ", " unreachable - host precedence violation"),
            ("host ", " unreachable - precedence cutoff"),
        ];
        let quoted = at + QUOTED;
        if code == 3 && !self.has(quoted + 9, 1) {
            return Ok(false);
        }
        let mtu = if code == 4 { self.u16(at + 6)? } else { 0 };
        let destination = self.array(quoted + 16)?;
        match (code, WORDS.get(usize::from(code))) {
            (2, _) => {
                let protocol = self.u8(quoted + 9)?;
                self.out.ipv4(destination).text(" protocol ").number(protocol.into()).text(" unreachable");
            }
            (3, _) => self.port_unreachable(quoted, destination)?,
            (_, Some((before, behind))) => _ = self.out.text(before).ipv4(destination).text(behind),
            (_, None) => _ = self.out.ipv4(destination).text(" unreachable - #").number(code.into()),
        }
        if mtu != 0 {
            self.out.text(" (mtu ").number(mtu.into()).text(")");
        }
        Ok(true)
    }

    fn port_unreachable(&mut self, quoted: usize, destination: [u8; 4]) -> Told {
        let header = usize::from(self.u8(quoted)? & 0xf) * 4;
        let (port, protocol) = (self.u16(quoted + header + 2)?, self.u8(quoted + 9)?);
        self.out.ipv4(destination);
        match protocol {
            ip::TCP => self.out.text(" tcp port "),
            ip::UDP => self.out.text(" udp port "),
            other => self.out.text(" protocol ").number(other.into()).text(" port "),
        };
        self.out.number(port.into()).text(" unreachable");
        Ok(())
    }

    fn redirect(&mut self, at: usize, code: u8) -> Told {
        let (destination, gateway) = (self.array(at + QUOTED + 16)?, self.array(at + 4)?);
        match code {
            0 | 1 => self.out.text("redirect "),
            2 | 3 => self.out.text("redirect-tos "),
            _ => self.out.text("redirect-#").number(code.into()).text(" "),
        };
        self.out.ipv4(destination);
        self.out.text(match code {
            0 | 2 => " to net ",
            1 | 3 => " to host ",
            _ => " to ",
        });
        self.out.ipv4(gateway);
        Ok(())
    }

    /// RFC 1256.
    fn router_advertisement(&mut self, at: usize) -> Told<bool> {
        self.out.text("router advertisement lifetime ");
        if !self.has(at + 4, 4) {
            return Ok(false);
        }
        let (count, size, lifetime) = (self.u8(at + 4)?, self.u8(at + 5)?, u32::from(self.u16(at + 6)?));
        match lifetime {
            0..60 => self.out.number(lifetime),
            60..3600 => self.out.number(lifetime / 60).text(":").padded(lifetime % 60, 2),
            _ => {
                self.out.number(lifetime / 3600).text(":").padded(lifetime % 3600 / 60, 2);
                self.out.text(":").padded(lifetime % 60, 2)
            }
        };
        self.out.text(" ").number(count.into()).text(":");
        if size != 2 {
            self.out.text(" [size ").number(size.into()).text("]");
            return Ok(true);
        }
        for n in 0..usize::from(count) {
            let entry = at + 8 + 8 * n;
            if !self.has(entry, 8) {
                return Ok(false);
            }
            let (address, preference) = (self.array(entry)?, self.u32(entry + 4)?);
            self.out.text(" {").ipv4(address).text(" ").number(preference).text("}");
        }
        Ok(true)
    }

    fn timestamp(&mut self, at: usize, kind: u8) -> Told<bool> {
        if kind == TIMESTAMP_REPLY && !self.has(at + 16, 4) {
            return Ok(false);
        }
        let (id, sequence) = (self.u16(at + 4)?, self.u16(at + 6)?);
        self.out.text(if kind == TIMESTAMP { "time stamp query id " } else { "time stamp reply id " });
        self.out.number(id.into()).text(" seq ").number(sequence.into());
        if kind == TIMESTAMP_REPLY {
            for (name, place) in [(": org ", 8), (", recv ", 12), (", xmit ", 16)] {
                let time = self.u32(at + place)?;
                self.out.text(name);
                self.time_of_day(time);
            }
        }
        Ok(true)
    }

    /// Milliseconds since midnight UTC.
    fn time_of_day(&mut self, milliseconds: u32) {
        let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
        self.out.padded(seconds / 3600, 2).text(":").padded(seconds / 60 % 60, 2);
        self.out.text(":").padded(seconds % 60, 2).text(".").padded(rest, 3);
    }
}
