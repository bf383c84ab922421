//! An interpreter of eBPF, written from the instruction set's specification (RFC 9669), that is stricter than a kernel:
//! a filter may read what it was given and write what is left to it, and nothing else.
//!
//! It knows what `-mcpu=v3` knows, because 5.10 knows no more.

use crate::packets::Packet;
use crate::view::{self, COPIED, DATA, LINEAR, SIZE, SPARE};

/// `struct bpf_insn` of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub code: u8,
    pub target: u8,
    pub source: u8,
    pub offset: i16,
    pub immediate: i32,
}

type Outcome<T> = Result<T, String>;

/// Where the view and the packet lie: far apart, so that no offset leads from one into the other.
const VIEW_ADDRESS: u64 = 0xffff_8880_1000_0000;
const PACKET_ADDRESS: u64 = 0xffff_8881_2000_0040;
const PROBE_READ_KERNEL: i32 = 113;

/// The registers that a filter may write: r0 to r8.
const OWN: usize = 9;

struct Machine<'a> {
    registers: [Option<u64>; 11],
    view: [u8; SIZE],
    /// Which bytes of the view mean something.
    known: [bool; SIZE],
    packet: &'a [u8],
}

/// Whether `program` accepts `packet`, or what it did that it must not.
pub fn accepts(program: &[Instruction], packet: &Packet) -> Outcome<bool> {
    answer(program, packet, packet.bytes.len()).map(|answer| answer != 0)
}

/// What `program` says of `packet`, of which it is shown so many bytes.
pub fn answer(program: &[Instruction], packet: &Packet, shown: usize) -> Outcome<u32> {
    let mut machine = Machine::new(packet, shown);
    let mut at = 0;
    while let Some(instruction) = program.get(at) {
        let next = match instruction.code & 7 {
            5 | 6 => machine.jump(*instruction, at)?,
            0 => machine.load_wide(*instruction, program.get(at + 1)).map(|()| at + 2)?,
            _ => machine.step(*instruction).map_err(|error| format!("{at}: {error}")).map(|()| at + 1)?,
        };
        if next > program.len() {
            return Err(format!("{at}: leads out of the program"));
        }
        at = next;
    }
    machine.read(0).map(|answer| answer as u32)
}

impl<'a> Machine<'a> {
    fn new(packet: &'a Packet, shown: usize) -> Self {
        let mut registers = [None; 11];
        registers[1] = Some(VIEW_ADDRESS);
        registers[3] = Some(shown as u64);
        let mut known = [true; SIZE];
        known[shown.min(COPIED)..DATA].fill(false);
        // Where the filter may keep what it was told.
        known[LINEAR..LINEAR + 4].fill(false);
        Self { registers, view: view::view(packet, PACKET_ADDRESS), known, packet: &packet.bytes[..shown] }
    }

    fn read(&self, register: u8) -> Outcome<u64> {
        let value = self.registers.get(usize::from(register)).copied().flatten();
        value.ok_or_else(|| format!("r{register} was never set"))
    }

    fn write(&mut self, register: u8, value: u64) -> Outcome<()> {
        let own = self.registers[..OWN].get_mut(usize::from(register));
        *own.ok_or_else(|| format!("r{register} is not the filter's"))? = Some(value);
        Ok(())
    }

    /// The second operand: a register, or the immediate with its sign.
    fn operand(&self, instruction: Instruction) -> Outcome<u64> {
        match instruction.code & 8 {
            0 => Ok(instruction.immediate as i64 as u64),
            _ => self.read(instruction.source),
        }
    }

    fn step(&mut self, instruction: Instruction) -> Outcome<()> {
        match instruction.code & 7 {
            1 => self.load(instruction),
            2 => self.store(instruction, instruction.immediate as i64 as u64),
            3 => self.read(instruction.source).and_then(|value| self.store(instruction, value)),
            4 => self.calculate(instruction, false),
            _ => self.calculate(instruction, true),
        }
    }

    fn load_wide(&mut self, instruction: Instruction, second: Option<&Instruction>) -> Outcome<()> {
        match second {
            Some(second) if instruction.code == 0x18 && instruction.source == 0 && second.code == 0 => {
                let high = u64::from(second.immediate as u32) << 32;
                self.write(instruction.target, high | u64::from(instruction.immediate as u32))
            }
            _ => Err(format!("{instruction:?} is not known")),
        }
    }

    /// Where in the view `length` bytes at `register` + `offset` lie.
    fn place(&self, register: u8, offset: i16, length: usize) -> Outcome<usize> {
        let address = self.read(register)?.wrapping_add(i64::from(offset) as u64);
        in_view(address, length).ok_or_else(|| format!("{length} bytes at {address:#x} are not in the view"))
    }

    fn load(&mut self, instruction: Instruction) -> Outcome<()> {
        let length = size(instruction)?;
        let from = self.place(instruction.source, instruction.offset, length)?;
        if !self.known[from..from + length].iter().all(|known| *known) {
            return Err(format!("reads what nobody wrote, {length} bytes at {from} of the view"));
        }
        let mut bytes = [0; 8];
        bytes[..length].copy_from_slice(&self.view[from..from + length]);
        self.write(instruction.target, u64::from_le_bytes(bytes))
    }

    fn store(&mut self, instruction: Instruction, value: u64) -> Outcome<()> {
        let length = size(instruction)?;
        let to = self.place(instruction.target, instruction.offset, length)?;
        self.fill(to, &value.to_le_bytes()[..length])
    }

    fn fill(&mut self, to: usize, bytes: &[u8]) -> Outcome<()> {
        let end = to + bytes.len();
        if (to < SPARE || end > DATA) && (to, end) != (LINEAR, LINEAR + 4) {
            return Err(format!("writes to {to} of the view"));
        }
        self.view[to..end].copy_from_slice(bytes);
        self.known[to..end].fill(true);
        Ok(())
    }

    fn calculate(&mut self, instruction: Instruction, wide: bool) -> Outcome<()> {
        let Instruction { code, target, offset, .. } = instruction;
        if offset != 0 {
            return Err(format!("{instruction:?} is of a later instruction set"));
        }
        let value = match code & 0xf0 {
            0xb0 => self.operand(instruction)?,
            0x80 => self.read(target)?.wrapping_neg(),
            0xd0 if !wide => return self.swap(instruction),
            operation => {
                let (left, right) = (self.read(target)?, self.operand(instruction)?);
                if wide {
                    arithmetic64(operation, left, right)
                } else {
                    arithmetic32(operation, left as u32, right as u32)
                }
                .ok_or_else(|| format!("{instruction:?} is not known"))?
            }
        };
        self.write(target, if wide { value } else { u64::from(value as u32) })
    }

    /// The lower bytes in the order that the source bit names, the others zero.
    fn swap(&mut self, instruction: Instruction) -> Outcome<()> {
        let value = self.read(instruction.target)?;
        let big_endian = instruction.code & 8 != 0;
        let value = match (instruction.immediate, big_endian) {
            (16, true) => u64::from((value as u16).swap_bytes()),
            (32, true) => u64::from((value as u32).swap_bytes()),
            (64, true) => value.swap_bytes(),
            (16, false) => u64::from(value as u16),
            (32, false) => u64::from(value as u32),
            (64, false) => value,
            _ => return Err(format!("{instruction:?} is not known")),
        };
        self.write(instruction.target, value)
    }

    /// The index of the next instruction.
    fn jump(&mut self, instruction: Instruction, at: usize) -> Outcome<usize> {
        let taken = match (instruction.code & 0xf0, instruction.code) {
            (0x00, 0x05) => true,
            (0x80, 0x85) => return self.call(instruction).map_err(|error| format!("{at}: {error}")).map(|()| at + 1),
            (0x00 | 0x80 | 0x90, _) => return Err(format!("{at}: {instruction:?} is not the filter's")),
            _ => self.condition(instruction).map_err(|error| format!("{at}: {error}"))?,
        };
        match instruction.offset {
            _ if !taken => Ok(at + 1),
            offset @ 0.. => Ok(at + 1 + offset as usize),
            _ => Err(format!("{at}: jumps backwards")),
        }
    }

    fn condition(&self, instruction: Instruction) -> Outcome<bool> {
        let (mut left, mut right) = (self.read(instruction.target)?, self.operand(instruction)?);
        if instruction.code & 7 == 6 {
            // Extended by the sign, so that both the signed and the unsigned order of 32 bits hold.
            (left, right) = (left as i32 as u64, right as i32 as u64);
        }
        let (signed_left, signed_right) = (left as i64, right as i64);
        Ok(match instruction.code & 0xf0 {
            0x10 => left == right,
            0x20 => left > right,
            0x30 => left >= right,
            0x40 => left & right != 0,
            0x50 => left != right,
            0x60 => signed_left > signed_right,
            0x70 => signed_left >= signed_right,
            0xa0 => left < right,
            0xb0 => left <= right,
            0xc0 => signed_left < signed_right,
            0xd0 => signed_left <= signed_right,
            _ => return Err(format!("{instruction:?} is not known")),
        })
    }

    fn call(&mut self, instruction: Instruction) -> Outcome<()> {
        if (instruction.immediate, instruction.source) != (PROBE_READ_KERNEL, 0) {
            return Err(format!("calls helper {}", instruction.immediate));
        }
        let (to, length, from) = (self.read(1)?, self.read(2)? as usize, self.read(3)?);
        let to = in_view(to, length).ok_or("copies to outside of the view")?;
        let from = from.checked_sub(PACKET_ADDRESS).and_then(|from| usize::try_from(from).ok());
        let bytes = from.and_then(|from| self.packet.get(from..from.checked_add(length)?));
        let bytes = bytes.ok_or_else(|| format!("copies {length} bytes from {from:?} of {}", self.packet.len()))?;
        self.fill(to, bytes)?;
        self.registers[1..6].fill(None);
        self.write(0, 0)
    }
}

fn in_view(address: u64, length: usize) -> Option<usize> {
    let offset = usize::try_from(address.checked_sub(VIEW_ADDRESS)?).ok()?;
    (offset.checked_add(length)? <= SIZE).then_some(offset)
}

/// The bytes that a load or a store moves.
fn size(instruction: Instruction) -> Outcome<usize> {
    match instruction.code & 0xf8 {
        0x60 => Ok(4),
        0x68 => Ok(2),
        0x70 => Ok(1),
        0x78 => Ok(8),
        _ => Err(format!("{instruction:?} is not known")),
    }
}

fn arithmetic64(operation: u8, left: u64, right: u64) -> Option<u64> {
    Some(match operation {
        0x00 => left.wrapping_add(right),
        0x10 => left.wrapping_sub(right),
        0x20 => left.wrapping_mul(right),
        0x30 => left.checked_div(right).unwrap_or(0),
        0x40 => left | right,
        0x50 => left & right,
        0x60 => left.wrapping_shl(right as u32),
        0x70 => left.wrapping_shr(right as u32),
        0x90 => left.checked_rem(right).unwrap_or(left),
        0xa0 => left ^ right,
        0xc0 => (left as i64).wrapping_shr(right as u32) as u64,
        _ => return None,
    })
}

fn arithmetic32(operation: u8, left: u32, right: u32) -> Option<u64> {
    let (wide_left, wide_right) = (u64::from(left), u64::from(right));
    Some(match operation {
        0x60 => u64::from(left.wrapping_shl(right)),
        0x70 => u64::from(left.wrapping_shr(right)),
        0xc0 => u64::from((left as i32).wrapping_shr(right) as u32),
        _ => return arithmetic64(operation, wide_left, wide_right),
    })
}

#[cfg(test)]
mod tests {
    use super::{Instruction, accepts};
    use crate::packets::Packet;

    const fn instruction(code: u8, registers: u8, offset: i16, immediate: i32) -> Instruction {
        Instruction { code, target: registers & 15, source: registers >> 4, offset, immediate }
    }

    fn run(program: &[Instruction]) -> Result<bool, String> {
        let bytes = vec![0x11, 0x22, 0x33, 0x44];
        accepts(program, &Packet { name: String::new(), bytes, length: 60 })
    }

    #[test]
    fn reads_the_packet_in_its_order() {
        let [load, swap] = [instruction(0x69, 0x10, 1, 0), instruction(0xdc, 0, 0, 16)];
        let reject = instruction(0xb4, 0, 0, 0);
        let differs = |value| instruction(0x55, 0, 1, value);
        assert_eq!(run(&[load, swap, differs(0x2233), reject]), Ok(false));
        assert_eq!(run(&[load, swap, differs(0x3322), reject]), Ok(true));
    }

    #[test]
    fn copies_from_the_packet() {
        let program = |length| {
            vec![
                instruction(0x79, 0x13, 208, 0),
                instruction(0xbf, 0x17, 0, 0),
                instruction(0x07, 1, 0, 128),
                instruction(0xb7, 2, 0, length),
                instruction(0x85, 0, 0, 113),
                instruction(0x71, 0x70, 131, 0),
            ]
        };
        assert_eq!(run(&program(4)), Ok(true));
        assert!(run(&program(5)).unwrap_err().contains("copies 5 bytes"));
        assert!(run(&program(3)).unwrap_err().contains("nobody wrote"));
    }

    #[test]
    fn refuses_what_is_not_the_filters() {
        let refused = [
            ("r0 was never set", instruction(0x07, 0, 0, 1)),
            ("r9 is not the filter's", instruction(0xb7, 9, 0, 1)),
            ("r10 was never set", instruction(0x62, 10, -8, 1)),
            ("reads what nobody wrote", instruction(0x71, 0x10, 4, 0)),
            ("not in the view", instruction(0x71, 0x10, 240, 0)),
            ("writes to 0", instruction(0x72, 1, 0, 1)),
            ("jumps backwards", instruction(0x05, 0, -1, 0)),
            ("leads out", instruction(0x05, 0, 1, 0)),
            ("is not the filter's", instruction(0x95, 0, 0, 0)),
            ("calls helper 4", instruction(0x85, 0, 0, 4)),
        ];
        for (why, instruction) in refused {
            let error = run(&[instruction]).unwrap_err();
            assert!(error.contains(why), "{error}, not {why}");
        }
    }

    #[test]
    fn computes_in_32_bits_as_specified() {
        let set = |register, value| instruction(0xb4, register, 0, value);
        let calculated = |operation: u8, left, right, expected| {
            let program = [
                set(0, left),
                set(2, right),
                instruction(operation | 0x0c, 0x20, 0, 0),
                instruction(0xa4, 0, 0, expected),
            ];
            assert_eq!(run(&program), Ok(false), "{operation:#x} {left} {right}");
        };
        calculated(0x10, 1, 2, -1);
        calculated(0x30, 7, 0, 0);
        calculated(0x90, 7, 0, 7);
        calculated(0x60, 1, 33, 2);
        calculated(0x70, -1, 31, 1);
        calculated(0x20, 0x10001, 0x10001, 0x20001);
    }
}
