//! Who talks to whom, by what: the little that is told of a packet in one word each.

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, LinkSlice, TransportSlice};

/// What a packet is, as far as its first bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headers {
    /// IPv4 or IPv6.
    Ip {
        /// Source address.
        source: IpAddr,
        /// Destination address.
        destination: IpAddr,
        /// IP protocol number of the payload, behind any IPv6 extension headers.
        protocol: u8,
        /// Source and destination port, where the protocol has them and they were captured.
        ports: Option<(u16, u16)>,
    },
    /// Anything else: the EtherType, inside VLAN tags if there are any.
    Other(u16),
    /// An IEEE 802.3 frame: it has a length where others have their EtherType.
    Ieee802_3,
    /// Cut before the EtherType.
    Truncated,
}

impl Headers {
    /// Reads the headers of an Ethernet frame of which `bytes` are the first.
    pub fn parse(bytes: &[u8]) -> Self {
        let Ok(packet) = LaxSlicedPacket::from_ethernet(bytes) else {
            return Self::Truncated;
        };
        match &packet.net {
            Some(LaxNetSlice::Ipv4(ip)) => Self::Ip {
                source: ip.header().source_addr().into(),
                destination: ip.header().destination_addr().into(),
                protocol: ip.payload().ip_number.0,
                ports: ports(&packet),
            },
            Some(LaxNetSlice::Ipv6(ip)) => Self::Ip {
                source: ip.header().source_addr().into(),
                destination: ip.header().destination_addr().into(),
                protocol: ip.payload().ip_number.0,
                ports: ports(&packet),
            },
            Some(LaxNetSlice::Arp(_)) => Self::Other(EtherType::ARP.0),
            None => Self::by_ether_type(&packet),
        }
    }

    fn by_ether_type(packet: &LaxSlicedPacket<'_>) -> Self {
        /// Smaller values are lengths (IEEE 802.3, 3.2.6).
        const FIRST_ETHER_TYPE: u16 = 0x600;
        let outer = match &packet.link {
            Some(LinkSlice::Ethernet2(ethernet)) => ethernet.ether_type(),
            _ => return Self::Truncated,
        };
        let inner = packet.link_exts.iter().filter_map(|tag| tag.payload()).next_back();
        match inner.map_or(outer, |payload| payload.ether_type) {
            EtherType(length) if length < FIRST_ETHER_TYPE => Self::Ieee802_3,
            EtherType(ether_type) => Self::Other(ether_type),
        }
    }
}

fn ports(packet: &LaxSlicedPacket<'_>) -> Option<(u16, u16)> {
    match packet.transport.as_ref()? {
        TransportSlice::Udp(udp) => Some((udp.source_port(), udp.destination_port())),
        TransportSlice::Tcp(tcp) => Some((tcp.source_port(), tcp.destination_port())),
        _ => None,
    }
}

impl Display for Headers {
    /// tcpdump's wording: `IP 192.0.2.1.53 > 192.0.2.2.40000: UDP`, `ethertype ARP (0x0806)`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip { source, destination, protocol, ports } => {
                let version = if source.is_ipv4() { "IP" } else { "IP6" };
                match ports {
                    Some((from, to)) => write!(f, "{version} {source}.{from} > {destination}.{to}: ")?,
                    None => write!(f, "{version} {source} > {destination}: ")?,
                }
                match protocol_name(*protocol) {
                    Some(name) => f.write_str(name),
                    None => write!(f, "ip-proto-{protocol}"),
                }
            }
            Self::Other(number) => {
                write!(f, "ethertype {} (0x{number:04x})", ether_type_name(*number).unwrap_or("Unknown"))
            }
            Self::Ieee802_3 => f.write_str("802.3"),
            Self::Truncated => f.write_str("[|ether]"),
        }
    }
}

fn protocol_name(protocol: u8) -> Option<&'static str> {
    Some(match protocol {
        1 => "ICMP",
        2 => "IGMP",
        4 => "IPIP",
        6 => "TCP",
        17 => "UDP",
        41 => "IPv6",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        58 => "ICMP6",
        89 => "OSPF",
        112 => "VRRP",
        132 => "SCTP",
        _ => return None,
    })
}

/// The names that tcpdump -e prints (ethertype_values in its print-ether.c).
fn ether_type_name(ether_type: u16) -> Option<&'static str> {
    Some(match ether_type {
        0x0800 => "IPv4",
        0x0806 => "ARP",
        0x8100 => "802.1Q",
        0x86dd => "IPv6",
        0x8809 => "Slow Protocols",
        0x8847 => "MPLS unicast",
        0x8863 => "PPPoE D",
        0x8864 => "PPPoE S",
        0x888e => "EAPOL",
        0x88a8 => "802.1Q-QinQ",
        0x88cc => "LLDP",
        0x88f7 => "PTP",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACS: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

    fn shown(behind_macs: &[u8]) -> String {
        Headers::parse(&[&MACS, behind_macs].concat()).to_string()
    }

    const ICMP: [u8; 28] =
        [0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 1, 0, 0, 192, 168, 1, 12, 192, 168, 1, 138, 8, 0, 0, 0, 0, 1, 0, 2];

    #[test]
    fn ipv4_by_addresses_and_protocol() {
        assert_eq!(shown(&[&[8, 0], &ICMP[..]].concat()), "IP 192.168.1.12 > 192.168.1.138: ICMP");
    }

    #[test]
    fn an_unknown_protocol_by_its_number() {
        let mut packet = ICMP;
        packet[9] = 253;
        assert_eq!(shown(&[&[8, 0], &packet[..]].concat()), "IP 192.168.1.12 > 192.168.1.138: ip-proto-253");
    }

    #[test]
    fn udp_with_its_ports() {
        let mut packet = ICMP;
        packet[9] = 17;
        packet[20..28].copy_from_slice(&[0, 53, 0x9c, 0x40, 0, 8, 0, 0]);
        assert_eq!(shown(&[&[8, 0], &packet[..]].concat()), "IP 192.168.1.12.53 > 192.168.1.138.40000: UDP");
    }

    #[test]
    fn tagged_packets_are_read_through_their_tags() {
        assert_eq!(shown(&[&[0x81, 0, 0, 5, 8, 0], &ICMP[..]].concat()), "IP 192.168.1.12 > 192.168.1.138: ICMP");
        assert_eq!(shown(&[0x81, 0, 0, 5, 0x88, 0xcc, 0, 0]), "ethertype LLDP (0x88cc)");
    }

    #[test]
    fn ipv6_behind_a_hop_by_hop_header() {
        let mut packet = vec![0x86, 0xdd, 0x60, 0, 0, 0, 0, 16, 0, 255];
        packet.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        packet.extend([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16]);
        packet.extend([58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(shown(&packet), "IP6 fe80::1 > ff02::16: ICMP6");
    }

    #[test]
    fn others_by_their_ether_type() {
        let mut arp = vec![8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
        arp.resize(30, 0);
        assert_eq!(shown(&arp), "ethertype ARP (0x0806)");
        assert_eq!(shown(&[0x88, 0xb5, 1, 2, 3]), "ethertype Unknown (0x88b5)");
        assert_eq!(shown(&[0, 38, 0x42, 0x42, 3]), "802.3");
        assert_eq!(shown(&[8, 0, 0x45, 0]), "ethertype IPv4 (0x0800)");
    }

    #[test]
    fn less_than_an_ethernet_header_is_said_to_be_cut() {
        assert_eq!(Headers::parse(&MACS).to_string(), "[|ether]");
        assert_eq!(Headers::parse(&[]).to_string(), "[|ether]");
    }
}
