//! ARP and reverse ARP (print-arp.c, RFC 826).

use super::super::dump;
use super::super::names;
use super::super::put::Put;
use super::page::{Page, Told};

const HARDWARE: &[(u32, &str)] = &[
    (1, "Ethernet"),
    (6, "TokenRing"),
    (7, "ArcNet"),
    (15, "FrameRelay"),
    (23, "Strip"),
    (24, "IEEE 1394"),
    (19, "ATM"),
    (32, "InfiniBand"),
];
const OPERATIONS: &[(u32, &str)] = &[
    (1, "Request"),
    (2, "Reply"),
    (3, "Reverse Request"),
    (4, "Reverse Reply"),
    (8, "Inverse Request"),
    (9, "Inverse Reply"),
    (10, "NACK Reply"),
];

/// Where the addresses are, and how long.
struct Addresses {
    sender: usize,
    hardware: usize,
    protocol: usize,
    /// Whether the protocol addresses are IPv4's.
    protocol_type: u16,
}

impl Addresses {
    fn target(&self) -> usize {
        self.sender + self.hardware + self.protocol
    }
}

impl Page<'_> {
    pub(super) fn arp(&mut self, at: usize, length: u32) -> Told {
        self.protocol = "arp";
        self.need(at, 8)?;
        let (hardware, protocol, operation) = (self.u16(at)?, self.u16(at + 2)?, self.u16(at + 6)?);
        let addresses = Addresses {
            sender: at + 8,
            hardware: self.u8(at + 4)?.into(),
            protocol: self.u8(at + 5)?.into(),
            protocol_type: protocol,
        };
        self.need(addresses.target() + addresses.hardware, addresses.protocol)?;
        if !self.style.link_level {
            self.out.text("ARP, ");
        }
        let known = is_ipv4(protocol) && addresses.protocol == 4 && addresses.hardware != 0;
        if !known || self.verbose() {
            self.arp_types(hardware, &addresses);
        }
        if known || self.verbose() {
            self.out.text(if self.verbose() { ", " } else { "" });
            match names::name_of(OPERATIONS, operation.into()) {
                Some(name) => self.out.text(name),
                None => self.out.text("Unknown (").number(operation.into()).text(")"),
            };
            self.out.text(" ");
            if !self.arp_operation(operation, &addresses)? {
                let bytes = self.at_most(at, u32::MAX);
                dump::hex_and_ascii(self.out, bytes);
                return Ok(());
            }
        }
        self.out.text(", length ").number(length);
        Ok(())
    }

    fn arp_types(&mut self, hardware: u16, addresses: &Addresses) {
        match names::name_of(HARDWARE, hardware.into()) {
            Some(name) => self.out.text(name),
            None => self.out.text("Unknown Hardware (").number(hardware.into()).text(")"),
        };
        self.out.text(" (len ").number(addresses.hardware as u32).text("), ");
        match names::ether_type(addresses.protocol_type) {
            Some(name) => self.out.text(name),
            None => self.out.text("Unknown Protocol (0x").hex_padded(addresses.protocol_type.into(), 4).text(")"),
        };
        self.out.text(" (len ").number(addresses.protocol as u32).text(")");
    }

    /// Whether the operation is known.
    fn arp_operation(&mut self, operation: u16, addresses: &Addresses) -> Told<bool> {
        let (sender, target) = (addresses.sender, addresses.target());
        let behind = addresses.hardware;
        match operation {
            1 => {
                self.out.text("who-has ");
                self.protocol_address(target + behind, addresses)?;
                if self.bytes.get(target..target + behind).is_some_and(|mac| mac.iter().any(|byte| *byte != 0)) {
                    self.out.text(" (");
                    self.hardware_address(target, addresses)?;
                    self.out.text(")");
                }
                self.out.text(" tell ");
                self.protocol_address(sender + behind, addresses)?;
            }
            2 => {
                self.protocol_address(sender + behind, addresses)?;
                self.out.text(" is-at ");
                self.hardware_address(sender, addresses)?;
            }
            3 | 8 => {
                self.out.text("who-is ");
                self.hardware_address(target, addresses)?;
                self.out.text(" tell ");
                self.hardware_address(sender, addresses)?;
            }
            4 | 9 => {
                let of = if operation == 4 { target } else { sender };
                self.hardware_address(of, addresses)?;
                self.out.text(" at ");
                self.protocol_address(of + behind, addresses)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn protocol_address(&mut self, at: usize, addresses: &Addresses) -> Told {
        if !is_ipv4(addresses.protocol_type) {
            self.out.text("<wrong proto type>");
        } else if addresses.protocol != 4 {
            self.out.text("<wrong len>");
        } else {
            let address = self.array(at)?;
            self.out.ipv4(address);
        }
        Ok(())
    }

    fn hardware_address(&mut self, at: usize, addresses: &Addresses) -> Told {
        self.need(at, addresses.hardware)?;
        match addresses.hardware {
            0 => self.out.text("<empty>"),
            length => self.out.mac(self.bytes.get(at..at + length).unwrap_or_default()),
        };
        Ok(())
    }
}

/// IPv4, or what once was its trailer encapsulation (RFC 893).
fn is_ipv4(protocol: u16) -> bool {
    matches!(protocol, 0x0800 | 0x1000)
}
