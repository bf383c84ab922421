//! IPv4 with options, IPv6 with extension headers, fragments, and lengths that cannot be.

use super::Frames;
use super::wire::{Ipv4, Ipv6, TCP, Tcp, UDP, ethernet, fill, ip6, udp};

pub fn add(frames: &mut Frames) {
    ipv4(frames);
    ipv4_options(frames);
    ipv4_broken(frames);
    fragments(frames);
    ipv6(frames);
    ipv6_extensions(frames);
    ipv6_broken(frames);
    other_protocols(frames);
}

fn ipv4(frames: &mut Frames) {
    frames.group("ipv4");
    let datagram = udp(5000, 9000, &fill(20));
    for tos in [0, 1, 2, 3, 0x10, 0xb8, 0xff] {
        frames.add(format!("tos {tos:x}"), Ipv4 { tos, ..Ipv4::default() }.frame(UDP, &datagram));
    }
    for ttl in [0, 1, 63, 255] {
        frames.add(format!("ttl {ttl}"), Ipv4 { ttl, id: 0, ..Ipv4::default() }.frame(UDP, &datagram));
    }
    for fragment in [0, 0x4000, 0x8000, 0xc000] {
        frames.add(format!("flags {fragment:x}"), Ipv4 { fragment, ..Ipv4::default() }.frame(UDP, &datagram));
    }
    for (source, destination) in
        [([0; 4], [255; 4]), ([127, 0, 0, 1], [224, 0, 0, 251]), ([8, 80, 100, 9], [99, 199, 10, 1])]
    {
        let header = Ipv4 { source: source.into(), destination: destination.into(), ..Ipv4::default() };
        frames.add(format!("from {}", header.source), header.frame(UDP, &datagram));
    }
    frames.add("padded", [&Ipv4::default().frame(UDP, &udp(5000, 9000, &[]))[..], &[0; 18]].concat());
}

fn ipv4_options(frames: &mut Frames) {
    frames.group("ipv4 options");
    const OPTIONS: [(&str, &[u8]); 20] = [
        ("nop", &[1, 1, 1, 1]),
        ("eol", &[1, 0, 9, 9]),
        ("router alert", &[148, 4, 0, 0]),
        ("router alert 5", &[148, 4, 0, 5]),
        ("router alert short", &[148, 3, 0, 1]),
        ("record route", &[7, 11, 8, 10, 0, 0, 1, 10, 0, 0, 2, 0]),
        ("record route, bad length", &[7, 10, 8, 10, 0, 0, 1, 10, 0, 0, 2, 0]),
        ("record route, bad pointer", &[7, 11, 9, 10, 0, 0, 1, 10, 0, 0, 2, 0]),
        ("record route, short", &[7, 2, 1, 1]),
        ("loose route", &[131, 7, 4, 10, 0, 0, 1, 1]),
        ("strict route", &[137, 11, 12, 10, 0, 0, 1, 10, 0, 0, 2, 0]),
        ("timestamp", &[68, 12, 9, 0, 0, 0, 0, 1, 0, 0, 0, 2]),
        ("timestamp and address", &[68, 12, 5, 0x21, 10, 0, 0, 1, 0, 0, 0, 2]),
        ("timestamp at the end", &[68, 12, 13, 3, 10, 0, 0, 1, 0, 0, 0, 2]),
        ("timestamp of no kind", &[68, 12, 13, 7, 10, 0, 0, 1, 0, 0, 0, 2]),
        ("timestamp, short", &[68, 3, 0, 1]),
        ("security", &[130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("traceroute and unknown", &[82, 4, 0, 0, 99, 4, 0, 0]),
        ("length 0", &[99, 0, 1, 1]),
        ("length 200", &[99, 200, 1, 1]),
    ];
    for (name, options) in OPTIONS {
        let header = Ipv4 { options: options.to_vec(), ..Ipv4::default() };
        frames.add(name, header.frame(UDP, &udp(5000, 9000, &fill(20))));
    }
    let full = Ipv4 { options: [OPTIONS[5].1, OPTIONS[11].1, &[1; 16]].concat(), ..Ipv4::default() };
    frames.swept("full", full.frame(TCP, &Tcp::new(0x10).segment(&fill(10))));
}

fn ipv4_broken(frames: &mut Frames) {
    frames.group("ipv4 broken");
    let whole = Ipv4::default().frame(UDP, &udp(5000, 9000, &fill(40)));
    let mut with = |name: String, at: usize, bytes: &[u8]| {
        let mut frame = whole.clone();
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        frames.add(name, frame);
    };
    for first in [0x40, 0x44, 0x46, 0x4f, 0x05, 0x55, 0x65, 0xf5] {
        with(format!("first byte {first:x}"), 14, &[first]);
    }
    for length in [0_u16, 10, 19, 20, 21, 27, 28, 30, 67, 69, 1500, 0xffff] {
        with(format!("length {length}"), 16, &length.to_be_bytes());
    }
    with("sum".into(), 24, &[0x12, 0x34]);
    frames.add("ipv4 by ipv6's type", ethernet(0x86dd, &whole[14..]));
    frames.add("ipv6 by ipv4's type", ethernet(0x0800, &Ipv6::default().packet(UDP, &udp(5000, 9000, &fill(20)))));
    frames.add("nothing", ethernet(0x0800, &[]));
}

fn fragments(frames: &mut Frames) {
    frames.group("fragments");
    for (name, fragment) in
        [("first", 0x2000), ("middle", 0x2000 | 185), ("last", 370), ("last with df", 0x4000 | 1), ("furthest", 0x1fff)]
    {
        let header = Ipv4 { fragment, ..Ipv4::default() };
        frames.add(format!("udp {name}"), header.frame(UDP, &udp(5000, 9000, &fill(40))));
        frames.add(format!("tcp {name}"), header.frame(TCP, &Tcp::new(0x10).segment(&fill(40))));
        frames.add(format!("icmp {name}"), header.frame(1, &[8, 0, 0, 0, 0, 1, 0, 2, 3, 4]));
    }
    let longer = udp(5000, 9000, &fill(100));
    frames.add("udp first of a longer one", Ipv4 { fragment: 0x2000, ..Ipv4::default() }.frame(UDP, &longer[..64]));
}

fn ipv6(frames: &mut Frames) {
    frames.group("ipv6");
    let datagram = udp(5000, 9000, &fill(20));
    for flow in [0, 1, 0xfffff, 0x0ff00000, 0x0b80_1234] {
        frames.add(format!("flow {flow:x}"), Ipv6 { flow, ..Ipv6::default() }.frame(UDP, &datagram));
    }
    for hops in [0, 1, 255] {
        frames.add(format!("hops {hops}"), Ipv6 { hops, ..Ipv6::default() }.frame(UDP, &datagram));
    }
    for (source, destination) in [
        ("::", "ff02::1:ff00:1"),
        ("::1", "::1"),
        ("fe80::1", "ff02::fb"),
        ("::ffff:192.168.1.12", "::192.168.1.138"),
        ("1:0:0:2::3", "2001:db8:1:2:3:4:5:6"),
        ("1::", "0:1::"),
        ("1:2:3:4:5:6:7:0", "0:2:3:4:5:6:7:8"),
    ] {
        let header = Ipv6 { source: ip6(source), destination: ip6(destination), ..Ipv6::default() };
        frames.add(format!("from {source}"), header.frame(UDP, &datagram));
    }
    frames.add("padded", [&Ipv6::default().frame(UDP, &datagram)[..], &[0; 18]].concat());
}

/// An extension header of 8 bytes and a multiple of them.
fn extension(next: u8, bytes: &[u8]) -> Vec<u8> {
    assert_eq!(bytes.len() % 8, 6);
    [&[next, (bytes.len() / 8) as u8], bytes].concat()
}

fn ipv6_extensions(frames: &mut Frames) {
    frames.group("ipv6 extensions");
    let home = [&[0xc9, 16][..], &ip6("2001:db8::9").octets(), &[1, 2, 0, 0]].concat();
    let segments = [ip6("2001:db8::a").octets(), ip6("2001:db8::b").octets()].concat();
    let routing = |kind: u8| extension(UDP, &[&[kind, 1, 0, 0, 0, 0][..], &segments].concat());
    let headers: Vec<(&str, u8, Vec<u8>)> = vec![
        ("hop by hop", 0, extension(UDP, &[5, 2, 0, 0, 1, 0])),
        ("hop by hop, pad1", 0, extension(UDP, &[0; 6])),
        ("hop by hop, unknown option", 0, extension(UDP, &[0x3e, 4, 1, 2, 3, 4])),
        ("hop by hop, bad router alert", 0, extension(UDP, &[5, 3, 0, 0, 1, 0])),
        ("hop by hop, too long an option", 0, extension(UDP, &[5, 12, 0, 0, 1, 0])),
        ("hop by hop, jumbo", 0, extension(UDP, &[0xc2, 4, 0, 1, 0, 0])),
        ("hop by hop, bad jumbo", 0, extension(UDP, &[0xc2, 3, 0, 1, 0, 0])),
        ("destination options", 60, extension(UDP, &[1, 4, 0, 0, 0, 0])),
        ("destination options, jumbo", 60, extension(UDP, &[0xc2, 4, 0, 1, 0, 0])),
        ("home address", 60, extension(UDP, &home)),
        ("short home address", 60, extension(UDP, &[0xc9, 4, 0, 1, 0, 0])),
        ("hop by hop and destination", 0, [extension(60, &[1, 4, 0, 0, 0, 0]), extension(UDP, &[0; 6])].concat()),
        ("hop by hop twice", 0, [extension(0, &[1, 4, 0, 0, 0, 0]), extension(UDP, &[0; 6])].concat()),
        ("hop by hop second", 60, [extension(0, &[1, 4, 0, 0, 0, 0]), extension(UDP, &[0; 6])].concat()),
        ("routing 0", 43, routing(0)),
        ("routing 2", 43, routing(2)),
        ("routing 4", 43, routing(4)),
        ("routing 7", 43, routing(7)),
        ("routing of an odd length", 43, extension(UDP, &[0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])),
        ("fragment, only", 44, vec![UDP, 0, 0, 0, 0, 0, 0x12, 0x34]),
        ("fragment, first", 44, vec![UDP, 0, 0, 1, 0, 0, 0x12, 0x34]),
        ("fragment, later", 44, vec![UDP, 0, 5, 0xa8, 0, 0, 0x12, 0x34]),
        ("authentication", 51, [&[UDP, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 7][..], &fill(12)].concat()),
        ("authentication, reserved", 51, [&[UDP, 4, 0, 9, 0, 0, 1, 0, 0, 0, 0, 7][..], &fill(12)].concat()),
    ];
    for (name, next, extensions) in headers {
        let payload = udp(5000, 9000, &fill(20));
        frames.add(name, ethernet(0x86dd, &Ipv6::default().extended(next, &extensions, UDP, &payload)));
    }
    let both =
        [extension(43, &[5, 2, 0, 0, 1, 0]), extension(TCP, &[&[0, 1, 0, 0, 0, 0][..], &segments].concat())].concat();
    let segment = Tcp::new(0x18).segment(&fill(10));
    frames.swept("two in front of tcp", ethernet(0x86dd, &Ipv6::default().extended(0, &both, TCP, &segment)));
}

fn ipv6_broken(frames: &mut Frames) {
    frames.group("ipv6 broken");
    let whole = Ipv6::default().frame(UDP, &udp(5000, 9000, &fill(40)));
    for length in [0_u16, 1, 7, 8, 20, 47, 49, 1500] {
        let mut frame = whole.clone();
        frame[18..20].copy_from_slice(&length.to_be_bytes());
        frames.add(format!("length {length}"), frame);
    }
    for first in [0x00, 0x50, 0xf0] {
        let mut frame = whole.clone();
        frame[14] = first;
        frames.add(format!("first byte {first:x}"), frame);
    }
    let mut empty = Ipv6::default().extended(0, &extension(UDP, &[1, 4, 0, 0, 0, 0]), UDP, &udp(5000, 9000, &[]));
    empty[4..6].copy_from_slice(&[0, 0]);
    frames.add("no length and an extension", ethernet(0x86dd, &empty));
    let mut option = Ipv6::default().extended(60, &extension(UDP, &[1, 4, 0, 0, 0, 0]), UDP, &udp(5000, 9000, &[]));
    option[4..6].copy_from_slice(&[0, 0]);
    frames.add("no length and destination options", ethernet(0x86dd, &option));
    frames.add("nothing", ethernet(0x86dd, &[]));
}

fn other_protocols(frames: &mut Frames) {
    frames.group("ip protocols");
    for protocol in [253, 254, 255, 77, 59, 97, 143, 5, 27, 115, 136] {
        frames.add(format!("{protocol} on ipv4"), Ipv4::default().frame(protocol, &fill(30)));
        frames.add(format!("{protocol} on ipv6"), Ipv6::default().frame(protocol, &fill(30)));
    }
    frames.add("icmp on ipv6", Ipv6::default().frame(1, &fill(30)));
    frames.add("icmp6 on ipv4", Ipv4::default().frame(58, &fill(30)));
    frames.add("esp", Ipv4::default().frame(50, &[&[0, 0, 0x12, 0x34, 0, 0, 0, 9][..], &fill(32)].concat()));
    frames.add(
        "authentication",
        Ipv4::default()
            .frame(51, &[&[UDP, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 7][..], &fill(12), &udp(5000, 9000, &fill(9))].concat()),
    );
    frames.group("ip protocols not decoded");
    frames.whole("igmp", Ipv4::default().frame(2, &[0x11, 100, 0xee, 0x9b, 0, 0, 0, 0]));
    frames.whole("ospf", Ipv4::default().frame(89, &fill(44)));
    frames.whole("vrrp", Ipv4::default().frame(112, &fill(20)));
    frames.whole("pim", Ipv4::default().frame(103, &fill(20)));
}
