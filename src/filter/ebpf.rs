//! eBPF instructions, and the kernel's notation for them.

use std::fmt::{self, Display, Formatter};

use super::classic::{Arithmetic, Size, Test};

/// One eBPF instruction: the kernel's `struct bpf_insn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insn {
    /// Class, size or source, and operation.
    pub code: u8,
    /// The register that is written or, in a test or a store, comes first.
    pub dst: u8,
    /// The other register.
    pub src: u8,
    /// Bytes from a pointer on, or instructions to skip.
    pub off: i16,
    /// The constant operand.
    pub imm: i32,
}

// The numbers of include/uapi/linux/bpf.h.
const LDX_MEM: u8 = 0x61;
const STX_MEM: u8 = 0x63;
const ALU32: u8 = 0x04;
const JMP: u8 = 0x05;
const JMP32: u8 = 0x06;
const ALU64: u8 = 0x07;
const FROM_REGISTER: u8 = 0x08;
const MOV: u8 = 0xb0;
const NEG: u8 = 0x80;
const CALL: u8 = 0x80 | JMP;
const GOTO: u8 = JMP;
const TO_BIG_ENDIAN: u8 = 0xdc;
const PROBE_READ_KERNEL: i32 = 113;

const SIZE_HALF: u8 = 0x08;
const SIZE_BYTE: u8 = 0x10;
const SIZE_DOUBLE: u8 = 0x18;

/// The numbers that [`Condition`]s have in an instruction's code, beside their opposites'.
const OPPOSITES: [(u8, u8); 5] = [(0x10, 0x50), (0x20, 0xb0), (0x30, 0xa0), (0x60, 0xd0), (0x70, 0xc0)];

/// What a jump depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Equal = 0x10,
    Greater = 0x20,
    GreaterOrEqual = 0x30,
    AnyBit = 0x40,
    NotEqual = 0x50,
    Less = 0xa0,
    SignedLess = 0xc0,
}

impl From<Test> for Condition {
    fn from(test: Test) -> Self {
        match test {
            Test::Equal => Self::Equal,
            Test::Greater => Self::Greater,
            Test::GreaterOrEqual => Self::GreaterOrEqual,
            Test::AnyBit => Self::AnyBit,
        }
    }
}

fn size_bits(size: Size) -> u8 {
    match size {
        Size::Byte => SIZE_BYTE,
        Size::Half => SIZE_HALF,
        Size::Word => 0,
    }
}

fn arithmetic_bits(what: Arithmetic) -> u8 {
    match what {
        Arithmetic::Add => 0x00,
        Arithmetic::Sub => 0x10,
        Arithmetic::Mul => 0x20,
        Arithmetic::Div => 0x30,
        Arithmetic::Or => 0x40,
        Arithmetic::And => 0x50,
        Arithmetic::Lsh => 0x60,
        Arithmetic::Rsh => 0x70,
        Arithmetic::Mod => 0x90,
        Arithmetic::Xor => 0xa0,
    }
}

impl Insn {
    /// `goto +0`, which does nothing: what a sled is made of.
    pub const NOTHING: Self = Self::new(GOTO, 0, 0, 0, 0);

    const fn new(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Self {
        Self { code, dst, src, off, imm }
    }

    pub(super) fn load(size: Size, dst: u8, pointer: u8, off: i16) -> Self {
        Self::new(LDX_MEM | size_bits(size), dst, pointer, off, 0)
    }

    pub(super) fn load_double(dst: u8, pointer: u8, off: i16) -> Self {
        Self::new(LDX_MEM | SIZE_DOUBLE, dst, pointer, off, 0)
    }

    pub(super) fn store_word(pointer: u8, off: i16, src: u8) -> Self {
        Self::new(STX_MEM, 0, 0, 0, 0).with(pointer, src, off)
    }

    fn with(self, dst: u8, src: u8, off: i16) -> Self {
        Self { dst, src, off, ..self }
    }

    /// 32 bits, with the upper half set to zero, as is everything whose name doesn't say 64.
    pub(super) fn set(dst: u8, k: u32) -> Self {
        Self::new(ALU32 | MOV, dst, 0, 0, k as i32)
    }

    pub(super) fn copy64(dst: u8, src: u8) -> Self {
        Self::new(ALU64 | MOV | FROM_REGISTER, dst, src, 0, 0)
    }

    pub(super) fn arithmetic(what: Arithmetic, dst: u8, k: u32) -> Self {
        Self::new(ALU32 | arithmetic_bits(what), dst, 0, 0, k as i32)
    }

    pub(super) fn arithmetic_by(what: Arithmetic, dst: u8, src: u8) -> Self {
        Self::new(ALU32 | arithmetic_bits(what) | FROM_REGISTER, dst, src, 0, 0)
    }

    pub(super) fn add64(dst: u8, k: i32) -> Self {
        Self::new(ALU64, dst, 0, 0, k)
    }

    pub(super) fn add64_by(dst: u8, src: u8) -> Self {
        Self::new(ALU64 | FROM_REGISTER, dst, src, 0, 0)
    }

    pub(super) fn sub64_by(dst: u8, src: u8) -> Self {
        Self::new(ALU64 | arithmetic_bits(Arithmetic::Sub) | FROM_REGISTER, dst, src, 0, 0)
    }

    pub(super) fn and64(dst: u8, k: i32) -> Self {
        Self::new(ALU64 | arithmetic_bits(Arithmetic::And), dst, 0, 0, k)
    }

    pub(super) fn negate(dst: u8) -> Self {
        Self::new(ALU32 | NEG, dst, 0, 0, 0)
    }

    /// Between the network's byte order and this machine's.
    pub(super) fn swap(size: Size, dst: u8) -> Self {
        Self::new(TO_BIG_ENDIAN, dst, 0, 0, 8 * size.bytes() as i32)
    }

    pub(super) fn probe_read_kernel() -> Self {
        Self::new(CALL, 0, 0, 0, PROBE_READ_KERNEL)
    }

    pub(super) fn goto() -> Self {
        Self::NOTHING
    }

    pub(super) fn jump(condition: Condition, dst: u8, k: u32) -> Self {
        Self::new(JMP32 | condition as u8, dst, 0, 0, k as i32)
    }

    pub(super) fn jump_by(condition: Condition, dst: u8, src: u8) -> Self {
        Self::new(JMP32 | condition as u8 | FROM_REGISTER, dst, src, 0, 0)
    }

    pub(super) fn jump64(condition: Condition, dst: u8, k: i32) -> Self {
        Self::new(JMP | condition as u8, dst, 0, 0, k)
    }

    pub(super) fn jump64_by(condition: Condition, dst: u8, src: u8) -> Self {
        Self::new(JMP | condition as u8 | FROM_REGISTER, dst, src, 0, 0)
    }

    pub(super) fn is_goto(self) -> bool {
        self.code == GOTO
    }

    /// The jump that is taken exactly where this one isn't. None for a test of bits, which has none.
    pub(super) fn opposite(self) -> Option<Self> {
        let own = self.code & 0xf0;
        let opposite = OPPOSITES.iter().find_map(|&(one, other)| match own {
            _ if own == one => Some(other),
            _ if own == other => Some(one),
            _ => None,
        })?;
        Some(Self { code: self.code & 0x0f | opposite, ..self })
    }

    /// The eight bytes, as the kernel reads them on this machine.
    pub fn to_bytes(self) -> [u8; 8] {
        let registers =
            if cfg!(target_endian = "little") { self.src << 4 | self.dst } else { self.dst << 4 | self.src };
        let ([a, b], [c, d, e, f]) = (self.off.to_ne_bytes(), self.imm.to_ne_bytes());
        [self.code, registers, a, b, c, d, e, f]
    }

    /// The same as one number of this machine.
    pub fn to_u64(self) -> u64 {
        u64::from_ne_bytes(self.to_bytes())
    }
}

impl Display for Insn {
    /// As the kernel's verifier and bpftool write it (kernel/bpf/disasm.c).
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "({:02x}) ", self.code)?;
        match self.code & 0x07 {
            0x01 => write!(f, "r{} = *({} *)(r{} {:+})", self.dst, self.size_name(), self.src, self.off),
            0x03 => write!(f, "*({} *)(r{} {:+}) = r{}", self.size_name(), self.dst, self.off, self.src),
            0x04 | 0x07 => self.fmt_arithmetic(f),
            _ => self.fmt_jump(f),
        }
    }
}

impl Insn {
    fn size_name(self) -> &'static str {
        ["u32", "u16", "u8", "u64"][usize::from(self.code >> 3 & 3)]
    }

    /// 64-bit registers are called r, their lower halves w.
    fn letter(self) -> char {
        if matches!(self.code & 0x07, 0x04 | 0x06) { 'w' } else { 'r' }
    }

    fn fmt_arithmetic(self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { code, dst, src, imm, .. } = self;
        let letter = self.letter();
        const SIGNS: [&str; 16] =
            ["+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "", "%=", "^=", "=", "s>>=", "", "", ""];
        match code {
            TO_BIG_ENDIAN => write!(f, "r{dst} = be{imm} r{dst}"),
            _ if code & 0xf0 == NEG => write!(f, "{letter}{dst} = -{letter}{dst}"),
            _ => {
                write!(f, "{letter}{dst} {} ", SIGNS[usize::from(code >> 4)])?;
                if code & FROM_REGISTER == 0 { write!(f, "{imm}") } else { write!(f, "{letter}{src}") }
            }
        }
    }

    fn fmt_jump(self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { code, dst, src, off, imm } = self;
        let letter = self.letter();
        const SIGNS: [&str; 16] = ["", "==", ">", ">=", "&", "!=", "s>", "s>=", "", "", "<", "<=", "s<", "s<=", "", ""];
        match code {
            CALL => write!(f, "call bpf_probe_read_kernel#{imm}"),
            GOTO => write!(f, "goto pc{off:+}"),
            _ => {
                write!(f, "if {letter}{dst} {} ", SIGNS[usize::from(code >> 4)])?;
                let from_register = code & FROM_REGISTER != 0;
                if from_register {
                    write!(f, "{letter}{src}")?
                } else {
                    write!(f, "{imm:#x}")?
                }
                write!(f, " goto pc{off:+}")
            }
        }
    }
}
