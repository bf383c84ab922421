//! cBPF: the instructions as libpcap gives them, and what each one does.

use anyhow::Result;

use crate::failure::Failure;

/// One cBPF instruction: libpcap's and the kernel's `struct bpf_insn` and `struct sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classic {
    /// Class, size, mode and operation.
    pub code: u16,
    /// Instructions to skip where a test holds.
    pub jt: u8,
    /// Instructions to skip where it doesn't.
    pub jf: u8,
    /// The constant operand.
    pub k: u32,
}

/// How many bytes a load takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Byte,
    Half,
    Word,
}

impl Size {
    pub(super) fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
        }
    }
}

/// cBPF's two registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Register {
    A,
    X,
}

/// What a register is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Constant(u32),
    /// The packet's whole length.
    Length,
    /// A word of M[].
    Memory(u32),
}

/// The right-hand side of arithmetic and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    K(u32),
    X,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    And,
    Or,
    Xor,
    Lsh,
    Rsh,
}

/// What A is tested for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
    AnyBit,
}

/// What one instruction does. Targets are numbers of instructions, always greater than its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// A = the packet's bytes from `k` on, or from X + `k` on.
    Load {
        size: Size,
        k: u32,
        indexed: bool,
    },
    /// X = 4 * (the packet's byte `k` & 0xf), an IPv4 header's length.
    HeaderLength(u32),
    Set(Register, Source),
    Store(Register, u32),
    /// The register that is named = the other one.
    Copy(Register),
    Arithmetic(Arithmetic, Operand),
    Negate,
    Jump(usize),
    Branch {
        test: Test,
        with: Operand,
        yes: usize,
        no: usize,
    },
    Return(bool),
    ReturnA,
}

impl Op {
    /// Those that may run next.
    pub(super) fn successors(self, own: usize) -> impl Iterator<Item = usize> {
        let (first, second) = match self {
            Self::Jump(target) => (Some(target), None),
            Self::Branch { yes, no, .. } => (Some(yes), Some(no)),
            Self::Return(_) | Self::ReturnA => (None, None),
            _ => (Some(own + 1), None),
        };
        first.into_iter().chain(second)
    }

    /// The packet's length from which on a load does not fail for certain.
    pub(super) fn end(self) -> Option<u32> {
        match self {
            Self::Load { size, k, .. } => Some(k + size.bytes()),
            Self::HeaderLength(k) => Some(k + 1),
            _ => None,
        }
    }
}

/// No packet is as long; the kernel's own negative offsets (`SKF_AD_OFF` and its like) lie above it, too.
const END_LIMIT: u32 = i32::MAX as u32;

/// cBPF's M[].
pub(super) const MEMORY_WORDS: u32 = 16;

/// What each instruction of a program does.
///
/// # Errors
/// An instruction jumps back or out of the program, or is unknown.
pub(super) fn decode(program: &[Classic]) -> Result<Vec<Op>> {
    let decoded = program.iter().enumerate().map(|(number, instruction)| {
        let op = decode_one(number, instruction)?;
        let inside = op.successors(number).all(|next| next < program.len());
        if inside { Ok(op) } else { Err(refuse("it jumps out of its own cBPF")) }
    });
    let ops: Vec<Op> = decoded.collect::<Result<_>>()?;
    if ops.is_empty() { Err(refuse("its cBPF is empty")) } else { Ok(ops) }
}

fn refuse(why: &str) -> anyhow::Error {
    Failure::usage(format!("the filter can't run in the kernel: {why}"))
}

fn decode_one(number: usize, instruction: &Classic) -> Result<Op> {
    let Classic { code, k, .. } = *instruction;
    let op = match (code & 0x07, code) {
        (0 | 1, _) => load(code, k),
        (2, 0x02) => store(Register::A, k),
        (3, 0x03) => store(Register::X, k),
        (4, _) => arithmetic(code, k),
        (5, 0x05) => return jump(number, k),
        (5, _) => branch(number, instruction),
        (6, 0x06) => Some(Op::Return(k != 0)),
        (6, 0x16) => Some(Op::ReturnA),
        (7, 0x07) => Some(Op::Copy(Register::X)),
        (7, 0x87) => Some(Op::Copy(Register::A)),
        _ => None,
    };
    op.ok_or_else(|| refuse(&format!("its cBPF has an instruction that is unknown here (code {code:#x}, {k:#x})")))
}

fn load(code: u16, k: u32) -> Option<Op> {
    let packet = |size: Size, indexed| {
        let ends = k.checked_add(size.bytes()).is_some_and(|end| end <= END_LIMIT);
        if ends { Op::Load { size, k, indexed } } else { Op::Return(false) }
    };
    Some(match code {
        0x20 => packet(Size::Word, false),
        0x28 => packet(Size::Half, false),
        0x30 => packet(Size::Byte, false),
        0x40 => packet(Size::Word, true),
        0x48 => packet(Size::Half, true),
        0x50 => packet(Size::Byte, true),
        0xb1 if k < END_LIMIT => Op::HeaderLength(k),
        0xb1 => Op::Return(false),
        0x00 => Op::Set(Register::A, Source::Constant(k)),
        0x01 => Op::Set(Register::X, Source::Constant(k)),
        0x80 => Op::Set(Register::A, Source::Length),
        0x81 => Op::Set(Register::X, Source::Length),
        0x60 if k < MEMORY_WORDS => Op::Set(Register::A, Source::Memory(k)),
        0x61 if k < MEMORY_WORDS => Op::Set(Register::X, Source::Memory(k)),
        _ => return None,
    })
}

fn store(register: Register, k: u32) -> Option<Op> {
    (k < MEMORY_WORDS).then_some(Op::Store(register, k))
}

fn operand(code: u16, k: u32) -> Operand {
    if code & 0x08 == 0 { Operand::K(k) } else { Operand::X }
}

fn arithmetic(code: u16, k: u32) -> Option<Op> {
    let with = operand(code, k);
    let what = match code & 0xfff0 {
        0x00 => Arithmetic::Add,
        0x10 => Arithmetic::Sub,
        0x20 => Arithmetic::Mul,
        // libpcap's interpreter rejects the packet.
        0x30 | 0x90 if with == Operand::K(0) => return Some(Op::Return(false)),
        0x30 => Arithmetic::Div,
        0x40 => Arithmetic::Or,
        0x50 => Arithmetic::And,
        0x60 | 0x70 if matches!(with, Operand::K(32..)) => return Some(Op::Set(Register::A, Source::Constant(0))),
        0x60 => Arithmetic::Lsh,
        0x70 => Arithmetic::Rsh,
        0x80 if code == 0x84 => return Some(Op::Negate),
        0x90 => Arithmetic::Mod,
        0xa0 => Arithmetic::Xor,
        _ => return None,
    };
    Some(Op::Arithmetic(what, with))
}

/// A jump is 32 bits wide and, in libpcap's code for `protochain`, may go back.
fn jump(number: usize, k: u32) -> Result<Op> {
    if k > i32::MAX as u32 {
        return Err(refuse("`protochain` needs a loop: name the protocol itself, as in `ip6 proto 6`"));
    }
    Ok(Op::Jump(number + 1 + k as usize))
}

fn branch(number: usize, instruction: &Classic) -> Option<Op> {
    let test = match instruction.code & 0xfff0 {
        0x10 => Test::Equal,
        0x20 => Test::Greater,
        0x30 => Test::GreaterOrEqual,
        0x40 => Test::AnyBit,
        _ => return None,
    };
    let with = operand(instruction.code, instruction.k);
    let target = |skip: u8| number + 1 + usize::from(skip);
    Some(Op::Branch { test, with, yes: target(instruction.jt), no: target(instruction.jf) })
}
