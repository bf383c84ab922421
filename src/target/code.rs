//! A program's instructions, as far as they tell whether a function ever looks at one of its parameters.
//!
//! Encoding: Documentation/bpf/standardization/instruction-set.rst in the kernel.

/// One instruction, in the kernel's own terms.
#[derive(Debug, Clone, Copy)]
struct Instruction {
    code: u8,
    to: u8,
    from: u8,
}

/// What an instruction does with a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Nothing,
    Read,
    Written,
}

const LD: u8 = 0;
const LDX: u8 = 1;
const ST: u8 = 2;
const STX: u8 = 3;
const ALU: u8 = 4;
const ALU64: u8 = 7;
const SOURCE_IS_REGISTER: u8 = 0x08;
const MOV: u8 = 0xb0;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;

/// Whether the function whose instructions `code` begins with (8 bytes each) uses its parameter `number`, counted from
/// 0, as it was passed.
///
/// clang drops parameters that a static function doesn't use, though BTF still lists them: then nobody has set the
/// register. In the order of the instructions, what comes first decides: a use, or being written over. A call may use
/// every register that has been left alone.
pub fn uses_parameter(code: &[u8], number: u8) -> bool {
    let register = number + 1;
    for instruction in code.chunks_exact(8) {
        let instruction = Instruction { code: instruction[0], to: instruction[1] & 0xf, from: instruction[1] >> 4 };
        if instruction.code == EXIT | 5 {
            return false;
        }
        match instruction.use_of(register) {
            Use::Read => return true,
            Use::Written => return false,
            Use::Nothing => {}
        }
    }
    false
}

impl Instruction {
    fn use_of(self, register: u8) -> Use {
        let Self { code, to, from } = self;
        let operation = code & 0xf0;
        let reads_from = code & SOURCE_IS_REGISTER != 0 && from == register;
        let (reads, writes) = match code & 7 {
            LD => (false, to == register),
            LDX => (from == register, to == register),
            ST => (to == register, false),
            STX => (to == register || from == register, false),
            ALU | ALU64 if operation == MOV => (reads_from, to == register),
            ALU | ALU64 => (reads_from || to == register, false),
            _ if operation == CALL => (true, false),
            _ => (reads_from || to == register, false),
        };
        match (reads, writes) {
            (true, _) => Use::Read,
            (false, true) => Use::Written,
            (false, false) => Use::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opcode, and source and destination register in the two halves of the next byte.
    fn code(instructions: &[(u8, u8)]) -> Vec<u8> {
        instructions.iter().flat_map(|(code, registers)| [*code, *registers, 0, 0, 0, 0, 0, 0]).collect()
    }

    #[test]
    fn a_load_through_the_parameter_uses_it() {
        // r0 = *(u64 *)(r1 + 0); exit
        assert!(uses_parameter(&code(&[(0x79, 0x10), (0x95, 0)]), 0));
    }

    #[test]
    fn a_register_that_is_written_first_was_not_passed() {
        // r1 = r2; r0 = *(u64 *)(r1 + 0); exit
        let code = code(&[(0xbf, 0x21), (0x79, 0x10), (0x95, 0)]);
        assert!(!uses_parameter(&code, 0));
        assert!(uses_parameter(&code, 1));
    }

    #[test]
    fn a_function_that_only_returns_a_number_uses_nothing() {
        // w0 = 2; exit; and what belongs to the next function
        assert!(!uses_parameter(&code(&[(0xb4, 0), (0x95, 0), (0x79, 0x10)]), 0));
    }

    #[test]
    fn a_call_may_use_what_was_left_alone() {
        assert!(uses_parameter(&code(&[(0xb7, 0x02), (0x85, 0), (0x95, 0)]), 0));
        assert!(!uses_parameter(&code(&[(0xb7, 0x02), (0x85, 0), (0x95, 0)]), 1));
    }

    #[test]
    fn a_store_and_a_comparison_use_both_sides() {
        assert!(uses_parameter(&code(&[(0x7b, 0x1a)]), 0));
        assert!(uses_parameter(&code(&[(0x1d, 0x12)]), 0));
        assert!(uses_parameter(&code(&[(0x15, 0x01)]), 0));
    }
}
