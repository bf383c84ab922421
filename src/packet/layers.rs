//! The headers of a frame, one within the other.

use etherparse::{
    ArpPacketSlice, Ethernet2HeaderSlice, IpAuthHeaderSlice, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice, SingleVlanHeaderSlice, TcpHeaderSlice, UdpHeaderSlice,
};

use super::fields::{self, Field};

/// What a header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// Ethernet II, or IEEE 802.3 with a length in the EtherType's place: 14 bytes.
    Ethernet,
    /// IEEE 802.1Q, customer or service tag: the 4 bytes behind the EtherType that announces it.
    Vlan,
    /// One entry of an MPLS label stack (RFC 3032): 4 bytes.
    Mpls,
    /// ARP (RFC 826), also reverse ARP (RFC 903).
    Arp,
    /// IPv4 (RFC 791) with its options.
    Ipv4,
    /// IPv6 (RFC 8200) without extension headers, which are layers of their own.
    Ipv6,
    /// IPv6 hop-by-hop options.
    HopByHop,
    /// IPv6 routing header.
    Routing,
    /// IPv6 fragment header.
    Fragment,
    /// IPv6 destination options.
    DestinationOptions,
    /// IP authentication header (RFC 4302).
    Authentication,
    /// ICMP (RFC 792): the first 8 bytes.
    Icmp,
    /// ICMPv6 (RFC 4443): the first 8 bytes.
    Icmp6,
    /// TCP (RFC 9293) with its options.
    Tcp,
    /// UDP (RFC 768).
    Udp,
    /// SCTP (RFC 9260): the common header without chunks.
    Sctp,
    /// GRE version 0 (RFC 2784, RFC 2890) with checksum, key and sequence number.
    Gre,
    /// VXLAN (RFC 7348) on UDP port 4789.
    Vxlan,
    /// GENEVE (RFC 8926) with its options on UDP port 6081.
    Geneve,
}

impl Protocol {
    /// Its key in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ethernet => "ethernet",
            Self::Vlan => "vlan",
            Self::Mpls => "mpls",
            Self::Arp => "arp",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::HopByHop => "hop_by_hop",
            Self::Routing => "routing",
            Self::Fragment => "fragment",
            Self::DestinationOptions => "destination_options",
            Self::Authentication => "authentication",
            Self::Icmp => "icmp",
            Self::Icmp6 => "icmp6",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
            Self::Gre => "gre",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
        }
    }
}

/// A header, wholly captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer<'a> {
    /// Whose header it is.
    pub protocol: Protocol,
    /// Where in the frame it begins, in bytes.
    pub offset: usize,
    /// All of it, with its options.
    pub header: &'a [u8],
}

impl<'a> Layer<'a> {
    /// Calls `each` with the header's fields, in the order in which they stand in it.
    pub fn fields(&self, each: &mut impl FnMut(Field<'a>)) {
        fields::of(self.protocol, self.header, each);
    }
}

/// The headers of an Ethernet frame, outermost first.
///
/// It ends at the payload, at a header that is cut or malformed or of a protocol that is not known here, at an IPv4 or
/// IPv6 fragment that is not the first, and after 32 headers.
#[derive(Debug, Clone)]
pub struct Layers<'a> {
    frame: &'a [u8],
    at: usize,
    next: Option<Next>,
    left: u8,
}

/// More headers than that no sender nests; a loop of tags or tunnels would else cost as much as it is long.
const MOST: u8 = 32;

/// What the bytes at hand are.
#[derive(Debug, Clone, Copy)]
enum Next {
    Ethernet,
    /// What an EtherType says.
    EtherType(u16),
    /// What IPv4's protocol or IPv6's next header says.
    Ip {
        protocol: u8,
        version: u8,
    },
    Label,
    Vxlan,
    Geneve,
}

/// A header found: what it is, its length, and what follows.
type Found = Option<(Protocol, usize, Option<Next>)>;

const VXLAN_PORT: u16 = 4789;
const GENEVE_PORT: u16 = 6081;

impl<'a> Layers<'a> {
    /// The headers of the Ethernet frame of which `bytes` are the first.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { frame: bytes, at: 0, next: Some(Next::Ethernet), left: MOST }
    }

    fn find(&mut self, next: Next) -> Found {
        let bytes = self.frame.get(self.at..)?;
        match next {
            Next::Ethernet => {
                let ethernet = Ethernet2HeaderSlice::from_slice(bytes).ok()?;
                Some((Protocol::Ethernet, 14, Some(Next::EtherType(ethernet.ether_type().0))))
            }
            Next::EtherType(ether_type) => self.by_ether_type(ether_type, bytes),
            Next::Ip { protocol, version } => by_ip_protocol(protocol, version, bytes),
            Next::Label => label(bytes),
            Next::Vxlan => (bytes.len() >= 8).then_some((Protocol::Vxlan, 8, Some(Next::Ethernet))),
            Next::Geneve => geneve(bytes),
        }
    }

    fn by_ether_type(&mut self, ether_type: u16, bytes: &'a [u8]) -> Found {
        match ether_type {
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                let tag = SingleVlanHeaderSlice::from_slice(bytes).ok()?;
                Some((Protocol::Vlan, 4, Some(Next::EtherType(tag.ether_type().0))))
            }
            0x8847 | 0x8848 => label(bytes),
            0x0806 | 0x8035 => {
                let arp = ArpPacketSlice::from_slice(bytes).ok()?;
                Some((Protocol::Arp, arp.slice().len(), None))
            }
            0x0800 => self.ipv4(bytes),
            0x86dd => self.ipv6(bytes),
            0x6558 => {
                Ethernet2HeaderSlice::from_slice(bytes).ok()?;
                self.find(Next::Ethernet)
            }
            _ => None,
        }
    }

    fn ipv4(&mut self, bytes: &'a [u8]) -> Found {
        let ip = Ipv4HeaderSlice::from_slice(bytes).ok()?;
        let length = ip.slice().len();
        self.end(length, ip.total_len().into());
        let next = Next::Ip { protocol: ip.protocol().0, version: 4 };
        Some((Protocol::Ipv4, length, (ip.fragments_offset().value() == 0).then_some(next)))
    }

    fn ipv6(&mut self, bytes: &'a [u8]) -> Found {
        let ip = Ipv6HeaderSlice::from_slice(bytes).ok()?;
        // Zero is a jumbogram's (RFC 2675).
        if ip.payload_length() != 0 {
            self.end(40, 40 + usize::from(ip.payload_length()));
        }
        Some((Protocol::Ipv6, 40, Some(Next::Ip { protocol: ip.next_header().0, version: 6 })))
    }

    /// What stands behind an IP packet is padding; a length that cannot be leaves the frame as it is.
    fn end(&mut self, header: usize, whole: usize) {
        if whole >= header {
            self.frame = self.frame.get(..self.at.saturating_add(whole)).unwrap_or(self.frame);
        }
    }
}

fn by_ip_protocol(protocol: u8, version: u8, bytes: &[u8]) -> Found {
    match protocol {
        0 if version == 6 => option(Protocol::HopByHop, bytes),
        60 if version == 6 => option(Protocol::DestinationOptions, bytes),
        43 if version == 6 => option(Protocol::Routing, bytes),
        44 if version == 6 => {
            let fragment = Ipv6FragmentHeaderSlice::from_slice(bytes).ok()?;
            let next = Next::Ip { protocol: fragment.next_header().0, version };
            Some((Protocol::Fragment, 8, (fragment.fragment_offset().value() == 0).then_some(next)))
        }
        51 => {
            let ah = IpAuthHeaderSlice::from_slice(bytes).ok()?;
            let next = Next::Ip { protocol: ah.next_header().0, version };
            Some((Protocol::Authentication, ah.slice().len(), Some(next)))
        }
        1 if version == 4 => fixed(Protocol::Icmp, 8, bytes),
        58 if version == 6 => fixed(Protocol::Icmp6, 8, bytes),
        4 => Some((Protocol::Ipv4, 0, Some(Next::EtherType(0x0800)))),
        41 => Some((Protocol::Ipv6, 0, Some(Next::EtherType(0x86dd)))),
        143 if version == 6 => Some((Protocol::Ethernet, 0, Some(Next::Ethernet))),
        6 => Some((Protocol::Tcp, TcpHeaderSlice::from_slice(bytes).ok()?.slice().len(), None)),
        17 => udp(bytes),
        132 => fixed(Protocol::Sctp, 12, bytes),
        47 => gre(bytes),
        _ => None,
    }
}

fn fixed(protocol: Protocol, length: usize, bytes: &[u8]) -> Found {
    (bytes.len() >= length).then_some((protocol, length, None))
}

fn option(protocol: Protocol, bytes: &[u8]) -> Found {
    let header = Ipv6RawExtHeaderSlice::from_slice(bytes).ok()?;
    let next = Next::Ip { protocol: header.next_header().0, version: 6 };
    Some((protocol, header.slice().len(), Some(next)))
}

fn udp(bytes: &[u8]) -> Found {
    let udp = UdpHeaderSlice::from_slice(bytes).ok()?;
    let at = |port| udp.destination_port() == port || udp.source_port() == port;
    let next = match () {
        () if at(VXLAN_PORT) => Some(Next::Vxlan),
        () if at(GENEVE_PORT) => Some(Next::Geneve),
        () => None,
    };
    Some((Protocol::Udp, 8, next))
}

/// Version 0 without the routing of RFC 1701, which RFC 2784 did away with.
fn gre(bytes: &[u8]) -> Found {
    let &[flags, version, upper, lower, ..] = bytes else { return None };
    if version & 7 != 0 || flags & 0x40 != 0 {
        return None;
    }
    let length = 4 + [0x80, 0x20, 0x10].iter().filter(|bit| flags & **bit != 0).count() * 4;
    let next = Next::EtherType(u16::from_be_bytes([upper, lower]));
    (bytes.len() >= length).then_some((Protocol::Gre, length, Some(next)))
}

fn geneve(bytes: &[u8]) -> Found {
    let &[first, _, upper, lower, ..] = bytes else { return None };
    let length = 8 + usize::from(first & 0x3f) * 4;
    let next = Next::EtherType(u16::from_be_bytes([upper, lower]));
    (first >> 6 == 0 && bytes.len() >= length).then_some((Protocol::Geneve, length, Some(next)))
}

/// The payload of the last label is told by the label itself (RFC 3032, 2.1) or by its first byte, as tcpdump does.
fn label(bytes: &[u8]) -> Found {
    let &[upper, lower, rest, _, ..] = bytes else { return None };
    let next = match (rest & 1, u32::from_be_bytes([0, upper, lower, rest]) >> 4) {
        (0, _) => Some(Next::Label),
        (_, 0 | 3) => Some(Next::EtherType(0x0800)),
        (_, 2) => Some(Next::EtherType(0x86dd)),
        _ => match bytes.get(4) {
            Some(0x45..=0x4f) => Some(Next::EtherType(0x0800)),
            Some(0x60..=0x6f) => Some(Next::EtherType(0x86dd)),
            _ => None,
        },
    };
    Some((Protocol::Mpls, 4, next))
}

impl<'a> Iterator for Layers<'a> {
    type Item = Layer<'a>;

    fn next(&mut self) -> Option<Layer<'a>> {
        loop {
            self.left = self.left.checked_sub(1)?;
            let next = self.next.take()?;
            let (protocol, length, following) = self.find(next)?;
            self.next = following;
            // A tunnel without a header of its own: what it holds is the next layer.
            if length == 0 {
                continue;
            }
            let offset = self.at;
            self.at = offset.checked_add(length)?;
            return Some(Layer { protocol, offset, header: self.frame.get(offset..self.at)? });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETHERNET: [u8; 14] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0];
    const IP: [u8; 20] = [0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 168, 1, 12, 192, 168, 1, 138];

    fn names(frame: &[u8]) -> Vec<(&'static str, usize, usize)> {
        Layers::new(frame).map(|layer| (layer.protocol.name(), layer.offset, layer.header.len())).collect()
    }

    fn ip(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut ip = IP;
        ip[9] = protocol;
        ip[3] = 20 + payload.len() as u8;
        [&ip, payload].concat()
    }

    #[test]
    fn headers_from_the_outermost_to_the_payload() {
        let frame = [&ETHERNET[..], &ip(17, &[0x13, 0x88, 0, 9, 0, 8, 0, 0])].concat();
        assert_eq!(names(&frame), [("ethernet", 0, 14), ("ipv4", 14, 20), ("udp", 34, 8)]);
    }

    #[test]
    fn tunnels_are_walked_into() {
        let inner = ip(17, &[0x13, 0x88, 0, 9, 0, 8, 0, 0]);
        let outer = [&ETHERNET[..], &ip(4, &inner)].concat();
        assert_eq!(names(&outer), [("ethernet", 0, 14), ("ipv4", 14, 20), ("ipv4", 34, 20), ("udp", 54, 8)]);
        let vxlan = [&[0x13, 0x88, 0x12, 0xb5, 0, 8, 0, 0, 8, 0, 0, 0, 0, 0, 100, 0], &ETHERNET[..], &inner].concat();
        let told: Vec<_> = names(&[&ETHERNET[..], &ip(17, &vxlan)].concat()).iter().map(|layer| layer.0).collect();
        assert_eq!(told, ["ethernet", "ipv4", "udp", "vxlan", "ethernet", "ipv4", "udp"]);
    }

    #[test]
    fn a_header_that_is_cut_is_none() {
        let frame = [&ETHERNET[..], &ip(17, &[0x13, 0x88, 0, 9, 0, 8, 0, 0])].concat();
        assert_eq!(names(&frame[..41]).len(), 2);
        assert_eq!(names(&frame[..33]).len(), 1);
        assert_eq!(names(&frame[..13]).len(), 0);
    }

    #[test]
    fn padding_behind_the_ip_packet_is_no_header() {
        let frame = [&ETHERNET[..], &ip(17, &[]), &[0; 26]].concat();
        assert_eq!(names(&frame), [("ethernet", 0, 14), ("ipv4", 14, 20)]);
    }

    #[test]
    fn the_depth_is_bounded() {
        let mut frame = ETHERNET.to_vec();
        frame[12..].copy_from_slice(&[0x81, 0]);
        frame.extend([0, 5, 0x81, 0].repeat(10_000));
        assert_eq!(names(&frame).len(), usize::from(MOST));
    }
}
