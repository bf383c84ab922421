//! What packets have in common, as the kernel's table holds it → as it is shown.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::cells::returned;
use super::{Returned, Row, Tally};
use crate::bpf::{Key, Known};
use crate::plan::{By, Part};

/// The row of a key; None where the packet could not be read.
pub(super) fn row(by: &By, key: &Key, tally: Tally) -> Option<Row> {
    let verdict = returned(key.verdict.into()).unwrap_or(Returned::Other);
    knows(key, Known::KEY_READ).then(|| Row {
        key: by.parts.iter().map(|part| shown(by, *part, key)).collect(),
        verdict,
        tally,
    })
}

fn shown(by: &By, part: Part, key: &Key) -> Option<String> {
    let number = |number: u16, what| knows(key, what).then(|| number.to_string());
    match part {
        Part::Source => address(by, key.source, key),
        Part::Destination => address(by, key.destination, key),
        Part::SourcePort => number(key.source_port, Known::KEY_PORTS),
        Part::DestinationPort => number(key.destination_port, Known::KEY_PORTS),
        Part::Protocol => protocol(key),
        Part::Vlan => number(key.vlan, Known::KEY_VLAN),
        Part::Length if key.length == u16::MAX => knows(key, Known::KEY_LENGTH).then(|| "65535+".into()),
        Part::Length => number(key.length, Known::KEY_LENGTH),
    }
}

fn knows(key: &Key, what: Known) -> bool {
    u32::from(key.known) & what.0 != 0
}

/// `192.0.2.1`, or `192.0.2.0/24`.
fn address(by: &By, [high, low]: [u64; 2], key: &Key) -> Option<String> {
    // In memory they are in network byte order.
    let address = u128::from(u64::from_be(high)) << 64 | u128::from(u64::from_be(low));
    let with_prefix = |address: String, prefix: u8, bits: u8| match prefix < bits {
        true => format!("{address}/{prefix}"),
        false => address,
    };
    if knows(key, Known::KEY_IPV4) {
        Some(with_prefix(Ipv4Addr::from((address >> 96) as u32).to_string(), by.prefix4, 32))
    } else if knows(key, Known::KEY_IPV6) {
        Some(with_prefix(Ipv6Addr::from(address).to_string(), by.prefix6, 128))
    } else {
        None
    }
}

/// IP protocols as pcap-filter(7) and /etc/protocols call them; a number where neither has a name that is much used.
const PROTOCOLS: [(u16, &str); 18] = [
    (1, "icmp"),
    (2, "igmp"),
    (4, "ipip"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (41, "ipv6"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "icmp6"),
    (88, "eigrp"),
    (89, "ospf"),
    (103, "pim"),
    (112, "vrrp"),
    (115, "l2tp"),
    (132, "sctp"),
    (136, "udplite"),
];

/// EtherTypes of what is no IP.
const ETHERTYPES: [(u16, &str); 10] = [
    (0x0800, "ip"),
    (0x0806, "arp"),
    (0x8035, "rarp"),
    (0x8100, "vlan"),
    (0x86dd, "ip6"),
    (0x8809, "lacp"),
    (0x8847, "mpls"),
    (0x8863, "pppoed"),
    (0x8864, "pppoes"),
    (0x88cc, "lldp"),
];

fn protocol(key: &Key) -> Option<String> {
    if knows(key, Known::KEY_PROTOCOL) {
        Some(name_in(&PROTOCOLS, key.protocol).unwrap_or_else(|| key.protocol.to_string()))
    } else if knows(key, Known::KEY_ETHERTYPE) {
        Some(name_in(&ETHERTYPES, key.protocol).unwrap_or_else(|| format!("0x{:04x}", key.protocol)))
    } else {
        None
    }
}

fn name_in(table: &[(u16, &str)], number: u16) -> Option<String> {
    table.iter().find(|(value, _)| *value == number).map(|(_, name)| (*name).to_owned())
}
