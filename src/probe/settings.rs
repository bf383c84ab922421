//! Settings of the BPF object, written into its instructions: see src/bpf/config.h for why.

use libbpf_rs::{AsRawLibbpf, OpenProgramMut, libbpf_sys};

use crate::bpf::{Flag, Value};

/// In the upper half of an operand, says that the lower one is a setting's number.
const SETTING: u32 = 0x7eed;
/// Added to a flag's number where the jump is taken if it is not set.
const UNLESS: u32 = 0x100;

/// `if r == imm goto +off`
const JUMP_IF_EQUAL: u8 = 0x15;
/// `if r != imm goto +off`
const JUMP_IF_NOT_EQUAL: u8 = 0x55;
/// The first of the two instructions of `r = imm64`
const MOVE_WIDE: u8 = 0x18;

/// Flags and values, each unset or 0 at first.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    flags: u64,
    values: [u64; 16],
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

    /// Writes them into an opened program.
    pub(super) fn write(&self, program: &mut OpenProgramMut<'_>) {
        let mut changes = Vec::new();
        let instructions = program.insns();
        for (number, insn) in instructions.iter().enumerate() {
            let next = instructions.get(number + 1);
            if let Some(jump) = self.jump(insn) {
                changes.push((number, jump));
            } else if let Some((value, next)) = self.value(insn, next) {
                changes.extend([(number, value), (number + 1, next)]);
            }
        }
        changes.into_iter().for_each(|(number, insn)| overwrite(program, number, insn));
    }

    /// What a flag's jump becomes: one that is taken unless a valid pointer is 0, or if it is.
    fn jump(&self, insn: &libbpf_sys::bpf_insn) -> Option<u64> {
        let number = setting(insn.imm).filter(|_| insn.code == JUMP_IF_EQUAL)?;
        let is_set = self.flags >> (number & !UNLESS) & 1 == 1;
        let is_taken = is_set != (number & UNLESS != 0);
        let code = if is_taken { JUMP_IF_NOT_EQUAL } else { JUMP_IF_EQUAL };
        Some(encode(code, insn.dst_reg(), insn.off, 0))
    }

    fn value(&self, insn: &libbpf_sys::bpf_insn, next: Option<&libbpf_sys::bpf_insn>) -> Option<(u64, u64)> {
        let is_value = insn.code == MOVE_WIDE && insn.src_reg() == 0 && next?.imm as u32 == SETTING << 16;
        let value = self.values.get(insn.imm as usize).filter(|_| is_value)?;
        Some((encode(MOVE_WIDE, insn.dst_reg(), 0, *value as u32), encode(0, 0, 0, (*value >> 32) as u32)))
    }
}

fn setting(imm: i32) -> Option<u32> {
    let imm = imm as u32;
    (imm >> 16 == SETTING).then_some(imm & 0xffff)
}

/// An instruction as it lies in memory (`struct bpf_insn`).
fn encode(code: u8, register: u8, off: i16, imm: u32) -> u64 {
    let [off_low, off_high] = off.to_ne_bytes();
    let [a, b, c, d] = imm.to_ne_bytes();
    let registers = if cfg!(target_endian = "little") { register } else { register << 4 };
    u64::from_ne_bytes([code, registers, off_low, off_high, a, b, c, d])
}

/// Overwrites instruction `number` of an opened program, which has so many.
pub(super) fn overwrite(program: &mut OpenProgramMut<'_>, number: usize, insn: u64) {
    assert!(number < program.insns().len(), "an instruction beyond the program's end");
    // SAFETY: libbpf keeps a program's instructions where they are from opening to loading, 8 bytes each, and nobody else
    // has a reference to them here.
    unsafe {
        let first = libbpf_sys::bpf_program__insns(program.as_libbpf_object().as_ptr()).cast_mut();
        first.add(number).cast::<u64>().write_unaligned(insn);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn insn(code: u8, dst: u8, off: i16, imm: u32) -> libbpf_sys::bpf_insn {
        let mut insn = libbpf_sys::bpf_insn { code, off, imm: imm as i32, ..Default::default() };
        insn.set_dst_reg(dst);
        insn
    }

    #[test]
    fn a_flag_is_a_jump_or_none() {
        let mut settings = Settings::default();
        settings.flag(Flag::FLAG_TYPED, true);
        let (set, unset) = (Flag::FLAG_TYPED.0, Flag::FLAG_RETURNS.0);
        let jump = |flag| settings.jump(&insn(0x15, 6, 7, SETTING << 16 | flag));
        let (taken, not_taken) = (Some(encode(0x55, 6, 7, 0)), Some(encode(0x15, 6, 7, 0)));
        assert_eq!([jump(set), jump(unset)], [taken, not_taken]);
        assert_eq!([jump(set | UNLESS), jump(unset | UNLESS)], [not_taken, taken]);
        // Another jump, and another number.
        assert_eq!(settings.jump(&insn(0x1d, 6, 7, SETTING << 16)), None);
        assert_eq!(settings.jump(&insn(0x15, 6, 7, 1)), None);
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
