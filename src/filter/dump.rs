//! What `-d`, `-dd` and `-ddd` print: the cBPF as tcpdump prints it, and the eBPF in the same manner.

use std::fmt::Write;

use anyhow::Result;

use super::{Classic, Code, libpcap};

/// How instructions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// `-d`: for people.
    Assembly,
    /// `-dd`: as an array in C.
    C,
    /// `-ddd`: decimal numbers, with a count before them.
    Decimal,
}

/// What tcpdump prints for a program, each line with its newline.
pub fn dump(program: &[Classic], notation: Notation) -> String {
    let line = |(number, insn): (usize, &Classic)| {
        let Classic { code, jt, jf, k } = *insn;
        match notation {
            Notation::Assembly => libpcap::image(insn, number),
            Notation::C => format!("{{ {code:#x}, {jt}, {jf}, {k:#010x} }},"),
            Notation::Decimal => format!("{code} {jt} {jf} {k}"),
        }
    };
    gather(notation, program.iter().enumerate().map(line))
}

/// The same for eBPF; the fields are those of the kernel's `struct bpf_insn`. Jumps to the end lead behind the last line.
///
/// # Errors
/// It is so large that its jumps can't be expressed.
pub fn dump_code(code: &Code, notation: Notation) -> Result<String> {
    let instructions = code.instructions()?;
    let line = |(number, insn): (usize, &super::Insn)| {
        let super::Insn { code, dst, src, off, imm } = *insn;
        match notation {
            Notation::Assembly => format!("{number:4}: {insn}"),
            Notation::C => format!("{{ {code:#04x}, {dst}, {src}, {off}, {imm:#010x} }},"),
            Notation::Decimal => format!("{code} {dst} {src} {off} {imm}"),
        }
    };
    Ok(gather(notation, instructions.iter().enumerate().map(line)))
}

fn gather(notation: Notation, lines: impl ExactSizeIterator<Item = String>) -> String {
    let mut text = String::new();
    if notation == Notation::Decimal {
        let _ = writeln!(text, "{}", lines.len());
    }
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}
