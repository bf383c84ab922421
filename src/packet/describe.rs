//! A few headers in one line: what a program pushed in front of a packet.

use super::fields::{Field, Value};
use super::layers::{Layer, Layers, Protocol};
use super::names;
use super::put::Put;

/// Appends words for `count` headers of the frame, from the one with the number `first` on; the Ethernet header is 0.
///
/// `vlan 5`; `IP 10.0.0.1 > 10.0.0.2: IPIP`; `IP 10.0.0.1.5000 > 10.0.0.2.4789: VXLAN, vni 100`. An Ethernet header is
/// told only where it is all there is. Nothing is appended where there are no such headers.
pub fn describe(out: &mut Vec<u8>, bytes: &[u8], first: usize, count: usize) {
    let layers = || Layers::new(bytes).skip(first).take(count);
    let only = layers().all(|layer| layer.protocol == Protocol::Ethernet);
    let mut words = Words { out, layers: layers().peekable(), any: false };
    while let Some(layer) = words.layers.next() {
        words.layer(&layer, only);
    }
}

struct Words<'a, L: Iterator<Item = Layer<'a>>> {
    out: &'a mut Vec<u8>,
    layers: std::iter::Peekable<L>,
    any: bool,
}

/// A field by its name, as far as it is a number.
fn number(layer: &Layer<'_>, name: &str) -> u32 {
    let mut found = 0;
    layer.fields(&mut |field| match field {
        Field { name: its, value: Value::Number(value) } if its == name => found = u32::try_from(value).unwrap_or(0),
        _ => {}
    });
    found
}

impl<'a, L: Iterator<Item = Layer<'a>>> Words<'a, L> {
    fn layer(&mut self, layer: &Layer<'a>, only: bool) {
        if layer.protocol == Protocol::Ethernet && !only {
            return;
        }
        if self.any {
            self.out.text(", ");
        }
        self.any = true;
        match layer.protocol {
            Protocol::Ethernet => self.ethernet(layer.header),
            Protocol::Vlan => _ = self.out.text("vlan ").number(number(layer, "vlan")),
            Protocol::Mpls => _ = self.out.text("MPLS label ").number(number(layer, "label")),
            Protocol::Ipv4 | Protocol::Ipv6 => self.ip(layer),
            Protocol::Gre => self.gre(layer),
            Protocol::Vxlan => _ = self.out.text("VXLAN, vni ").number(number(layer, "vni")),
            Protocol::Geneve => _ = self.out.text("Geneve, vni 0x").hex(number(layer, "vni")),
            Protocol::Udp => _ = self.out.text("UDP"),
            Protocol::Tcp => _ = self.out.text("TCP"),
            Protocol::Sctp => _ = self.out.text("sctp"),
            Protocol::Icmp => _ = self.out.text("ICMP"),
            Protocol::Icmp6 => _ = self.out.text("ICMP6"),
            Protocol::Arp => _ = self.out.text("ARP"),
            Protocol::HopByHop => _ = self.out.text("HBH"),
            Protocol::Routing => _ = self.out.text("RT6"),
            Protocol::Fragment => _ = self.out.text("frag ").number(number(layer, "fragment_offset")),
            Protocol::DestinationOptions => _ = self.out.text("DSTOPT"),
            Protocol::Authentication => _ = self.out.text("AH"),
        }
    }

    fn ethernet(&mut self, header: &[u8]) {
        if let (Some(destination), Some(source)) = (header.get(..6), header.get(6..12)) {
            self.out.mac(source).text(" > ").mac(destination);
        }
    }

    fn gre(&mut self, layer: &Layer<'a>) {
        self.out.text("GRE");
        if layer.header.first().is_some_and(|flags| flags & 0x20 != 0) {
            self.out.text(", key=0x").hex(number(layer, "key"));
        }
    }

    /// `IP 10.0.0.1 > 10.0.0.2: ` and what is behind it: one of the headers told, or the protocol's name.
    fn ip(&mut self, layer: &Layer<'a>) {
        let ports = self.layers.peek().filter(|next| matches!(next.protocol, Protocol::Udp | Protocol::Tcp)).copied();
        let port = |name| ports.map(|ports| number(&ports, name));
        let header = layer.header;
        if layer.protocol == Protocol::Ipv4 {
            self.out.text("IP ");
            self.end(header.get(12..16), port("sport"));
            self.out.text(" > ");
            self.end(header.get(16..20), port("dport"));
        } else {
            self.out.text("IP6 ");
            self.end(header.get(8..24), port("sport"));
            self.out.text(" > ");
            self.end(header.get(24..40), port("dport"));
        }
        self.out.text(": ");
        if ports.is_some_and(|ports| ports.protocol == Protocol::Udp) {
            self.layers.next();
            if self.layers.peek().is_none() {
                self.out.text("UDP");
            }
            self.any = false;
        } else if self.layers.peek().is_some_and(|next| is_payload(next.protocol)) {
            self.any = false;
        } else {
            let protocol = number(layer, if layer.protocol == Protocol::Ipv4 { "protocol" } else { "next_header" });
            match u8::try_from(protocol).ok().and_then(names::ip_protocol) {
                Some(name) => self.out.text(name),
                None => self.out.text("ip-proto-").number(protocol),
            };
        }
    }

    fn end(&mut self, address: Option<&[u8]>, port: Option<u32>) {
        match address {
            Some(&[a, b, c, d]) => _ = self.out.ipv4([a, b, c, d]),
            Some(address) => _ = address.first_chunk().map(|address| self.out.ipv6(*address)),
            None => {}
        }
        if let Some(port) = port {
            self.out.text(".").number(port);
        }
    }
}

/// Whether a header's own words say what the IP packet holds; a packet in a packet has words of its own.
fn is_payload(protocol: Protocol) -> bool {
    !matches!(protocol, Protocol::Ipv4 | Protocol::Ipv6 | Protocol::Ethernet)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETHERNET: [u8; 14] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0];
    const IP: [u8; 20] = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 4, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];

    fn ip(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut ip = IP;
        ip[9] = protocol;
        ip[3] = 20 + payload.len() as u8;
        [&ip, payload].concat()
    }

    fn told(frame: &[u8], first: usize, count: usize) -> String {
        let mut out = Vec::new();
        describe(&mut out, frame, first, count);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn an_ip_header_pushed() {
        let frame = [&ETHERNET[..], &ip(4, &ip(17, &[0x13, 0x88, 0, 9, 0, 8, 0, 0]))].concat();
        assert_eq!(told(&frame, 1, 1), "IP 10.0.0.1 > 10.0.0.2: IPIP");
        assert_eq!(told(&frame, 1, 2), "IP 10.0.0.1 > 10.0.0.2: IPIP, IP 10.0.0.1 > 10.0.0.2: UDP");
        assert_eq!(told(&frame, 1, 3), "IP 10.0.0.1 > 10.0.0.2: IPIP, IP 10.0.0.1.5000 > 10.0.0.2.9: UDP");
        assert_eq!(told(&frame, 9, 1), "");
    }

    #[test]
    fn a_tunnel_pushed() {
        let vxlan =
            [&[0x13, 0x88, 0x12, 0xb5, 0, 8, 0, 0, 8, 0, 0, 0, 0, 0, 100, 0], &ETHERNET[..], &ip(6, &[])].concat();
        let frame = [&ETHERNET[..], &ip(17, &vxlan)].concat();
        assert_eq!(told(&frame, 0, 4), "IP 10.0.0.1.5000 > 10.0.0.2.4789: VXLAN, vni 100");
        let gre = [&ETHERNET[..], &ip(47, &[0x20, 0, 8, 0, 0, 0, 0, 5])].concat();
        assert_eq!(told(&gre, 1, 2), "IP 10.0.0.1 > 10.0.0.2: GRE, key=0x5");
    }

    #[test]
    fn a_tag_pushed() {
        let frame = [&ETHERNET[..12], &[0x81, 0, 0, 5, 0x81, 0, 0, 6, 8, 0], &IP].concat();
        assert_eq!(told(&frame, 1, 1), "vlan 5");
        assert_eq!(told(&frame, 1, 2), "vlan 5, vlan 6");
        assert_eq!(told(&frame, 0, 1), "02:00:00:00:00:01 > 02:00:00:00:00:02");
    }
}
