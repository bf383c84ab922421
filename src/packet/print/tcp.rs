//! TCP (print-tcp.c). Payloads are not told: `length` says how long they are.

use super::super::checksum::should_be;
use super::super::names;
use super::super::put::Put;
use super::conversations::{Ends, Origins};
use super::ip::{self, Packet};
use super::page::{Page, Told};

const HEADER: u32 = 20;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;

/// A segment's numbers, as they are told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    sequence: u32,
    acknowledged: u32,
    /// What the blocks of selective acknowledgements are told from.
    pub(super) sack: u32,
}

impl Page<'_> {
    pub(super) fn tcp(&mut self, at: usize, length: u32, ip: Packet) -> Told {
        self.protocol = "tcp";
        if !self.has(at, 4) {
            self.addresses(ip, ":")?;
            self.cut();
            return Ok(());
        }
        let (source, destination) = (self.u16(at)?, self.u16(at + 2)?);
        self.addresses_and_ports(ip, ip::TCP, source, destination)?;
        if !self.has(at, HEADER as usize) {
            self.cut();
            return Ok(());
        }
        let header = u32::from(self.u8(at + 12)? >> 4) * 4;
        if header < HEADER {
            self.out.text(" tcp ").number(length.wrapping_sub(header));
            self.out.text(" [bad hdr length ").number(header).text(" - too short, < 20]");
            return Ok(());
        }
        if self.style.quiet {
            self.out.text("tcp ").number(length.wrapping_sub(header));
            if header > length {
                self.too_long(header, length);
            }
            return Ok(());
        }
        let flags = self.u8(at + 13)?;
        self.out.text("Flags [").text(names::tcp_flags(flags)).text("]");
        let numbers = self.numbers(at, ip, flags)?;
        if header > length {
            self.too_long(header, length);
            return Ok(());
        }
        self.tcp_sum(at, length, ip)?;
        self.tcp_numbers(at, flags, numbers, length - header)?;
        self.tcp_rest(at, header, length - header, flags, numbers)
    }

    fn too_long(&mut self, header: u32, length: u32) {
        self.out.text(" [bad hdr length ").number(header).text(" - too long, > ").number(length).text("]");
    }

    /// `192.0.2.1 > 192.0.2.2` and what is to stand behind.
    pub(super) fn addresses(&mut self, ip: Packet, behind: &str) -> Told {
        if ip.version == 4 {
            let (source, destination) = (self.array(ip.at + 12)?, self.array(ip.at + 16)?);
            self.out.ipv4(source).text(" > ").ipv4(destination).text(behind);
        } else {
            let (source, destination) = (self.array(ip.at + 8)?, self.array(ip.at + 24)?);
            self.out.ipv6(source).text(" > ").ipv6(destination).text(behind);
        }
        Ok(())
    }

    /// `192.0.2.1.5000 > 192.0.2.2.80: `, or the ports alone where extension headers had the addresses in front.
    pub(super) fn addresses_and_ports(&mut self, ip: Packet, protocol: u8, source: u16, destination: u16) -> Told {
        let (source, destination) = (u32::from(source), u32::from(destination));
        if ip.protocol(self)? != protocol {
            self.out.number(source).text(" > ").number(destination).text(": ");
        } else if ip.version == 4 {
            let (from, to) = (self.array(ip.at + 12)?, self.array(ip.at + 16)?);
            self.out.ipv4(from).text(".").number(source).text(" > ");
            self.out.ipv4(to).text(".").number(destination).text(": ");
        } else {
            let (from, to) = (self.array(ip.at + 8)?, self.array(ip.at + 24)?);
            self.out.ipv6(from).text(".").number(source).text(" > ");
            self.out.ipv6(to).text(".").number(destination).text(": ");
        }
        Ok(())
    }

    /// The segment's numbers, counted from those of its connection's first segment that was seen.
    fn numbers(&mut self, at: usize, ip: Packet, flags: u8) -> Told<Numbers> {
        let (sequence, acknowledged) = (self.u32(at + 4)?, self.u32(at + 8)?);
        let absolute = Numbers { sequence, acknowledged, sack: 0 };
        if self.style.absolute_sequence || flags & ACK == 0 {
            return Ok(absolute);
        }
        let (ends, reversed) = self.ends(at, ip)?;
        let opposite = acknowledged.wrapping_sub(1);
        let first = match reversed {
            true => Origins { low: opposite, high: sequence },
            false => Origins { low: sequence, high: opposite },
        };
        let known = self.conversations.find(ends, flags & SYN != 0, first);
        let origins = known.unwrap_or(first);
        let (own, other) = if reversed { (origins.high, origins.low) } else { (origins.low, origins.high) };
        Ok(match known {
            None => Numbers { sack: other, ..absolute },
            Some(_) => Numbers {
                sequence: sequence.wrapping_sub(own),
                acknowledged: acknowledged.wrapping_sub(other),
                sack: other,
            },
        })
    }

    /// The connection, and whether this segment comes from the end that is counted as its high one.
    fn ends(&self, at: usize, ip: Packet) -> Told<(Ends, bool)> {
        let (mut source, mut destination) = ([0; 16], [0; 16]);
        if ip.version == 4 {
            source[..4].copy_from_slice(&self.array::<4>(ip.at + 12)?);
            destination[..4].copy_from_slice(&self.array::<4>(ip.at + 16)?);
        } else {
            (source, destination) = (self.array(ip.at + 8)?, self.array(ip.at + 24)?);
        }
        let (from, to) = (self.u16(at)?, self.u16(at + 2)?);
        let reversed = (from, source) > (to, destination);
        let (low, high, upper, lower) =
            if reversed { (destination, source, to, from) } else { (source, destination, from, to) };
        let ports = u32::from(upper) << 16 | u32::from(lower);
        Ok((Ends { low, high, ports, version: ip.version }, reversed))
    }

    fn tcp_sum(&mut self, at: usize, length: u32, ip: Packet) -> Told {
        let asked = self.verbose() && !self.style.unchecked_sums && !ip.fragmented;
        if !asked || !self.has(at, length as usize) {
            return Ok(());
        }
        let finished = self.pseudo_header(ip, length, ip::TCP)?.bytes(self.at_most(at, length)).finish();
        let found = self.u16(at + 16)?;
        self.out.text(", cksum 0x").hex_padded(found.into(), 4);
        match finished {
            0 => self.out.text(" (correct)"),
            _ => self.out.text(" (incorrect -> 0x").hex_padded(should_be(found, finished).into(), 4).text(")"),
        };
        Ok(())
    }

    fn tcp_numbers(&mut self, at: usize, flags: u8, numbers: Numbers, payload: u32) -> Told {
        if self.style.verbosity > 1 || payload > 0 || flags & (SYN | FIN | RST) != 0 {
            self.out.text(", seq ").number(numbers.sequence);
            if payload > 0 {
                self.out.text(":").number(numbers.sequence.wrapping_add(payload));
            }
        }
        if flags & ACK != 0 {
            self.out.text(", ack ").number(numbers.acknowledged);
        }
        let window = self.u16(at + 14)?;
        self.out.text(", win ").number(window.into());
        if flags & URG != 0 {
            let urgent = self.u16(at + 18)?;
            self.out.text(", urg ").number(urgent.into());
        }
        Ok(())
    }

    fn tcp_rest(&mut self, at: usize, header: u32, payload: u32, flags: u8, numbers: Numbers) -> Told {
        if header > HEADER && !self.tcp_options(at + HEADER as usize, header - HEADER, numbers)? {
            return Ok(());
        }
        self.out.text(", length ").number(payload);
        if payload == 0 {
            return Ok(());
        }
        if !self.has(at, header as usize) {
            return Err(self.header_cut(at, header));
        }
        if flags & RST != 0 && self.verbose() {
            self.reset_reason(at + header as usize, payload);
        }
        Ok(())
    }

    /// What a reset carries may say why (RFC 9293, 3.10.7.4).
    fn reset_reason(&mut self, at: usize, length: u32) {
        const LONGEST: u32 = 30;
        self.out.text(if self.has(at, length as usize) { " [RST" } else { " [!RST" });
        self.out.text(if length > LONGEST { "+ " } else { " " });
        for byte in self.at_most(at, length.min(LONGEST)) {
            self.character(*byte);
        }
        self.out.text("]");
    }

    /// A byte as `cat -v` shows it.
    pub(super) fn character(&mut self, byte: u8) {
        if !byte.is_ascii() {
            self.out.text("M-");
        }
        match byte & 0x7f {
            printable @ 0x20..0x7f => self.out.push(printable),
            control => self.out.extend([b'^', control ^ 0x40]),
        }
    }
}
