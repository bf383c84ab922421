//! Settings of the BPF object, written into its instructions: see src/bpf/config.h for why.

use libbpf_rs::libbpf_sys::bpf_insn;

use super::instructions::overwrite;
use crate::bpf::{Flag, Place, Value};
use crate::filter::Insn;

/// In the upper half of an operand, says that the lower one is a setting's number.
const SETTING: u32 = 0x7eed;
/// Added to a flag's number where the jump is taken if it is not set.
const UNLESS: u32 = 0x100;

/// Added to a value's number where it is the operand of anything but a move of 64 bits.
const OPERAND: u32 = 0x200;

/// Added to the number of a place for a filter.
const PLACES: u32 = 0x300;

/// `if r == imm goto +off`
const JUMP_IF_EQUAL: u8 = 0x15;
/// `if r != imm goto +off`
const JUMP_IF_NOT_EQUAL: u8 = 0x55;
/// `goto +off`
const GOTO: u8 = 0x05;
/// `call imm`, of a subprogram where the source register is [`OF_PROGRAM`]
const CALL: u8 = 0x85;
const OF_PROGRAM: u8 = 1;
const EXIT: u8 = 0x95;
/// The bits of an instruction's class, and those of jumps that compare 64 bits, and 32.
const CLASS: u8 = 0x07;
const JUMPS: u8 = 0x05;
const SHORT_JUMPS: u8 = 0x06;
/// `r &= imm`, `r *= imm`, `r = imm`, `if w != imm goto +off`, `if r > imm …`, `if r <= imm …` and `if r < imm …`
const WITH_OPERAND: [u8; 7] = [0x57, 0x27, MOVE, 0x56, 0x25, 0xb5, 0xa5];
/// `r = imm`
const MOVE: u8 = 0xb7;
/// The first of the two instructions of `r = imm64`
const MOVE_WIDE: u8 = 0x18;

/// Flags and values, each unset or 0 at first.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    flags: u64,
    values: [u64; 32],
}

impl Settings {
    pub(super) fn flag(&mut self, flag: Flag, is_set: bool) {
        let bit = 1 << flag.0;
        self.flags = if is_set { self.flags | bit } else { self.flags & !bit };
    }

    pub(super) fn set(&mut self, value: Value, to: u64) {
        if let Some(place) = self.values.get_mut(value.0 as usize) {
            *place = to;
        }
    }

    /// A value that applies only where there is one.
    pub(super) fn optional(&mut self, flag: Flag, value: Value, to: Option<u64>) {
        self.flag(flag, to.is_some());
        self.set(value, to.unwrap_or(0));
    }

    /// Writes them into the instructions of a program that is about to be loaded.
    pub(super) fn write(&self, instructions: &mut [bpf_insn]) {
        for (number, insn) in self.changes(instructions) {
            overwrite(&mut instructions[number], insn);
        }
    }

    /// What instructions become, by their number.
    fn changes(&self, instructions: &[bpf_insn]) -> Vec<(usize, Insn)> {
        let mut changes = Vec::new();
        let reached = self.reached(instructions);
        for (number, insn) in instructions.iter().enumerate() {
            let next = instructions.get(number + 1);
            if let Some(is_taken) = self.is_taken(insn) {
                let left_out = if is_taken { number + 1 } else { target(number, insn.off.into()) };
                let is_free = reached[number] && reached.get(left_out) == Some(&true);
                changes.push((number, jump(insn, is_taken, is_free)));
            } else if let Some(operand) = self.operand(insn) {
                changes.push((number, operand));
            } else if let Some((value, next)) = self.value(insn, next) {
                changes.extend([(number, value), (number + 1, next)]);
            }
        }
        changes
    }

    /// Which instructions can be reached where each flag's jump is taken always or never.
    fn reached(&self, instructions: &[bpf_insn]) -> Vec<bool> {
        let mut reached = vec![false; instructions.len()];
        let mut ways = vec![0];
        while let Some(number) = ways.pop() {
            let Some(insn) = instructions.get(number).filter(|_| !reached[number]) else { continue };
            reached[number] = true;
            match self.is_taken(insn) {
                Some(true) => ways.push(target(number, insn.off.into())),
                Some(false) => ways.push(number + 1),
                None => ways.extend(successors(number, insn)),
            }
        }
        reached
    }

    /// Whether a flag's jump is to be taken; None: it is none.
    fn is_taken(&self, insn: &bpf_insn) -> Option<bool> {
        let number = setting(insn.imm).filter(|_| insn.code == JUMP_IF_EQUAL)?;
        let is_set = self.flags >> (number & !UNLESS) & 1 == 1;
        Some(is_set != (number & UNLESS != 0))
    }

    /// A value where it is the operand of a short instruction.
    fn operand(&self, insn: &bpf_insn) -> Option<Insn> {
        let number = setting(insn.imm).filter(|number| number & OPERAND != 0 && WITH_OPERAND.contains(&insn.code))?;
        let value = self.values.get((number & !OPERAND) as usize)?;
        Some(encode(insn.code, insn.dst_reg(), insn.off, *value as u32))
    }

    fn value(&self, insn: &bpf_insn, next: Option<&bpf_insn>) -> Option<(Insn, Insn)> {
        let is_value = insn.code == MOVE_WIDE && insn.src_reg() == 0 && next?.imm as u32 == SETTING << 16;
        let value = self.values.get(insn.imm as usize).filter(|_| is_value)?;
        Some((encode(MOVE_WIDE, insn.dst_reg(), 0, *value as u32), encode(0, 0, 0, (*value >> 32) as u32)))
    }
}

/// A flag's jump as it is loaded. Free, it costs at most the jump; but then nothing leads to what it leaves out, which the
/// verifier refuses, unless something else does. Otherwise it is one that depends on whether a valid pointer is 0.
fn jump(insn: &bpf_insn, is_taken: bool, is_free: bool) -> Insn {
    match (is_free, is_taken) {
        (true, true) => encode(GOTO, 0, insn.off, 0),
        (true, false) => encode(GOTO, 0, 0, 0),
        (false, true) => encode(JUMP_IF_NOT_EQUAL, insn.dst_reg(), insn.off, 0),
        (false, false) => encode(JUMP_IF_EQUAL, insn.dst_reg(), insn.off, 0),
    }
}

/// The instruction `off` behind the next one.
fn target(number: usize, off: isize) -> usize {
    (number + 1).wrapping_add_signed(off)
}

/// Where an instruction that is no flag's jump leads.
fn successors(number: usize, insn: &bpf_insn) -> Vec<usize> {
    let (next, near, far) = (number + 1, target(number, insn.off.into()), target(number, insn.imm as isize));
    match insn.code {
        EXIT => Vec::new(),
        GOTO => vec![near],
        CALL if insn.src_reg() == OF_PROGRAM => vec![next, far],
        CALL => vec![next],
        MOVE_WIDE => vec![next + 1],
        code if matches!(code & CLASS, JUMPS | SHORT_JUMPS) => vec![next, near],
        _ => vec![next],
    }
}

/// Where the places for a filter begin.
pub(super) fn find_places(instructions: &[bpf_insn], place: Place) -> Vec<usize> {
    let is_first = |insn: &bpf_insn| insn.code == MOVE && setting(insn.imm) == Some(PLACES | place.0);
    let numbered = instructions.iter().enumerate();
    numbered.filter(|(_, insn)| is_first(insn)).map(|(number, _)| number).collect()
}

fn setting(imm: i32) -> Option<u32> {
    let imm = imm as u32;
    (imm >> 16 == SETTING).then_some(imm & 0xffff)
}

fn encode(code: u8, dst: u8, off: i16, imm: u32) -> Insn {
    Insn { code, dst, src: 0, off, imm: imm as i32 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn insn(code: u8, dst: u8, off: i16, imm: u32) -> bpf_insn {
        let mut insn = bpf_insn { code, off, imm: imm as i32, ..Default::default() };
        insn.set_dst_reg(dst);
        insn
    }

    #[test]
    fn a_flag_is_a_jump_or_none() {
        let mut settings = Settings::default();
        settings.flag(Flag::FLAG_TYPED, true);
        let (set, unset) = (Flag::FLAG_TYPED.0, Flag::FLAG_RETURNS.0);
        let jump = |flag| settings.is_taken(&insn(0x15, 6, 7, SETTING << 16 | flag));
        assert_eq!(
            [jump(set), jump(unset), jump(set | UNLESS), jump(unset | UNLESS)].map(Option::unwrap),
            [true, false, false, true]
        );
        // Another jump, and another number.
        assert_eq!(settings.is_taken(&insn(0x1d, 6, 7, SETTING << 16)), None);
        assert_eq!(settings.is_taken(&insn(0x15, 6, 7, 1)), None);
    }

    #[test]
    fn a_value_is_the_operand_of_a_move() {
        let mut settings = Settings::default();
        settings.set(Value::VALUE_RATE, 0x1234_5678_9abc);
        let (first, second) = (insn(0x18, 3, 0, Value::VALUE_RATE.0), insn(0, 0, 0, SETTING << 16));
        let expected = (encode(0x18, 3, 0, 0x5678_9abc), encode(0, 0, 0, 0x1234));
        assert_eq!(settings.value(&first, Some(&second)), Some(expected));
        assert_eq!(settings.value(&first, Some(&first)), None);
    }
}
