//! Ethernet, VLAN tags, ARP, MPLS, and EtherTypes that are shown by their number.

use super::Frames;
use super::wire::{Ipv4, Ipv6, TCP, Tcp, UDP, ethernet, fill, tagged, udp};

pub fn add(frames: &mut Frames) {
    vlan(frames);
    arp(frames);
    mpls(frames);
    others(frames);
    ieee802_3(frames);
}

fn vlan(frames: &mut Frames) {
    frames.group("vlan");
    let plain = Ipv4::default().frame(UDP, &udp(5000, 9000, &fill(40)));
    let six = Ipv6::default().frame(TCP, &Tcp::new(2).segment(&[]));
    for (ethertype, control) in
        [(0x8100, 5), (0x8100, 0xefff), (0x8100, 0x1000), (0x88a8, 100), (0x9100, 7), (0x9200, 0)]
    {
        frames.add(format!("{ethertype:04x} {control:04x} ipv4"), tagged(ethertype, control, &plain));
        frames.add(format!("{ethertype:04x} {control:04x} ipv6"), tagged(ethertype, control, &six));
    }
    let double = tagged(0x88a8, 100, &tagged(0x8100, 0x2005, &plain));
    frames.swept("two tags", double.clone());
    frames.add("three tags", tagged(0x9100, 1, &double));
    frames.add("a tag and an unknown type", tagged(0x8100, 9, &ethernet(0x88b5, &fill(30))));
    frames.add("nothing behind the tag", ethernet(0x8100, &[0, 5]));
    frames.add("nothing behind the type", ethernet(0x8100, &[]));
}

/// An ARP packet between Ethernet and IPv4.
fn packet(operation: u16, sender: [u8; 4], target_mac: [u8; 6], target: [u8; 4]) -> Vec<u8> {
    let fixed = [0, 1, 8, 0, 6, 4];
    [&fixed[..], &operation.to_be_bytes(), &[2, 0, 0, 0, 0, 1], &sender, &target_mac, &target].concat()
}

fn arp(frames: &mut Frames) {
    frames.group("arp");
    let (here, there) = ([192, 168, 1, 12], [192, 168, 1, 138]);
    let nobody = [0; 6];
    frames.swept("request", ethernet(0x0806, &packet(1, here, nobody, there)));
    for operation in [1, 2, 3, 4, 8, 9] {
        let of = packet(operation, here, [2, 0, 0, 0, 0, 2], there);
        frames.add(format!("operation {operation}"), ethernet(0x0806, &of));
        frames.add(format!("operation {operation}, padded"), ethernet(0x0806, &[&of[..], &[0; 18]].concat()));
        frames.add(format!("reverse arp, operation {operation}"), ethernet(0x8035, &of));
    }
    for operation in [0, 10, 11, 0x1234] {
        frames.add(format!("operation {operation}"), ethernet(0x0806, &packet(operation, here, nobody, there)));
    }
    frames.add("announcement", ethernet(0x0806, &packet(1, here, nobody, here)));
    let mut odd = packet(1, here, nobody, there);
    for (name, at, value) in [
        ("hardware 6", 1, 6),
        ("hardware 77", 1, 77),
        ("ipv6", 2, 0x86),
        ("hardware length 0", 4, 0),
        ("hardware length 5", 4, 5),
        ("protocol length 3", 5, 3),
        ("protocol length 0", 5, 0),
        ("hardware length 200", 4, 200),
    ] {
        let before = std::mem::replace(&mut odd[at], value);
        frames.add(name, ethernet(0x0806, &odd));
        odd[at] = before;
    }
}

fn label(label: u32, class: u32, bottom: bool) -> [u8; 4] {
    (label << 12 | class << 9 | u32::from(bottom) << 8 | 64).to_be_bytes()
}

fn mpls(frames: &mut Frames) {
    frames.group("mpls");
    let four = Ipv4::default().packet(UDP, &udp(5000, 9000, &fill(40)));
    let six = Ipv6::default().packet(UDP, &udp(5000, 9000, &fill(40)));
    for number in [0, 1, 2, 3, 4, 7, 15, 16, 100, 0xfffff] {
        let payload = if number == 2 { &six } else { &four };
        frames.add(format!("label {number}"), ethernet(0x8847, &[&label(number, 5, true), &payload[..]].concat()));
    }
    let stack = [label(100, 0, false), label(200, 3, true)].concat();
    frames.swept("two labels", ethernet(0x8847, &[&stack, &four[..]].concat()));
    frames.add("two labels, ipv6", ethernet(0x8847, &[&stack, &six[..]].concat()));
    frames.add("three labels", ethernet(0x8847, &[&label(3, 1, false), &stack[..], &four].concat()));
    frames.add("multicast", ethernet(0x8848, &[&stack, &four[..]].concat()));
    frames.add("an unknown payload", ethernet(0x8847, &[&stack, &fill(40)[..]].concat()));
    frames.add("no payload", ethernet(0x8847, &stack));
    frames.add("no bottom", ethernet(0x8847, &stack[..4]));
    frames.add("half a label", ethernet(0x8847, &stack[..6]));
    frames.add("explicit null for ipv4 in front of ipv6", ethernet(0x8847, &[&label(0, 0, true), &six[..]].concat()));
}

fn others(frames: &mut Frames) {
    frames.group("ethertype");
    // Those that tcpdump knows by name or not at all, and has no printer for.
    for ethertype in [0x88b5, 0x0601, 0x6004, 0x6002, 0x805b, 0x893a, 0xfffe, 0x6558, 0x0707 + 1, 0x22f0, 0x8038] {
        frames.add(format!("{ethertype:04x}"), ethernet(ethertype, &fill(46)));
        frames.add(format!("{ethertype:04x}, odd"), ethernet(ethertype, &fill(17)));
    }
    frames.add("88b5, empty", ethernet(0x88b5, &[]));
    frames.add("shorter than its header", fill(13));
    frames.add("one byte", fill(1));
    // Those that tcpdump has a printer for.
    frames.group("ethertype not decoded");
    for (name, ethertype) in [("lldp", 0x88cc), ("pppoe", 0x8864), ("eapol", 0x888e), ("lacp", 0x8809)] {
        frames.whole(name, ethernet(ethertype, &fill(46)));
    }
}

/// A frame with its length where others have their EtherType.
fn llc(bytes: &[u8]) -> Vec<u8> {
    ethernet(bytes.len() as u16, bytes)
}

fn ieee802_3(frames: &mut Frames) {
    frames.group("802.3");
    // Unnumbered, supervisory and information frames, commands and responses.
    for control in
        [&[3][..], &[0xe3], &[0xf3], &[0x0f], &[0x57], &[1, 1], &[5, 0], &[9, 2], &[0x0d, 3], &[0, 0], &[0x12, 0x35]]
    {
        for (destination, source) in [(0x04, 0x04), (0xf4, 0x05), (0x0e, 0x03), (0x00, 0x7f)] {
            let bytes = [&[destination, source], control, &fill(20)].concat();
            frames.add(format!("{destination:x} from {source:x}, {control:x?}"), llc(&bytes));
        }
    }
    for payload in [&[][..], &[0x81, 1], &[0x81, 1, 2], &[0x55, 1, 2]] {
        frames.add(format!("identification of {} bytes", payload.len()), llc(&[&[4, 4, 0xaf], payload].concat()));
    }
    let four = Ipv4::default().packet(UDP, &udp(5000, 9000, &fill(40)));
    frames.add("ip", llc(&[&[6, 6, 3], &four[..]].concat()));
    let snap = |organisation: [u8; 3], kind: u16, payload: &[u8]| {
        llc(&[&[0xaa, 0xaa, 3], &organisation[..], &kind.to_be_bytes(), payload].concat())
    };
    frames.swept("snap ip", snap([0, 0, 0], 0x0800, &four));
    frames.add("snap, cisco bridged", snap([0, 0, 0xf8], 0x0800, &four));
    frames.add("snap of an unknown type", snap([0, 0, 0], 0x88b5, &fill(20)));
    frames.add("snap of cisco", snap([0, 0, 0x0c], 0x1234, &fill(20)));
    frames.add("snap of an unknown organisation", snap([0x12, 0x34, 0x56], 0x0800, &fill(20)));
    frames.add("padded", [&llc(&[4, 4, 3, 1, 2])[..], &[0; 30]].concat());
    frames.add("longer than the frame", ethernet(100, &[&[4, 4, 3], &fill(20)[..]].concat()));
    for length in 0..4 {
        frames.add(format!("{length} bytes"), llc(&[4, 4, 0, 0][..length]));
    }
    frames.add("in a tag", tagged(0x8100, 9, &llc(&[4, 4, 3, 1, 2])));
    frames.group("802.3 not decoded");
    frames.whole("stp", llc(&[&[0x42, 0x42, 3], &[0; 35][..]].concat()));
    frames.whole("ipx", llc(&[&[0xe0, 0xe0, 3], &fill(43)[..]].concat()));
    frames.whole("is-is", llc(&[&[0xfe, 0xfe, 3], &fill(43)[..]].concat()));
    frames.whole("cdp", snap([0, 0, 0x0c], 0x2000, &fill(43)));
}
