//! Programs and packets at random, the same ones each time. The live tests use this file as well.

use crate::filter::Classic;

/// xorshift64*: enough for tests, and no crate.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn number(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    pub fn below(&mut self, limit: u32) -> u32 {
        self.number() % limit
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }

    /// Mostly offsets that lie within packets, often at the edges that matter.
    fn offset(&mut self) -> u32 {
        match self.below(16) {
            0..8 => self.below(64),
            8..11 => 120 + self.below(12),
            11..14 => self.below(310),
            14 => self.one_of(&[0x7fff_fff0, 0x7fff_ffff, 0x8000_0000, 0xffff_f004, 0xffff_fffc, 0xffff_ffff]),
            _ => self.number(),
        }
    }

    pub fn constant(&mut self) -> u32 {
        match self.below(4) {
            0 => self.below(8),
            1 => self.one_of(&[0xf0, 0xff, 0xfff, 0x1fff, 0xffff, 0x1_0000, 0x8000_0000, 0xffff_ffff, 0x0800, 0x8]),
            2 => self.below(0x1_0000),
            _ => self.number(),
        }
    }

    pub fn packet(&mut self) -> Vec<u8> {
        let length = self.below(301);
        (0..length).map(|_| if self.below(3) == 0 { self.number() as u8 } else { self.below(9) as u8 }).collect()
    }

    /// A program that libpcap's validator takes and that, as all its own, writes M[] before it reads it.
    pub fn program(&mut self) -> Vec<Classic> {
        let longest = 1 + self.below(40);
        let length = 1 + self.below(longest) as usize;
        let mut written = 0_u32;
        let mut reach = 0;
        let mut program = Vec::new();
        while program.len() < length {
            let left = (length - program.len()) as u32;
            // Words of M[] count as written only where every way led through the store.
            let certain = program.len() >= reach;
            let next = self.instruction(left, written);
            match next.code {
                0x02 | 0x03 if certain => written |= 1 << next.k,
                0x05 => reach = reach.max(program.len() + 1 + next.k as usize),
                code if code & 7 == 5 => reach = reach.max(program.len() + 1 + usize::from(next.jt.max(next.jf))),
                _ => {}
            }
            program.push(next);
        }
        program.push(if self.below(4) == 0 { plain(0x16, 0) } else { plain(0x06, self.below(2)) });
        program
    }

    fn instruction(&mut self, left: u32, written: u32) -> Classic {
        match self.below(22) {
            0..6 => plain(self.one_of(&[0x20, 0x28, 0x30, 0x28, 0x30]), self.offset()),
            6..10 => plain(self.one_of(&[0x40, 0x48, 0x50]), self.offset()),
            10 => plain(0xb1, self.offset()),
            11 => plain(self.one_of(&[0x00, 0x01]), self.constant()),
            12 => plain(self.one_of(&[0x80, 0x81, 0x07, 0x87, 0x07, 0x87]), 0),
            13 => plain(self.one_of(&[0x02, 0x03]), self.below(16)),
            14 => self.memory(written),
            15..19 => self.arithmetic(),
            19 if self.below(4) == 0 => plain(0x05, self.below(left.min(9))),
            19 if self.below(6) == 0 => plain(0x06, self.below(2)),
            _ => self.branch(left),
        }
    }

    fn memory(&mut self, written: u32) -> Classic {
        let words: Vec<u32> = (0..16).filter(|k| written & 1 << k != 0).collect();
        if words.is_empty() { plain(0x84, 0) } else { plain(self.one_of(&[0x60, 0x61]), self.one_of(&words)) }
    }

    fn arithmetic(&mut self) -> Classic {
        let what = self.one_of(&[0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x50, 0x60, 0x70, 0x80, 0x90, 0xa0]);
        let by_x = if what != 0x80 && self.below(3) == 0 { 8 } else { 0 };
        let k = match what {
            0x30 | 0x90 => self.constant().max(1),
            0x60 | 0x70 => self.below(32),
            _ => self.constant(),
        };
        plain(4 | what | by_x, k)
    }

    fn branch(&mut self, left: u32) -> Classic {
        let code = 5 | self.one_of(&[0x10, 0x10, 0x20, 0x30, 0x40]) | if self.below(5) == 0 { 8 } else { 0 };
        let reach = left.min(7);
        Classic { code, jt: self.below(reach) as u8, jf: self.below(reach) as u8, k: self.constant() }
    }
}

fn plain(code: u16, k: u32) -> Classic {
    Classic { code, jt: 0, jf: 0, k }
}
