//! Ethernet, VLAN tags, and what an EtherType leads to (print-ether.c).

use super::super::dump;
use super::super::names;
use super::super::put::Put;
use super::page::{Page, Told};

/// Greater values are EtherTypes (IEEE 802.3, 3.2.6, as tcpdump has it).
const LONGEST_802_3: u16 = 1500;

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
pub(super) const BRIDGED: u16 = 0x6558;
pub(super) const MPLS: u16 = 0x8847;
const MPLS_MULTICAST: u16 = 0x8848;
const ARP: u16 = 0x0806;
const REVERSE_ARP: u16 = 0x8035;

fn is_tag(ether_type: u16) -> bool {
    matches!(ether_type, 0x8100 | 0x88a8 | 0x9100 | 0x9200)
}

impl Page<'_> {
    /// A frame of `length` bytes; returns the length of its link-layer header.
    pub(super) fn ethernet(&mut self, at: usize, length: u32) -> Told<usize> {
        self.protocol = "ether";
        let captured = self.left(at);
        if (length as usize) < captured {
            self.out.text("[length ").number(length).text(" < caplen ").number(captured as u32).text("]");
            self.invalid();
            return Ok(length as usize);
        }
        if captured < 14 {
            self.cut();
            return Ok(captured);
        }
        if self.style.link_level {
            self.macs(at)?;
        }
        let mut told = false;
        let mut place = at + 12;
        let mut ether_type = self.u16(place)?;
        place += 2;
        while is_tag(ether_type) {
            if self.left(place) < 4 {
                self.protocol = "vlan";
                self.cut();
                return Ok(captured);
            }
            self.tag(ether_type, self.u16(place)?, length, &mut told);
            ether_type = self.u16(place + 2)?;
            place += 4;
        }
        let rest = length - (place - at) as u32;
        if ether_type <= LONGEST_802_3 {
            let header = self.ieee802_3(at, place, rest.min(ether_type.into()), told)?;
            return Ok(place - at + header);
        }
        if self.style.link_level {
            self.ether_type(ether_type);
            self.length_once(length, &mut told, ", ");
        }
        self.ether_payload(at, place, ether_type, length, rest)?;
        Ok(place - at)
    }

    fn ether_payload(&mut self, at: usize, place: usize, ether_type: u16, length: u32, rest: u32) -> Told {
        if self.by_ether_type(ether_type, place, rest)? {
            return Ok(());
        }
        if !self.style.link_level {
            self.macs(at)?;
            self.ether_type(ether_type);
            self.out.text(", length ").number(length).text(": ");
        }
        self.payload(place);
        Ok(())
    }

    /// `02:00:00:00:00:01 > 02:00:00:00:00:02, `.
    pub(super) fn macs(&mut self, at: usize) -> Told {
        let (destination, source): ([u8; 6], [u8; 6]) = (self.array(at)?, self.array(at + 6)?);
        self.out.mac(&source).text(" > ").mac(&destination).text(", ");
        Ok(())
    }

    fn tag(&mut self, ether_type: u16, tag: u16, length: u32, told: &mut bool) {
        if !self.style.link_level {
            return;
        }
        self.ether_type(ether_type);
        self.length_once(length, told, ", ");
        self.out.text("vlan ").number(u32::from(tag & 0xfff)).text(", p ").number(u32::from(tag >> 13));
        self.out.text(if tag & 0x1000 != 0 { ", DEI, " } else { ", " });
    }

    fn length_once(&mut self, length: u32, told: &mut bool, otherwise: &str) {
        if *told {
            self.out.text(otherwise);
        } else {
            self.out.text(", length ").number(length).text(": ");
        }
        *told = true;
    }

    fn ether_type(&mut self, number: u16) {
        match (self.style.quiet, names::ether_type(number)) {
            (true, Some(name)) => self.out.text(name),
            (true, None) => self.out.text("Unknown Ethertype (0x").hex_padded(number.into(), 4).text(")"),
            (false, name) => {
                let name = name.unwrap_or("Unknown");
                self.out.text("ethertype ").text(name).text(" (0x").hex_padded(number.into(), 4).text(")")
            }
        };
    }

    /// What `, proto IPv4 (0x0800)` says with -e.
    pub(super) fn inner_ether_type(&mut self, number: u16) {
        if self.style.link_level {
            let name = names::ether_type(number).unwrap_or("unknown");
            self.out.text(", proto ").text(name).text(" (0x").hex_padded(number.into(), 4).text(")");
        }
    }

    /// Whether the EtherType is one that is known here; its packet is then told.
    pub(super) fn by_ether_type(&mut self, ether_type: u16, at: usize, length: u32) -> Told<bool> {
        match ether_type {
            IPV4 => self.ipv4(at, length)?,
            IPV6 => self.ipv6(at, length)?,
            ARP | REVERSE_ARP => self.arp(at, length)?,
            MPLS | MPLS_MULTICAST => self.mpls(at, length)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The bytes of what is not known here, in hexadecimal and ASCII, as far as they were captured.
    pub(super) fn payload(&mut self, at: usize) {
        if !self.style.no_payload {
            let bytes = self.at_most(at, u32::MAX);
            dump::hex_and_ascii(self.out, bytes);
        }
    }
}
