//! TCP's options (print-tcp.c).

use super::super::names::name_of;
use super::super::put::Put;
use super::page::{Page, Told};
use super::tcp::Numbers;

const END: u8 = 0;
const NOP: u8 = 1;
const MAXIMUM_SEGMENT: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;
const SIGNATURE: u8 = 19;
const SCPS: u8 = 20;
const USER_TIMEOUT: u8 = 28;
const AUTHENTICATION: u8 = 29;
const FAST_OPEN: u8 = 34;
const EXPERIMENT: u8 = 254;

const NAMES: &[(u32, &str)] = &[
    (0, "eol"),
    (1, "nop"),
    (2, "mss"),
    (3, "wscale"),
    (4, "sackOK"),
    (5, "sack"),
    (6, "echo"),
    (7, "echoreply"),
    (8, "TS"),
    (11, "cc"),
    (12, "ccnew"),
    (13, ""),
    (19, "md5"),
    (20, "scps"),
    (28, "uto"),
    (29, "tcp-ao"),
    (30, "mptcp"),
    (34, "tfo"),
    (254, "exp"),
];

/// How an option's list ends early.
enum End {
    /// A length that cannot be.
    Bad,
    /// The capture ends within it.
    Short,
    /// The capture ends in front of it.
    Cut,
}

impl From<super::page::Cut> for End {
    fn from(_: super::page::Cut) -> Self {
        Self::Cut
    }
}

/// An option's own bytes, behind its kind and length.
struct Data {
    at: usize,
    /// As many as its length announces.
    length: u32,
    /// As many as the header has left.
    left: u32,
}

impl Page<'_> {
    /// `, options [mss 1460,nop,wscale 7]`; whether they end where they should.
    pub(super) fn tcp_options(&mut self, at: usize, length: u32, numbers: Numbers) -> Told<bool> {
        self.out.text(", options [");
        let mut told = false;
        match self.tcp_option_list(at, length, numbers, &mut told) {
            Ok(()) => {
                self.out.text("]");
                return Ok(true);
            }
            Err(End::Cut) => return Err(super::page::Cut),
            Err(End::Bad) => self.out.text("[bad opt]").text(if told { "]" } else { "" }),
            Err(End::Short) => {
                self.cut();
                self.out.text(if told { ">" } else { "" })
            }
        };
        Ok(false)
    }

    fn tcp_option_list(&mut self, at: usize, length: u32, numbers: Numbers, told: &mut bool) -> Result<(), End> {
        let (mut at, mut left) = (at, length);
        while left > 0 {
            if *told {
                self.out.text(",");
            }
            let kind = self.u8(at)?;
            let single = matches!(kind, END | NOP);
            let length = if single { 1 } else { u32::from(self.u8(at + 1)?) };
            if !single && (length < 2 || length > left) {
                return Err(End::Bad);
            }
            let header = if single { 1 } else { 2 };
            let data = Data { at: at + header as usize, length: length - header, left: left - header };
            match name_of(NAMES, kind.into()) {
                Some(name) => self.out.text(name),
                None => self.out.text("unknown-").number(kind.into()),
            };
            let read = self.tcp_option(kind, &data, numbers)?;
            at = data.at + read as usize;
            left = data.left.saturating_sub(read);
            if read != data.length {
                self.out.text("[len ").number(length).text("]");
            }
            *told = true;
            if kind == END {
                break;
            }
        }
        Ok(())
    }

    /// Whether so many of an option's bytes are in the header and in the capture.
    fn check(&self, data: &Data, length: u32) -> Result<(), End> {
        match () {
            () if length > data.left => Err(End::Bad),
            () if !self.has(data.at, length as usize) => Err(End::Short),
            () => Ok(()),
        }
    }

    /// Tells an option; returns how many of its bytes were read.
    fn tcp_option(&mut self, kind: u8, data: &Data, numbers: Numbers) -> Result<u32, End> {
        match kind {
            END | NOP | SACK_PERMITTED => Ok(0),
            MAXIMUM_SEGMENT => {
                self.check(data, 2)?;
                let size = self.u16(data.at)?;
                self.out.text(" ").number(size.into());
                Ok(2)
            }
            WINDOW_SCALE => {
                self.check(data, 1)?;
                let shift = self.u8(data.at)?;
                self.out.text(" ").number(shift.into());
                Ok(1)
            }
            SACK => self.selective(data, numbers),
            6 | 7 | 11..=13 => {
                self.check(data, 4)?;
                let value = self.u32(data.at)?;
                self.out.text(" ").number(value);
                Ok(4)
            }
            TIMESTAMPS => {
                self.check(data, 8)?;
                let (value, echo) = (self.u32(data.at)?, self.u32(data.at + 4)?);
                self.out.text(" val ").number(value).text(" ecr ").number(echo);
                Ok(8)
            }
            _ => self.rare_option(kind, data),
        }
    }

    fn selective(&mut self, data: &Data, numbers: Numbers) -> Result<u32, End> {
        if data.length % 8 != 0 {
            self.out.text(" invalid sack");
            return Ok(data.length);
        }
        self.out.text(" ").number(data.length / 8).text(" ");
        for block in (0..data.length).step_by(8) {
            self.check(data, block + 8)?;
            let at = data.at + block as usize;
            let (start, end) = (self.u32(at)?, self.u32(at + 4)?);
            self.out.text("{").number(start.wrapping_sub(numbers.sack));
            self.out.text(":").number(end.wrapping_sub(numbers.sack)).text("}");
        }
        Ok(data.length)
    }

    fn rare_option(&mut self, kind: u8, data: &Data) -> Result<u32, End> {
        match kind {
            SIGNATURE => {
                self.check(data, 16)?;
                self.out.text(" can't check - ").hex_bytes(self.bytes.get(data.at..data.at + 16).unwrap_or_default());
                Ok(16)
            }
            SCPS => {
                self.check(data, 2)?;
                let [capabilities, id] = self.array(data.at)?;
                self.out.text(" cap ").hex_padded(capabilities.into(), 2).text(" id ").number(id.into());
                Ok(2)
            }
            USER_TIMEOUT => {
                self.check(data, 2)?;
                let value = u32::from(self.u16(data.at)?);
                let seconds = if value & 1 != 0 { (value >> 1) * 60 } else { value >> 1 };
                self.out.text(" 0x").hex(value).text(" ").number(seconds);
                Ok(2)
            }
            AUTHENTICATION => self.authentication_option(data),
            FAST_OPEN => {
                self.check(data, data.length)?;
                self.out.text(" ");
                self.fast_open(data.at, data.length);
                Ok(data.length)
            }
            EXPERIMENT => self.experiment(data),
            _ => {
                self.out.text(if data.length > 0 { " 0x" } else { "" });
                self.hex_checked(data, 0)?;
                Ok(data.length)
            }
        }
    }

    /// The option's bytes from `first` on, as far as they are there.
    fn hex_checked(&mut self, data: &Data, first: u32) -> Result<(), End> {
        let (at, length) = (data.at + first as usize, data.length - first);
        self.out.hex_bytes(self.at_most(at, length));
        self.check(data, data.length)
    }

    /// RFC 5925, 2.2.
    fn authentication_option(&mut self, data: &Data) -> Result<u32, End> {
        if data.length < 2 {
            self.invalid();
            return Ok(data.length);
        }
        self.check(data, 1)?;
        let key = self.u8(data.at)?;
        self.out.text(" keyid ").number(key.into());
        self.check(data, 2)?;
        let next = self.u8(data.at + 1)?;
        self.out.text(" rnextkeyid ").number(next.into());
        if data.length > 2 {
            self.out.text(" mac 0x");
            self.hex_checked(data, 2)?;
        }
        Ok(data.length)
    }

    /// RFC 6994: its first two bytes say what it is.
    fn experiment(&mut self, data: &Data) -> Result<u32, End> {
        const FAST_OPEN_MAGIC: u16 = 0xf989;
        self.check(data, data.length)?;
        if data.length < 2 {
            return Err(End::Bad);
        }
        self.out.text("-");
        match self.u16(data.at)? {
            FAST_OPEN_MAGIC => {
                self.out.text("tfo");
                self.fast_open(data.at + 2, data.length - 2);
            }
            magic => _ = self.out.hex_padded(magic.into(), 4),
        }
        Ok(data.length)
    }

    /// RFC 7413, 4.1.1.
    fn fast_open(&mut self, at: usize, length: u32) {
        match length {
            0 => _ = self.out.text(" cookiereq"),
            4..=16 if length % 2 == 0 => {
                let cookie = self.at_most(at, length);
                self.out.text(" cookie ").hex_bytes(cookie);
            }
            _ => self.invalid(),
        }
    }
}
