//! -d, -dd and -ddd.

use std::process::Command;

use super::LAYOUT;
use crate::filter::{Notation, compile, dump, dump_code, translate};

const UDP_PORT_9: &str = "   0: (61) r3 = *(u32 *)(r1 +252)
   1: (a5) if r3 < 0x18 goto pc+31
   2: (69) r0 = *(u16 *)(r1 +20)
   3: (56) if w0 != 0xdd86 goto pc+9
   4: (71) r0 = *(u8 *)(r1 +28)
   5: (56) if w0 != 0x11 goto pc+27
   6: (a5) if r3 < 0x38 goto pc+26
   7: (69) r0 = *(u16 *)(r1 +62)
   8: (16) if w0 == 0x900 goto pc+22
   9: (a5) if r3 < 0x3a goto pc+23
  10: (69) r0 = *(u16 *)(r1 +64)
  11: (16) if w0 == 0x900 goto pc+19
  12: (05) goto pc+20
  13: (56) if w0 != 0x8 goto pc+19
  14: (71) r0 = *(u8 *)(r1 +31)
  15: (56) if w0 != 0x11 goto pc+17
  16: (69) r0 = *(u16 *)(r1 +28)
  17: (46) if w0 & 0xff1f goto pc+15
  18: (71) r2 = *(u8 *)(r1 +22)
  19: (54) w2 &= 15
  20: (64) w2 <<= 2
  21: (bf) r4 = r2
  22: (0f) r4 += r1
  23: (bf) r5 = r3
  24: (1f) r5 -= r2
  25: (c5) if r5 s< 0x10 goto pc+7
  26: (69) r0 = *(u16 *)(r4 +22)
  27: (16) if w0 == 0x900 goto pc+3
  28: (c5) if r5 s< 0x12 goto pc+4
  29: (69) r0 = *(u16 *)(r4 +24)
  30: (56) if w0 != 0x900 goto pc+2
  31: (b4) w0 = 1
  32: (05) goto pc+1
  33: (b4) w0 = 0
";

#[test]
fn cbpf_is_printed_as_tcpdump_prints_it() {
    // Not everybody who builds this has one.
    if Command::new("tcpdump").arg("--version").output().is_err() {
        return;
    }
    let expressions = [
        "udp port 9",
        "ip[ip[2] % 3] / 2 > 5 or len < 9",
        "vlan 5 and ip6 host ::1",
        "ip protochain 6",
        "arp or ether[-1 & 7] != 3",
    ];
    for expression in expressions {
        for (letters, notation) in [("-d", Notation::Assembly), ("-dd", Notation::C), ("-ddd", Notation::Decimal)] {
            let output =
                Command::new("tcpdump").args(["-s", "65535", "-y", "EN10MB", letters, expression]).output().unwrap();
            let ours = dump(compile(expression).unwrap().instructions(), notation);
            assert_eq!(ours, String::from_utf8(output.stdout).unwrap(), "{expression}");
        }
    }
}

#[test]
fn ebpf_is_printed_in_the_kernels_notation() {
    let code = translate(compile("udp port 9").unwrap().instructions(), &LAYOUT).unwrap();
    assert_eq!(dump_code(&code, Notation::Assembly).unwrap(), UDP_PORT_9);
}

#[test]
fn ebpf_is_printed_as_numbers() {
    let code = translate(compile("len > 100").unwrap().instructions(), &LAYOUT).unwrap();
    let c = "\
{ 0x61, 0, 1, 260, 0x00000000 },
{ 0xb6, 0, 0, 2, 0x00000064 },
{ 0xb4, 0, 0, 0, 0x00000001 },
{ 0x05, 0, 0, 1, 0x00000000 },
{ 0xb4, 0, 0, 0, 0x00000000 },
";
    assert_eq!(dump_code(&code, Notation::C).unwrap(), c);
    let decimal = "5\n97 0 1 260 0\n182 0 0 2 100\n180 0 0 0 1\n5 0 0 1 0\n180 0 0 0 0\n";
    assert_eq!(dump_code(&code, Notation::Decimal).unwrap(), decimal);
}
