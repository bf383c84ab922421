//! Expressions on packets that are made for them.

use super::interpreter::Machine;
use super::{LAYOUT, oracle};
use crate::filter::{compile, translate};

/// Ethernet, IPv4 with 20 bytes of header, and what follows.
fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(payload);
    packet
}

fn udp(from: u16, to: u16) -> Vec<u8> {
    let [a, b] = from.to_be_bytes();
    let [c, d] = to.to_be_bytes();
    ipv4(17, &[a, b, c, d, 0, 12, 0, 0, b'x', b'd', b'p', b'!'])
}

/// A TCP segment with a request, and enough behind it that it does not fit the view.
fn request() -> Vec<u8> {
    let mut tcp = vec![0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x80, 0x18, 1, 0, 0, 0, 0, 0];
    tcp.extend([1; 12]);
    tcp.extend(b"GET / HTTP/1.1\r\n");
    tcp.resize(200, b'z');
    ipv4(6, &tcp)
}

/// The verdict on a packet, how many instructions it took, and how often the packet itself was read.
fn run(expression: &str, packet: &[u8]) -> (bool, usize, usize) {
    let program = compile(expression).unwrap();
    let code = translate(program.instructions(), &LAYOUT).unwrap();
    let mut machine = Machine::new(packet, packet.len() as u32);
    let accepted = machine.accepts(&code.instructions().unwrap());
    assert_eq!(accepted, oracle::accepts(program.instructions(), packet, packet.len() as u32), "{expression}");
    (accepted, machine.steps, machine.calls)
}

fn accepts(expression: &str, packet: &[u8]) -> bool {
    run(expression, packet).0
}

#[test]
fn ports_and_addresses_match() {
    assert!(accepts("udp port 9", &udp(7, 9)));
    assert!(accepts("udp port 9", &udp(9, 7)));
    assert!(!accepts("udp port 9", &udp(7, 7)));
    assert!(accepts("host 10.0.0.2 and not tcp", &udp(1, 2)));
    assert!(!accepts("host 10.0.0.3", &udp(1, 2)));
    assert!(accepts("udp portrange 5-10", &udp(1, 10)));
    assert!(accepts("ether src 02:00:00:00:00:02", &udp(1, 2)));
}

#[test]
fn truncated_packet_has_libpcaps_verdict_at_every_length() {
    let packet = request();
    for expression in
        ["tcp port 80", "ip", "len > 100", "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420", "ip[150] = 122", "not udp"]
    {
        for length in 0..=packet.len() {
            accepts(expression, &packet[..length]);
        }
    }
}

#[test]
fn bytes_within_view_are_not_read_from_packet() {
    assert_eq!(run("tcp port 80", &request()).2, 0);
    let payload = run("tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420", &request());
    assert!(payload.0);
    assert_eq!(payload.2, 0);
}

#[test]
fn offset_that_is_small_for_certain_needs_no_call() {
    let program = compile("ether[ether[0] & 0x3f] = 7 and ether[(ether[1] & 7) * 16 : 4] > 3").unwrap();
    let code = translate(program.instructions(), &LAYOUT).unwrap().instructions().unwrap();
    assert!(!code.iter().any(|insn| insn.code == 0x85));
    for length in 0..70 {
        let packet = vec![7; length];
        let accepted = Machine::new(&packet, length as u32).accepts(&code);
        assert_eq!(accepted, oracle::accepts(program.instructions(), &packet, length as u32));
    }
}

#[test]
fn bytes_beyond_view_are_read_from_packet() {
    let (accepted, _, calls) =
        run("ip[113:2] = 0x7a7a and ip[114:4] = 0x7a7a7a7a and tcp[100:4] = 0x7a7a7a7a", &request());
    assert!(accepted);
    assert_eq!(calls, 3);
}

#[test]
fn typical_filter_stays_short() {
    let (accepted, steps, calls) = run("udp port 9", &udp(7, 7));
    assert!(!accepted);
    assert_eq!(calls, 0);
    assert!(steps <= 24, "{steps}");
}
