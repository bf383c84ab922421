//! cBPF → eBPF, with the very outcome of libpcap's `bpf_filter` for every packet.

use anyhow::Result;

use super::classic::{Arithmetic, Classic, Op, Operand, Register, Size, Source, Test, decode};
use super::code::{Assembler, Code, Label};
use super::ebpf::{Condition, Insn};
use super::facts::Facts;
use super::flow;
use super::view::Layout;

/// Where the code keeps what cBPF knows.
#[derive(Debug, Clone, Copy)]
struct Registers {
    view: u8,
    a: u8,
    x: u8,
}

/// No call is made: registers that nobody has to save.
const QUICK: Registers = Registers { view: 1, a: 0, x: 2 };
/// Registers that a call leaves alone.
const KEPT: Registers = Registers { view: 6, a: 7, x: 8 };

// What a call doesn't leave alone, and is then made again (`Facts`).
/// It is given here, too.
const LINEAR: u8 = 3;
/// The view + X.
const POINTER: u8 = 4;
/// `LINEAR` - X, signed.
const LEFT: u8 = 5;

// Arguments of bpf_probe_read_kernel; free otherwise, where the registers are `KEPT`.
const INTO: u8 = 1;
const COUNT: u8 = 2;
const FROM: u8 = 3;
/// An offset into the packet until then.
const OFFSET: u8 = COUNT;

/// Bytes of an IPv4 header without options.
const USUAL_HEADER: u32 = 20;

/// Translates a filter for a view of this layout.
///
/// At its beginning r1 points to the view, and r3 is how many of the packet's bytes can be read; behind its end r0 is 0 for a packet to reject, 1 for one to accept, and
/// [`Layout::short`] for one to reject for want of bytes. It uses r0 to r8 and no stack. A packet byte that can't be read
/// rejects the packet.
///
/// # Errors
/// An instruction that can't be run in the kernel, such as those of `protochain`.
pub fn translate(classic: &[Classic], layout: &Layout) -> Result<Code> {
    let ops = decode(classic)?;
    let quick = Translator::new(&ops, *layout, QUICK).run();
    let translated = if quick.calls { Translator::new(&ops, *layout, KEPT).run() } else { quick };
    let Translator { layout, out, reach, .. } = translated;
    let asks_length = ops.iter().any(|op| matches!(op, Op::Set(_, Source::Length)));
    Ok(out.finish(layout.short, reach, asks_length))
}

struct Translator<'ops> {
    ops: &'ops [Op],
    layout: Layout,
    registers: Registers,
    needs: Vec<Option<u32>>,
    unswapped: Vec<Option<Size>>,
    /// Which instructions IPv4 packets come to, where the filter is about them at all.
    usual: Vec<bool>,
    /// None where nothing has led so far.
    facts: Vec<Option<Facts>>,
    out: Assembler,
    calls: bool,
    /// How many bytes a packet should have in the view for what is usual.
    reach: u32,
}

impl<'ops> Translator<'ops> {
    fn new(ops: &'ops [Op], layout: Layout, registers: Registers) -> Self {
        let (needs, unswapped, usual) = (flow::needs(ops), flow::unswapped(ops), flow::usual(ops));
        let facts = vec![None; ops.len()];
        Self {
            ops,
            layout,
            registers,
            needs,
            unswapped,
            usual,
            facts,
            out: Assembler::default(),
            calls: false,
            reach: 0,
        }
    }

    fn run(mut self) -> Self {
        self.begin();
        for (number, op) in self.ops.iter().enumerate() {
            let Some(mut facts) = self.facts[number] else { continue };
            if !matches!(op, Op::Return(_) | Op::Jump(_)) {
                self.out.place(Label::At(number));
                self.step(number, *op, &mut facts);
            }
            facts.follow(*op);
            for next in op.successors(number) {
                let met = self.facts[next].map_or(facts, |other| other.meet(facts));
                self.facts[next] = Some(met);
            }
        }
        self
    }

    /// What is read before it is written is 0.
    fn begin(&mut self) {
        let Registers { view, a, x } = self.registers;
        if view != INTO {
            self.out.emit(Insn::copy64(view, INTO));
            self.out.emit(Insn::store_word(view, self.layout.linear, LINEAR));
        }
        let live = flow::live(self.ops)[0];
        let memory: Vec<u32> = flow::memory_words(live).collect();
        if flow::holds(live, Register::A) || !memory.is_empty() {
            self.out.emit(Insn::set(a, 0));
        }
        for k in memory {
            self.out.emit(Insn::store_word(view, self.memory(k), a));
        }
        if flow::holds(live, Register::X) {
            self.out.emit(Insn::set(x, 0));
        }
        self.facts[0] = Some(Facts::initial(self.layout.least));
        self.out.go_to(self.label(0));
    }

    /// Where instruction `number` is, if it needs a place at all.
    fn label(&self, mut number: usize) -> Label {
        loop {
            match self.ops[number] {
                Op::Return(true) => return Label::Accept,
                Op::Return(false) => return Label::Reject,
                Op::Jump(target) => number = target,
                _ => return Label::At(number),
            }
        }
    }

    fn step(&mut self, number: usize, op: Op, facts: &mut Facts) {
        let Registers { view, a, x } = self.registers;
        match op {
            Op::Load { size, k, indexed: false } => self.load(number, size, k, facts),
            Op::Load { size, k, indexed: true } => self.load_from_x(number, size, k, facts),
            Op::HeaderLength(k) => self.header_length(number, k, facts),
            Op::Set(register, source) => self.set(register, source),
            Op::Store(register, k) => {
                let register = self.register(register);
                self.out.emit(Insn::store_word(view, self.memory(k), register));
            }
            Op::Copy(Register::A) => self.out.emit(Insn::copy64(a, x)),
            Op::Copy(Register::X) => self.out.emit(Insn::copy64(x, a)),
            Op::Arithmetic(what, with) => self.arithmetic(number, what, with),
            Op::Negate => self.out.emit(Insn::negate(a)),
            Op::Branch { test, with, yes, no } => return self.branch(number, test, with, yes, no),
            Op::ReturnA => return self.return_a(),
            Op::Return(_) | Op::Jump(_) => return,
        }
        self.out.go_to(self.label(number + 1));
    }

    fn register(&self, register: Register) -> u8 {
        match register {
            Register::A => self.registers.a,
            Register::X => self.registers.x,
        }
    }

    fn memory(&self, k: u32) -> i16 {
        self.layout.scratch + 4 * k as i16
    }

    fn set(&mut self, register: Register, source: Source) {
        let (register, view) = (self.register(register), self.registers.view);
        self.out.emit(match source {
            Source::Constant(k) => Insn::set(register, k),
            Source::Length => Insn::load(Size::Word, register, view, self.layout.length),
            Source::Memory(k) => Insn::load(Size::Word, register, view, self.memory(k)),
        });
    }

    fn return_a(&mut self) {
        self.out.emit_to(Insn::jump(Condition::Equal, self.registers.a, 0), Label::Reject);
        self.out.go_to(Label::Accept);
    }

    fn branch(&mut self, number: usize, test: Test, with: Operand, yes: usize, no: usize) {
        let (yes, no) = (self.label(yes), self.label(no));
        if yes != no {
            let Registers { a, x, .. } = self.registers;
            let jump = match with {
                Operand::K(k) => Insn::jump(test.into(), a, self.in_order_of_a(number, k)),
                Operand::X => Insn::jump_by(test.into(), a, x),
            };
            self.out.emit_to(jump, yes);
        }
        self.out.go_to(no);
    }

    /// `k` as it compares with A at this instruction.
    fn in_order_of_a(&self, number: usize, k: u32) -> u32 {
        match self.unswapped[number] {
            // More than 16 bits are in nothing that 16 bits are compared with, turned around or not.
            Some(Size::Half) => k & 0xffff_0000 | u32::from((k as u16).to_be()),
            Some(Size::Word) => k.to_be(),
            _ => k,
        }
    }

    fn arithmetic(&mut self, number: usize, what: Arithmetic, with: Operand) {
        let Registers { a, x, .. } = self.registers;
        match (what, with) {
            (_, Operand::K(k)) => self.out.emit(Insn::arithmetic(what, a, self.in_order_of_a(number, k))),
            (Arithmetic::Div | Arithmetic::Mod, Operand::X) => {
                self.out.emit_to(Insn::jump(Condition::Equal, x, 0), Label::Reject);
                self.out.emit(Insn::arithmetic_by(what, a, x));
            }
            (Arithmetic::Lsh | Arithmetic::Rsh, Operand::X) => self.shift(what),
            (_, Operand::X) => self.out.emit(Insn::arithmetic_by(what, a, x)),
        }
    }

    /// By 32 and more, cBPF leaves 0, and eBPF whatever the processor does.
    fn shift(&mut self, what: Arithmetic) {
        let Registers { a, x, .. } = self.registers;
        let (sane, done) = (self.out.new_label(), self.out.new_label());
        self.out.emit_to(Insn::jump(Condition::Less, x, 32), sane);
        self.out.emit(Insn::set(a, 0));
        self.out.go_to(done);
        self.out.place(sane);
        self.out.emit(Insn::arithmetic_by(what, a, x));
        self.out.place(done);
    }

    fn swap(&mut self, number: usize, size: Size) {
        if size != Size::Byte && self.unswapped[number].is_none() {
            self.out.emit(Insn::swap(size, self.registers.a));
        }
    }

    fn load(&mut self, number: usize, size: Size, k: u32, facts: &mut Facts) {
        self.load_into(self.registers.a, number, size, k, facts);
        self.swap(number, size);
    }

    fn header_length(&mut self, number: usize, k: u32, facts: &mut Facts) {
        let x = self.registers.x;
        self.load_into(x, number, Size::Byte, k, facts);
        self.out.emit(Insn::arithmetic(Arithmetic::And, x, 0x0f));
        self.out.emit(Insn::arithmetic(Arithmetic::Lsh, x, 2));
    }

    fn load_into(&mut self, register: u8, number: usize, size: Size, k: u32, facts: &mut Facts) {
        let end = k + size.bytes();
        self.require(number, end.max(self.needs[number].unwrap_or(0)), end, facts);
        if end <= self.layout.room {
            self.out.emit(Insn::load(size, register, self.registers.view, self.layout.bytes + k as i16));
        } else {
            self.out.emit(Insn::set(OFFSET, k));
            self.read_beyond(register, size, facts);
        }
    }

    /// Rejects packets of less than `wanted` bytes, unless those that are shorter than `end` are gone already.
    fn require(&mut self, number: usize, wanted: u32, end: u32, facts: &mut Facts) {
        if facts.known >= end {
            return;
        }
        self.have_linear(facts);
        self.out.emit_to(Insn::jump64(Condition::Less, LINEAR, wanted as i32), Label::Short);
        self.reach_to(number, wanted);
        facts.known = wanted;
    }

    fn reach_to(&mut self, number: usize, end: u32) {
        if end <= self.layout.room && self.usual[number] {
            self.reach = self.reach.max(end);
        }
    }

    fn have_linear(&mut self, facts: &mut Facts) {
        if !facts.linear {
            self.out.emit(Insn::load(Size::Word, LINEAR, self.registers.view, self.layout.linear));
            facts.linear = true;
        }
    }

    fn load_from_x(&mut self, number: usize, size: Size, k: u32, facts: &mut Facts) {
        let end = k + size.bytes();
        match facts.stays_within(end, self.layout.room) {
            true if facts.header_length => self.load_behind_header(number, size, k, end, facts),
            true => self.load_near_x(size, k, end, facts),
            false => self.load_far_from_x(size, k, end, facts),
        }
        self.swap(number, size);
        facts.known_from_x = facts.known_from_x.max(end);
        facts.known = facts.known.max(end);
    }

    /// X is what the verifier knows to be small. It is worth a pointer, as more than one such load often follows.
    fn load_behind_header(&mut self, number: usize, size: Size, k: u32, end: u32, facts: &mut Facts) {
        let Registers { view, a, x } = self.registers;
        if !facts.pointer {
            self.have_linear(facts);
            let made = [Insn::copy64(POINTER, x), Insn::add64_by(POINTER, view)];
            let left = [Insn::copy64(LEFT, LINEAR), Insn::sub64_by(LEFT, x)];
            made.into_iter().chain(left).for_each(|insn| self.out.emit(insn));
            facts.pointer = true;
        }
        if facts.known_from_x < end {
            self.out.emit_to(Insn::jump64(Condition::SignedLess, LEFT, end as i32), Label::Short);
            self.reach_to(number, USUAL_HEADER + end);
        }
        self.out.emit(Insn::load(size, a, POINTER, self.layout.bytes + k as i16));
    }

    /// X is small, which the verifier may not know.
    fn load_near_x(&mut self, size: Size, k: u32, end: u32, facts: &mut Facts) {
        self.add_to_x(POINTER, LEFT, size, k, end, facts);
        self.load_head(POINTER, size);
        facts.pointer = false;
    }

    /// X may be anything: near enough, the byte is among the packet's first ones, else it is read from the packet itself.
    fn load_far_from_x(&mut self, size: Size, k: u32, end: u32, facts: &mut Facts) {
        self.add_to_x(OFFSET, INTO, size, k, end, facts);
        let (beyond, done) = (self.out.new_label(), self.out.new_label());
        if end <= self.layout.room {
            let last = self.layout.room - size.bytes();
            self.out.emit_to(Insn::jump64(Condition::Greater, OFFSET, last as i32), beyond);
            self.load_head(OFFSET, size);
            self.out.go_to(done);
        }
        self.out.place(beyond);
        self.read_beyond(self.registers.a, size, facts);
        self.out.place(done);
    }

    /// `offset` = X + `k`, where the packet has `size` bytes; `spare` is used for that.
    fn add_to_x(&mut self, offset: u8, spare: u8, size: Size, k: u32, end: u32, facts: &mut Facts) {
        self.out.emit(Insn::copy64(offset, self.registers.x));
        self.out.emit(Insn::add64(offset, k as i32));
        // For the verifier, tests of the sum are tests of X.
        facts.header_length = false;
        if facts.known_from_x < end {
            self.have_linear(facts);
            self.out.emit(Insn::copy64(spare, offset));
            self.out.emit(Insn::add64(spare, size.bytes() as i32));
            self.out.emit_to(Insn::jump64_by(Condition::Greater, spare, LINEAR), Label::Short);
        }
    }

    /// A = the packet's first bytes from `offset` on, which is within them.
    ///
    /// Where tests that came before can't all hold, the verifier may still follow them, to an offset that contradicts
    /// itself and that it refuses to add to a pointer (seen on 6.12, where no arithmetic mends that). It knows nothing
    /// of what was in memory, except what the mask, which changes nothing, tells it.
    fn load_head(&mut self, offset: u8, size: Size) {
        let Registers { view, a, .. } = self.registers;
        let Layout { bytes, room, beyond, .. } = self.layout;
        self.out.emit(Insn::store_word(view, beyond, offset));
        self.out.emit(Insn::load(Size::Word, offset, view, beyond));
        self.out.emit(Insn::and64(offset, room as i32 - 1));
        self.out.emit(Insn::add64_by(offset, view));
        self.out.emit(Insn::load(size, a, offset, bytes));
    }

    /// Reads the packet itself from `OFFSET` on.
    fn read_beyond(&mut self, register: u8, size: Size, facts: &mut Facts) {
        let view = self.registers.view;
        self.calls = true;
        self.out.emit(Insn::load_double(FROM, view, self.layout.data));
        self.out.emit(Insn::add64_by(FROM, OFFSET));
        self.out.emit(Insn::copy64(INTO, view));
        self.out.emit(Insn::add64(INTO, self.layout.beyond.into()));
        self.out.emit(Insn::set(COUNT, size.bytes()));
        self.out.emit(Insn::probe_read_kernel());
        self.out.emit_to(Insn::jump64(Condition::NotEqual, 0, 0), Label::Reject);
        self.out.emit(Insn::load(size, register, view, self.layout.beyond));
        facts.forget_registers();
    }
}
