//! Instructions with labels, and the finished code that is written over a sled.

use anyhow::Result;

use super::ebpf::{Condition, Insn};
use crate::failure::Failure;

/// Where a jump goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label {
    /// To what a cBPF instruction has become, by its number.
    At(usize),
    /// To a place within that.
    Local(usize),
    Accept,
    Reject,
    /// Behind everything.
    End,
}

#[derive(Debug, Clone, Copy)]
enum Item {
    Place(Label),
    Step(Insn, Option<Label>),
}

/// Gathers instructions, and knows their places only at the end.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    items: Vec<Item>,
    locals: usize,
}

impl Assembler {
    pub(super) fn emit(&mut self, insn: Insn) {
        self.items.push(Item::Step(insn, None));
    }

    pub(super) fn emit_to(&mut self, insn: Insn, target: Label) {
        self.items.push(Item::Step(insn, Some(target)));
    }

    pub(super) fn go_to(&mut self, target: Label) {
        self.emit_to(Insn::goto(), target);
    }

    pub(super) fn place(&mut self, label: Label) {
        self.items.push(Item::Place(label));
    }

    pub(super) fn new_label(&mut self) -> Label {
        self.locals += 1;
        Label::Local(self.locals)
    }

    fn is_wanted(&self, label: Label) -> bool {
        self.items.iter().any(|item| matches!(item, Item::Step(_, Some(target)) if *target == label))
    }

    /// Adds the two ends, each only if something leads there: the verifier refuses what nothing leads to.
    pub(super) fn finish(mut self) -> Code {
        let (accepts, rejects) = (self.is_wanted(Label::Accept), self.is_wanted(Label::Reject));
        if accepts {
            self.place(Label::Accept);
            self.emit(Insn::set(0, 1));
        }
        if accepts && rejects {
            self.go_to(Label::End);
        }
        if rejects {
            // Last, because most packets are rejected, and the last one needs no jump.
            self.place(Label::Reject);
            self.emit(Insn::set(0, 0));
        }
        self.place(Label::End);
        resolve(&without_detours(&self.items))
    }
}

/// Whether nothing but labels, and `label` among them, stands before the first instruction of `items`.
fn begins_with(items: &[Item], label: Label) -> bool {
    items
        .iter()
        .map_while(|item| if let Item::Place(here) = item { Some(*here) } else { None })
        .any(|here| here == label)
}

/// Drops each goto to what comes next anyway, and turns a jump around that only skips a goto.
fn without_detours(items: &[Item]) -> Vec<Item> {
    let mut kept = Vec::with_capacity(items.len());
    let mut rest = items;
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, behind) {
            (Item::Step(jump, Some(over)), [Item::Step(goto, Some(target)), after @ ..])
                if goto.is_goto() && !jump.is_goto() && begins_with(after, *over) && jump.opposite().is_some() =>
            {
                kept.extend(jump.opposite().map(|opposite| Item::Step(opposite, Some(*target))));
                rest = after;
            }
            (Item::Step(goto, Some(target)), _) if goto.is_goto() && begins_with(behind, *target) => {}
            _ => kept.push(*first),
        }
    }
    kept
}

fn resolve(items: &[Item]) -> Code {
    let mut places = std::collections::BTreeMap::new();
    let mut steps = Vec::new();
    for item in items {
        match item {
            Item::Place(label) => drop(places.insert(*label, steps.len())),
            Item::Step(insn, target) => steps.push((*insn, *target)),
        }
    }
    let target = |label: Option<Label>| label.and_then(|label| places.get(&label).copied());
    Code { steps: steps.into_iter().map(|(insn, label)| (insn, target(label))).collect() }
}

/// A filter as eBPF. Each instruction stands beside the number of that to which it jumps, if it jumps.
#[derive(Debug, Clone)]
pub struct Code {
    steps: Vec<(Insn, Option<usize>)>,
}

impl Code {
    /// How many instructions it is.
    pub fn size(&self) -> usize {
        self.steps.len()
    }

    /// The instructions by themselves; jumps to the end lead to just behind the last one.
    ///
    /// # Errors
    /// It is so large that its jumps can't be expressed.
    pub fn instructions(&self) -> Result<Vec<Insn>> {
        self.instructions_for(self.size())
    }

    /// Exactly `room` instructions to write over a sled of as many.
    ///
    /// # Errors
    /// It has more than that.
    pub fn fill(&self, room: usize) -> Result<Vec<Insn>> {
        let size = self.size();
        if size > room {
            return Err(Failure::usage(format!(
                "the filter is too long: it takes {size} instructions in the kernel, and at most {room} have room: \
                 ask for less, or for ranges such as `portrange` and `net`"
            )));
        }
        let mut filled = self.instructions_for(room)?;
        filled.extend(leave(&filled, room - size));
        filled.resize(room, Insn::NOTHING);
        Ok(filled)
    }

    /// With the end `room` instructions after the beginning.
    fn instructions_for(&self, room: usize) -> Result<Vec<Insn>> {
        let size = self.size();
        let place = |(number, (insn, target)): (usize, &(Insn, Option<usize>))| {
            let Some(target) = target else { return Ok(*insn) };
            let target = if *target == size { room } else { *target };
            let off = i16::try_from(target - number - 1).map_err(|_| too_far(size))?;
            Ok(Insn { off, ..*insn })
        };
        self.steps.iter().enumerate().map(place).collect()
    }
}

fn too_far(size: usize) -> anyhow::Error {
    Failure::usage(format!("the filter is too long: it takes {size} instructions in the kernel, and jumps too far"))
}

/// Jumps over what is left of the sled, `rest` instructions.
///
/// The verifier refuses what only a goto leads around, but removes what a test leads around whose outcome it knows:
/// neither test nor rest cost anything then. The last instruction has set r0 to a constant.
fn leave(filled: &[Insn], rest: usize) -> Option<Insn> {
    let constant = filled.last()?.imm;
    let off = i16::try_from(rest.checked_sub(1)?).ok()?;
    Some(Insn { off, ..Insn::jump64(Condition::Equal, 0, constant) })
}
