//! VXLAN, OTV, GENEVE and MPLS (print-vxlan.c, print-otv.c, print-geneve.c, print-mpls.c). GRE has a file of its own.

use super::super::dump;
use super::super::put::Put;
use super::link;
use super::page::{Page, Told};

const HEADER: u32 = 8;

impl Page<'_> {
    /// The Ethernet frame in a tunnel.
    pub(super) fn bridged(&mut self, at: usize, length: u32) -> Told {
        self.within(at, u32::MAX, |page| page.ethernet(at, length).map(|_| ()))
    }

    /// RFC 7348. tcpdump puts a newline in front of the frame inside.
    pub(super) fn vxlan(&mut self, at: usize, length: u32) -> Told {
        self.protocol = "vxlan";
        self.out.text("VXLAN");
        if length < HEADER {
            self.invalid();
            return Ok(());
        }
        let flags = self.u8(at)?;
        let valid = if flags & 8 != 0 { "I" } else { "invalid" };
        self.out.text(", flags [").text(valid).text("] (0x").hex_padded(flags.into(), 2).text("), ");
        let network = self.u24(at + 4)?;
        self.out.text("vni ").number(network).text("\n");
        self.need(at + 7, 1)?;
        self.bridged(at + HEADER as usize, length - HEADER)
    }

    /// draft-hasmit-otv; its port is the one that Linux took for VXLAN before there was one.
    pub(super) fn otv(&mut self, at: usize, length: u32) -> Told {
        self.protocol = "otv";
        self.out.text("OTV, ");
        if length < HEADER {
            self.out.text("[length ").number(length).text(" < 8]");
            self.invalid();
            return self.need(at, length as usize);
        }
        let flags = self.u8(at)?;
        let valid = if flags & 8 != 0 { "I" } else { "." };
        self.out.text("flags [").text(valid).text("] (0x").hex_padded(flags.into(), 2).text("), ");
        let overlay = self.u24(at + 1)?;
        self.out.text("overlay ").number(overlay);
        self.out.text(", ");
        let instance = self.u24(at + 4)?;
        self.out.text("instance ").number(instance).text("\n");
        self.need(at + 7, 1)?;
        self.bridged(at + HEADER as usize, length - HEADER)
    }

    /// RFC 8926.
    pub(super) fn geneve(&mut self, at: usize, length: u32) -> Told {
        const FLAGS: [(u32, &str); 8] =
            [(128, "O"), (64, "C"), (32, "R1"), (16, "R2"), (8, "R3"), (4, "R4"), (2, "R5"), (1, "R6")];
        self.protocol = "geneve";
        self.out.text("Geneve");
        if length < HEADER {
            self.out.text(" [length ").number(length).text(" < 8]");
            self.invalid();
            return Ok(());
        }
        if !self.has(at, HEADER as usize) {
            self.cut();
            return Ok(());
        }
        let first = self.u8(at)?;
        if first >> 6 != 0 {
            self.out.text(" ERROR: unknown-version ").number(u32::from(first >> 6));
            return Ok(());
        }
        let (flags, ether_type, network) = (self.u8(at + 1)?, self.u16(at + 2)?, self.u24(at + 4)?);
        self.out.text(", Flags [");
        self.bits(&FLAGS, flags.into(), "", "none");
        self.out.text("], vni 0x").hex(network);
        match self.u8(at + 7)? {
            0 => {}
            reserved => _ = self.out.text(", rsvd 0x").hex(reserved.into()),
        }
        self.inner_ether_type(ether_type);
        let options = u32::from(first & 0x3f) * 4;
        self.geneve_payload(at + HEADER as usize, length - HEADER, options, ether_type)
    }

    fn geneve_payload(&mut self, at: usize, length: u32, options: u32, ether_type: u16) -> Told {
        if length < options {
            self.out.text(" truncated-geneve - ").number(options - length).text(" bytes missing");
            return Ok(());
        }
        if !self.has(at, options as usize) {
            self.cut();
            return Ok(());
        }
        if options > 0 {
            self.out.text(", options [");
            match self.verbose() {
                true => self.geneve_options(at, options)?,
                false => _ = self.out.number(options).text(" bytes"),
            }
            self.out.text("]");
        }
        let (at, length) = (at + options as usize, length - options);
        self.out.text(if self.verbose() { "\n\t" } else { ": " });
        if !self.by_ether_type(ether_type, at, length)? {
            match ether_type {
                link::BRIDGED => self.bridged(at, length)?,
                _ => _ = self.out.text("geneve-proto-0x").hex(ether_type.into()),
            }
        }
        Ok(())
    }

    fn geneve_options(&mut self, at: usize, length: u32) -> Told {
        let (mut at, mut left) = (at, length);
        let mut separator = "";
        while left > 0 {
            let (class, kind, words) = (self.u16(at)?, self.u8(at + 2)?, self.u8(at + 3)? & 0x1f);
            let option = 4 + u32::from(words) * 4;
            self.out.text(separator).text("class ").text(option_class(class)).text(" (0x").hex(class.into());
            self.out.text(") type 0x").hex(kind.into()).text(if kind & 0x80 != 0 { "(C)" } else { "" });
            self.out.text(" len ").number(option);
            separator = ", ";
            if option > left {
                self.out.text(" [bad length]");
                return Ok(());
            }
            if self.style.verbosity > 1 && option > 4 {
                self.out.text(" data");
                for word in 0..usize::from(words) {
                    let data = self.u32(at + 4 + word * 4)?;
                    self.out.text(" ").hex_padded(data, 8);
                }
            }
            at += option as usize;
            left -= option;
        }
        Ok(())
    }

    /// RFC 3032.
    pub(super) fn mpls(&mut self, at: usize, length: u32) -> Told {
        self.protocol = "mpls";
        self.out.text("MPLS");
        let (mut at, mut left) = (at, length);
        let mut first = true;
        let label = loop {
            if left < 4 {
                self.invalid();
                return self.need(at, left as usize);
            }
            let entry = self.u32(at)?;
            self.label(entry, first);
            at += 4;
            left -= 4;
            first = false;
            if entry & 0x100 != 0 {
                break entry >> 12;
            }
        };
        let inner = match label {
            0 | 3 => 4,
            2 => 6,
            _ if left < 1 => return Ok(()),
            _ => match self.u8(at)? {
                0x45..=0x4f => 4,
                0x60..=0x6f => 6,
                _ => 0,
            },
        };
        if inner == 0 {
            return self.unknown_payload(at, left);
        }
        self.out.text(if self.verbose() { "\n\t" } else { " " });
        if inner == 4 { self.ipv4(at, left) } else { self.ipv6(at, left) }
    }

    fn unknown_payload(&mut self, at: usize, length: u32) -> Told {
        if self.style.no_payload {
            return Ok(());
        }
        let bytes = self.at_most(at, length);
        dump::hex_and_ascii(self.out, bytes);
        self.need(at, length as usize)
    }

    fn label(&mut self, entry: u32, first: bool) {
        const RESERVED: [&str; 4] =
            [" (IPv4 explicit NULL)", " (router alert)", " (IPv6 explicit NULL)", " (implicit NULL)"];
        let label = entry >> 12;
        self.out.text(if first || !self.verbose() { " " } else { "\n\t" }).text("(label ").number(label);
        if self.verbose() && label < 16 {
            self.out.text(RESERVED.get(label as usize).unwrap_or(&" (rsvd)"));
        }
        self.out.text(", tc ").number(entry >> 9 & 7).text(if entry & 0x100 != 0 { ", [S]" } else { "" });
        self.out.text(", ttl ").number(entry & 0xff).text(")");
    }
}

fn option_class(class: u16) -> &'static str {
    match class {
        0x0100 => "Linux",
        0x0101 => "Open vSwitch",
        0x0102 => "Open Virtual Networking (OVN)",
        0x0103 => "In-band Network Telemetry (INT)",
        0x0104 => "VMware",
        0..=0xff => "Standard",
        0xfff0.. => "Experimental",
        _ => "Unknown",
    }
}
