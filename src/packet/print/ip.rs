//! IPv4, and what an IP protocol number leads to (print-ip.c, print-ip-demux.c).

use super::super::checksum::{Sum, should_be};
use super::super::names;
use super::super::put::Put;
use super::page::{Page, Told};

pub(super) const HOP_BY_HOP: u8 = 0;
pub(super) const ICMP: u8 = 1;
pub(super) const IPIP: u8 = 4;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const DCCP: u8 = 33;
pub(super) const IPV6: u8 = 41;
pub(super) const ROUTING: u8 = 43;
pub(super) const FRAGMENT: u8 = 44;
pub(super) const GRE: u8 = 47;
pub(super) const ESP: u8 = 50;
pub(super) const AUTHENTICATION: u8 = 51;
pub(super) const ICMP6: u8 = 58;
pub(super) const NONE: u8 = 59;
pub(super) const DESTINATION_OPTIONS: u8 = 60;
const SUN_ND: u8 = 77;
pub(super) const SCTP: u8 = 132;
const ETHERNET: u8 = 143;

const HEADER: u32 = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// An IP packet as its payload sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet {
    /// Where its header begins.
    pub(super) at: usize,
    /// 4 or 6.
    pub(super) version: u8,
    /// Whether it is a fragment, so that its payload is not whole.
    pub(super) fragmented: bool,
}

impl Packet {
    /// The number that the IP header itself holds: the payload's, unless there are extension headers.
    pub(super) fn protocol(self, page: &Page<'_>) -> Told<u8> {
        page.u8(self.at + if self.version == 4 { 9 } else { 6 })
    }
}

/// Whether a transport protocol tells the addresses itself, with its ports.
pub(super) fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | DCCP | SCTP)
}

impl Page<'_> {
    /// An IPv4 packet for which the layer below has `length` bytes.
    pub(super) fn ipv4(&mut self, at: usize, length: u32) -> Told {
        self.protocol = "ip";
        let first = self.u8(at)?;
        if first >> 4 != 4 {
            match first >> 4 {
                6 => self.out.text("IP6, wrong link-layer encapsulation"),
                version => self.out.text("IP").number(version.into()),
            };
            self.invalid();
            return Ok(());
        }
        if !self.style.link_level {
            self.out.text("IP ");
        }
        if !self.has(at, HEADER as usize) {
            self.cut();
            return Ok(());
        }
        let header = u32::from(first & 0xf) * 4;
        if length < HEADER {
            self.out.text("truncated-ip ").number(length);
            return Ok(());
        }
        if header < HEADER {
            self.out.text("bad-hlen ").number(header);
            return Ok(());
        }
        let whole = u32::from(self.u16(at + 2)?);
        if length < whole {
            self.out.text("truncated-ip - ").number(whole - length).text(" bytes missing! ");
        }
        if whole < header {
            self.out.text("bad-len ").number(whole);
            return Ok(());
        }
        self.within(at, whole, |page| page.ipv4_packet(at, header, whole - header))
    }

    fn ipv4_packet(&mut self, at: usize, header: u32, length: u32) -> Told {
        let fragment = self.u16(at + 6)?;
        let protocol = self.u8(at + 9)?;
        if self.verbose() && !self.ipv4_header(at, header, fragment, protocol)? {
            self.ipv4_addresses(at, ": ")?;
            self.cut();
            return Ok(());
        }
        if fragment & FRAGMENT_OFFSET != 0 {
            self.ipv4_addresses(at, ":")?;
            self.out.text(" ip-proto-").number(protocol.into());
            return Ok(());
        }
        if !has_ports(protocol) {
            self.ipv4_addresses(at, ": ")?;
        }
        if !self.has(at, header as usize) {
            return Err(self.header_cut(at, header));
        }
        let packet = Packet { at, version: 4, fragmented: fragment & MORE_FRAGMENTS != 0 };
        self.by_ip_protocol(protocol, at + header as usize, length, packet)
    }

    fn ipv4_addresses(&mut self, at: usize, behind: &str) -> Told {
        let (source, destination) = (self.array(at + 12)?, self.array(at + 16)?);
        self.out.ipv4(source).text(" > ").ipv4(destination).text(behind);
        Ok(())
    }

    /// `(tos 0x0, ttl 64, … )`; whether all of its options were there.
    fn ipv4_header(&mut self, at: usize, header: u32, fragment: u16, protocol: u8) -> Told<bool> {
        const ECN: [&str; 4] = ["", ",ECT(1)", ",ECT(0)", ",CE"];
        const FLAGS: [(u32, &str); 3] = [(0x2000, "+"), (0x4000, "DF"), (0x8000, "rsvd")];
        let (tos, ttl) = (self.u8(at + 1)?, self.u8(at + 8)?);
        self.out.text("(tos 0x").hex(tos.into()).text(ECN[usize::from(tos & 3)]);
        if ttl > 0 {
            self.out.text(", ttl ").number(ttl.into());
        }
        let id = self.u16(at + 4)?;
        self.out.text(", id ").number(id.into());
        self.out.text(", offset ").number(u32::from(fragment & FRAGMENT_OFFSET) * 8).text(", flags [");
        self.bits(&FLAGS, fragment.into(), ", ", "none");
        self.out.text("], proto ").text(names::ip_protocol(protocol).unwrap_or("unknown"));
        let whole = self.u16(at + 2)?;
        self.out.text(" (").number(protocol.into()).text("), length ").number(whole.into());
        let mut all = true;
        if header > HEADER {
            self.out.text(", options (");
            all = self.ipv4_options(at + HEADER as usize, header - HEADER)?;
            self.out.text(if all { ")" } else { " [truncated-option])" });
        }
        self.ipv4_sum(at, header)?;
        self.out.text(")\n    ");
        Ok(all)
    }

    fn ipv4_sum(&mut self, at: usize, header: u32) -> Told {
        if self.style.unchecked_sums || !self.has(at, header as usize) {
            return Ok(());
        }
        let finished = Sum::default().bytes(self.at_most(at, header)).finish();
        if finished != 0 {
            let found = self.u16(at + 10)?;
            self.out.text(", bad cksum ").hex(found.into());
            self.out.text(" (->").hex(should_be(found, finished).into()).text(")!");
        }
        Ok(())
    }

    /// What is in an IP packet. Authentication headers are told in front of it.
    pub(super) fn by_ip_protocol(&mut self, protocol: u8, at: usize, length: u32, ip: Packet) -> Told {
        let (mut protocol, mut at, mut length) = (protocol, at, length);
        while protocol == AUTHENTICATION {
            self.protocol = "ah";
            if !self.has(at, 1) {
                self.cut();
                return Ok(());
            }
            protocol = self.u8(at)?;
            let header = self.authentication(at)?;
            at += header as usize;
            length = length.wrapping_sub(header);
        }
        match (protocol, ip.version) {
            (TCP, _) => self.tcp(at, length, ip),
            (UDP, _) => self.udp(at, length, ip),
            (ICMP, 4) => self.icmp(at, length, ip),
            (ICMP6, 6) => self.icmp6(at, length, ip),
            (SCTP, _) => self.sctp(at, length, ip),
            (GRE, _) => self.gre(at, length),
            (IPIP, _) => self.ipv4(at, length),
            (IPV6, _) => self.ipv6(at, length),
            (ETHERNET, 6) => self.bridged(at, length),
            (ESP, _) => self.esp(at, length),
            _ => {
                self.other_protocol(protocol, length, ip);
                Ok(())
            }
        }
    }

    fn other_protocol(&mut self, protocol: u8, length: u32, ip: Packet) {
        match (protocol, ip.version) {
            (ICMP, _) => self.out.text("[ICMP requires IPv4] (invalid)"),
            (2, 6) => self.out.text("[IGMP requires IPv4] (invalid)"),
            (ICMP6, _) => self.out.text("[ICMPv6 requires IPv6] (invalid)"),
            (ETHERNET, _) => self.out.text("[Ethernet requires IPv6] (invalid)"),
            (SUN_ND, _) => self.out.text(" nd ").number(length),
            (NONE, _) => self.out.text("no next header"),
            _ => self.out.text(" ip-proto-").number(protocol.into()).text(" ").number(length),
        };
    }

    /// The authentication header (print-ah.c); returns its length.
    fn authentication(&mut self, at: usize) -> Told<u32> {
        self.out.text("AH");
        let words = self.u8(at + 1)?;
        let length = (u32::from(words) + 2) * 4;
        self.out.text("(");
        if self.verbose() {
            self.out.text("length=").number(words.into()).text("(").number(length).text("-bytes),");
        }
        let reserved = self.u16(at + 2)?;
        if reserved != 0 {
            self.out.text("reserved=0x").hex(reserved.into()).text("[MustBeZero],");
        }
        let spi = self.u32(at + 4)?;
        self.out.text("spi=0x").hex_padded(spi, 8);
        let sequence = self.u32(at + 8)?;
        self.out.text(",seq=0x").hex(sequence).text(",icv=0x");
        let value = self.at_most(at + 12, length.saturating_sub(12));
        self.out.hex_bytes(value);
        self.need(at, length as usize)?;
        self.out.text("): ");
        Ok(length)
    }

    /// An encrypted packet (print-esp.c).
    fn esp(&mut self, at: usize, length: u32) -> Told {
        self.protocol = "esp";
        if self.left(at) <= 8 {
            self.cut();
            return Ok(());
        }
        let (spi, sequence) = (self.u32(at)?, self.u32(at + 4)?);
        self.out.text("ESP(spi=0x").hex_padded(spi, 8).text(",seq=0x").hex(sequence);
        self.out.text("), length ").number(length);
        Ok(())
    }

    /// The pseudo-header's part of a TCP, UDP or ICMPv6 checksum (`nextproto4_cksum`, `nextproto6_cksum`).
    pub(super) fn pseudo_header(&self, ip: Packet, length: u32, protocol: u8) -> Told<Sum> {
        let sum = Sum::default().word(length).word(protocol.into());
        if ip.version == 4 {
            let source: [u8; 4] = self.array(ip.at + 12)?;
            return Ok(sum.bytes(&source).bytes(&self.ipv4_final_destination(ip.at)?));
        }
        let source: [u8; 16] = self.array(ip.at + 8)?;
        Ok(sum.bytes(&source).bytes(&self.ipv6_final_destination(ip.at)?))
    }
}
