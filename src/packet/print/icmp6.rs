//! ICMPv6 (print-icmp6.c, RFC 4443). Neighbour discovery's options are in `neighbor`, MLD in `multicast`.

use super::super::names::name_of;
use super::super::put::Put;
use super::ip::{self, Packet};
use super::page::{Page, Told};

const UNREACHABLE: u8 = 1;
const TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;

const TYPES: &[(u32, &str)] = &[
    (1, "destination unreachable"),
    (2, "packet too big"),
    (3, "time exceeded in-transit"),
    (4, "parameter problem"),
    (128, "echo request"),
    (129, "echo reply"),
    (130, "multicast listener query"),
    (131, "multicast listener report"),
    (132, "multicast listener done"),
    (133, "router solicitation"),
    (134, "router advertisement"),
    (135, "neighbor solicitation"),
    (136, "neighbor advertisement"),
    (137, "redirect"),
    (138, "router renumbering"),
    (141, "inverse neighbor solicitation"),
    (142, "inverse neighbor advertisement"),
    (143, "multicast listener report v2"),
    (144, "ha discovery request"),
    (145, "ha discovery reply"),
    (146, "mobile router solicitation"),
    (147, "mobile router advertisement"),
    (139, "who-are-you request"),
    (140, "who-are-you reply"),
    (201, "mtrace message"),
    (200, "mtrace response"),
    (155, "RPL"),
];

/// What becomes of the message's length behind its words.
enum Behind {
    /// Told, unless with -v.
    Length,
    Nothing,
    Cut,
}

impl Page<'_> {
    pub(super) fn icmp6(&mut self, at: usize, length: u32, ip: Packet) -> Told {
        self.protocol = "icmp6";
        if length == 0 {
            self.out.text("ICMP6, length 0");
            self.invalid();
            return Ok(());
        }
        if self.verbose() && !ip.fragmented && self.has(at, length as usize) {
            let found = self.u16(at + 2)?;
            let finished = self.pseudo_header(ip, length, ip::ICMP6)?.bytes(self.at_most(at, length)).finish();
            self.judge("icmp6", found, finished);
        }
        let kind = self.u8(at)?;
        self.out.text("ICMP6, ");
        match name_of(TYPES, kind.into()) {
            Some(name) => self.out.text(name),
            None => self.out.text("unknown icmp6 type (").number(kind.into()).text(")"),
        };
        if self.verbose() && matches!(kind, ROUTER_SOLICITATION..=REDIRECT | 145 | 147) {
            self.out.text(", length ").number(length);
        }
        let code = self.u8(at + 1)?;
        match self.icmp6_words(at, kind, code, length)? {
            Behind::Length if !self.verbose() => _ = self.out.text(", length ").number(length),
            Behind::Length | Behind::Nothing => {}
            Behind::Cut => self.cut(),
        }
        Ok(())
    }

    fn icmp6_words(&mut self, at: usize, kind: u8, code: u8, length: u32) -> Told<Behind> {
        match kind {
            UNREACHABLE => return self.icmp6_unreachable(at, code, length),
            TOO_BIG => {
                let mtu = self.u32(at + 4)?;
                self.out.text(", mtu ").number(mtu);
            }
            TIME_EXCEEDED => match code {
                0 => self.quoted_address(" for ", at, 24)?,
                1 => _ = self.out.text(" (reassembly)"),
                _ => _ = self.out.text(", unknown code (").number(code.into()).text(")"),
            },
            PARAMETER_PROBLEM => return self.icmp6_parameter(at, code),
            128 | 129 => {
                let (id, sequence) = (self.u16(at + 4)?, self.u16(at + 6)?);
                self.out.text(", id ").number(id.into()).text(", seq ").number(sequence.into());
            }
            130..=132 | 143 => self.listener(at, kind, length)?,
            ROUTER_SOLICITATION..=REDIRECT => return self.discovery(at, kind, length),
            138..=142 | 155 => {}
            144 | 146 => {
                let id = self.u16(at + 4)?;
                self.out.text(", id 0x").hex_padded(id.into(), 4);
            }
            145 | 147 if !self.verbose() => {}
            145 => self.home_agents(at, length)?,
            147 => return self.mobile_prefix(at, length),
            _ => {
                self.out.text(", length ").number(length);
                if self.style.verbosity <= 1 {
                    self.unknown("\n\t", at, length);
                }
                return Ok(Behind::Nothing);
            }
        }
        Ok(Behind::Length)
    }

    fn quoted_address(&mut self, before: &str, at: usize, place: usize) -> Told {
        let address = self.array(at + 8 + place)?;
        self.out.text(before).ipv6(address);
        Ok(())
    }

    fn icmp6_unreachable(&mut self, at: usize, code: u8, length: u32) -> Told<Behind> {
        const CODES: [&str; 5] =
            ["unreachable route", " unreachable prohibited", "beyond scope", "unreachable address", "unreachable port"];
        match CODES.get(usize::from(code)) {
            Some(words) => self.out.text(", ").text(words),
            None => self.out.text(", unknown unreach code (").number(code.into()).text(")"),
        };
        match code {
            0 | 1 | 3 => self.quoted_address(" ", at, 24)?,
            2 => {
                self.quoted_address(" ", at, 24)?;
                self.quoted_address(", source address ", at, 8)?;
            }
            4 => {
                let Some((protocol, port)) = self.quoted_port(at + 8)? else { return Ok(Behind::Cut) };
                self.quoted_address(", ", at, 24)?;
                self.out.text(if protocol == ip::TCP { " tcp port " } else { " udp port " }).number(port.into());
            }
            _ if self.style.verbosity <= 1 => {
                self.unknown("\n\t", at, length);
                return Ok(Behind::Nothing);
            }
            _ => {}
        }
        Ok(Behind::Length)
    }

    /// The destination port of the packet that an error quotes, and its protocol (`get_upperlayer`).
    fn quoted_port(&self, at: usize) -> Told<Option<(u8, u16)>> {
        if !self.has(at + 6, 1) {
            return Ok(None);
        }
        let mut next = self.u8(at + 6)?;
        let (mut place, mut length) = (at, 40);
        while place < self.bytes.len() {
            place += length;
            match next {
                ip::UDP | ip::TCP => return Ok(self.u16(place + 2).ok().map(|port| (next, port))),
                ip::HOP_BY_HOP | ip::DESTINATION_OPTIONS | ip::ROUTING if self.has(place, 2) => {
                    length = (usize::from(self.u8(place + 1)?) + 1) * 8;
                }
                ip::FRAGMENT if self.has(place + 2, 2) && self.u16(place + 2)? & 0xfff8 == 0 => length = 8,
                ip::AUTHENTICATION if self.has(place, 2) => length = (usize::from(self.u8(place + 1)?) + 2) * 4,
                _ => return Ok(None),
            }
            next = self.u8(place)?;
        }
        Ok(None)
    }

    fn icmp6_parameter(&mut self, at: usize, code: u8) -> Told<Behind> {
        if !self.has(at + 8 + 24, 16) {
            return Ok(Behind::Cut);
        }
        let octet = self.u32(at + 4)?;
        match code {
            0 => self.out.text(", erroneous - octet ").number(octet),
            1 => self.out.text(", next header - octet ").number(octet),
            2 => self.out.text(", option - octet ").number(octet),
            3 => self.out.text(", incomplete header chain - octet ").number(octet),
            _ => self.out.text(", code-#").number(code.into()),
        };
        Ok(Behind::Length)
    }

    /// Neighbour discovery (RFC 4861): what is asked or told, and with -v the options.
    fn discovery(&mut self, at: usize, kind: u8, length: u32) -> Told<Behind> {
        const LENGTHS: [u32; 5] = [8, 16, 24, 24, 40];
        match kind {
            ROUTER_ADVERTISEMENT if self.verbose() => self.router(at)?,
            NEIGHBOR_SOLICITATION => self.quoted_address(", who has ", at, 0)?,
            NEIGHBOR_ADVERTISEMENT => {
                self.quoted_address(", tgt is ", at, 0)?;
                if self.verbose() {
                    let flags = self.u32(at + 4)?;
                    self.out.text(", Flags [");
                    self.bits(
                        &[(1 << 31, "router"), (1 << 30, "solicited"), (1 << 29, "override")],
                        flags,
                        ", ",
                        "none",
                    );
                    self.out.text("]");
                }
            }
            REDIRECT => {
                self.quoted_address(", ", at, 16)?;
                self.quoted_address(" to ", at, 0)?;
            }
            _ => {}
        }
        let header = LENGTHS.get(usize::from(kind - ROUTER_SOLICITATION)).copied().unwrap_or(8);
        let whole = !self.verbose() || self.discovery_options(at + header as usize, length, header)?;
        Ok(if whole { Behind::Length } else { Behind::Cut })
    }

    fn router(&mut self, at: usize) -> Told {
        const FLAGS: [(u32, &str); 4] =
            [(0x80, "managed"), (0x40, "other stateful"), (0x20, "home agent"), (0x02, "ipv6 only")];
        let (hops, flags, lifetime) = (self.u8(at + 4)?, self.u8(at + 5)?, self.u16(at + 6)?);
        let (reachable, retransmit) = (self.u32(at + 8)?, self.u32(at + 12)?);
        self.out.text("\n\thop limit ").number(hops.into()).text(", Flags [");
        self.bits(&FLAGS, flags.into(), ", ", "none");
        self.out.text("], pref ").text(preference(flags)).text(", router lifetime ").number(lifetime.into());
        self.out.text("s, reachable time ").number(reachable).text("ms, retrans timer ").number(retransmit).text("ms");
        Ok(())
    }

    /// RFC 6275, 6.6: told only with -v.
    fn home_agents(&mut self, at: usize, length: u32) -> Told {
        let id = self.u16(at + 4)?;
        self.out.text(", id 0x").hex_padded(id.into(), 4);
        for place in (8..length as usize).step_by(16) {
            let address = self.array(at + place)?;
            self.out.text(", ").ipv6(address);
        }
        Ok(())
    }

    fn mobile_prefix(&mut self, at: usize, length: u32) -> Told<Behind> {
        let id = self.u16(at + 4)?;
        self.out.text(", id 0x").hex_padded(id.into(), 4);
        let flags = self.u16(at + 6)?;
        self.out.text(if flags & 0xc000 != 0 { " " } else { "" });
        self.out.text(if flags & 0x8000 != 0 { "M" } else { "" }).text(if flags & 0x4000 != 0 { "O" } else { "" });
        Ok(if self.discovery_options(at + 8, length, 8)? { Behind::Length } else { Behind::Cut })
    }
}

/// A router's preference (RFC 4191, 2.1).
pub(super) fn preference(flags: u8) -> &'static str {
    const NAMES: [&str; 4] = ["medium", "high", "rsv", "low"];
    NAMES[usize::from(flags >> 3 & 3)]
}
