//! Programs that libpcap would never write, to look where no expression leads: the same programs in each run.

use xdptrace::filter::{self, Classic};

use crate::differential::{everywhere, interpretable};
use crate::interpreter;
use crate::libpcap;
use crate::packets::{Packet, corpus};
use crate::view::LAYOUT;

const PROGRAMS: u64 = 20_000;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % sides as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[self.roll(choice.len())]
    }
}

/// Offsets in and around headers, around the end of the copy, and beyond everything.
const OFFSETS: [u32; 24] =
    [0, 1, 6, 12, 14, 16, 20, 22, 23, 26, 34, 36, 42, 46, 54, 100, 124, 125, 126, 127, 128, 130, 200, 0x7fff_fffe];
const CONSTANTS: [u32; 16] =
    [0, 1, 2, 4, 6, 8, 17, 31, 32, 33, 0x45, 0xff, 0x800, 0xc0a8_010c, 0x7fff_ffff, 0xffff_ffff];
/// M[0] to M[3] are set at the start: what libpcap finds in the others is whatever was on its stack.
const WORDS: usize = 4;

const LOADS: [u16; 3] = [0x20, 0x28, 0x30];
const LOADS_FROM_X: [u16; 3] = [0x40, 0x48, 0x50];
/// add, sub, mul, div, or, and, lsh, rsh, mod, xor.
const OPERATIONS: [u16; 10] = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xa0];
/// jeq, jgt, jge, jset.
const TESTS: [u16; 4] = [0x10, 0x20, 0x30, 0x40];
const BY_X: u16 = 8;

fn program(dice: &mut Dice) -> Vec<Classic> {
    let plain = |code, k| Classic { code, jt: 0, jf: 0, k };
    let mut program = vec![plain(0x00, dice.one_of(&CONSTANTS)), plain(0x01, dice.one_of(&OFFSETS))];
    program.extend((0..WORDS as u32).map(|word| plain(0x02 + (word as u16 & 1), word)));
    let length = 2 + dice.roll(14);
    for left in (1..=length).rev() {
        program.push(step(dice, left));
    }
    // ret #1 or ret a, ret #0
    program.push(dice.one_of(&[plain(0x06, 1), plain(0x06, 1), plain(0x06, 1), plain(0x16, 0)]));
    program.push(plain(0x06, 0));
    program
}

/// One instruction, with `left` of them before the two returns.
fn step(dice: &mut Dice, left: usize) -> Classic {
    let plain = |code, k| Classic { code, jt: 0, jf: 0, k };
    let word = dice.roll(WORDS) as u32;
    match dice.roll(20) {
        0..=3 => plain(dice.one_of(&LOADS), dice.one_of(&OFFSETS)),
        4..=6 => plain(dice.one_of(&LOADS_FROM_X), dice.one_of(&OFFSETS)),
        7 => plain(0xb1, dice.one_of(&OFFSETS)),
        8 => plain(dice.one_of(&[0x60, 0x61]), word),
        9 => plain(dice.one_of(&[0x02, 0x03]), word),
        10 => plain(dice.one_of(&[0x07, 0x87]), 0),
        11 => plain(dice.one_of(&[0x00, 0x01, 0x80, 0x81, 0x84]), dice.one_of(&CONSTANTS)),
        12 | 13 => plain(0x04 | BY_X | dice.one_of(&OPERATIONS), 0),
        14 | 15 => calculation(dice),
        16 => plain(0x05, dice.roll(left.min(4)) as u32),
        _ => branch(dice, left),
    }
}

fn calculation(dice: &mut Dice) -> Classic {
    let (operation, k) = (dice.one_of(&OPERATIONS), dice.one_of(&CONSTANTS));
    let k = match operation {
        0x30 | 0x90 => k.max(1),
        // libpcap's own compiler never shifts by more.
        0x60 | 0x70 => k & 31,
        _ => k,
    };
    Classic { code: 0x04 | operation, jt: 0, jf: 0, k }
}

fn branch(dice: &mut Dice, left: usize) -> Classic {
    let by = if dice.roll(3) == 0 { BY_X } else { 0 };
    let mut skip = || dice.roll((left + 1).min(6)) as u8;
    let (jt, jf) = (skip(), skip());
    Classic { code: 0x05 | by | dice.one_of(&TESTS), jt, jf, k: dice.one_of(&CONSTANTS) }
}

/// What became of one program on some packets.
fn differences(seed: u64, packets: &[Packet]) -> Vec<String> {
    let mut dice = Dice(seed);
    let classic = program(&mut dice);
    let own: Vec<_> =
        classic.iter().map(|&Classic { code, jt, jf, k }| libpcap::Instruction { code, jt, jf, k }).collect();
    let code = match filter::translate(&classic, &LAYOUT) {
        Ok(code) => code,
        Err(error) => return vec![format!("program {seed}: {error}")],
    };
    let translated = interpretable(code.instructions().unwrap());
    let mut found = Vec::new();
    for _ in 0..40 {
        let packet = &packets[dice.roll(packets.len())];
        let expected = Ok(libpcap::accepts(&own, packet));
        let verdict = interpreter::accepts(&translated, packet);
        if verdict != expected {
            found.push(format!("program {seed} on {}: {verdict:?}, not {expected:?}\n{classic:#?}", packet.name));
        }
    }
    found
}

#[test]
fn random_programs_agree_with_libpcap() {
    let packets = corpus();
    let seeds: Vec<u64> = (0..PROGRAMS).collect();
    let found = everywhere(&seeds, |seed| differences(*seed, &packets));
    println!("{PROGRAMS} random programs, 40 packets each, {} differences", found.len());
    assert!(found.is_empty(), "{}", found[..found.len().min(3)].join("\n"));
}
