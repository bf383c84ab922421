//! eBPF, as strict as the verifier: what is not initialised, or not the view's, or r9 or r10, must not be touched.

use std::ops::Range;

use super::LAYOUT;
use crate::filter::Insn;

/// How far a view's members reach.
const SIZE: usize = 264;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Nothing,
    Number(u64),
    /// This many bytes into the view.
    View(i64),
}

/// A packet in the kernel, and the view of it.
pub struct Machine<'packet> {
    linear: &'packet [u8],
    view: [u8; SIZE],
    registers: [Value; 11],
    /// Instructions that were run.
    pub steps: usize,
    /// How often the packet itself was read.
    pub calls: usize,
}

/// Where the tests' packets lie in the kernel.
const DATA: u64 = 0xffff_8880_1234_5678;

impl<'packet> Machine<'packet> {
    pub fn new(linear: &'packet [u8], length: u32) -> Self {
        // What a filter must not take for part of the packet, or for zeroes.
        let mut view = [0xa5; SIZE];
        let head = linear.len().min(LAYOUT.room as usize);
        let bytes = LAYOUT.bytes as usize;
        view[bytes..bytes + head].copy_from_slice(&linear[..head]);
        let mut put = |at: i16, bytes: &[u8]| view[at as usize..][..bytes.len()].copy_from_slice(bytes);
        put(LAYOUT.data, &DATA.to_ne_bytes());
        put(LAYOUT.length, &length.to_ne_bytes());
        let mut registers = [Value::Nothing; 11];
        registers[1] = Value::View(0);
        registers[3] = Value::Number(linear.len() as u64);
        Self { linear, view, registers, steps: 0, calls: 0 }
    }

    /// Runs to just behind the last instruction; whether the packet is accepted.
    pub fn accepts(&mut self, code: &[Insn]) -> bool {
        let mut at = 0;
        while at != code.len() {
            self.steps += 1;
            let next = at + 1;
            let skip = self.step(code[at]);
            at = next + usize::try_from(skip).expect("jumps lead forward");
        }
        self.number(0) != 0
    }

    fn step(&mut self, insn: Insn) -> i16 {
        match insn.code & 7 {
            1 => self.load(insn),
            3 => self.store(insn),
            4 => self.calculate32(insn),
            7 => self.calculate64(insn),
            5 if insn.code == 0x85 => self.call(insn),
            5 | 6 => return if self.holds(insn) { insn.off } else { 0 },
            _ => panic!("unknown {insn:?}"),
        }
        0
    }

    fn get(&self, register: u8) -> Value {
        assert!(register < 9, "r{register} is not ours");
        let value = self.registers[usize::from(register)];
        assert_ne!(value, Value::Nothing, "r{register} is read before it is written");
        value
    }

    fn number(&self, register: u8) -> u64 {
        match self.get(register) {
            Value::Number(number) => number,
            other => panic!("r{register} is {other:?}"),
        }
    }

    fn put(&mut self, register: u8, value: Value) {
        assert!(register < 9, "r{register} is not ours");
        self.registers[usize::from(register)] = value;
    }

    fn range(&self, pointer: u8, off: i64, count: usize) -> Range<usize> {
        let Value::View(from) = self.get(pointer) else { panic!("r{pointer} is no pointer") };
        let from = usize::try_from(from + off).expect("before the view");
        let room = |at: i16, count: usize| at as usize..at as usize + count;
        let members = [
            room(LAYOUT.bytes, LAYOUT.room as usize),
            room(LAYOUT.scratch, 64),
            room(LAYOUT.beyond, 8),
            room(LAYOUT.data, 8),
            room(LAYOUT.linear, 4),
            room(LAYOUT.length, 4),
        ];
        let inside = members.iter().any(|member| member.start <= from && from + count <= member.end);
        assert!(inside, "{count} bytes at {from} are no member of the view");
        let packet = LAYOUT.bytes as usize..LAYOUT.bytes as usize + self.linear.len();
        let beside = from < LAYOUT.scratch as usize && from + count > packet.end;
        assert!(!beside, "{count} bytes at {from} are not the packet's");
        from..from + count
    }

    fn load(&mut self, insn: Insn) {
        let count = [4, 2, 1, 8][usize::from(insn.code >> 3 & 3)];
        let mut bytes = [0; 8];
        bytes[..count].copy_from_slice(&self.view[self.range(insn.src, insn.off.into(), count)]);
        self.put(insn.dst, Value::Number(u64::from_le_bytes(bytes)));
    }

    fn store(&mut self, insn: Insn) {
        assert_eq!(insn.code, 0x63);
        let range = self.range(insn.dst, insn.off.into(), 4);
        let scratch = range.start >= LAYOUT.scratch as usize && range.end <= LAYOUT.scratch as usize + 64;
        let single = [LAYOUT.beyond, LAYOUT.linear].iter().any(|at| range.start == *at as usize);
        assert!(scratch || single, "only what is ours is written");
        let word = self.number(insn.src) as u32;
        self.view[range].copy_from_slice(&word.to_le_bytes());
    }

    /// bpf_probe_read_kernel.
    fn call(&mut self, insn: Insn) {
        assert_eq!(insn.imm, 113);
        self.calls += 1;
        let count = self.number(2) as usize;
        assert!((1..=8).contains(&count));
        let into = self.range(1, 0, count);
        assert_eq!(into.start, LAYOUT.beyond as usize);
        let from = usize::try_from(self.number(3).wrapping_sub(DATA)).unwrap();
        // The real one would read what lies behind the packet.
        let bytes = self.linear.get(from..from + count).expect("only the packet is read");
        self.view[into].copy_from_slice(bytes);
        self.registers[..6].fill(Value::Nothing);
        self.put(0, Value::Number(0));
    }

    fn operand(&self, insn: Insn) -> Value {
        if insn.code & 8 != 0 { self.get(insn.src) } else { Value::Number(i64::from(insn.imm) as u64) }
    }

    fn calculate32(&mut self, insn: Insn) {
        if insn.code == 0xdc {
            let value = self.number(insn.dst);
            let swapped = match insn.imm {
                16 => u64::from((value as u16).swap_bytes()),
                32 => u64::from((value as u32).swap_bytes()),
                _ => panic!("unknown {insn:?}"),
            };
            return self.put(insn.dst, Value::Number(swapped));
        }
        let Value::Number(b) = self.operand(insn) else { panic!("pointers have 64 bits") };
        let b = b as u32;
        let a = if insn.code & 0xf0 == 0xb0 { 0 } else { self.number(insn.dst) as u32 };
        let result = match insn.code & 0xf0 {
            0x00 => a.wrapping_add(b),
            0x10 => a.wrapping_sub(b),
            0x20 => a.wrapping_mul(b),
            0x30 => a / b,
            0x40 => a | b,
            0x50 => a & b,
            0x60 => a.checked_shl(b).expect("a shift of less than 32"),
            0x70 => a.checked_shr(b).expect("a shift of less than 32"),
            0x80 => a.wrapping_neg(),
            0x90 => a % b,
            0xa0 => a ^ b,
            0xb0 => b,
            _ => panic!("unknown {insn:?}"),
        };
        self.put(insn.dst, Value::Number(result.into()));
    }

    fn calculate64(&mut self, insn: Insn) {
        let b = self.operand(insn);
        if insn.code & 0xf0 == 0xb0 {
            return self.put(insn.dst, b);
        }
        let result = match (insn.code & 0xf0, self.get(insn.dst), b) {
            (0x00, Value::Number(a), Value::Number(b)) => Value::Number(a.wrapping_add(b)),
            (0x10, Value::Number(a), Value::Number(b)) => Value::Number(a.wrapping_sub(b)),
            (0x50, Value::Number(a), Value::Number(b)) => Value::Number(a & b),
            (0x00, Value::View(at), Value::Number(n)) | (0x00, Value::Number(n), Value::View(at)) => {
                Value::View(at + i64::try_from(n).expect("a bounded offset"))
            }
            other => panic!("{insn:?} of {other:?}"),
        };
        self.put(insn.dst, result);
    }

    fn holds(&self, insn: Insn) -> bool {
        if insn.is_goto() {
            return true;
        }
        let Value::Number(b) = self.operand(insn) else { panic!("pointers aren't compared") };
        let a = self.number(insn.dst);
        let (a, b) = if insn.code & 7 == 6 { (a & 0xffff_ffff, b & 0xffff_ffff) } else { (a, b) };
        match insn.code & 0xf0 {
            0x10 => a == b,
            0x20 => a > b,
            0x30 => a >= b,
            0x40 => a & b != 0,
            0x50 => a != b,
            0xa0 => a < b,
            0xb0 => a <= b,
            0xc0 if insn.code & 7 == 5 => (a as i64) < b as i64,
            _ => panic!("unknown {insn:?}"),
        }
    }
}
