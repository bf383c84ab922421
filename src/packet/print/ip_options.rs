//! IPv4's options (print-ip.c, RFC 791).

use super::super::names::name_of;
use super::super::put::Put;
use super::page::{Page, Told};

const END: u8 = 0;
const NOP: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_ROUTE: u8 = 131;
const STRICT_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;

const NAMES: &[(u32, &str)] = &[
    (0, "EOL"),
    (1, "NOP"),
    (68, "timestamp"),
    (130, "security"),
    (7, "RR"),
    (137, "SSRR"),
    (131, "LSRR"),
    (148, "RA"),
    (82, "traceroute"),
];

impl Page<'_> {
    /// What is between the brackets of `options (…)`; whether all of it was there.
    pub(super) fn ipv4_options(&mut self, at: usize, length: u32) -> Told<bool> {
        let (mut at, mut length) = (at, length);
        let mut separator = "";
        while length > 0 {
            self.out.text(separator);
            separator = ",";
            let code = self.u8(at)?;
            match name_of(NAMES, code.into()) {
                Some(name) => self.out.text(name),
                None => self.out.text("unknown ").number(code.into()),
            };
            let option = if matches!(code, END | NOP) { 1 } else { u32::from(self.u8(at + 1)?) };
            if (option < 2 && !matches!(code, END | NOP)) || option > length {
                self.out.text(" [bad length ").number(option).text("]");
                return Ok(true);
            }
            if !self.has(at, option as usize) {
                return Ok(false);
            }
            match code {
                END => return Ok(true),
                TIMESTAMP => self.timestamps(at, option)?,
                RECORD_ROUTE | LOOSE_ROUTE | STRICT_ROUTE => self.route(at, option)?,
                ROUTER_ALERT => self.router_alert(at, option)?,
                _ => {}
            }
            at += option as usize;
            length -= option;
        }
        Ok(true)
    }

    fn bad(&mut self, what: &str, value: u32) {
        self.out.text("[bad ").text(what).text(" ").number(value).text("]");
    }

    fn router_alert(&mut self, at: usize, length: u32) -> Told {
        if length < 4 {
            self.out.text(" ");
            self.bad("length", length);
            return Ok(());
        }
        match self.u16(at + 2)? {
            0 => {}
            value => _ = self.out.text(" value ").number(value.into()),
        }
        Ok(())
    }

    fn route(&mut self, at: usize, length: u32) -> Told {
        if length < 3 || (length + 1) & 3 != 0 {
            self.out.text(" ");
            self.bad("length", length);
        }
        if length < 3 {
            return Ok(());
        }
        let given = u32::from(self.u8(at + 2)?);
        let pointer = given.wrapping_sub(1);
        if pointer < 3 || given & 3 != 0 || pointer > length + 1 {
            self.out.text(" ");
            self.bad("ptr", given);
        }
        for place in (3..length).step_by(4) {
            let address = self.array(at + place as usize)?;
            self.out.text(" ").ipv4(address);
            if pointer > place {
                self.out.text(",");
            }
        }
        Ok(())
    }

    fn timestamps(&mut self, at: usize, length: u32) -> Told {
        if length < 4 {
            self.bad("length", length);
            return Ok(());
        }
        self.out.text(" TS{");
        let flags = self.u8(at + 3)?;
        let hop = if flags & 0xf == 0 { 4 } else { 8 };
        if (length - 4) & (hop - 1) != 0 {
            self.bad("length", length);
        }
        let given = u32::from(self.u8(at + 2)?);
        let pointer = given.wrapping_sub(1);
        if pointer < 4 || pointer.wrapping_sub(4) & (hop - 1) != 0 || pointer > length + 1 {
            self.bad("ptr", given);
        }
        let mut end = 0;
        match flags & 0xf {
            0 => _ = self.out.text("TSONLY"),
            1 => _ = self.out.text("TS+ADDR"),
            3 => _ = self.out.text("PRESPEC"),
            other => self.bad("ts type", other.into()),
        }
        if matches!(flags & 0xf, 0 | 1 | 3) {
            end = self.hops(at, length, hop, pointer)?;
        }
        self.out.text(if pointer == end { " ^ " } else { "" });
        match flags >> 4 {
            0 => self.out.text("}"),
            hops => self.out.text(" [").number(hops.into()).text(" hops not recorded]} "),
        };
        Ok(())
    }

    fn hops(&mut self, at: usize, length: u32, hop: u32, pointer: u32) -> Told<u32> {
        let mut place = 4;
        while place < length {
            let entry = at + place as usize;
            let time = self.u32(entry + hop as usize - 4)?;
            self.out.text(if pointer == place { " ^ " } else { " " }).number(time).text("@");
            if hop == 8 {
                let address = self.array(entry)?;
                self.out.ipv4(address);
            }
            place += hop;
        }
        Ok(place)
    }

    /// The destination that a checksum covers: the last one of a source route (`ip_finddst`).
    pub(super) fn ipv4_final_destination(&self, at: usize) -> Told<[u8; 4]> {
        let end = at + usize::from(self.u8(at)? & 0xf) * 4;
        let mut place = at + 20;
        while place < end {
            let code = self.u8(place)?;
            let length = match code {
                END => break,
                NOP => 1,
                _ => usize::from(self.u8(place + 1)?),
            };
            if (length < 2 && code != NOP) || place + length > end || !self.has(place, length) {
                break;
            }
            if matches!(code, LOOSE_ROUTE | STRICT_ROUTE) && length >= 7 {
                return self.array(place + length - 4);
            }
            place += length;
        }
        self.array(at + 16)
    }
}
