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
    /// At most this is in A and in X, and the verifier knows it too.
    a: u32,
    x: u32,
}

impl Facts {
    /// At the beginning, where A and X are 0 or nobody reads them.
    pub(super) fn initial() -> Self {
        Self { known: 0, known_from_x: 0, linear: false, pointer: false, a: 0, x: 0 }
    }

    /// What holds where two ways meet.
    pub(super) fn meet(self, other: Self) -> Self {
        Self {
            known: self.known.min(other.known),
            known_from_x: self.known_from_x.min(other.known_from_x),
            linear: self.linear && other.linear,
            pointer: self.pointer && other.pointer,
            a: self.a.max(other.a),
            x: self.x.max(other.x),
        }
    }

    /// Whether X + `end` cannot be beyond `limit`, as far as the verifier sees.
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
            // The verifier knows nothing of what it has seen swapped.
            Op::Load { .. } | Op::Negate => self.a = u32::MAX,
            Op::HeaderLength(_) => self.set_x(60),
            Op::Set(Register::A, source) => self.a = most(source),
            Op::Set(Register::X, source) => self.set_x(most(source)),
            Op::Copy(Register::A) => self.a = self.x,
            Op::Copy(Register::X) => self.set_x(self.a),
            Op::Arithmetic(what, with) => self.a = calculate(what, self.a, with, self.x),
            _ => {}
        }
    }

    fn set_x(&mut self, most: u32) {
        self.x = most;
        self.known_from_x = 0;
        self.pointer = false;
    }
}

fn most(source: Source) -> u32 {
    match source {
        Source::Constant(k) => k,
        Source::Length | Source::Memory(_) => u32::MAX,
    }
}

/// The largest outcome, for what the oldest verifier follows as well.
fn calculate(what: Arithmetic, a: u32, with: Operand, x: u32) -> u32 {
    let most = match (what, with) {
        (Arithmetic::Add, Operand::K(k)) => a.checked_add(k),
        (Arithmetic::Add, Operand::X) => a.checked_add(x),
        (Arithmetic::And, Operand::K(k)) => Some(a.min(k)),
        (Arithmetic::Rsh, Operand::K(k)) => Some(a >> k),
        (Arithmetic::Lsh, Operand::K(k)) => a.checked_mul(1 << k),
        (Arithmetic::Mul, Operand::K(k)) if a <= 0xffff && k <= 0xff => a.checked_mul(k),
        _ => None,
    };
    // Beyond what matters, the verifier may know less than this does.
    most.filter(|most| *most <= 0xffff).unwrap_or(u32::MAX)
}
