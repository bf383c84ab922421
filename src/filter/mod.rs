//! FILTER, in tcpdump's language, → cBPF, by libpcap → eBPF for the place that the BPF side keeps for it.
//!
//! ```text
//! libpcap     words → cBPF
//! classic     cBPF → what each instruction does
//! flow        … what is read later, how long a packet must be, whose byte order doesn't matter
//! facts       … what is certain where
//! view        what eBPF is told of a packet, and where
//! translate   … → eBPF with labels
//! code        … → as many instructions as the place holds
//! ebpf        one eBPF instruction
//! dump        -d, -dd, -ddd
//! ```

mod classic;
mod code;
mod dump;
mod ebpf;
mod facts;
mod flow;
mod libpcap;
#[cfg(test)]
mod tests;
mod translate;
mod view;

use anyhow::Result;

pub use classic::Classic;
pub use code::Code;
pub use dump::{Notation, dump, dump_code};
pub use ebpf::Insn;
pub use translate::translate;
pub use view::Layout;

use crate::failure::Failure;

/// Longer ones need more room than there is.
const LONGEST: usize = 64 * 1024;

/// A filter as libpcap compiled it.
#[derive(Debug, Clone)]
pub struct Program(Vec<Classic>);

impl Program {
    /// Its cBPF.
    pub fn instructions(&self) -> &[Classic] {
        &self.0
    }

    /// Whether it accepts a packet of this length of which `bytes` are the first; libpcap itself decides. What isn't among
    /// these is not what the filter asks for.
    pub fn accepts(&self, bytes: &[u8], length: u32) -> bool {
        libpcap::accepts(&self.0, bytes, length)
    }
}

/// Compiles a filter in tcpdump's language for Ethernet frames. An empty one accepts everything.
///
/// # Errors
/// libpcap doesn't understand it, or it asks for what an XDP program's packet can't tell.
pub fn compile(expression: &str) -> Result<Program> {
    compile_with(expression, true)
}

/// … as libpcap first compiled it, unless `optimise`.
///
/// # Errors
/// As [`compile`].
pub fn compile_with(expression: &str, optimise: bool) -> Result<Program> {
    let refuse = |why: &str| Failure::usage(format!("failed to compile the filter '{}': {why}", shown(expression)));
    if expression.len() > LONGEST {
        return Err(refuse(&format!("it has {} bytes, and at most {LONGEST} are compiled", expression.len())));
    }
    let words = libpcap::c_string(expression).ok_or_else(|| refuse("it has a NUL in it"))?;
    let program = libpcap::compile(&words, optimise).map_err(|why| refuse(&shown(&why)))?;
    if program.iter().any(reads_beside_packet) {
        return Err(refuse("it asks for what the kernel notes beside a packet, such as its direction: leave that out"));
    }
    Ok(Program(program))
}

/// A filter as it can be shown in an error: one line, no control characters, not too long.
fn shown(text: &str) -> String {
    const LIMIT: usize = 200;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.trim();
    match line.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.into(),
    }
}

/// Offsets from here on are not the packet's but the kernel's own (`SKF_AD_OFF` and its like): `inbound` uses one, and
/// would reject everything.
fn reads_beside_packet(instruction: &Classic) -> bool {
    const ABSOLUTE_LOADS: [u16; 3] = [0x20, 0x28, 0x30];
    ABSOLUTE_LOADS.contains(&instruction.code) && instruction.k > i32::MAX as u32
}
