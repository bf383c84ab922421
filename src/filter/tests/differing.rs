//! Random programs on random packets: libpcap's verdict and ours.

use super::interpreter::Machine;
use super::random::Random;
use super::{LAYOUT, oracle};
use crate::filter::{Classic, Insn, Notation, dump_code, translate};

fn listing(program: &[Classic]) -> String {
    dump_code(&translate(program, &LAYOUT).unwrap(), Notation::Assembly).unwrap()
}

/// Compares the verdicts on one packet.
fn compare(program: &[Classic], code: &[Insn], packet: &[u8], length: u32) -> bool {
    let wanted = oracle::accepts(program, packet, length);
    let accepted = Machine::new(packet, length).accepts(code);
    assert_eq!(accepted, wanted, "{program:?}\n{}\n{packet:?}", listing(program));
    wanted
}

#[test]
fn random_programs_have_libpcaps_verdict() {
    let mut random = Random::new(1);
    let mut verdicts = [0, 0];
    for _ in 0..10_000 {
        let program = random.program();
        assert!(oracle::is_valid(&program), "{program:?}");
        let code = translate(&program, &LAYOUT).unwrap().instructions().unwrap();
        for _ in 0..8 {
            let packet = random.packet();
            let length = packet.len() as u32 + if random.below(4) == 0 { random.below(2000) } else { 0 };
            verdicts[usize::from(compare(&program, &code, &packet, length))] += 1;
        }
    }
    println!("{verdicts:?}");
    assert!(verdicts.iter().all(|count| *count > 10_000), "hardly a test: {verdicts:?}");
}

#[test]
fn random_bytes_are_translated_or_refused() {
    let mut random = Random::new(2);
    let mut translated = 0;
    for _ in 0..50_000 {
        let length = random.below(6);
        let one = |random: &mut Random| {
            let [code, jt, jf] = [random.below(0x100), random.below(4), random.below(4)];
            Classic { code: code as u16, jt: jt as u8, jf: jf as u8, k: random.constant() }
        };
        let program: Vec<Classic> = (0..length).map(|_| one(&mut random)).collect();
        translated += usize::from(translate(&program, &LAYOUT).is_ok());
    }
    assert!(translated > 0);
}
