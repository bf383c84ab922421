//! IEEE 802.3 frames: 802.2 LLC and SNAP (print-llc.c). What is in them is told where it is IP or ARP.

use super::super::dump;
use super::super::names::{self, name_of};
use super::super::put::Put;
use super::page::{Page, Told};

const SAPS: &[(u32, &str)] = &[
    (0x00, "Null"),
    (0xff, "Global"),
    (0x02, "802.1B I"),
    (0x03, "802.1B G"),
    (0x06, "IP"),
    (0x04, "SNA"),
    (0x0e, "ProWay NM"),
    (0x42, "STP"),
    (0x4e, "RS511"),
    (0x7e, "ISO8208"),
    (0x8e, "ProWay"),
    (0xaa, "SNAP"),
    (0xe0, "IPX"),
    (0xf0, "NetBeui"),
    (0xfe, "OSI"),
];
const COMMANDS: &[(u32, &str)] = &[
    (0x03, "ui"),
    (0xe3, "test"),
    (0xaf, "xid"),
    (0x63, "ua"),
    (0x43, "disc"),
    (0x0f, "dm"),
    (0x6f, "sabme"),
    (0x87, "frmr"),
];
const ORGANISATIONS: &[(u32, &str)] = &[
    (0x000000, "Ethernet"),
    (0x00000c, "Cisco"),
    (0x0000f8, "Cisco bridged"),
    (0x0080c2, "Ethernet bridged"),
    (0x080007, "Appletalk"),
];
const CISCO: &[(u32, &str)] =
    &[(0x2000, "CDP"), (0x2003, "VTP"), (0x2004, "DTP"), (0x0111, "UDLD"), (0x010b, "PVST"), (0x010c, "VLAN Bridge")];

const IP: u8 = 0x06;
const SNAP: u8 = 0xaa;
const UNNUMBERED_INFORMATION: u16 = 3;
const IDENTIFICATION: u16 = 0xaf;
const UNNUMBERED_POLL: u16 = 0x10;
const POLL: u16 = 0x100;

/// An LLC header.
struct Llc {
    destination: u8,
    source: u8,
    control: u16,
    unnumbered: bool,
    header: u32,
}

impl Page<'_> {
    /// What is behind an 802.3 frame's length, which is `length` unless the frame is shorter; returns how long the
    /// LLC header is. The frame begins at `frame`.
    pub(super) fn ieee802_3(&mut self, frame: usize, at: usize, length: u32, told: bool) -> Told<usize> {
        self.within(at, length, |page| {
            if page.style.link_level {
                page.out.text("802.3");
                if !told {
                    page.out.text(", length ").number(length).text(": ");
                }
            }
            page.llc(frame, at, length)
        })
    }

    fn llc(&mut self, frame: usize, at: usize, length: u32) -> Told<usize> {
        self.protocol = "llc";
        let captured = self.left(at);
        let Some(llc) = self.llc_header(at) else {
            self.cut();
            let bytes = self.at_most(at, u32::MAX);
            dump::hex_and_ascii(self.out, bytes);
            return Ok(captured);
        };
        if self.style.link_level {
            self.llc_addresses(&llc);
        }
        let (payload, header) = (at + llc.header as usize, llc.header as usize);
        let rest = length - llc.header;
        let between = |point| llc.destination & 0xfe == point && llc.source & 0xfe == point;
        if between(SNAP) && llc.control == UNNUMBERED_INFORMATION {
            if !self.snap(frame, payload, rest)? {
                self.payload(at);
            }
            return Ok(header + 5);
        }
        if between(IP) && llc.control == UNNUMBERED_INFORMATION {
            self.ipv4(payload, rest)?;
            return Ok(header);
        }
        if !self.style.link_level {
            self.llc_ends(frame, &llc)?;
        }
        let known = if llc.unnumbered { self.unnumbered(&llc, payload, rest)? } else { self.numbered(&llc, rest) };
        if !known {
            self.payload(at);
        }
        Ok(header)
    }

    /// `None`: it is not whole.
    fn llc_header(&self, at: usize) -> Option<Llc> {
        let [destination, source, control] = self.array(at).ok()?;
        let llc = Llc { destination, source, control: control.into(), unnumbered: true, header: 3 };
        if control & 3 == 3 {
            return Some(llc);
        }
        let control = u16::from_le_bytes(self.array(at + 2).ok()?);
        Some(Llc { control, unnumbered: false, header: 4, ..llc })
    }

    fn llc_addresses(&mut self, llc: &Llc) {
        let (destination, source) = (llc.destination & 0xfe, llc.source & 0xfe);
        self.out.text("LLC, dsap ").text(name_of(SAPS, destination.into()).unwrap_or("Unknown"));
        self.out.text(" (0x").hex_padded(destination.into(), 2);
        self.out.text(if llc.destination & 1 != 0 { ") Group, ssap " } else { ") Individual, ssap " });
        self.out.text(name_of(SAPS, source.into()).unwrap_or("Unknown")).text(" (0x").hex_padded(source.into(), 2);
        self.out.text(if llc.source & 1 != 0 { ") Response" } else { ") Command" });
        self.out.text(", ctrl 0x").hex_padded(llc.control.into(), if llc.unnumbered { 2 } else { 4 }).text(": ");
    }

    fn llc_ends(&mut self, frame: usize, llc: &Llc) -> Told {
        let (destination, source): ([u8; 6], [u8; 6]) = (self.array(frame)?, self.array(frame + 6)?);
        let (to, from) = (llc.destination & 0xfe, llc.source & 0xfe);
        self.out.mac(&source);
        if to != from {
            self.service("SSAP", from);
        }
        self.out.text(" > ").mac(&destination);
        self.service("DSAP", to);
        self.out.text(" ");
        Ok(())
    }

    fn service(&mut self, kind: &str, point: u8) {
        match name_of(SAPS, point.into()) {
            Some(name) => self.out.text(" ").text(name),
            None => self.out.text(" Unknown ").text(kind).text(" 0x").hex_padded(point.into(), 2),
        };
    }

    fn llc_flags(&mut self, llc: &Llc, poll: bool, length: u32) {
        self.out.text(", Flags [").text(match (llc.source & 1, poll) {
            (0, false) => "Command",
            (_, false) => "Response",
            (0, true) => "Poll",
            (_, true) => "Final",
        });
        self.out.text("], length ").number(length + llc.header);
    }

    /// Whether there is nothing more to tell.
    fn unnumbered(&mut self, llc: &Llc, at: usize, length: u32) -> Told<bool> {
        const FORMAT: u8 = 0x81;
        let command = llc.control & !UNNUMBERED_POLL;
        self.out.text("Unnumbered, ");
        match name_of(COMMANDS, command.into()) {
            Some(name) => self.out.text(name),
            None => self.out.hex_padded(command.into(), 2),
        };
        self.llc_flags(llc, llc.control & UNNUMBERED_POLL != 0, length);
        if command != IDENTIFICATION {
            return Ok(false);
        }
        if length == 0 {
            return Ok(true);
        }
        if self.left(at) == 0 {
            self.cut();
            return Ok(true);
        }
        if self.u8(at)? != FORMAT {
            return Ok(false);
        }
        if self.left(at) < 3 {
            self.cut();
            let bytes = self.at_most(at, u32::MAX);
            dump::hex_and_ascii(self.out, bytes);
        } else {
            let [_, class, window] = self.array(at)?;
            self.out.text(": ").hex_padded(class.into(), 2).text(" ").hex_padded(window.into(), 2);
        }
        Ok(true)
    }

    fn numbered(&mut self, llc: &Llc, length: u32) -> bool {
        const SUPERVISORY: [&str; 4] = ["Receiver Ready", "Receiver not Ready", "Reject", "?"];
        let received = u32::from(llc.control >> 9 & 0x7f);
        let supervisory = llc.control & 1 != 0;
        if supervisory {
            self.out.text("Supervisory, ").text(SUPERVISORY[usize::from(llc.control >> 2 & 3)]);
        } else {
            self.out.text("Information, send seq ").number(u32::from(llc.control >> 1 & 0x7f));
        }
        self.out.text(", rcv seq ").number(received);
        self.llc_flags(llc, llc.control & POLL != 0, length);
        supervisory
    }

    /// SNAP (RFC 1042); whether its payload was told. The frame begins at `frame`.
    fn snap(&mut self, frame: usize, at: usize, length: u32) -> Told<bool> {
        self.protocol = "snap";
        if !self.has(at, 5) || length < 5 {
            self.cut();
            return Ok(true);
        }
        let (organisation, kind) = (self.u24(at)?, self.u16(at + 3)?);
        if self.style.link_level {
            self.snap_header(organisation, kind, length - 5, true);
        }
        if matches!(organisation, 0 | 0xf8) && self.by_ether_type(kind, at + 5, length - 5)? {
            return Ok(true);
        }
        if !self.style.link_level {
            let (destination, source): ([u8; 6], [u8; 6]) = (self.array(frame)?, self.array(frame + 6)?);
            self.out.mac(&source).text(" > ").mac(&destination).text(" SNAP, ");
            self.snap_header(organisation, kind, length - 5, organisation != 0);
        }
        Ok(false)
    }

    fn snap_header(&mut self, organisation: u32, kind: u16, length: u32, with_organisation: bool) {
        let name = match organisation {
            0 | 0xf8 | 0x080007 => names::ether_type(kind),
            0x0c => name_of(CISCO, kind.into()),
            _ => None,
        };
        if with_organisation {
            self.out.text("oui ").text(name_of(ORGANISATIONS, organisation).unwrap_or("Unknown"));
            self.out.text(" (0x").hex_padded(organisation, 6).text("), ");
        }
        self.out.text(if organisation == 0 { "ethertype " } else { "pid " }).text(name.unwrap_or("Unknown"));
        self.out.text(" (0x").hex_padded(kind.into(), 4).text("), length ").number(length).text(": ");
    }
}
