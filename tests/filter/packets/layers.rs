//! Headers, each as the bytes that it is on the wire.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The stations of nearly every frame.
pub const SOURCE: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
pub const DESTINATION: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
pub const BROADCAST: [u8; 6] = [0xff; 6];

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const SCTP: u8 = 132;
pub const ICMP: u8 = 1;
pub const ICMP6: u8 = 58;

/// `length` bytes that differ from their neighbours, so that a load from the wrong place is seen.
pub fn fill(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 37 + index / 256 + 11) as u8).collect()
}

pub fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// An Ethernet II frame between the usual stations.
pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    between(SOURCE, DESTINATION, ethertype, payload)
}

pub fn between(source: [u8; 6], destination: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&destination, &source, &ethertype.to_be_bytes(), payload])
}

/// An 802.3 frame: its length stands where Ethernet II has the type.
pub fn ieee8023(payload: &[u8]) -> Vec<u8> {
    ethernet(payload.len() as u16, payload)
}

/// 802.2 LLC in an 802.3 frame.
pub fn llc(dsap: u8, ssap: u8, control: u8, payload: &[u8]) -> Vec<u8> {
    ieee8023(&join(&[&[dsap, ssap, control], payload]))
}

pub fn snap(organisation: [u8; 3], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    llc(0xaa, 0xaa, 3, &join(&[&organisation, &ethertype.to_be_bytes(), payload]))
}

/// `frame` with `bytes` before its type.
fn inserted(frame: &[u8], bytes: &[u8]) -> Vec<u8> {
    join(&[&frame[..12], bytes, &frame[12..]])
}

/// `frame` in a VLAN.
pub fn tagged(protocol: u16, control: u16, frame: &[u8]) -> Vec<u8> {
    inserted(frame, &join(&[&protocol.to_be_bytes(), &control.to_be_bytes()]))
}

/// `frame` with labels, outermost first, in place of its type.
pub fn labelled(ethertype: u16, labels: &[u32], frame: &[u8]) -> Vec<u8> {
    let stack: Vec<u8> = labels
        .iter()
        .enumerate()
        .flat_map(|(index, label)| {
            let bottom = u32::from(index + 1 == labels.len());
            (label << 12 | 5 << 9 | bottom << 8 | 64).to_be_bytes()
        })
        .collect();
    join(&[&frame[..12], &ethertype.to_be_bytes(), &stack, &frame[14..]])
}

/// A PPPoE frame of code 0 in a session that carries a PPP protocol.
pub fn pppoe(session: u16, protocol: u16, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u16 + 2;
    let header = join(&[&[0x11, 0], &session.to_be_bytes(), &length.to_be_bytes(), &protocol.to_be_bytes()]);
    ethernet(0x8864, &join(&[&header, payload]))
}

/// An IPv4 header.
#[derive(Clone, Copy)]
pub struct Ipv4 {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub tos: u8,
    pub id: u16,
    /// The flags and the offset.
    pub fragment: u16,
    pub ttl: u8,
    pub protocol: u8,
    pub options: &'static [u8],
}

impl Ipv4 {
    pub const DEFAULT: Self = Self {
        source: Ipv4Addr::new(192, 168, 1, 12),
        destination: Ipv4Addr::new(192, 168, 1, 138),
        tos: 0,
        id: 0x1234,
        fragment: 0,
        ttl: 64,
        protocol: UDP,
        options: &[],
    };

    pub fn of(protocol: u8) -> Self {
        Self { protocol, ..Self::DEFAULT }
    }

    pub fn to(destination: [u8; 4]) -> Self {
        Self { destination: destination.into(), ..Self::DEFAULT }
    }

    /// The datagram, without a link layer.
    pub fn datagram(&self, payload: &[u8]) -> Vec<u8> {
        let words = 5 + self.options.len() / 4;
        let length = (words * 4 + payload.len()) as u16;
        let mut header = vec![0x40 | words as u8, self.tos];
        for field in [length, self.id, self.fragment] {
            header.extend(field.to_be_bytes());
        }
        header.extend([self.ttl, self.protocol, 0, 0]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        join(&[&header, self.options, payload])
    }

    pub fn frame(&self, payload: &[u8]) -> Vec<u8> {
        ethernet(0x0800, &self.datagram(payload))
    }
}

/// An IPv6 header.
#[derive(Clone, Copy)]
pub struct Ipv6 {
    pub source: Ipv6Addr,
    pub destination: Ipv6Addr,
    /// Traffic class and flow label.
    pub flow: u32,
    pub hops: u8,
    pub next: u8,
}

impl Ipv6 {
    pub const DEFAULT: Self = Self {
        source: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
        destination: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
        flow: 0,
        hops: 64,
        next: UDP,
    };

    pub fn of(next: u8) -> Self {
        Self { next, ..Self::DEFAULT }
    }

    /// The datagram, without a link layer.
    pub fn datagram(&self, payload: &[u8]) -> Vec<u8> {
        let first = (6 << 28 | self.flow).to_be_bytes();
        let length = (payload.len() as u16).to_be_bytes();
        let addresses = [self.source.octets(), self.destination.octets()].concat();
        join(&[&first, &length, &[self.next, self.hops], &addresses, payload])
    }

    pub fn frame(&self, payload: &[u8]) -> Vec<u8> {
        ethernet(0x86dd, &self.datagram(payload))
    }
}

/// An IPv6 extension header of 8 + 8 × `units` bytes, and what follows it.
pub fn extension(next: u8, units: u8, payload: &[u8]) -> Vec<u8> {
    join(&[&[next, units], &fill(6 + 8 * usize::from(units)), payload])
}

/// An IPv6 fragment header with an offset in units of 8 bytes, and what follows it.
pub fn fragment(next: u8, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let place = (offset << 3 | u16::from(more)).to_be_bytes();
    join(&[&[next, 0], &place, &[0, 0, 0x56, 0x78], payload])
}

/// A TCP segment; `options` in whole words.
pub fn tcp(source: u16, destination: u16, flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let words = 5 + options.len() as u8 / 4;
    let fixed = [0, 0, 0, 1, 0, 0, 0, 2, words << 4, flags, 0x72, 0x10, 0, 0, 0, 0];
    join(&[&ports(source, destination), &fixed, options, payload])
}

pub fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len() as u16).to_be_bytes();
    join(&[&ports(source, destination), &length, &[0, 0], payload])
}

pub fn sctp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&ports(source, destination), &[0xca, 0xfe, 0, 1, 0, 0, 0, 0], payload])
}

/// A message of ICMP, of ICMPv6 or of a protocol that begins like them.
pub fn icmp(kind: u8, code: u8, payload: &[u8]) -> Vec<u8> {
    join(&[&[kind, code, 0, 0, 0, 1, 0, 2], payload])
}

fn ports(source: u16, destination: u16) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes()].concat()
}
