//! -d, -dd and -ddd.

use std::process::Command;

use super::LAYOUT;
use crate::filter::{Notation, compile, dump, dump_code, translate};

const UDP_PORT_9: &str = "   0: (a5) if r3 < 0x18 goto pc+31
   1: (69) r0 = *(u16 *)(r1 +20)
   2: (56) if w0 != 0xdd86 goto pc+9
   3: (71) r0 = *(u8 *)(r1 +28)
   4: (56) if w0 != 0x11 goto pc+27
   5: (a5) if r3 < 0x38 goto pc+26
   6: (69) r0 = *(u16 *)(r1 +62)
   7: (16) if w0 == 0x900 goto pc+22
   8: (a5) if r3 < 0x3a goto pc+23
   9: (69) r0 = *(u16 *)(r1 +64)
  10: (16) if w0 == 0x900 goto pc+19
  11: (05) goto pc+20
  12: (56) if w0 != 0x8 goto pc+19
  13: (71) r0 = *(u8 *)(r1 +31)
  14: (56) if w0 != 0x11 goto pc+17
  15: (69) r0 = *(u16 *)(r1 +28)
  16: (46) if w0 & 0xff1f goto pc+15
  17: (71) r2 = *(u8 *)(r1 +22)
  18: (54) w2 &= 15
  19: (64) w2 <<= 2
  20: (bf) r4 = r2
  21: (0f) r4 += r1
  22: (bf) r5 = r3
  23: (1f) r5 -= r2
  24: (c5) if r5 s< 0x10 goto pc+7
  25: (69) r0 = *(u16 *)(r4 +22)
  26: (16) if w0 == 0x900 goto pc+3
  27: (c5) if r5 s< 0x12 goto pc+4
  28: (69) r0 = *(u16 *)(r4 +24)
  29: (56) if w0 != 0x900 goto pc+2
  30: (b4) w0 = 1
  31: (05) goto pc+1
  32: (b4) w0 = 0
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
