//! What is certain at an instruction, whichever way led to it.

use super::classic::{Arithmetic, Op, Operand, Register, Size, Source};

/// What holds in the translated code before an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// The packet has at least this many bytes that can be read.
    pub known: u32,
    /// … and this many from byte X on; 0 means nothing.
    pub known_from_x: u32,
    /// `LINEAR` holds how many can be read.
    pub linear: bool,
    /// `POINTER` and `LEFT` hold what byte X makes of them.
    pub pointer: bool,
    /// X is a header's length as it was made, and no test has led the verifier to think anything else of it.
    pub header_length: bool,
    /// At most this is in A and in X.
    a: u32,
    x: u32,
}

impl Facts {
    /// At the beginning, where A and X are 0 or nobody reads them, and `LINEAR` is given, which is at least
    /// `known`.
    pub(super) fn initial(known: u32) -> Self {
        Self { known, known_from_x: 0, linear: true, pointer: false, header_length: false, a: 0, x: 0 }
    }

    /// What holds where two ways meet.
    pub(super) fn meet(self, other: Self) -> Self {
        Self {
            known: self.known.min(other.known),
            known_from_x: self.known_from_x.min(other.known_from_x),
            linear: self.linear && other.linear,
            pointer: self.pointer && other.pointer,
            header_length: self.header_length && other.header_length,
            a: self.a.max(other.a),
            x: self.x.max(other.x),
        }
    }

    /// Whether X + `end` cannot be beyond `limit`.
    pub(super) fn stays_within(&self, end: u32, limit: u32) -> bool {
        u64::from(self.x) + u64::from(end) <= u64::from(limit)
    }

    /// A call leaves nothing in the registers that it may use.
    pub(super) fn forget_registers(&mut self) {
        self.linear = false;
        self.pointer = false;
    }

    /// Keeps up with the values of A and X.
    pub(super) fn follow(&mut self, op: Op) {
        match op {
            Op::Load { size: Size::Byte, .. } => self.a = 0xff,
            Op::Load { .. } | Op::Negate => self.a = u32::MAX,
            Op::HeaderLength(_) => {
                self.set_x(60);
                self.header_length = true;
            }
            Op::Branch { with: Operand::X, .. } => self.header_length = false,
            Op::Set(Register::A, source) => self.a = most(source),
            Op::Set(Register::X, source) => self.set_x(most(source)),
            Op::Copy(Register::A) => {
                self.a = self.x;
                // A test of the copy is one of the original, too.
                self.header_length = false;
            }
            Op::Copy(Register::X) => self.set_x(self.a),
            Op::Arithmetic(what, with) => self.a = calculate(what, self.a, with, self.x),
            _ => {}
        }
    }

    fn set_x(&mut self, most: u32) {
        self.x = most;
        self.known_from_x = 0;
        self.pointer = false;
        self.header_length = false;
    }
}

fn most(source: Source) -> u32 {
    match source {
        Source::Constant(k) => k,
        Source::Length | Source::Memory(_) => u32::MAX,
    }
}

/// The largest outcome of what is used to compute offsets.
fn calculate(what: Arithmetic, a: u32, with: Operand, x: u32) -> u32 {
    let most = match (what, with) {
        (Arithmetic::Add, Operand::K(k)) => a.checked_add(k),
        (Arithmetic::Add, Operand::X) => a.checked_add(x),
        (Arithmetic::And, Operand::K(k)) => Some(a.min(k)),
        (Arithmetic::Rsh, Operand::K(k)) => Some(a >> k),
        (Arithmetic::Lsh, Operand::K(k)) => a.checked_mul(1 << k),
        (Arithmetic::Mul, Operand::K(k)) => a.checked_mul(k),
        _ => None,
    };
    most.unwrap_or(u32::MAX)
}
