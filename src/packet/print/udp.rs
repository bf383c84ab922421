//! UDP (print-udp.c), and the tunnels in it. Other payloads are not told: `length` says how long they are.

use super::super::checksum::should_be;
use super::super::put::Put;
use super::ip::{self, Packet};
use super::page::{Page, Told};

const HEADER: u32 = 8;

/// What a port stands for.
const VXLAN: u16 = 4789;
const GENEVE: u16 = 6081;
const OTV: u16 = 8472;
const MPLS: u16 = 6635;

impl Page<'_> {
    pub(super) fn udp(&mut self, at: usize, length: u32, ip: Packet) -> Told {
        self.protocol = "udp";
        if !self.has(at, 4) {
            if ip.protocol(self)? == ip::UDP {
                self.addresses(ip, ": ")?;
            }
            self.cut();
            return Ok(());
        }
        let (source, destination) = (self.u16(at)?, self.u16(at + 2)?);
        self.addresses_and_ports(ip, ip::UDP, source, destination)?;
        if length < HEADER {
            self.out.text("truncated-udp ").number(length);
            return Ok(());
        }
        if !self.has(at, 6) {
            self.cut();
            return Ok(());
        }
        let whole = match u32::from(self.u16(at + 4)?) {
            // A jumbogram's (RFC 2675).
            0 if length > 0xffff => length,
            whole => whole,
        };
        if whole < HEADER {
            self.out.text("truncated-udplength ").number(whole);
            return Ok(());
        }
        if !self.has(at, HEADER as usize) {
            self.cut();
            return Ok(());
        }
        let given = whole - HEADER;
        let payload = given.min(length - HEADER);
        self.udp_sum(at, payload, ip)?;
        if !self.style.quiet && self.udp_tunnel(source, destination, at + HEADER as usize, payload)? {
            return Ok(());
        }
        match given > payload && !ip.fragmented {
            true => self.out.text("UDP, bad length ").number(given).text(" > ").number(payload),
            false => self.out.text("UDP, length ").number(given),
        };
        Ok(())
    }

    /// IPv4's may be left out, and is looked at from -vv on only.
    fn udp_sum(&mut self, at: usize, payload: u32, ip: Packet) -> Told {
        let asked = self.style.verbosity > if ip.version == 4 { 1 } else { 0 };
        if !asked || self.style.unchecked_sums || ip.fragmented {
            return Ok(());
        }
        let found = self.u16(at + 6)?;
        if found == 0 && ip.version == 4 {
            self.out.text("[no cksum] ");
            return Ok(());
        }
        if !self.has(at, (payload + HEADER) as usize) {
            return Ok(());
        }
        let length = payload + HEADER;
        let finished = self.pseudo_header(ip, length, ip::UDP)?.bytes(self.at_most(at, length)).finish();
        self.judge("udp", found, finished);
        Ok(())
    }

    /// `[udp sum ok] `, or what it should be.
    pub(super) fn judge(&mut self, name: &str, found: u16, finished: u16) {
        match finished {
            0 => self.out.text("[").text(name).text(" sum ok] "),
            _ => {
                self.out.text("[bad ").text(name).text(" cksum 0x").hex_padded(found.into(), 4);
                self.out.text(" -> 0x").hex_padded(should_be(found, finished).into(), 4).text("!] ")
            }
        };
    }

    fn udp_tunnel(&mut self, source: u16, destination: u16, at: usize, length: u32) -> Told<bool> {
        let between = |port| source == port || destination == port;
        match () {
            () if between(OTV) => self.otv(at, length)?,
            () if between(VXLAN) => self.vxlan(at, length)?,
            () if between(GENEVE) => self.geneve(at, length)?,
            () if between(MPLS) => self.mpls(at, length)?,
            () => return Ok(false),
        }
        Ok(true)
    }
}
