//! TCP, UDP and SCTP, on IPv4 and IPv6.

use super::Frames;
use super::wire::{Ipv4, Ipv6, SCTP, TCP, Tcp, UDP, ethernet, fill, udp};

pub fn add(frames: &mut Frames) {
    tcp_connection(frames);
    tcp_flags(frames);
    tcp_options(frames);
    tcp_broken(frames);
    udp_lengths(frames);
    sctp(frames);
    decoded_elsewhere(frames);
}

fn both(frames: &mut Frames, name: &str, protocol: u8, payload: &[u8]) {
    frames.add(format!("{name}, ipv4"), Ipv4::default().frame(protocol, payload));
    frames.add(format!("{name}, ipv6"), Ipv6::default().frame(protocol, payload));
}

/// Relative numbers depend on the segments before, in both directions, across wrap-around and on a new start.
fn tcp_connection(frames: &mut Frames) {
    frames.group("tcp connection");
    for (from, to) in [(40_000, 9_999), (9_998, 40_000), (7_777, 7_777)] {
        let there = |flags: u8, sequence: u32, acknowledged: u32| Tcp {
            source: from,
            destination: to,
            sequence,
            acknowledged,
            ..Tcp::new(flags)
        };
        let back = |flags, sequence, acknowledged| Tcp {
            source: to,
            destination: from,
            ..there(flags, sequence, acknowledged)
        };
        let (client, server) = (u32::MAX - 20, 5000);
        let mut sack = back(0x10, server + 1, client.wrapping_add(1));
        sack.options =
            [&[1, 1, 5, 10][..], &client.wrapping_add(50).to_be_bytes(), &client.wrapping_add(90).to_be_bytes()]
                .concat();
        let segments = [
            there(0x02, client, 0).segment(&[]),
            back(0x12, server, client.wrapping_add(1)).segment(&[]),
            there(0x10, client.wrapping_add(1), server + 1).segment(&[]),
            there(0x18, client.wrapping_add(1), server + 1).segment(&fill(30)),
            back(0x10, server + 1, client.wrapping_add(31)).segment(&[]),
            sack.segment(&[]),
            back(0x18, server + 1, client.wrapping_add(31)).segment(&fill(90)),
            there(0x11, client.wrapping_add(31), server + 91).segment(&[]),
            back(0x14, server + 91, client.wrapping_add(32)).segment(b"no more \x01\xff of this, thank you very much"),
            there(0x12, 77, 99).segment(&[]),
            there(0x10, 78, 100).segment(&[]),
        ];
        for (n, segment) in segments.iter().enumerate() {
            let mirrored = segment[..2] == [0x1e, 0x61] && n % 2 == 1;
            let mut header = Ipv4::default();
            if mirrored {
                std::mem::swap(&mut header.source, &mut header.destination);
            }
            frames.whole(format!("{from} to {to}, segment {n}, ipv4"), header.frame(TCP, segment));
            frames.whole(format!("{from} to {to}, segment {n}, ipv6"), Ipv6::default().frame(TCP, segment));
        }
    }
}

fn tcp_flags(frames: &mut Frames) {
    frames.group("tcp flags");
    for flags in [0, 1, 2, 4, 8, 0x10, 0x11, 0x12, 0x14, 0x18, 0x20, 0x30, 0x40, 0x52, 0x80, 0xc2, 0xff] {
        let segment = Tcp { urgent: 7, source: 41_000 + u16::from(flags), ..Tcp::new(flags) };
        both(frames, &format!("{flags:x}"), TCP, &segment.segment(&[]));
        both(frames, &format!("{flags:x} with data"), TCP, &segment.segment(&fill(40)));
    }
}

fn tcp_options(frames: &mut Frames) {
    frames.group("tcp options");
    let md5 = [&[19, 18][..], &fill(16), &[1, 0]].concat();
    let ao = [&[29, 16, 1, 2][..], &fill(12)].concat();
    let options: Vec<(&str, &[u8])> = vec![
        ("syn", &[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7]),
        ("timestamps", &[1, 1, 8, 10, 0xff, 0, 0, 9, 0, 0, 1, 0]),
        ("eol", &[0, 1, 1, 1]),
        ("nop", &[1, 1, 1, 0]),
        ("sack", &[1, 1, 5, 18, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 10, 0, 0, 0, 11, 0]),
        ("odd sack", &[1, 1, 5, 6, 0, 0, 8, 0]),
        ("echo", &[6, 6, 0, 0, 0, 1, 7, 6, 0, 0, 0, 2]),
        ("cc", &[11, 6, 0, 0, 0, 1, 12, 6, 0, 0, 0, 2, 13, 6, 0, 0, 0, 3, 1, 1]),
        ("signature", &md5),
        ("scps", &[20, 4, 0x21, 9]),
        ("user timeout", &[28, 4, 0x80, 9]),
        ("user timeout, seconds", &[28, 4, 0, 8]),
        ("authentication", &ao),
        ("authentication, short", &[29, 3, 1, 1]),
        ("fast open request", &[34, 2, 1, 1]),
        ("fast open", &[34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1]),
        ("fast open, odd", &[34, 5, 1, 2, 3, 1, 1, 1]),
        ("experiment", &[254, 4, 0x12, 0x34]),
        ("experimental fast open", &[254, 8, 0xf9, 0x89, 1, 2, 3, 4]),
        ("short experiment", &[254, 3, 1, 1]),
        ("unknown", &[99, 6, 1, 2, 3, 4, 98, 2, 1, 1]),
        ("segment size of another length", &[2, 6, 5, 0xb4, 1, 1, 1, 1]),
        ("length 0", &[8, 0, 0, 0]),
        ("length 1", &[1, 8, 1, 0]),
        ("too long", &[1, 1, 8, 10]),
        ("too long in front", &[8, 10, 0, 0]),
    ];
    for (n, (name, bytes)) in options.into_iter().enumerate() {
        let options = [bytes, &[1; 3][..(4 - bytes.len() % 4) % 4]].concat();
        let segment = Tcp { options, source: 42_000 + n as u16, ..Tcp::new(0x12) };
        both(frames, name, TCP, &segment.segment(&fill(n)));
    }
    let options = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7].to_vec();
    frames.swept(
        "cut everywhere",
        Ipv4::default().frame(TCP, &Tcp { options, source: 43_000, ..Tcp::new(2) }.segment(&fill(5))),
    );
}

fn tcp_broken(frames: &mut Frames) {
    frames.group("tcp broken");
    both(frames, "sum", TCP, &Tcp { sum: 0x1234, source: 44_000, ..Tcp::new(0x18) }.segment(&fill(11)));
    for words in [0, 4, 6, 15] {
        let mut segment = Tcp { source: 44_001, ..Tcp::new(0x18) }.segment(&fill(10));
        segment[12] = words << 4;
        both(frames, &format!("header of {words} words"), TCP, &segment);
    }
    for length in [0, 1, 3, 4, 12, 19] {
        both(frames, &format!("{length} bytes"), TCP, &Tcp::new(0x10).segment(&[])[..length]);
    }
    both(frames, "reset with text", TCP, &Tcp { source: 44_002, ..Tcp::new(4) }.segment(b"go away"));
    let routed = Ipv4 { options: vec![131, 11, 4, 10, 0, 0, 1, 10, 0, 0, 2, 0], ..Ipv4::default() };
    frames.add("sum over a source route", routed.frame(TCP, &Tcp { source: 44_003, ..Tcp::new(2) }.segment(&[])));
}

fn udp_lengths(frames: &mut Frames) {
    frames.group("udp");
    for length in [0, 1, 2, 7, 8, 40, 99, 100, 512, 1472] {
        both(frames, &format!("{length} bytes"), UDP, &udp(5000, 9000, &fill(length)));
    }
    for (name, at, bytes) in [
        ("sum", 6, [0x12, 0x34]),
        ("length 0", 4, [0, 0]),
        ("length 7", 4, [0, 7]),
        ("length 8", 4, [0, 8]),
        ("length 9", 4, [0, 9]),
        ("length 200", 4, [0, 200]),
    ] {
        let mut datagram = udp(5000, 9000, &fill(20));
        datagram[at..at + 2].copy_from_slice(&bytes);
        both(frames, name, UDP, &datagram);
    }
    let mut without = Ipv4::default().frame(UDP, &udp(5000, 9000, &fill(20)));
    without[40..42].copy_from_slice(&[0, 0]);
    frames.add("no sum, ipv4", without);
    for length in [0, 3, 4, 5, 7] {
        both(frames, &format!("{length} bytes of a header"), UDP, &udp(5000, 9000, &[])[..length]);
    }
    frames.swept("cut everywhere", Ipv6::default().frame(UDP, &udp(5000, 9000, &fill(12))));
}

fn chunk(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let length = (4 + body.len() as u16).to_be_bytes();
    [&[kind, flags], &length[..], body, &[0; 3][..(4 - body.len() % 4) % 4]].concat()
}

fn packet(chunks: &[Vec<u8>]) -> Vec<u8> {
    [&[0x9c, 0x40, 0x27, 0x0f, 0xca, 0xfe, 0, 1, 1, 2, 3, 4], &chunks.concat()[..]].concat()
}

fn sctp(frames: &mut Frames) {
    frames.group("sctp");
    let data = |flags, payload: u32, length| {
        chunk(0, flags, &[&[0, 0, 1, 0, 0, 5, 0, 9][..], &payload.to_be_bytes(), &fill(length)].concat())
    };
    let init = [0, 0, 0, 9, 0, 1, 0, 0, 0, 10, 0, 20, 0, 0, 0, 77];
    let sack = |gaps: u16, duplicates: u16, more: &[u8]| {
        let body = [&[0, 0, 1, 0, 0, 1, 0, 0][..], &gaps.to_be_bytes(), &duplicates.to_be_bytes(), more].concat();
        chunk(3, 0, &body)
    };
    for (flags, payload) in [(3, 0), (0, 1), (1, 3000), (2, 18), (7, 46), (4, 27), (3, 26)] {
        both(frames, &format!("data, flags {flags}"), SCTP, &packet(&[data(flags, payload, 10)]));
    }
    for kind in [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xc0, 0xc1, 0xc2, 0x80, 0x0f] {
        both(frames, &format!("chunk {kind:x}"), SCTP, &packet(&[chunk(kind, 0, &fill(8))]));
    }
    both(frames, "init", SCTP, &packet(&[chunk(1, 0, &init)]));
    both(frames, "init ack", SCTP, &packet(&[chunk(2, 0, &[&init[..], &fill(20)].concat())]));
    both(frames, "short init", SCTP, &packet(&[chunk(1, 0, &init[..12])]));
    both(frames, "sack", SCTP, &packet(&[sack(0, 0, &[])]));
    both(frames, "sack with gaps", SCTP, &packet(&[sack(2, 1, &[0, 2, 0, 3, 0, 5, 0, 9, 0, 0, 1, 1])]));
    both(frames, "sack with too few gaps", SCTP, &packet(&[sack(2, 1, &[0, 2, 0, 3])]));
    both(frames, "short sack", SCTP, &packet(&[chunk(3, 0, &[0; 8])]));
    both(frames, "short data", SCTP, &packet(&[chunk(0, 3, &[0; 8])]));
    both(frames, "data without any", SCTP, &packet(&[data(3, 0, 0)]));
    both(frames, "no chunk", SCTP, &packet(&[]));
    both(frames, "two bytes of a chunk", SCTP, &packet(&[vec![0, 3]]));
    both(frames, "chunk of length 3", SCTP, &packet(&[vec![0, 3, 0, 3]]));
    both(frames, "chunk longer than the packet", SCTP, &packet(&[vec![4, 3, 0, 30, 1, 2, 3, 4]]));
    both(frames, "half a header", SCTP, &packet(&[])[..6]);
    let several = packet(&[sack(0, 0, &[]), data(3, 0, 7), data(3, 0, 9)]);
    frames.swept("several", Ipv4::default().frame(SCTP, &several));
    both(frames, "several", SCTP, &several);
}

/// Ports whose payload tcpdump takes apart.
fn decoded_elsewhere(frames: &mut Frames) {
    frames.group("payload not decoded");
    frames.whole("ntp", Ipv4::default().frame(UDP, &udp(123, 123, &[0x23; 48])));
    frames.whole(
        "dns",
        Ipv4::default().frame(UDP, &udp(5000, 53, &[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1])),
    );
    frames.whole("syslog", ethernet(0x0800, &Ipv4::default().packet(UDP, &udp(514, 514, b"<13>hello"))));
    frames.whole(
        "http",
        Ipv4::default().frame(TCP, &Tcp { destination: 80, ..Tcp::new(0x18) }.segment(b"GET / HTTP/1.1\r\n\r\n")),
    );
}
