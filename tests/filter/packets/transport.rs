//! What IP carries: TCP with its flags, UDP, SCTP, ICMP, and the protocols that pcap-filter has a word for.

use super::Frames;
use super::layers::{ICMP, ICMP6, Ipv4, Ipv6, SCTP, TCP, UDP, fill, icmp, join, sctp, tcp, udp};

pub fn add(frames: &mut Frames) {
    tcp_flags(frames);
    ports(frames);
    requests(frames);
    icmp_kinds(frames);
    icmp6_kinds(frames);
    other_protocols(frames);
}

fn tcp_flags(frames: &mut Frames) {
    const NAMED: [(&str, u8); 18] = [
        ("none", 0x00),
        ("fin", 0x01),
        ("syn", 0x02),
        ("rst", 0x04),
        ("push", 0x08),
        ("ack", 0x10),
        ("urg", 0x20),
        ("ece", 0x40),
        ("cwr", 0x80),
        ("syn ack", 0x12),
        ("fin ack", 0x11),
        ("rst ack", 0x14),
        ("push ack", 0x18),
        ("fin push ack", 0x19),
        ("syn ece cwr", 0xc2),
        ("syn fin", 0x03),
        ("fin push urg", 0x29),
        ("all", 0xff),
    ];
    for (name, flags) in NAMED {
        frames.add(format!("tcp {name}"), Ipv4::of(TCP).frame(&tcp(40000, 80, flags, &[2, 4, 5, 0xb4], &fill(60))));
        frames.add(format!("tcp6 {name}"), Ipv6::of(TCP).frame(&tcp(40000, 80, flags, &[], &[])));
    }
}

fn ports(frames: &mut Frames) {
    for port in [0, 22, 53, 79, 80, 81, 443, 1023, 1024, 6000, 6008, 8080, 65535] {
        for (name, protocol) in [("tcp", TCP), ("udp", UDP), ("sctp", SCTP)] {
            let (to, from) = (segment(protocol, 40000, port), segment(protocol, port, 40000));
            frames.add(format!("{name} to port {port}"), Ipv4::of(protocol).frame(&to));
            frames.add(format!("{name} from port {port}"), Ipv4::of(protocol).frame(&from));
            frames.add(format!("{name} over ipv6 to port {port}"), Ipv6::of(protocol).frame(&to));
            frames.add(format!("{name} over ipv6 from port {port}"), Ipv6::of(protocol).frame(&from));
        }
    }
    frames.add("udp 80 to 80", Ipv4::DEFAULT.frame(&udp(80, 80, &fill(4))));
    frames.add("udp to port 9", Ipv4::DEFAULT.frame(&udp(40000, 9, &fill(4))));
}

fn segment(protocol: u8, source: u16, destination: u16) -> Vec<u8> {
    match protocol {
        TCP => tcp(source, destination, 0x18, &[], &fill(26)),
        UDP => udp(source, destination, &fill(26)),
        _ => sctp(source, destination, &fill(26)),
    }
}

/// What people look for by the bytes behind the header.
fn requests(frames: &mut Frames) {
    for (name, text) in
        [("get", "GET / HTTP/1.1\r\n"), ("post", "POST /a HTTP/1.1\r\n"), ("reply", "HTTP/1.1 200 OK\r\n")]
    {
        let options: &[u8] = &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        let to = tcp(40000, 80, 0x18, options, text.as_bytes());
        frames.add(format!("http {name}"), Ipv4::of(TCP).frame(&to));
    }
    frames
        .add("tls hello", Ipv4::of(TCP).frame(&tcp(40000, 443, 0x18, &[], &join(&[&[0x16, 3, 1, 0, 80], &fill(80)]))));
    let query = join(&[&[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], b"\x07example\x03org\x00\x00\x01\x00\x01"]);
    frames.add("dns query", Ipv4::DEFAULT.frame(&udp(40000, 53, &query)));
    frames.add("dns query over ipv6", Ipv6::DEFAULT.frame(&udp(40000, 53, &query)));
    for kind in [0, 1, 3, 7] {
        let chunk = join(&[&[kind, 0, 0, 20], &fill(16)]);
        frames.add(format!("sctp chunk {kind}"), Ipv4::of(SCTP).frame(&sctp(36412, 36412, &chunk)));
    }
}

fn icmp_kinds(frames: &mut Frames) {
    for kind in [0, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 42] {
        frames.add(format!("icmp type {kind}"), Ipv4::of(ICMP).frame(&icmp(kind, 0, &fill(56))));
    }
    for (kind, code) in [(3, 1), (3, 3), (3, 4), (3, 13), (5, 1), (11, 1), (12, 2), (8, 255)] {
        let about = Ipv4::DEFAULT.datagram(&udp(5000, 53, &[]));
        frames.add(format!("icmp type {kind} code {code}"), Ipv4::of(ICMP).frame(&icmp(kind, code, &about)));
    }
}

fn icmp6_kinds(frames: &mut Frames) {
    let kinds = (1..=4).chain(128..=155).chain([200, 255]);
    for kind in kinds {
        frames.add(format!("icmp6 type {kind}"), Ipv6::of(ICMP6).frame(&icmp(kind, 0, &fill(32))));
    }
    for (kind, code) in [(1, 4), (3, 1), (4, 2)] {
        frames.add(format!("icmp6 type {kind} code {code}"), Ipv6::of(ICMP6).frame(&icmp(kind, code, &fill(48))));
    }
}

fn other_protocols(frames: &mut Frames) {
    const NAMED: [(&str, u8); 17] = [
        ("igmp", 2),
        ("egp", 8),
        ("igrp", 9),
        ("dccp", 33),
        ("rsvp", 46),
        ("esp", 50),
        ("ah", 51),
        ("icmp6", 58),
        ("no next header", 59),
        ("eigrp", 88),
        ("ospf", 89),
        ("pim", 103),
        ("vrrp", 112),
        ("l2tp", 115),
        ("udplite", 136),
        ("unassigned", 200),
        ("raw", 255),
    ];
    for (name, protocol) in NAMED {
        frames.add(format!("{name} over ipv4"), Ipv4::of(protocol).frame(&fill(40)));
        frames.add(format!("{name} over ipv6"), Ipv6::of(protocol).frame(&fill(40)));
    }
    // Both are protocol 112; CARP's type nibble is VRRP's, and its version is 2 as well, with authentication behind it.
    for (name, first) in [("vrrp 2 advertisement", 0x21), ("vrrp 3 advertisement", 0x31), ("carp advertisement", 0x21)]
    {
        let header = Ipv4 { ttl: 255, protocol: 112, ..Ipv4::to([224, 0, 0, 18]) };
        frames.add(name, header.frame(&join(&[&[first, 7, 100, 1], &fill(32)])));
    }
    for kind in [0x11, 0x12, 0x16, 0x17, 0x22] {
        let header = Ipv4 { ttl: 1, protocol: 2, options: &[148, 4, 0, 0], ..Ipv4::to([224, 0, 0, 22]) };
        frames.add(format!("igmp type {kind:x}"), header.frame(&icmp(kind, 0, &[])));
    }
    for kind in [0x20, 0x23] {
        let header = Ipv4 { ttl: 1, protocol: 103, ..Ipv4::to([224, 0, 0, 13]) };
        frames.add(format!("pim type {kind:x}"), header.frame(&icmp(kind, 0, &fill(26))));
    }
}
