//! Packets in packets: IP in IP, GRE, VXLAN, OTV, GENEVE, MPLS in UDP.

use super::Frames;
use super::wire::{ICMP, Ipv4, Ipv6, TCP, Tcp, UDP, ethernet, fill, icmp, tagged, udp};

pub fn add(frames: &mut Frames) {
    ip_in_ip(frames);
    gre(frames);
    bridged(frames);
    geneve_options(frames);
}

/// What is carried: IPv4 and IPv6 packets by name.
fn inner() -> Vec<(&'static str, u16, Vec<u8>)> {
    let four = Ipv4 { source: [10, 0, 0, 1].into(), destination: [10, 0, 0, 2].into(), ..Ipv4::default() };
    let six = Ipv6::default();
    vec![
        ("udp", 0x0800, four.packet(UDP, &udp(5000, 9000, &fill(20)))),
        ("tcp", 0x0800, four.packet(TCP, &Tcp { source: 46_000, ..Tcp::new(0x18) }.segment(&fill(9)))),
        ("icmp", 0x0800, four.packet(ICMP, &icmp(8, 0, [0, 1, 0, 2], &fill(56)))),
        ("udp6", 0x86dd, six.packet(UDP, &udp(5000, 9000, &fill(20)))),
        ("tcp6", 0x86dd, six.packet(TCP, &Tcp { source: 46_000, ..Tcp::new(0x12) }.segment(&[]))),
        ("icmp6", 0x86dd, six.packet(58, &icmp(128, 0, [0, 1, 0, 2], &fill(40)))),
    ]
}

fn ip_in_ip(frames: &mut Frames) {
    frames.group("ip in ip");
    for (name, ethertype, packet) in inner() {
        let protocol = if ethertype == 0x0800 { 4 } else { 41 };
        frames.add(format!("{name} in ipv4"), Ipv4::default().frame(protocol, &packet));
        frames.add(format!("{name} in ipv6"), Ipv6::default().frame(protocol, &packet));
        let twice = Ipv4::default().packet(protocol, &packet);
        frames.add(format!("{name} in ipv4 twice"), Ipv4::default().frame(4, &twice));
        frames.add(format!("{name} in the other version"), Ipv4::default().frame(45 - protocol, &packet));
    }
    frames.swept("tcp", Ipv4::default().frame(4, &inner()[1].2));
}

fn gre(frames: &mut Frames) {
    frames.group("gre");
    let header =
        |flags: u16, ethertype: u16, rest: &[u8]| [&flags.to_be_bytes()[..], &ethertype.to_be_bytes(), rest].concat();
    for (name, ethertype, packet) in inner() {
        frames.add(format!("{name} in ipv4"), Ipv4::default().frame(47, &header(0, ethertype, &packet)));
        frames.add(format!("{name} in ipv6"), Ipv6::default().frame(47, &header(0, ethertype, &packet)));
    }
    let packet = &inner()[0].2;
    let rest = [0x12, 0x34, 0, 0, 0, 0, 0, 5, 0, 0, 0, 9];
    for (flags, length) in [(0x8000, 4), (0x2000, 4), (0x1000, 4), (0x3000, 8), (0xb000, 12), (0x0f78, 0)] {
        let whole = header(flags, 0x0800, &[&rest[12 - length..], &packet[..]].concat());
        frames.add(format!("flags {flags:04x}"), Ipv4::default().frame(47, &whole));
    }
    let routes = [
        &[0x12, 0x34, 0, 0][..],
        &[8, 0, 4, 8, 10, 0, 0, 1, 10, 0, 0, 2],
        &[0xff, 0xfe, 0, 4, 0, 1, 0, 2],
        &[0x12, 0x34, 0, 2, 0, 0],
        &[8, 0, 3, 4, 10, 0, 0, 1],
        &[8, 0, 0, 0],
        &[0, 0, 0, 0],
        packet,
    ]
    .concat();
    frames.swept("source routes", Ipv4::default().frame(47, &header(0x4000, 0x0800, &routes)));
    frames.add("ethernet", Ipv4::default().frame(47, &header(0, 0x6558, &ethernet(0x0800, packet))));
    frames.add("mpls", Ipv4::default().frame(47, &header(0, 0x8847, &[&[0, 6, 0x41, 64], &packet[..]].concat())));
    frames.add("unknown type", Ipv4::default().frame(47, &header(0, 0x88b5, &fill(20))));
    for (flags, rest) in [(0x3001_u16, 8), (0x2001, 4), (0x3081, 12), (0x1081, 8), (0x0001, 0)] {
        let whole = header(flags, 0x1234, &[&[0, 20, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3][..rest], &fill(20)].concat());
        frames.add(format!("version 1, flags {flags:04x}"), Ipv4::default().frame(47, &whole));
    }
    frames.add("version 2", Ipv4::default().frame(47, &header(2, 0x0800, packet)));
    frames.swept(
        "key and sequence number",
        Ipv4::default().frame(47, &header(0x3000, 0x0800, &[&rest[4..], &packet[..]].concat())),
    );
}

/// VXLAN, OTV and GENEVE, with an Ethernet frame in them.
fn bridged(frames: &mut Frames) {
    let tunnels: [(&str, u16, [u8; 8]); 3] = [
        ("vxlan", 4789, [8, 0, 0, 0, 0, 0, 100, 0]),
        ("otv", 8472, [8, 0, 0, 1, 0, 0, 100, 0]),
        ("geneve", 6081, [0, 0, 0x65, 0x58, 0, 0, 100, 0]),
    ];
    for (group, port, header) in tunnels {
        frames.group(group);
        for (name, ethertype, packet) in inner() {
            let frame = ethernet(ethertype, &packet);
            let payload = [&header[..], &frame].concat();
            frames.add(format!("{name} in ipv4"), Ipv4::default().frame(UDP, &udp(5000, port, &payload)));
            frames.add(format!("{name} in ipv6"), Ipv6::default().frame(UDP, &udp(port, 5000, &payload)));
            let tags = [&header[..], &tagged(0x8100, 0x2007, &frame)].concat();
            frames.add(format!("{name} in a tag"), Ipv4::default().frame(UDP, &udp(port, port, &tags)));
        }
        let mut other = header;
        other[0] = 0x40;
        let frame = ethernet(0x88b5, &fill(20));
        frames.add("other flags", Ipv4::default().frame(UDP, &udp(5000, port, &[&other[..], &frame].concat())));
        frames.add("unknown type", Ipv4::default().frame(UDP, &udp(5000, port, &[&header[..], &frame].concat())));
        for length in [0, 1, 4, 7, 8, 15, 21, 22] {
            let payload = [&header[..], &frame].concat();
            frames.add(format!("{length} bytes"), Ipv4::default().frame(UDP, &udp(5000, port, &payload[..length])));
        }
        let swept = [&header[..], &ethernet(0x0800, &inner()[0].2)].concat();
        frames.swept("udp", Ipv4::default().frame(UDP, &udp(5000, port, &swept)));
    }
    frames.group("mpls in udp");
    for (name, _, packet) in inner() {
        let payload = [&[0, 6, 0x41, 64], &packet[..]].concat();
        frames.add(format!("{name} in ipv4"), Ipv4::default().frame(UDP, &udp(5000, 6635, &payload)));
        frames.add(format!("{name} in ipv6"), Ipv6::default().frame(UDP, &udp(5000, 6635, &payload)));
    }
}

fn geneve_options(frames: &mut Frames) {
    frames.group("geneve options");
    let packet = &inner()[0].2;
    let with = |options: &[u8], flags: u8, ethertype: u16| {
        let first = (options.len() / 4) as u8;
        let header = [&[first, flags][..], &ethertype.to_be_bytes(), &[0, 0, 100, 0], options, packet].concat();
        Ipv4::default().frame(UDP, &udp(5000, 6081, &header))
    };
    for class in [0_u16, 0x100, 0x101, 0x102, 0x103, 0x104, 0x105, 0xfff0] {
        let options = [&class.to_be_bytes()[..], &[0x80, 1, 1, 2, 3, 4]].concat();
        frames.add(format!("class {class:x}"), with(&options, 0x40, 0x0800));
    }
    frames.add("two", with(&[0, 1, 5, 0, 1, 1, 5, 2, 1, 2, 3, 4, 5, 6, 7, 8], 0xc0, 0x0800));
    frames.add("too long", with(&[0, 1, 5, 9, 1, 2, 3, 4], 0, 0x0800));
    for flags in [0, 0x80, 0xff] {
        frames.add(format!("flags {flags:x}"), with(&[], flags, 0x0800));
    }
    frames.add("unknown type", with(&[], 0, 0x88b5));
    let mut reserved = with(&[], 0, 0x0800);
    reserved[49] = 9;
    frames.add("reserved", reserved);
}
