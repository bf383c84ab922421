//! Packets in packets.

use super::Frames;
use super::layers::{ICMP, Ipv4, Ipv6, TCP, ethernet, fill, icmp, join, tagged, tcp, udp};

pub fn add(frames: &mut Frames) {
    ip_in_ip(frames);
    gre(frames);
    vxlan(frames);
    geneve(frames);
}

fn inner4() -> Vec<u8> {
    Ipv4 { source: [10, 0, 0, 1].into(), ..Ipv4::to([10, 0, 0, 2]) }.datagram(&udp(5000, 53, &fill(40)))
}

fn inner6() -> Vec<u8> {
    Ipv6::of(TCP).datagram(&tcp(40000, 443, 0x02, &[], &fill(40)))
}

/// What an overlay carries: its name, its type where that is no Ethernet frame, and its bytes.
fn cargo() -> [(&'static str, u16, Vec<u8>); 6] {
    let vlan = tagged(0x8100, 100, &ethernet(0x0800, &inner4()));
    [
        ("ethernet udp", 0x6558, ethernet(0x0800, &inner4())),
        ("ethernet tcp6", 0x6558, ethernet(0x86dd, &inner6())),
        ("ethernet vlan udp", 0x6558, vlan),
        ("ethernet arp", 0x6558, ethernet(0x0806, &fill(28))),
        ("ip udp", 0x0800, inner4()),
        ("ip tcp6", 0x86dd, inner6()),
    ]
}

fn ip_in_ip(frames: &mut Frames) {
    frames.add("ipv4 in ipv4", Ipv4::of(4).frame(&inner4()));
    frames.add("ipv6 in ipv4", Ipv4::of(41).frame(&inner6()));
    frames.add("ipv4 in ipv6", Ipv6::of(4).frame(&inner4()));
    frames.add("ipv6 in ipv6", Ipv6::of(41).frame(&inner6()));
    let twice = Ipv4::of(4).datagram(&Ipv4::of(ICMP).datagram(&icmp(8, 0, &fill(20))));
    frames.add("ipv4 in ipv4 in ipv4", Ipv4::of(4).frame(&twice));
}

fn gre(frames: &mut Frames) {
    let flagged: [(&str, u16, &[u8]); 4] = [
        ("plain", 0, &[]),
        ("keyed", 0x2000, &[0, 0, 0, 42]),
        ("checksummed", 0x8000, &[0, 0, 0, 0]),
        ("all", 0xb000, &[0, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 1]),
    ];
    for (name, flags, fields) in flagged {
        for (carried, ethertype, bytes) in cargo() {
            let header = join(&[&flags.to_be_bytes(), &ethertype.to_be_bytes(), fields, &bytes]);
            frames.add(format!("gre {name} {carried}"), Ipv4::of(47).frame(&header));
        }
    }
    frames.add("gre over ipv6", Ipv6::of(47).frame(&join(&[&[0, 0, 8, 0], &inner4()])));
}

fn vxlan(frames: &mut Frames) {
    for port in [4789, 8472, 4790, 5000] {
        for (carried, .., bytes) in cargo() {
            let payload = join(&[&[8, 0, 0, 0, 0, 0, 42, 0], &bytes]);
            frames.add(format!("vxlan {port} {carried}"), Ipv4::DEFAULT.frame(&udp(50000, port, &payload)));
        }
        let payload = join(&[&[8, 0, 0, 0, 0, 0, 43, 0], &ethernet(0x0800, &inner4())]);
        frames.add(format!("vxlan {port} over ipv6"), Ipv6::DEFAULT.frame(&udp(50000, port, &payload)));
    }
}

fn geneve(frames: &mut Frames) {
    let options: [(&str, &[u8]); 3] = [
        ("", &[]),
        ("options ", &[1, 2, 0x80, 1, 9, 9, 9, 9]),
        (
            "long options ",
            &[
                1, 2, 1, 7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
                26, 27, 28,
            ],
        ),
    ];
    for (name, options) in options {
        for (carried, ethertype, bytes) in cargo() {
            let first = [options.len() as u8 / 4, 0];
            let header = join(&[&first, &ethertype.to_be_bytes(), &[0, 0, 0x0b, 0], options]);
            let payload = join(&[&header, &bytes, &fill(30)]);
            let datagram = udp(50000, 6081, &payload);
            frames.add(format!("geneve {name}{carried}"), Ipv4::DEFAULT.frame(&datagram));
            frames.add(format!("geneve {name}{carried} over ipv6"), Ipv6::DEFAULT.frame(&datagram));
        }
    }
    let other = join(&[&[0, 0, 0x65, 0x58, 0xab, 0xcd, 0xef, 0], &ethernet(0x0800, &inner4())]);
    frames.add("geneve of another network", Ipv4::DEFAULT.frame(&udp(50000, 6081, &other)));
    frames.add("geneve on another port", Ipv4::DEFAULT.frame(&udp(50000, 6082, &other)));
    let version = join(&[&[0x40, 0, 0x65, 0x58, 0, 0, 0x0b, 0], &ethernet(0x0800, &inner4())]);
    frames.add("geneve of version 1", Ipv4::DEFAULT.frame(&udp(50000, 6081, &version)));
    let optioned = Ipv4 { options: &[1, 1, 1, 1], ..Ipv4::DEFAULT };
    let payload = join(&[&[0, 0, 8, 0, 0, 0, 0x0b, 0], &inner4()]);
    frames.add("geneve behind ipv4 options", optioned.frame(&udp(50000, 6081, &payload)));
}
