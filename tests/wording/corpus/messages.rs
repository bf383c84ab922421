//! ICMP, ICMPv6 with neighbour discovery, and multicast listener discovery.

use super::Frames;
use super::wire::{ICMP, ICMP6, Ipv4, Ipv6, TCP, Tcp, UDP, ethernet, fill, icmp, ip6, udp};

pub fn add(frames: &mut Frames) {
    icmp_queries(frames);
    icmp_errors(frames);
    icmp_extensions(frames);
    icmp6_messages(frames);
    icmp6_errors(frames);
    discovery(frames);
    listeners(frames);
}

fn four(frames: &mut Frames, name: impl AsRef<str>, message: &[u8]) {
    frames.add(name, Ipv4::default().frame(ICMP, message));
}

fn six(frames: &mut Frames, name: impl AsRef<str>, message: &[u8]) {
    frames.add(name, Ipv6 { hops: 255, ..Ipv6::default() }.frame(ICMP6, message));
}

fn icmp_queries(frames: &mut Frames) {
    frames.group("icmp");
    for length in [0, 1, 32, 56, 1400] {
        four(frames, format!("echo of {length} bytes"), &icmp(8, 0, [0, 1, 0, 2], &fill(length)));
        four(frames, format!("reply of {length} bytes"), &icmp(0, 0, [0xff, 0xff, 0, 3], &fill(length)));
    }
    for kind in [1, 2, 6, 10, 13, 15, 16, 17, 18, 19, 30, 42, 253] {
        four(frames, format!("type {kind}"), &icmp(kind, 0, [0, 1, 0, 2], &fill(12)));
    }
    let times = [5_025_678_u32, 86_399_999, 0].map(u32::to_be_bytes).concat();
    four(frames, "timestamp reply", &icmp(14, 0, [0, 1, 0, 2], &times));
    frames.swept("timestamp reply", Ipv4::default().frame(ICMP, &icmp(14, 0, [0, 1, 0, 2], &times)));
    for lifetime in [0_u16, 59, 60, 1800, 3600, 9000, 0xffff] {
        let [high, low] = lifetime.to_be_bytes();
        let routers = [10, 0, 0, 1, 0, 0, 0, 5, 10, 0, 0, 2, 0x80, 0, 0, 0];
        four(frames, format!("router advertisement for {lifetime} s"), &icmp(9, 0, [2, 2, high, low], &routers));
    }
    four(frames, "router advertisement of another size", &icmp(9, 0, [2, 3, 0, 9], &[0; 16]));
    let mut wrong = icmp(8, 0, [0, 1, 0, 2], &fill(8));
    wrong[2] = 0x12;
    four(frames, "sum", &wrong);
    four(frames, "half a header", &icmp(8, 0, [0, 1, 0, 2], &[])[..5]);
    four(frames, "nothing", &[]);
}

/// Packets as errors quote them: header and 8 bytes, or more.
fn quoted() -> Vec<(&'static str, Vec<u8>)> {
    let header = Ipv4 { source: [10, 0, 0, 1].into(), destination: [10, 0, 0, 2].into(), ..Ipv4::default() };
    let options = Ipv4 { options: vec![1, 1, 1, 1], ..header.clone() };
    vec![
        ("udp", header.packet(UDP, &udp(5000, 9000, &fill(20)))),
        ("the beginning of udp", header.packet(UDP, &udp(5000, 9000, &fill(400)))[..28].to_vec()),
        (
            "the beginning of tcp",
            header.packet(TCP, &Tcp { source: 45_000, ..Tcp::new(2) }.segment(&[]))[..28].to_vec(),
        ),
        ("udp with options", options.packet(UDP, &udp(5000, 9000, &fill(20)))),
        ("icmp", header.packet(ICMP, &icmp(8, 0, [0, 1, 0, 2], &fill(20)))),
        ("sctp", header.packet(132, &fill(30))),
    ]
}

fn icmp_errors(frames: &mut Frames) {
    frames.group("icmp errors");
    for (name, packet) in quoted() {
        four(frames, format!("port unreachable, {name}"), &icmp(3, 3, [0; 4], &packet));
        four(frames, format!("time exceeded, {name}"), &icmp(11, 0, [0; 4], &packet));
    }
    let (_, packet) = quoted().swap_remove(0);
    for code in 0..18 {
        four(frames, format!("unreachable, code {code}"), &icmp(3, code, [0; 4], &packet));
    }
    four(frames, "fragmentation needed", &icmp(3, 4, [0, 0, 5, 0xdc], &packet));
    for code in 0..5 {
        four(frames, format!("redirect, code {code}"), &icmp(5, code, [10, 0, 0, 254], &packet));
    }
    for code in 0..3 {
        four(frames, format!("time exceeded, code {code}"), &icmp(11, code, [0; 4], &packet));
        four(frames, format!("parameter problem, code {code}"), &icmp(12, code, [20, 0, 0, 0], &packet));
    }
    four(frames, "source quench", &icmp(4, 0, [0; 4], &packet));
    frames.swept("port unreachable", Ipv4::default().frame(ICMP, &icmp(3, 3, [0; 4], &packet)));
}

fn icmp_extensions(frames: &mut Frames) {
    frames.group("icmp extensions");
    let (_, mut packet) = quoted().swap_remove(1);
    packet.resize(128, 0);
    let objects: Vec<(&str, Vec<u8>)> = vec![
        ("one label", vec![0, 8, 1, 1, 0, 6, 0x41, 1]),
        ("interface", vec![0, 8, 2, 9, 0, 0, 0, 3]),
        ("label of no kind", vec![0, 8, 1, 2, 0, 6, 0x41, 1]),
        ("length 0", vec![0, 0, 1, 1, 0, 6, 0x41, 1]),
        ("class 0", vec![0, 8, 0, 1, 0, 6, 0x41, 1]),
        ("too long", vec![0, 40, 7, 1, 0, 6, 0x41, 1]),
        ("two objects", vec![0, 8, 1, 1, 0, 6, 0x41, 1, 0, 8, 3, 1, 1, 2, 3, 4]),
    ];
    for (name, objects) in objects {
        for (sums, length) in [(true, 0), (true, 32), (false, 0), (false, 32)] {
            let mut extension = [&[0x20, 0, 0, 0][..], &objects].concat();
            if sums {
                let sum =
                    extension.chunks(2).fold(0_u32, |sum, word| sum + (u32::from(word[0]) << 8) + u32::from(word[1]));
                let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
                extension[2..4].copy_from_slice(&sum.to_be_bytes());
            }
            let message = icmp(11, 0, [0, length, 0, 0], &[&packet[..], &extension].concat());
            frames.add(format!("{name}, sum {sums}, length {length}"), Ipv4::default().frame(ICMP, &message));
        }
    }
    let version = icmp(11, 0, [0, 32, 0, 0], &[&packet[..], &[0x10, 0, 0, 0, 0, 8, 1, 1]].concat());
    four(frames, "version 1", &version);
}

fn icmp6_messages(frames: &mut Frames) {
    frames.group("icmp6");
    for length in [0, 1, 56, 1200] {
        six(frames, format!("echo of {length} bytes"), &icmp(128, 0, [0, 1, 0, 2], &fill(length)));
        six(frames, format!("reply of {length} bytes"), &icmp(129, 0, [0xff, 0xff, 0, 3], &fill(length)));
    }
    for kind in [0, 5, 100, 127, 141, 142, 144, 145, 146, 147, 148, 160, 200, 201, 255] {
        six(frames, format!("type {kind}"), &icmp(kind, 0, [0x12, 0x34, 0xc0, 0], &fill(32)));
    }
    let mut wrong = icmp(128, 0, [0, 1, 0, 2], &fill(8));
    wrong[2] = 0x12;
    six(frames, "sum", &wrong);
    six(frames, "one byte", &[128]);
    six(frames, "nothing", &[]);
    frames.group("icmp6 not decoded");
    frames.whole("node information", Ipv6::default().frame(ICMP6, &icmp(139, 0, [0, 2, 0, 0], &fill(24))));
    frames.whole("rpl", Ipv6::default().frame(ICMP6, &icmp(155, 1, [0; 4], &fill(24))));
}

fn icmp6_errors(frames: &mut Frames) {
    frames.group("icmp6 errors");
    let header = Ipv6 { source: ip6("2001:db8::9"), destination: ip6("2001:db8::a"), ..Ipv6::default() };
    let datagram = header.packet(UDP, &udp(5000, 9000, &fill(20)));
    let packets = [
        ("udp", datagram.clone()),
        ("tcp", header.packet(TCP, &Tcp::new(2).segment(&[]))),
        ("options", header.extended(60, &[UDP, 0, 1, 4, 0, 0, 0, 0], UDP, &udp(5000, 9000, &[]))),
        ("a fragment", header.extended(44, &[UDP, 0, 0, 1, 0, 0, 0, 1], UDP, &udp(5000, 9000, &[]))),
        ("a later fragment", header.extended(44, &[UDP, 0, 1, 1, 0, 0, 0, 1], UDP, &udp(5000, 9000, &[]))),
        ("sctp", header.packet(132, &fill(30))),
    ];
    for (name, packet) in &packets {
        six(frames, format!("port unreachable, {name}"), &icmp(1, 4, [0; 4], packet));
    }
    for code in 0..8 {
        six(frames, format!("unreachable, code {code}"), &icmp(1, code, [0; 4], &datagram));
    }
    six(frames, "too big", &icmp(2, 0, [0, 0, 5, 0], &datagram));
    for code in 0..3 {
        six(frames, format!("time exceeded, code {code}"), &icmp(3, code, [0; 4], &datagram));
    }
    for code in 0..5 {
        six(frames, format!("parameter problem, code {code}"), &icmp(4, code, [0, 0, 0, 40], &datagram));
    }
    frames.swept("port unreachable", Ipv6::default().frame(ICMP6, &icmp(1, 4, [0; 4], &datagram)));
}

fn discovery(frames: &mut Frames) {
    frames.group("neighbour discovery");
    let target = ip6("fe80::9").octets();
    let prefix = |length, valid: u32| {
        [&[3, length, 64, 0xc0][..], &valid.to_be_bytes(), &[0, 0, 0, 9, 0, 0, 0, 0], &ip6("2001:db8:7::").octets()]
            .concat()
    };
    let options: Vec<(&str, Vec<u8>)> = vec![
        ("none", vec![]),
        ("source", vec![1, 1, 2, 0, 0, 0, 0, 1]),
        ("target", vec![2, 1, 2, 0, 0, 0, 0, 2]),
        ("prefix", prefix(4, 86_400)),
        ("prefix for ever", prefix(4, u32::MAX)),
        ("prefix of another length", [prefix(5, 1), vec![0; 8]].concat()),
        ("redirected", [&[4, 5, 0, 0, 0, 0, 0, 0][..], &fill(32)].concat()),
        ("mtu", vec![5, 1, 0, 0, 0, 0, 5, 0xdc]),
        ("mtu of another length", vec![5, 2, 0, 0, 0, 0, 5, 0xdc, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("interval", vec![7, 1, 0, 0, 0, 0, 5, 0xdc]),
        ("home agent", vec![8, 1, 0, 0, 0, 9, 0, 10]),
        ("route", [&[24, 2, 48, 8, 0, 0, 0, 9][..], &[0x20, 1, 0xd, 0xb8, 0, 9, 0, 0]].concat()),
        ("default route", vec![24, 1, 0, 0x18, 0xff, 0xff, 0xff, 0xff]),
        ("long route", [&[24, 3, 128, 0, 0, 0, 0, 9][..], &target].concat()),
        ("too long a route", [&[24, 4, 128, 0, 0, 0, 0, 9][..], &fill(24)].concat()),
        ("name servers", [&[25, 5, 0, 0, 0, 0, 0, 9][..], &target, &target].concat()),
        ("search list", [&[31, 3, 0, 0, 0, 0, 0, 9][..], b"\x03lab\x04test\x00\x01a\x00\x00\x00"].concat()),
        ("unknown", vec![200, 1, 1, 2, 3, 4, 5, 6]),
        ("length 0", vec![1, 0, 2, 0, 0, 0, 0, 1]),
        ("length 9", vec![1, 9, 2, 0, 0, 0, 0, 1]),
        ("several", [vec![1, 1, 2, 0, 0, 0, 0, 1, 5, 1, 0, 0, 0, 0, 5, 0xdc], prefix(4, 1)].concat()),
    ];
    for (name, options) in &options {
        six(frames, format!("router solicitation, {name}"), &icmp(133, 0, [0; 4], options));
        let advert = [&[0, 0, 0x75, 0x30, 0, 0, 3, 0xe8][..], options].concat();
        six(frames, format!("router advertisement, {name}"), &icmp(134, 0, [64, 0xc8, 7, 8], &advert));
        let neighbour = [&target[..], options].concat();
        six(frames, format!("neighbour solicitation, {name}"), &icmp(135, 0, [0; 4], &neighbour));
        six(frames, format!("neighbour advertisement, {name}"), &icmp(136, 0, [0xe0, 0, 0, 0], &neighbour));
        let redirect = [&target[..], &ip6("2001:db8::7").octets(), options].concat();
        six(frames, format!("redirect, {name}"), &icmp(137, 0, [0; 4], &redirect));
    }
    let (_, several) = options.last().unwrap();
    let advert = [&[0, 0, 0x75, 0x30, 0, 0, 3, 0xe8][..], several].concat();
    frames.swept("router advertisement", Ipv6::default().frame(ICMP6, &icmp(134, 0, [64, 0xc8, 7, 8], &advert)));
}

fn listeners(frames: &mut Frames) {
    frames.group("multicast listeners");
    let address = ip6("ff02::1:3").octets();
    for kind in [130, 131, 132] {
        six(frames, format!("version 1, type {kind}"), &icmp(kind, 0, [3, 0xe8, 0, 0], &address));
    }
    six(frames, "query of a length between", &icmp(130, 0, [3, 0xe8, 0, 0], &[&address[..], &[2, 125]].concat()));
    for (delay, interval, sources) in [(1000_u16, 125, 0_u8), (0x8123, 0x91, 0), (0xffff, 0xff, 2), (5, 1, 9)] {
        let [high, low] = delay.to_be_bytes();
        let given = usize::from(sources.min(2));
        let body = [&address[..], &[0x0a, interval, 0, sources], &address.repeat(given)].concat();
        six(frames, format!("query, {sources} sources"), &icmp(130, 0, [high, low, 0, 0], &body));
    }
    for kind in 0..8 {
        let record = [&[kind, 0, 0, 2][..], &address, &address.repeat(2)].concat();
        six(frames, format!("report of kind {kind}"), &icmp(143, 0, [0, 0, 0, 1], &record));
    }
    let several = [&[4, 0, 0, 0][..], &address, &[3, 0, 0, 1], &address, &address].concat();
    six(frames, "report of two groups", &icmp(143, 0, [0, 0, 0, 2], &several));
    six(frames, "report of too many groups", &icmp(143, 0, [0, 0, 0, 9], &several));
    six(frames, "report of too many sources", &icmp(143, 0, [0, 0, 0, 1], &[&[4, 0, 0, 9][..], &address].concat()));
    six(frames, "short report", &icmp(143, 0, [0; 4], &[])[..6]);
    let hop = [ICMP6, 0, 5, 2, 0, 0, 1, 0];
    let report = Ipv6 { source: ip6("::"), destination: ip6("ff02::16"), hops: 1, ..Ipv6::default() };
    frames.swept("report", ethernet(0x86dd, &report.extended(0, &hop, ICMP6, &icmp(143, 0, [0, 0, 0, 2], &several))));
}
