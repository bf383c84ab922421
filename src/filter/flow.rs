//! What is known of a filter before it is translated. cBPF only jumps forward, so one pass is enough for each.

use super::classic::{Arithmetic, Op, Operand, Register, Size, Source, Test};

/// A, X and the words of M[], a bit each.
type Places = u32;

const A: Places = 1;
const X: Places = 2;

fn place(register: Register) -> Places {
    match register {
        Register::A => A,
        Register::X => X,
    }
}

fn memory(k: u32) -> Places {
    4 << k
}

/// The words of M[] among `places`.
pub(super) fn memory_words(places: Places) -> impl Iterator<Item = u32> {
    (0..super::classic::MEMORY_WORDS).filter(move |k| places & memory(*k) != 0)
}

/// Whether `register` is among `places`.
pub(super) fn holds(places: Places, register: Register) -> bool {
    places & place(register) != 0
}

fn read_by(op: Op) -> Places {
    match op {
        Op::Load { indexed: true, .. } => X,
        Op::Set(_, Source::Memory(k)) => memory(k),
        Op::Store(register, _) => place(register),
        Op::Copy(Register::A) => X,
        Op::Copy(Register::X) | Op::Negate | Op::ReturnA => A,
        Op::Arithmetic(_, Operand::X) | Op::Branch { with: Operand::X, .. } => A | X,
        Op::Arithmetic(..) | Op::Branch { .. } => A,
        _ => 0,
    }
}

fn written_by(op: Op) -> Places {
    match op {
        Op::Load { .. } | Op::Arithmetic(..) | Op::Negate => A,
        Op::HeaderLength(_) => X,
        Op::Set(register, _) | Op::Copy(register) => place(register),
        Op::Store(_, k) => memory(k),
        _ => 0,
    }
}

/// For each instruction, what may be read from there on before it is written.
pub(super) fn live(ops: &[Op]) -> Vec<Places> {
    let mut live = vec![0; ops.len()];
    for (number, op) in ops.iter().enumerate().rev() {
        let after = op.successors(number).fold(0, |places, next| places | live[next]);
        live[number] = after & !written_by(*op) | read_by(*op);
    }
    live
}

/// For each instruction, how long a packet must be at least if it is to be accepted from there on.
///
/// None where none can be. A shorter packet may be rejected as soon as that is seen.
pub(super) fn needs(ops: &[Op]) -> Vec<Option<u32>> {
    let mut needs: Vec<Option<u32>> = vec![None; ops.len()];
    for (number, op) in ops.iter().enumerate().rev() {
        needs[number] = match op {
            Op::Return(accepts) => accepts.then_some(0),
            Op::ReturnA => Some(0),
            _ => {
                let after = op.successors(number).filter_map(|next| needs[next]).min();
                after.map(|after| after.max(op.end().unwrap_or(0)))
            }
        };
    }
    needs
}

/// Which instructions packets come to that are not IPv6, where the filter tells IPv4 and IPv6 apart; else all of them.
pub(super) fn usual(ops: &[Op]) -> Vec<bool> {
    const IPV4: u32 = 0x0800;
    const IPV6: u32 = 0x86dd;
    let is_test_of =
        |op: &Op, kind| matches!(op, Op::Branch { test: Test::Equal, with: Operand::K(k), .. } if *k == kind);
    if !ops.iter().any(|op| is_test_of(op, IPV4)) {
        return vec![true; ops.len()];
    }
    let mut usual = vec![false; ops.len()];
    usual[0] = true;
    for (number, op) in ops.iter().enumerate() {
        for next in op.successors(number).filter(|_| usual[number]).collect::<Vec<_>>() {
            let is_ipv6 =
                is_test_of(op, IPV6) && matches!(op, Op::Branch { yes, no, .. } if *yes == next && *no != next);
            usual[next] |= !is_ipv6;
        }
    }
    usual
}

/// For each instruction that loads A, or uses A as loaded: the size, where A may stay in the network's byte order.
///
/// It may where every instruction that sees the value only compares it with constants for equality or for bits: those are
/// then turned around once and for all, instead of each packet's bytes.
pub(super) fn unswapped(ops: &[Op]) -> Vec<Option<Size>> {
    let live = live(ops);
    let mut groups = Groups::default();
    let initial = groups.add(None);
    let mut before: Vec<Option<usize>> = vec![None; ops.len()];
    let mut own = vec![None; ops.len()];
    before[0] = Some(initial);
    for (number, op) in ops.iter().enumerate() {
        let Some(group) = before[number] else { continue };
        let after = groups.pass(*op, group);
        own[number] = Some(after);
        for next in op.successors(number) {
            let merges = before[next].filter(|_| holds(live[next], Register::A));
            before[next] = Some(merges.map_or(after, |other| groups.join(other, after)));
        }
    }
    own.into_iter().map(|group| groups.size(group?)).collect()
}

/// Values of A that meet at some instruction, so that they must have the same byte order there.
#[derive(Debug, Default)]
struct Groups {
    parents: Vec<usize>,
    sizes: Vec<Option<Size>>,
}

impl Groups {
    fn add(&mut self, size: Option<Size>) -> usize {
        self.parents.push(self.parents.len());
        self.sizes.push(size.filter(|size| *size != Size::Byte));
        self.parents.len() - 1
    }

    fn root(&self, mut group: usize) -> usize {
        while self.parents[group] != group {
            group = self.parents[group];
        }
        group
    }

    fn size(&self, group: usize) -> Option<Size> {
        self.sizes[self.root(group)]
    }

    fn join(&mut self, one: usize, other: usize) -> usize {
        let (one, other) = (self.root(one), self.root(other));
        if self.sizes[one] != self.sizes[other] {
            self.sizes[one] = None;
        }
        self.parents[other] = one;
        one
    }

    /// The group of A behind `op`, when it was `group` before it.
    fn pass(&mut self, op: Op, group: usize) -> usize {
        if read_by(op) & A != 0 && !is_blind_to_order(op) {
            let root = self.root(group);
            self.sizes[root] = None;
        }
        match op {
            Op::Load { size, .. } => self.add(Some(size)),
            _ if is_blind_to_order(op) || written_by(op) & A == 0 => group,
            _ => self.add(None),
        }
    }
}

fn is_blind_to_order(op: Op) -> bool {
    matches!(
        op,
        Op::Arithmetic(Arithmetic::And, Operand::K(_))
            | Op::Branch { test: Test::Equal | Test::AnyBit, with: Operand::K(_), .. }
    )
}
