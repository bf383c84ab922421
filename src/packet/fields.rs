//! The fields of each header: what they are called, where they stand, and what they are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::layers::Protocol;
use super::names;

/// A field of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its key in JSON; in text the underscores are blanks.
    pub name: &'static str,
    /// What it holds.
    pub value: Value<'a>,
}

/// What a field holds. Lengths and offsets are in bytes, except where RFCs count in other units and a field is named
/// after it: ports, labels and identifiers are plain numbers in host order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number in host order.
    Number(u64),
    /// A link-layer address.
    Mac([u8; 6]),
    /// A network-layer address.
    Ip(IpAddr),
    /// A single bit.
    Bool(bool),
    /// Words for what has a short name, such as TCP's flags in tcpdump's letters.
    Text(&'static str),
    /// What is not taken apart, such as options.
    Bytes(&'a [u8]),
}

/// How the bits of a field are read.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Number,
    /// A number that counts in units of so many bytes.
    Times(u64),
    Bool,
    Mac,
    Ipv4,
    Ipv6,
    TcpFlags,
    /// All bytes from there to the header's end; no field where there are none.
    Rest,
}

/// A field: its name, its first bit in the header, and how many bits it has.
struct Place(&'static str, usize, usize, Kind);

const ETHERNET: &[Place] = &[
    Place("dst_mac", 0, 48, Kind::Mac),
    Place("src_mac", 48, 48, Kind::Mac),
    Place("ethertype", 96, 16, Kind::Number),
];
const VLAN: &[Place] = &[
    Place("priority", 0, 3, Kind::Number),
    Place("drop_eligible", 3, 1, Kind::Bool),
    Place("vlan", 4, 12, Kind::Number),
    Place("ethertype", 16, 16, Kind::Number),
];
const MPLS: &[Place] = &[
    Place("label", 0, 20, Kind::Number),
    Place("traffic_class", 20, 3, Kind::Number),
    Place("bottom_of_stack", 23, 1, Kind::Bool),
    Place("ttl", 24, 8, Kind::Number),
];
const ARP: &[Place] = &[
    Place("hardware_type", 0, 16, Kind::Number),
    Place("protocol_type", 16, 16, Kind::Number),
    Place("hardware_length", 32, 8, Kind::Number),
    Place("protocol_length", 40, 8, Kind::Number),
    Place("operation", 48, 16, Kind::Number),
];
const ARP_ADDRESSES: &[Place] = &[
    Place("sender_mac", 64, 48, Kind::Mac),
    Place("sender_ip", 112, 32, Kind::Ipv4),
    Place("target_mac", 144, 48, Kind::Mac),
    Place("target_ip", 192, 32, Kind::Ipv4),
];
const IPV4: &[Place] = &[
    Place("header_length", 4, 4, Kind::Times(4)),
    Place("tos", 8, 8, Kind::Number),
    Place("length", 16, 16, Kind::Number),
    Place("id", 32, 16, Kind::Number),
    Place("flags", 48, 3, Kind::Number),
    Place("fragment_offset", 51, 13, Kind::Times(8)),
    Place("ttl", 64, 8, Kind::Number),
    Place("protocol", 72, 8, Kind::Number),
    Place("checksum", 80, 16, Kind::Number),
    Place("src", 96, 32, Kind::Ipv4),
    Place("dst", 128, 32, Kind::Ipv4),
    Place("options", 160, 0, Kind::Rest),
];
const IPV6: &[Place] = &[
    Place("traffic_class", 4, 8, Kind::Number),
    Place("flow_label", 12, 20, Kind::Number),
    Place("length", 32, 16, Kind::Number),
    Place("next_header", 48, 8, Kind::Number),
    Place("hop_limit", 56, 8, Kind::Number),
    Place("src", 64, 128, Kind::Ipv6),
    Place("dst", 192, 128, Kind::Ipv6),
];
const OPTIONS: &[Place] = &[Place("next_header", 0, 8, Kind::Number), Place("options", 16, 0, Kind::Rest)];
const ROUTING: &[Place] = &[
    Place("next_header", 0, 8, Kind::Number),
    Place("type", 16, 8, Kind::Number),
    Place("segments_left", 24, 8, Kind::Number),
    Place("data", 32, 0, Kind::Rest),
];
const FRAGMENT: &[Place] = &[
    Place("next_header", 0, 8, Kind::Number),
    Place("fragment_offset", 16, 13, Kind::Times(8)),
    Place("more_fragments", 31, 1, Kind::Bool),
    Place("id", 32, 32, Kind::Number),
];
const AUTHENTICATION: &[Place] = &[
    Place("next_header", 0, 8, Kind::Number),
    Place("spi", 32, 32, Kind::Number),
    Place("seq", 64, 32, Kind::Number),
    Place("icv", 96, 0, Kind::Rest),
];
const ICMP: &[Place] =
    &[Place("type", 0, 8, Kind::Number), Place("code", 8, 8, Kind::Number), Place("checksum", 16, 16, Kind::Number)];
const ICMP_ECHO: &[Place] = &[Place("id", 32, 16, Kind::Number), Place("seq", 48, 16, Kind::Number)];
const ICMP_OTHER: &[Place] = &[Place("data", 32, 0, Kind::Rest)];
const TCP: &[Place] = &[
    Place("sport", 0, 16, Kind::Number),
    Place("dport", 16, 16, Kind::Number),
    Place("seq", 32, 32, Kind::Number),
    Place("ack", 64, 32, Kind::Number),
    Place("header_length", 96, 4, Kind::Times(4)),
    Place("flags", 104, 8, Kind::TcpFlags),
    Place("window", 112, 16, Kind::Number),
    Place("checksum", 128, 16, Kind::Number),
    Place("urgent", 144, 16, Kind::Number),
    Place("options", 160, 0, Kind::Rest),
];
const UDP: &[Place] = &[
    Place("sport", 0, 16, Kind::Number),
    Place("dport", 16, 16, Kind::Number),
    Place("length", 32, 16, Kind::Number),
    Place("checksum", 48, 16, Kind::Number),
];
const SCTP: &[Place] = &[
    Place("sport", 0, 16, Kind::Number),
    Place("dport", 16, 16, Kind::Number),
    Place("verification_tag", 32, 32, Kind::Number),
    Place("checksum", 64, 32, Kind::Number),
];
const GRE: &[Place] = &[Place("flags", 0, 13, Kind::Number), Place("ethertype", 16, 16, Kind::Number)];
const VXLAN: &[Place] = &[Place("flags", 0, 8, Kind::Number), Place("vni", 32, 24, Kind::Number)];
const GENEVE: &[Place] = &[
    Place("flags", 8, 8, Kind::Number),
    Place("ethertype", 16, 16, Kind::Number),
    Place("vni", 32, 24, Kind::Number),
    Place("options", 64, 0, Kind::Rest),
];

fn places(protocol: Protocol) -> &'static [Place] {
    match protocol {
        Protocol::Ethernet => ETHERNET,
        Protocol::Vlan => VLAN,
        Protocol::Mpls => MPLS,
        Protocol::Arp => ARP,
        Protocol::Ipv4 => IPV4,
        Protocol::Ipv6 => IPV6,
        Protocol::HopByHop | Protocol::DestinationOptions => OPTIONS,
        Protocol::Routing => ROUTING,
        Protocol::Fragment => FRAGMENT,
        Protocol::Authentication => AUTHENTICATION,
        Protocol::Icmp | Protocol::Icmp6 => ICMP,
        Protocol::Tcp => TCP,
        Protocol::Udp => UDP,
        Protocol::Sctp => SCTP,
        Protocol::Gre => GRE,
        Protocol::Vxlan => VXLAN,
        Protocol::Geneve => GENEVE,
    }
}

/// Calls `each` with the fields of a header, in its order.
pub(super) fn of<'a>(protocol: Protocol, header: &'a [u8], each: &mut impl FnMut(Field<'a>)) {
    tell(places(protocol), header, each);
    match (protocol, header) {
        (Protocol::Arp, [0, 1, 8, 0, 6, 4, ..]) => tell(ARP_ADDRESSES, header, each),
        (Protocol::Icmp, [0 | 8, ..]) | (Protocol::Icmp6, [128 | 129, ..]) => tell(ICMP_ECHO, header, each),
        (Protocol::Icmp | Protocol::Icmp6, _) => tell(ICMP_OTHER, header, each),
        (Protocol::Gre, [flags, ..]) => gre(*flags, header, each),
        _ => {}
    }
}

fn tell<'a>(places: &[Place], header: &'a [u8], each: &mut impl FnMut(Field<'a>)) {
    for Place(name, first, bits, kind) in places {
        if let Some(value) = value(header, *first, *bits, *kind) {
            each(Field { name, value });
        }
    }
}

/// What GRE's flags announce stands in this order behind its first 4 bytes (RFC 2890).
fn gre<'a>(flags: u8, header: &'a [u8], each: &mut impl FnMut(Field<'a>)) {
    let mut first = 32;
    for (bit, name, bits) in [(0x80, "checksum", 16), (0x20, "key", 32), (0x10, "seq", 32)] {
        if flags & bit != 0 {
            tell(&[Place(name, first, bits, Kind::Number)], header, each);
            first += 32;
        }
    }
}

fn value(header: &[u8], first: usize, bits: usize, kind: Kind) -> Option<Value<'_>> {
    let bytes = header.get(first / 8..)?;
    Some(match kind {
        Kind::Number => Value::Number(number(bytes, first % 8, bits)?),
        Kind::Times(unit) => Value::Number(number(bytes, first % 8, bits)? * unit),
        Kind::Bool => Value::Bool(number(bytes, first % 8, bits)? != 0),
        Kind::Mac => Value::Mac(*bytes.first_chunk()?),
        Kind::Ipv4 => Value::Ip(Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()),
        Kind::Ipv6 => Value::Ip(Ipv6Addr::from(*bytes.first_chunk::<16>()?).into()),
        Kind::TcpFlags => Value::Text(names::tcp_flags(*bytes.first()?)),
        Kind::Rest if bytes.is_empty() => return None,
        Kind::Rest => Value::Bytes(bytes),
    })
}

/// `bits` bits, at most 32, behind the first `skip` ones.
fn number(bytes: &[u8], skip: usize, bits: usize) -> Option<u64> {
    let bytes = bytes.get(..(skip + bits).div_ceil(8))?;
    let whole = bytes.iter().fold(0, |whole, byte| whole << 8 | u64::from(*byte));
    Some(whole >> (bytes.len() * 8 - skip - bits) & ((1 << bits) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Layers;

    const FRAME: [u8; 46] = [
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0xb0, 5, 8, 0, 0x46, 0, 0, 28, 0x12, 0x34, 0x40, 1, 64, 1, 0, 0,
        192, 168, 1, 12, 192, 168, 1, 138, 1, 1, 1, 1, 8, 0, 0, 0,
    ];

    fn told(frame: &[u8], protocol: Protocol) -> Vec<(&'static str, Value<'_>)> {
        let mut told = Vec::new();
        for layer in Layers::new(frame).filter(|layer| layer.protocol == protocol) {
            layer.fields(&mut |field| told.push((field.name, field.value)));
        }
        told
    }

    #[test]
    fn parts_of_bytes() {
        let vlan = told(&FRAME, Protocol::Vlan);
        let expected = [
            ("priority", Value::Number(5)),
            ("drop_eligible", Value::Bool(true)),
            ("vlan", Value::Number(5)),
            ("ethertype", Value::Number(0x800)),
        ];
        assert_eq!(vlan, expected);
    }

    #[test]
    fn units_and_options() {
        let ip = told(&FRAME, Protocol::Ipv4);
        assert!(ip.contains(&("header_length", Value::Number(24))));
        assert!(ip.contains(&("fragment_offset", Value::Number(8))));
        assert!(ip.contains(&("flags", Value::Number(2))));
        assert!(ip.contains(&("ttl", Value::Number(64))));
        assert!(ip.contains(&("src", Value::Ip(Ipv4Addr::new(192, 168, 1, 12).into()))));
        assert_eq!(ip.last(), Some(&("options", Value::Bytes(&[1, 1, 1, 1]))));
    }

    #[test]
    fn what_gre_announces() {
        let mut told = Vec::new();
        let header = [0xb0, 0, 8, 0, 0x12, 0x34, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9];
        of(Protocol::Gre, &header, &mut |field| told.push((field.name, field.value)));
        assert_eq!(
            told[2..],
            [("checksum", Value::Number(0x1234)), ("key", Value::Number(7)), ("seq", Value::Number(9))]
        );
    }
}
