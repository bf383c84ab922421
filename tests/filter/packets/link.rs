//! What lies directly on Ethernet and is no IP, and the tags before it.

use super::Frames;
use super::layers::{BROADCAST, DESTINATION, Ipv4, Ipv6, SOURCE, TCP, between, ethernet, fill, icmp, ieee8023, join};
use super::layers::{ICMP, labelled, llc, pppoe, snap, tagged, tcp, udp};

pub fn add(frames: &mut Frames) {
    stations(frames);
    arp(frames);
    ethertypes(frames);
    llc_kinds(frames);
    isis(frames);
    decnet(frames);
    vlans(frames);
    mpls(frames);
    ppp(frames);
}

fn stations(frames: &mut Frames) {
    let datagram = Ipv4::DEFAULT.datagram(&udp(5000, 53, &fill(20)));
    frames.add("to broadcast", between(SOURCE, BROADCAST, 0x0800, &datagram));
    frames.add("to multicast", between(SOURCE, [0x01, 0, 0x5e, 0, 0, 0xfb], 0x0800, &datagram));
    frames.add("to itself", between(SOURCE, SOURCE, 0x0800, &datagram));
    frames.add("back", between(DESTINATION, SOURCE, 0x0800, &datagram));
    frames.add("between others", between([0x52, 0x54, 0, 1, 2, 3], [0x52, 0x54, 0, 4, 5, 6], 0x0800, &datagram));
    frames.add("zero stations", between([0; 6], [0; 6], 0x0800, &datagram));
    frames.add("no payload", ethernet(0x0800, &[]));
    frames.add("runt of one byte", vec![0x02]);
}

fn arp(frames: &mut Frames) {
    let message = |operation: u16, sender: [u8; 4], target: [u8; 4]| {
        let head = [0, 1, 8, 0, 6, 4];
        join(&[&head, &operation.to_be_bytes(), &SOURCE, &sender, &DESTINATION, &target, &[0; 18]])
    };
    let (here, there) = ([192, 168, 1, 12], [192, 168, 1, 138]);
    frames.add("arp request", between(SOURCE, BROADCAST, 0x0806, &message(1, here, there)));
    frames.add("arp reply", ethernet(0x0806, &message(2, there, here)));
    frames.add("arp gratuitous", between(SOURCE, BROADCAST, 0x0806, &message(1, here, here)));
    frames.add("arp elsewhere", ethernet(0x0806, &message(1, [10, 0, 0, 1], [10, 0, 0, 2])));
    frames.add("rarp request", between(SOURCE, BROADCAST, 0x8035, &message(3, [0; 4], [0; 4])));
    frames.add("rarp reply", ethernet(0x8035, &message(4, here, there)));
    frames.add("arp vlan 100", tagged(0x8100, 100, &ethernet(0x0806, &message(1, here, there))));
}

fn ethertypes(frames: &mut Frames) {
    const NAMED: [(&str, u16); 21] = [
        ("aarp", 0x80f3),
        ("appletalk", 0x809b),
        ("ipx", 0x8137),
        ("lat", 0x6004),
        ("mop dl", 0x6001),
        ("mop rc", 0x6002),
        ("sca", 0x6007),
        ("loopback", 0x9000),
        ("lldp", 0x88cc),
        ("eapol", 0x888e),
        ("ptp", 0x88f7),
        ("macsec", 0x88e5),
        ("profinet", 0x8892),
        ("fcoe", 0x8906),
        ("wake on lan", 0x0842),
        ("transparent ethernet", 0x6558),
        ("homeplug", 0x88e1),
        ("local experiment", 0x88b5),
        ("last length", 1500),
        ("neither length nor type", 1501),
        ("first type", 1536),
    ];
    for (name, ethertype) in NAMED {
        frames.add(name, ethernet(ethertype, &fill(46)));
    }
    frames.add("lldp to its group", between(SOURCE, [0x01, 0x80, 0xc2, 0, 0, 0x0e], 0x88cc, &fill(60)));
}

fn llc_kinds(frames: &mut Frames) {
    const CONTROLS: [(&str, u8); 14] = [
        ("i", 0x00),
        ("i 2", 0x42),
        ("rr", 0x01),
        ("rnr", 0x05),
        ("rej", 0x09),
        ("ui", 0x03),
        ("ui poll", 0x13),
        ("ua", 0x63),
        ("disc", 0x43),
        ("sabme", 0x6f),
        ("test", 0xe3),
        ("xid", 0xaf),
        ("frmr", 0x87),
        ("dm", 0x0f),
    ];
    for (name, control) in CONTROLS {
        frames.add(format!("llc {name}"), llc(0x04, 0x08, control, &fill(43)));
    }
    frames.add("stp", between(SOURCE, [0x01, 0x80, 0xc2, 0, 0, 0], 38, &join(&[&[0x42, 0x42, 3], &[0; 35]])));
    frames.add("netbeui", llc(0xf0, 0xf0, 3, &fill(43)));
    frames.add("802.3 ipx llc", llc(0xe0, 0xe0, 3, &fill(43)));
    frames.add("802.3 ipx raw", ieee8023(&join(&[&[0xff, 0xff], &fill(120)])));
    frames.add("802.3 empty", ieee8023(&[]));
    frames.add("llc ip", llc(0x06, 0x06, 3, &Ipv4::DEFAULT.datagram(&udp(1, 2, &[]))));
    frames.add("snap ip", snap([0; 3], 0x0800, &Ipv4::DEFAULT.datagram(&udp(5000, 53, &fill(8)))));
    frames.add("snap aarp", snap([0; 3], 0x80f3, &fill(28)));
    frames.add("snap ipx", snap([0; 3], 0x8137, &fill(30)));
    frames.add("snap appletalk", snap([8, 0, 7], 0x809b, &fill(100)));
    frames.add("snap cdp", snap([0, 0, 0x0c], 0x2000, &fill(60)));
    frames.add("llc vlan 7", tagged(0x8100, 7, &llc(0x42, 0x42, 3, &fill(35))));
}

fn isis(frames: &mut Frames) {
    const KINDS: [(&str, u8); 9] = [
        ("l1 iih", 15),
        ("l2 iih", 16),
        ("ptp iih", 17),
        ("l1 lsp", 18),
        ("l2 lsp", 20),
        ("l1 csnp", 24),
        ("l2 csnp", 25),
        ("l1 psnp", 26),
        ("l2 psnp", 27),
    ];
    for (name, kind) in KINDS {
        frames.add(format!("isis {name}"), llc(0xfe, 0xfe, 3, &join(&[&[0x83, 27, 1, 0, kind, 1, 0, 0], &fill(110)])));
    }
    frames.add("clnp", llc(0xfe, 0xfe, 3, &join(&[&[0x81], &fill(50)])));
    frames.add("esis", llc(0xfe, 0xfe, 3, &join(&[&[0x82], &fill(50)])));
}

/// From 10.123 to 1.2; both padded and not, with a long and with a short header.
fn decnet(frames: &mut Frames) {
    let address = |area: u16, node: u16| (area << 10 | node).to_le_bytes();
    let (source, destination) = (address(10, 123), address(1, 2));
    let own = join(&[&[60, 0, 0x02], &source, &source, &fill(42)]);
    frames.add("decnet to itself", ethernet(0x6003, &own));
    let long = join(&[&[0x26, 0, 0, 0xaa, 0, 4, 0], &destination, &[0, 0, 0xaa, 0, 4, 0], &source, &fill(80)]);
    let short = join(&[&[0x02], &destination, &source, &fill(42)]);
    for (name, routing) in [("long", long), ("short", short)] {
        frames.add(format!("decnet {name}"), ethernet(0x6003, &join(&[&[60, 0], &routing])));
        frames.add(format!("decnet padded {name}"), ethernet(0x6003, &join(&[&[61, 0, 0x81], &routing])));
    }
}

fn vlans(frames: &mut Frames) {
    let udp4 = Ipv4::DEFAULT.frame(&udp(5000, 53, &fill(40)));
    let tcp6 = Ipv6::of(TCP).frame(&tcp(40000, 443, 0x18, &[], &fill(40)));
    for protocol in [0x8100, 0x88a8, 0x9100, 0x9200] {
        for control in [0, 1, 100, 200, 0xe064, 0x1fff] {
            frames.add(format!("vlan {protocol:x} {control:x} udp"), tagged(protocol, control, &udp4));
        }
        frames.add(format!("vlan {protocol:x} tcp6"), tagged(protocol, 300, &tcp6));
        let inner = tagged(0x8100, 200, &udp4);
        frames.add(format!("qinq {protocol:x} udp"), tagged(protocol, 100, &inner));
        frames.add(format!("qinq {protocol:x} tcp6"), tagged(protocol, 300, &tagged(0x88a8, 400, &tcp6)));
        frames.add(format!("triple {protocol:x} udp"), tagged(protocol, 300, &tagged(0x88a8, 100, &inner)));
    }
    frames.add("vlan 100 unknown type", tagged(0x8100, 100, &ethernet(0x88b5, &fill(46))));
    let echo = Ipv4::of(ICMP).frame(&icmp(8, 0, &fill(56)));
    frames.add("vlan 100 icmp", tagged(0x8100, 100, &echo));
    frames.add("triple 8100 icmp", tagged(0x8100, 1, &tagged(0x8100, 2, &tagged(0x8100, 3, &echo))));
}

fn mpls(frames: &mut Frames) {
    let udp4 = Ipv4::DEFAULT.frame(&udp(5000, 53, &fill(60)));
    let tcp6 = Ipv6::of(TCP).frame(&tcp(40000, 443, 0x10, &[], &fill(10)));
    let stacks: [&[u32]; 3] = [&[100_000], &[100_000, 1024], &[16, 100_000, 1024]];
    for labels in stacks {
        let depth = labels.len();
        frames.add(format!("mpls {depth} udp"), labelled(0x8847, labels, &udp4));
        frames.add(format!("mpls {depth} tcp6"), labelled(0x8847, labels, &tcp6));
        frames.add(format!("mpls multicast {depth} udp"), labelled(0x8848, labels, &udp4));
        frames.add(format!("mpls {depth} udp in vlan 100"), tagged(0x8100, 100, &labelled(0x8847, labels, &udp4)));
    }
    frames.add("mpls 1024", labelled(0x8847, &[1024], &udp4));
    frames.add("mpls largest label", labelled(0x8847, &[0xf_ffff], &udp4));
}

fn ppp(frames: &mut Frames) {
    let udp4 = Ipv4::DEFAULT.datagram(&udp(5000, 53, &fill(60)));
    let tcp6 = Ipv6::of(TCP).datagram(&tcp(40000, 443, 0x10, &[], &fill(10)));
    frames.add("pppoe discovery", ethernet(0x8863, &join(&[&[0x11, 0x09, 0, 0, 0, 8], &fill(40)])));
    for session in [0, 1, 0x27, 0xffff] {
        frames.add(format!("pppoe {session:x} udp"), pppoe(session, 0x0021, &udp4));
        frames.add(format!("pppoe {session:x} tcp6"), pppoe(session, 0x0057, &tcp6));
    }
    frames.add("pppoe lcp", pppoe(0x27, 0xc021, &fill(20)));
    frames.add("pppoe in vlan 100", tagged(0x8100, 100, &pppoe(0x27, 0x0021, &udp4)));
}
