//! Headers as they are on the wire, with the checksums that belong in them.

use std::net::{Ipv4Addr, Ipv6Addr};

pub const SOURCE: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
pub const DESTINATION: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMP6: u8 = 58;
pub const SCTP: u8 = 132;

/// `length` bytes, some of them characters.
pub fn fill(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 29 + index / 7 + 33) as u8).collect()
}

pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&DESTINATION, &SOURCE, &ethertype.to_be_bytes()[..], payload].concat()
}

/// `frame` with a tag in front of its EtherType.
pub fn tagged(ethertype: u16, control: u16, frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &ethertype.to_be_bytes(), &control.to_be_bytes(), &frame[12..]].concat()
}

fn sum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let words = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

/// Puts the checksum in place where there is none yet.
fn seal(protocol: u8, pseudo_header: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut payload = payload.to_vec();
    let at = match protocol {
        TCP => 16,
        UDP => 6,
        ICMP | ICMP6 => 2,
        _ => return payload,
    };
    if payload.get(at..at + 2) == Some(&[0, 0]) {
        let pseudo_header = if protocol == ICMP { &[] } else { pseudo_header };
        let sum = sum(&[pseudo_header, &payload]);
        payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    payload
}

#[derive(Clone)]
pub struct Ipv4 {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub tos: u8,
    pub id: u16,
    /// The flags and the offset.
    pub fragment: u16,
    pub ttl: u8,
    pub options: Vec<u8>,
}

impl Default for Ipv4 {
    fn default() -> Self {
        Self {
            source: Ipv4Addr::new(192, 168, 1, 12),
            destination: Ipv4Addr::new(192, 168, 1, 138),
            tos: 0,
            id: 0x1234,
            fragment: 0x4000,
            ttl: 64,
            options: Vec::new(),
        }
    }
}

impl Ipv4 {
    pub fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let pseudo_header = [
            &self.source.octets()[..],
            &self.destination.octets(),
            &[0, protocol],
            &(payload.len() as u16).to_be_bytes(),
        ]
        .concat();
        let payload = seal(protocol, &pseudo_header, payload);
        let words = 5 + self.options.len() / 4;
        let length = (words * 4 + payload.len()) as u16;
        let mut header = vec![0x40 | words as u8, self.tos];
        for field in [length, self.id, self.fragment] {
            header.extend(field.to_be_bytes());
        }
        header.extend([self.ttl, protocol, 0, 0]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        header.extend(&self.options);
        let sum = sum(&[&header]);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        [header, payload].concat()
    }

    pub fn frame(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        ethernet(0x0800, &self.packet(protocol, payload))
    }
}

#[derive(Clone)]
pub struct Ipv6 {
    pub source: Ipv6Addr,
    pub destination: Ipv6Addr,
    /// Traffic class and flow label.
    pub flow: u32,
    pub hops: u8,
}

impl Default for Ipv6 {
    fn default() -> Self {
        Self {
            source: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
            destination: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
            flow: 0,
            hops: 64,
        }
    }
}

impl Ipv6 {
    pub fn packet(&self, next: u8, payload: &[u8]) -> Vec<u8> {
        self.extended(next, &[], next, payload)
    }

    /// With extension headers, of which the first has the number `next`, in front of what `protocol` is.
    pub fn extended(&self, next: u8, extensions: &[u8], protocol: u8, payload: &[u8]) -> Vec<u8> {
        let pseudo_header = [
            &self.source.octets()[..],
            &self.destination.octets(),
            &(payload.len() as u32).to_be_bytes(),
            &[0, 0, 0, protocol],
        ]
        .concat();
        let payload = seal(protocol, &pseudo_header, payload);
        let length = (extensions.len() + payload.len()) as u16;
        let first = (6 << 28 | self.flow).to_be_bytes();
        let addresses = [self.source.octets(), self.destination.octets()].concat();
        [&first[..], &length.to_be_bytes(), &[next, self.hops], &addresses, extensions, &payload].concat()
    }

    pub fn frame(&self, next: u8, payload: &[u8]) -> Vec<u8> {
        ethernet(0x86dd, &self.packet(next, payload))
    }
}

#[derive(Clone, Default)]
pub struct Tcp {
    pub source: u16,
    pub destination: u16,
    pub sequence: u32,
    pub acknowledged: u32,
    pub flags: u8,
    pub options: Vec<u8>,
    pub urgent: u16,
    pub sum: u16,
}

impl Tcp {
    pub fn new(flags: u8) -> Self {
        Self { source: 40000, destination: 9999, sequence: 1000, acknowledged: 2000, flags, ..Self::default() }
    }

    pub fn segment(&self, payload: &[u8]) -> Vec<u8> {
        let words = 5 + self.options.len() as u8 / 4;
        [
            &self.source.to_be_bytes()[..],
            &self.destination.to_be_bytes(),
            &self.sequence.to_be_bytes(),
            &self.acknowledged.to_be_bytes(),
            &[words << 4, self.flags, 0x72, 0x10],
            &self.sum.to_be_bytes(),
            &self.urgent.to_be_bytes(),
            &self.options,
            payload,
        ]
        .concat()
    }
}

pub fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len() as u16).to_be_bytes();
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &length, &[0, 0], payload].concat()
}

/// A message of ICMP or ICMPv6, the last 4 bytes of its header included.
pub fn icmp(kind: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
    [&[kind, code, 0, 0], &rest[..], payload].concat()
}

pub fn ip6(address: &str) -> Ipv6Addr {
    address.parse().unwrap()
}
