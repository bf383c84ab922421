//! Multicast listener discovery (print-icmp6.c; RFC 2710, RFC 3810).

use super::super::put::Put;
use super::page::{Page, Told};

const QUERY: u8 = 130;
const REPORT_2: u8 = 143;
const LENGTH_1: u32 = 24;
const LENGTH_2: u32 = 28;

impl Page<'_> {
    pub(super) fn listener(&mut self, at: usize, kind: u8, length: u32) -> Told {
        match (kind, length) {
            (REPORT_2, _) => self.report_2(at, length),
            (QUERY, LENGTH_2..) => {
                self.out.text(" v2");
                self.query_2(at, length)
            }
            (QUERY, _) if length != LENGTH_1 => {
                self.out.text(" unknown-version (len ").number(length).text(") ");
                Ok(())
            }
            _ => self.listener_1(at),
        }
    }

    fn listener_1(&mut self, at: usize) -> Told {
        if !self.has(at, LENGTH_1 as usize) {
            return Ok(());
        }
        let (delay, address) = (self.u16(at + 4)?, self.array(at + 8)?);
        self.out.text("max resp delay: ").number(delay.into()).text(" addr: ").ipv6(address);
        Ok(())
    }

    fn report_2(&mut self, at: usize, length: u32) -> Told {
        if length < 8 {
            self.out.text(" [invalid len ").number(length).text("]");
            return Ok(());
        }
        let groups = self.u16(at + 6)?;
        self.out.text(", ").number(groups.into()).text(" group record(s)");
        if !self.verbose() {
            return Ok(());
        }
        let mut place = 8;
        for _ in 0..groups {
            if length < place + 20 {
                self.out.text(" [invalid number of groups]");
                return Ok(());
            }
            let Some(record) = self.group(at + place as usize, length - place)? else { return Ok(()) };
            place += record;
        }
        Ok(())
    }

    /// A group's record; returns its length.
    fn group(&mut self, at: usize, left: u32) -> Told<Option<u32>> {
        const TYPES: [&str; 6] = ["is_in", "is_ex", "to_in", "to_ex", "allow", "block"];
        let address = self.array(at + 4)?;
        self.out.text(" [gaddr ").ipv6(address).text(" ");
        let kind = self.u8(at)?;
        match TYPES.get(usize::from(kind).wrapping_sub(1)) {
            Some(name) => self.out.text(name),
            None => self.out.text(" [v2-report-#").number(kind.into()).text("]"),
        };
        let sources = u32::from(self.u16(at + 2)?);
        let length = 20 + sources * 16;
        if left < length {
            self.out.text(" [invalid number of sources ").number(sources).text("]");
            return Ok(None);
        }
        match self.style.verbosity {
            ..=1 => _ = self.out.text(", ").number(sources).text(" source(s)"),
            _ => self.sources(at + 20, sources)?,
        }
        self.out.text("]");
        Ok(Some(length))
    }

    fn sources(&mut self, at: usize, count: u32) -> Told {
        self.out.text(" {");
        for n in 0..count as usize {
            let address = self.array(at + 16 * n)?;
            self.out.text(" ").ipv6(address);
        }
        self.out.text(" }");
        Ok(())
    }

    fn query_2(&mut self, at: usize, length: u32) -> Told {
        let code = u32::from(self.u16(at + 4)?);
        let delay = if code < 0x8000 { code } else { (code & 0xfff | 0x1000) << ((code >> 12 & 7) + 3) };
        if self.verbose() {
            self.out.text(" [max resp delay=").number(delay).text("]");
        }
        let address = self.array(at + 8)?;
        self.out.text(" [gaddr ").ipv6(address);
        if self.verbose() {
            let flags = self.u8(at + 24)?;
            self.out.text(if flags & 8 != 0 { " sflag" } else { "" });
            if flags & 7 != 0 {
                self.out.text(" robustness=").number(u32::from(flags & 7));
            }
            let code = u32::from(self.u8(at + 25)?);
            let interval = if code < 128 { code } else { (code & 0xf | 0x10) << ((code >> 4 & 7) + 3) };
            self.out.text(" qqi=").number(interval);
        }
        let sources = u32::from(self.u16(at + 26)?);
        match sources {
            0 => {}
            _ if length < LENGTH_2 + sources * 16 => _ = self.out.text(" [invalid number of sources]"),
            _ if self.style.verbosity > 1 => self.sources(at + LENGTH_2 as usize, sources)?,
            _ => _ = self.out.text(", ").number(sources).text(" source(s)"),
        }
        self.out.text("]");
        Ok(())
    }
}
