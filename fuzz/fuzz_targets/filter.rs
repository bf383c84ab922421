//! cBPF of any kind that libpcap's validator accepts: translated, it has the verdict of libpcap's own interpreter, and does
//! nothing that a kernel would refuse: `make fuzz`.
//!
//! The interpreter is that of tests/filter; tests/live/filter.rs gives the inputs that are kept here to a kernel's verifier.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xdptrace::filter::{self, Insn, Layout};

// Not all of it is needed here.
#[allow(dead_code)]
#[path = "../../tests/filter/interpreter.rs"]
mod interpreter;
#[path = "../../tests/filter/raw.rs"]
mod raw;
#[path = "../../tests/filter/view.rs"]
mod view;

mod packets {
    pub struct Packet {
        pub bytes: Vec<u8>,
        pub length: u32,
    }
}

use packets::Packet;

/// The instructions that src/bpf keeps free.
const SLED: usize = 2048;
/// What the kernel's first look says of a packet that is too short for it.
const SHORT: u32 = 2;

fn interpretable(insns: Vec<Insn>) -> Vec<interpreter::Instruction> {
    let one = |Insn { code, dst, src, off, imm }: Insn| interpreter::Instruction {
        code,
        target: dst,
        source: src,
        offset: off,
        immediate: imm,
    };
    insns.into_iter().map(one).collect()
}

fuzz_target!(|input: &[u8]| {
    let Some((classic, rest)) = raw::program(input) else { return };
    let bytes = rest.get(1..).unwrap_or_default().to_vec();
    let length = bytes.len() as u32 + 7 * u32::from(rest.first().copied().unwrap_or(0));
    let packet = Packet { bytes, length };
    let expected = u32::from(raw::accepts(&classic, &packet.bytes, length));
    // Nothing of it leads back, so whatever libpcap takes can be translated.
    let close = filter::translate(&classic, &view::LAYOUT).expect("a translation");
    let filled = close.clone().fill(SLED);
    if close.size() > SLED {
        let refused = filled.expect_err("more than there is room for").to_string();
        assert!(refused.contains(&close.size().to_string()), "{refused}");
        return;
    }
    let filled = interpretable(filled.expect("what fits"));
    assert_eq!(interpreter::answer(&filled, &packet, packet.bytes.len()), Ok(expected));
    // As it first looks at the headers alone.
    let look = close.reach().next_multiple_of(8).clamp(8, 128);
    for least in [8, look].into_iter().filter(|least| packet.bytes.len() >= *least as usize) {
        let layout = Layout { least, short: SHORT, ..view::LAYOUT };
        let quick = filter::translate(&classic, &layout).expect("a translation");
        let Ok(quick) = quick.fill(SLED) else { continue };
        let said = interpreter::answer(&interpretable(quick), &packet, least as usize);
        assert!(said == Ok(SHORT) || said == Ok(expected), "{said:?}, not {expected}, at {least}");
    }
});
