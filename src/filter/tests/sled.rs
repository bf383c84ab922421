//! How the code lies in its place.

use super::LAYOUT;
use super::interpreter::Machine;
use crate::filter::{Classic, Code, Insn, compile, translate};

fn code(expression: &str) -> Code {
    translate(compile(expression).unwrap().instructions(), &LAYOUT).unwrap()
}

#[test]
fn filled_sled_has_its_length_and_the_same_verdicts() {
    let code = code("len > 100");
    for room in [code.size(), code.size() + 1, code.size() + 2, 2048] {
        let sled = code.fill(room).unwrap();
        assert_eq!(sled.len(), room);
        assert!(Machine::new(&[0; 60], 101).accepts(&sled), "{room}");
        assert!(!Machine::new(&[0; 60], 100).accepts(&sled), "{room}");
    }
}

#[test]
fn rest_of_sled_is_jumped_over() {
    let sled = code("len > 100").fill(2048).unwrap();
    let mut machine = Machine::new(&[], 0);
    machine.accepts(&sled);
    assert!(machine.steps < 8, "{}", machine.steps);
    assert_eq!(sled[2047], Insn::NOTHING);
}

#[test]
fn too_long_filter_is_refused_with_its_size() {
    let code = code("udp port 9");
    let size = code.size();
    let text = code.fill(size - 1).unwrap_err().to_string();
    let sizes = format!("it takes {size} instructions in the kernel, and at most {} have room", size - 1);
    assert!(text.contains(&sizes), "{text}");
    let long = vec![Classic { code: 0x04, jt: 0, jf: 0, k: 1 }; 40_000];
    let jump = Classic { code: 0x15, jt: 0, jf: 1, k: 9 };
    let ends = [1, 0].map(|k| Classic { code: 0x06, jt: 0, jf: 0, k });
    let far =
        [&[Classic { code: 0x05, k: 0, ..jump }, Classic { code: 0x30, jt: 0, jf: 0, k: 0 }], &*long, &[jump], &ends]
            .concat();
    let code = translate(&far, &LAYOUT).unwrap();
    assert!(code.fill(2048).is_err());
    assert!(code.instructions().unwrap_err().to_string().contains("jumps too far"));
}

#[test]
fn everything_or_nothing_is_accepted_without_looking() {
    for k in [0, 1] {
        let code = translate(&[Classic { code: 0x06, jt: 0, jf: 0, k }], &LAYOUT).unwrap();
        assert_eq!(code.size(), 1);
        assert_eq!(Machine::new(&[], 0).accepts(&code.fill(2048).unwrap()), k != 0);
    }
}

#[test]
fn instruction_has_the_kernels_bytes() {
    let insn = Insn { code: 0x61, dst: 3, src: 1, off: -2, imm: 0x1234 };
    if cfg!(target_endian = "little") {
        assert_eq!(insn.to_bytes(), [0x61, 0x13, 0xfe, 0xff, 0x34, 0x12, 0, 0]);
    }
    assert_eq!(insn.to_u64().to_ne_bytes(), insn.to_bytes());
}
