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
    /// Reject, for want of bytes.
    Short,
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

    /// Adds the ends, each only if something leads there: the verifier refuses what nothing leads to. `short` is r0 for want
    /// of bytes.
    pub(super) fn finish(mut self, short: u32, reach: u32, asks_length: bool) -> Code {
        // The last one needs no jump, and most packets are rejected.
        let ends = [(Label::Accept, 1), (Label::Short, short), (Label::Reject, 0)];
        let wanted: Vec<_> = ends.into_iter().filter(|(label, _)| self.is_wanted(*label)).collect();
        for (number, (label, answer)) in wanted.iter().enumerate() {
            self.place(*label);
            if wanted.get(number + 1).is_some_and(|(_, next)| next == answer) {
                continue;
            }
            self.emit(Insn::set(0, *answer));
            if number + 1 < wanted.len() {
                self.go_to(Label::End);
            }
        }
        self.place(Label::End);
        Code { reach, asks_length, ..resolve(&without_detours(&self.items)) }
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
    let steps = steps.into_iter().map(|(insn, label)| (insn, target(label))).collect();
    Code { steps, reach: 0, asks_length: false }
}

/// A filter as eBPF. Each instruction stands beside the number of that to which it jumps, if it jumps.
#[derive(Debug, Clone)]
pub struct Code {
    steps: Vec<(Insn, Option<usize>)>,
    reach: u32,
    asks_length: bool,
}

impl Code {
    /// How many of a packet's first bytes usually do: with fewer it has to say that they are too few. 0: none.
    pub fn reach(&self) -> u32 {
        self.reach
    }

    /// Whether it asks for the packet's whole length.
    pub fn asks_length(&self) -> bool {
        self.asks_length
    }

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
