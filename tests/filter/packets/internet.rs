//! IPv4 and IPv6 themselves: addresses, options, fragments, extension headers, lengths.

use std::net::Ipv6Addr;

use super::Frames;
use super::layers::{
    BROADCAST, ICMP6, Ipv4, Ipv6, SCTP, SOURCE, TCP, UDP, between, extension, fill, fragment, icmp, join,
};
use super::layers::{ethernet, sctp, tcp, udp};

pub fn add(frames: &mut Frames) {
    ipv4_addresses(frames);
    ipv4_headers(frames);
    ipv4_fragments(frames);
    ipv6_addresses(frames);
    ipv6_extensions(frames);
    lengths(frames);
}

fn ipv4_addresses(frames: &mut Frames) {
    let pairs: [([u8; 4], [u8; 4]); 16] = [
        ([10, 0, 0, 2], [10, 0, 0, 3]),
        ([192, 168, 1, 12], [192, 168, 1, 129]),
        ([10, 0, 0, 1], [10, 0, 0, 2]),
        ([10, 0, 0, 1], [192, 168, 1, 12]),
        ([10, 1, 2, 3], [172, 16, 5, 4]),
        ([172, 16, 5, 4], [172, 31, 255, 254]),
        ([192, 168, 1, 138], [192, 168, 1, 12]),
        ([192, 168, 2, 1], [192, 168, 1, 12]),
        ([192, 168, 1, 1], [8, 8, 8, 8]),
        ([8, 8, 8, 8], [192, 168, 1, 1]),
        ([127, 0, 0, 1], [127, 0, 0, 1]),
        ([169, 254, 7, 7], [224, 0, 0, 251]),
        ([192, 168, 1, 12], [239, 255, 255, 250]),
        ([0, 0, 0, 0], [255, 255, 255, 255]),
        ([192, 168, 1, 12], [192, 168, 1, 255]),
        ([224, 0, 0, 1], [240, 0, 0, 1]),
    ];
    for (source, destination) in pairs {
        let header = Ipv4 { source: source.into(), ..Ipv4::to(destination) };
        frames.add(format!("udp {} to {}", header.source, header.destination), header.frame(&udp(68, 67, &fill(30))));
        let segment = tcp(40001, 22, 0x18, &[], &fill(30));
        frames.add(
            format!("tcp {} to {}", header.source, header.destination),
            Ipv4 { protocol: TCP, ..header }.frame(&segment),
        );
    }
    let distant = Ipv4 { source: [10, 1, 2, 3].into(), protocol: TCP, ..Ipv4::to([8, 8, 8, 8]) };
    frames.add("tcp syn between others", distant.frame(&tcp(40001, 22, 0x02, &[], &[])));
    let limited = Ipv4::to([255; 4]).datagram(&udp(68, 67, &fill(244)));
    frames.add("dhcp", between(SOURCE, BROADCAST, 0x0800, &limited));
}

fn ipv4_headers(frames: &mut Frames) {
    const OPTIONS: [(&str, &[u8]); 4] = [
        ("nop", &[1, 1, 1, 1]),
        ("router alert", &[148, 4, 0, 0]),
        ("record route", &[7, 7, 4, 10, 0, 0, 1, 0]),
        (
            "full",
            &[
                68, 40, 5, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
                25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36,
            ],
        ),
    ];
    for (name, options) in OPTIONS {
        frames.add(format!("udp on ipv4 {name}"), Ipv4 { options, ..Ipv4::DEFAULT }.frame(&udp(5000, 53, &fill(40))));
        let header = Ipv4 { options, ..Ipv4::of(TCP) };
        frames.add(format!("tcp on ipv4 {name}"), header.frame(&tcp(40000, 80, 0x18, &[1, 1, 1, 1], &fill(40))));
    }
    let header = Ipv4 { options: OPTIONS[2].1, ..Ipv4::of(TCP) };
    frames.add("tcp on ipv4 options", header.frame(&tcp(40000, 80, 0x02, &[2, 4, 5, 0xb4, 1, 1, 4, 2], &fill(60))));
    for tos in [0x10, 0xb8, 0x03, 0xff] {
        frames.add(format!("ipv4 tos {tos:x}"), Ipv4 { tos, ..Ipv4::DEFAULT }.frame(&udp(5060, 5060, &fill(12))));
    }
    for ttl in [0, 1, 31, 32, 33, 128, 255] {
        frames.add(format!("ipv4 ttl {ttl}"), Ipv4 { ttl, id: 0, ..Ipv4::DEFAULT }.frame(&udp(123, 123, &fill(48))));
    }
    // Header lengths that no sender writes: the transport layer is looked for all the same.
    for first in [0x40, 0x41, 0x44, 0x4f, 0x05, 0xf5] {
        let mut frame = Ipv4::DEFAULT.frame(&udp(5000, 53, &fill(40)));
        frame[14] = first;
        frames.add(format!("ipv4 first byte {first:x}"), frame);
    }
    frames.add("ipv4 with ipv6's type", ethernet(0x86dd, &Ipv4::DEFAULT.datagram(&udp(5000, 53, &fill(20)))));
}

fn ipv4_fragments(frames: &mut Frames) {
    const PLACES: [(&str, u16); 7] = [
        ("df", 0x4000),
        ("reserved bit", 0x8000),
        ("first", 0x2000),
        ("middle", 0x2000 | 185),
        ("last", 370),
        ("last with df", 0x4000 | 370),
        ("furthest", 0x1fff),
    ];
    for (name, place) in PLACES {
        let header = |protocol| Ipv4 { fragment: place, ..Ipv4::of(protocol) };
        frames.add(format!("udp fragment {name}"), header(UDP).frame(&udp(5000, 53, &fill(40))));
        frames.add(format!("tcp fragment {name}"), header(TCP).frame(&tcp(40000, 80, 0x10, &[], &fill(40))));
        frames.add(format!("sctp fragment {name}"), header(SCTP).frame(&sctp(40000, 80, &fill(20))));
        frames.add(format!("icmp fragment {name}"), header(1).frame(&icmp(8, 0, &fill(20))));
    }
}

fn ipv6_addresses(frames: &mut Frames) {
    let pairs = [
        ("2001:db8::1", "2001:db8::2"),
        ("2001:db8::2", "2001:db8::1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:ffff::1"),
        ("fe80::1", "fe80::2"),
        ("fe80::1", "ff02::1"),
        ("fe80::1", "ff02::fb"),
        ("::", "ff02::1:ff00:1"),
        ("::1", "::1"),
        ("::ffff:192.168.1.12", "::ffff:192.168.1.138"),
        ("2002:c0a8:10c::1", "2001:db9::1"),
    ];
    for (source, destination) in pairs {
        let address = |text: &str| -> Ipv6Addr { text.parse().expect("an IPv6 address") };
        let header = Ipv6 { source: address(source), destination: address(destination), ..Ipv6::DEFAULT };
        frames.add(format!("udp6 {source} to {destination}"), header.frame(&udp(5353, 5353, &fill(30))));
        let segment = tcp(443, 40001, 0x12, &[], &fill(30));
        frames.add(format!("tcp6 {source} to {destination}"), Ipv6 { next: TCP, ..header }.frame(&segment));
    }
    frames.add("ipv6 flow", Ipv6 { flow: 0x0b8a_bcde, hops: 255, ..Ipv6::DEFAULT }.frame(&udp(5000, 53, &fill(20))));
    frames.add("ipv6 no next header", Ipv6::of(59).frame(&fill(8)));
    frames.add("ipv6 unknown next header", Ipv6::of(253).frame(&fill(8)));
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

fn ipv6_extensions(frames: &mut Frames) {
    let query = udp(5000, 53, &fill(60));
    let segment = tcp(40000, 443, 0x02, &[], &fill(60));
    let kinds = [
        ("hop-by-hop", HOP_BY_HOP),
        ("routing", ROUTING),
        ("destination options", DESTINATION_OPTIONS),
        ("ah", AUTHENTICATION),
    ];
    for (name, kind) in kinds {
        for units in [0, 1, 3] {
            frames.add(format!("udp6 {name} {units}"), Ipv6::of(kind).frame(&extension(UDP, units, &query)));
            frames.add(format!("tcp6 {name} {units}"), Ipv6::of(kind).frame(&extension(TCP, units, &segment)));
        }
    }
    frames.add("udp over ipv6 hop-by-hop", Ipv6::of(HOP_BY_HOP).frame(&extension(UDP, 0, &query)));
    for (name, offset, more) in [("first", 0, true), ("middle", 180, true), ("last", 360, false), ("atomic", 0, false)]
    {
        frames.add(format!("udp6 fragment {name}"), Ipv6::of(FRAGMENT).frame(&fragment(UDP, offset, more, &query)));
        frames.add(format!("tcp6 fragment {name}"), Ipv6::of(FRAGMENT).frame(&fragment(TCP, offset, more, &segment)));
        let echo = fragment(ICMP6, offset, more, &icmp(128, 0, &fill(30)));
        frames.add(format!("icmp6 fragment {name}"), Ipv6::of(FRAGMENT).frame(&echo));
    }
    let listener = extension(ICMP6, 0, &icmp(143, 0, &fill(20)));
    frames.add("mld behind hop-by-hop", Ipv6 { hops: 1, ..Ipv6::of(HOP_BY_HOP) }.frame(&listener));
    let chain = extension(
        DESTINATION_OPTIONS,
        0,
        &extension(ROUTING, 0, &extension(FRAGMENT, 2, &fragment(UDP, 0, true, &query))),
    );
    frames.add("udp6 behind a chain", Ipv6::of(HOP_BY_HOP).frame(&chain));
    let chain = extension(ROUTING, 1, &extension(AUTHENTICATION, 2, &extension(TCP, 4, &segment)));
    frames.add("tcp6 behind a chain with ah", Ipv6::of(HOP_BY_HOP).frame(&chain));
}

/// From the smallest frame to the largest: most of their bytes lie behind the copy of the first 128.
fn lengths(frames: &mut Frames) {
    frames.add("minimum", join(&[&Ipv4::DEFAULT.frame(&udp(5000, 7, &[])), &[0; 18]]));
    for length in
        [78, 100, 127, 128, 129, 130, 131, 132, 199, 200, 201, 256, 512, 575, 576, 577, 1024, 1280, 1514, 8042]
    {
        let frame = Ipv4::DEFAULT.frame(&udp(5001, 5001, &fill(length - 42)));
        frames.add(format!("udp of {length}"), frame);
        let frame = Ipv6::of(TCP).frame(&tcp(80, 40000, 0x10, &[], &fill(length - 74)));
        frames.add(format!("tcp6 of {length}"), frame);
    }
    // An offset in the packet that points far into it, just to its end, and out of it.
    for offset in [0_u32, 100, 124, 125, 126, 127, 128, 129, 296, 297, 298, 299, 300, 0xffff_fff0, 0xffff_ffff] {
        let payload = join(&[&offset.to_be_bytes(), &fill(254)]);
        frames.add(format!("udp pointing at {offset:x}"), Ipv4::DEFAULT.frame(&udp(5002, 5002, &payload)));
    }
}
