//! What numbers are called: the tables of tcpdump's print-ether.c, ipproto.c and print-tcp.c.

/// The name of the first entry that has this number.
pub(super) fn name_of(table: &[(u32, &'static str)], number: u32) -> Option<&'static str> {
    table.iter().find(|(value, _)| *value == number).map(|(_, name)| *name)
}

/// EtherTypes (IEEE 802, and what vendors took), as tcpdump spells them.
const ETHER_TYPES: &[(u32, &str)] = &[
    (0x0800, "IPv4"),
    (0x8847, "MPLS unicast"),
    (0x8848, "MPLS multicast"),
    (0x86dd, "IPv6"),
    (0x8100, "802.1Q"),
    (0x9100, "802.1Q-9100"),
    (0x88a8, "802.1Q-QinQ"),
    (0x9200, "802.1Q-9200"),
    (0x88e5, "802.1AE MACsec"),
    (0x0200, "PUP"),
    (0x0806, "ARP"),
    (0x8035, "Reverse ARP"),
    (0x0600, "NS"),
    (0x0500, "Sprite"),
    (0x1000, "Trail"),
    (0x6001, "MOP DL"),
    (0x6002, "MOP RC"),
    (0x6003, "DN"),
    (0x6004, "LAT"),
    (0x6007, "SCA"),
    (0x6558, "TEB"),
    (0x8038, "Lanbridge"),
    (0x803c, "DEC DNS"),
    (0x803e, "DEC DTS"),
    (0x805b, "VEXP"),
    (0x805c, "VPROD"),
    (0x809b, "Appletalk"),
    (0x80f3, "Appletalk ARP"),
    (0x8137, "IPX"),
    (0x880b, "PPP"),
    (0x8808, "MPCP"),
    (0x8809, "Slow Protocols"),
    (0x8863, "PPPoE D"),
    (0x8864, "PPPoE S"),
    (0x888e, "EAPOL"),
    (0x8899, "Realtek protocols"),
    (0x886f, "MS NLB heartbeat"),
    (0x8870, "Jumbo"),
    (0x894f, "NSH"),
    (0x9000, "Loopback"),
    (0xfefe, "OSI"),
    (0x00fe, "GRE-OSI"),
    (0xabcd, "CFM (old)"),
    (0x8902, "CFM"),
    (0x893a, "IEEE1905.1"),
    (0x88cc, "LLDP"),
    (0x88ca, "TIPC"),
    (0x0707, "GeoNet (old)"),
    (0x8947, "GeoNet"),
    (0x1111, "CALM FAST"),
    (0x88a2, "AoE"),
    (0x88f7, "PTP"),
    (0xd28b, "Arista Vendor Specific Protocol"),
];

pub(super) fn ether_type(number: u16) -> Option<&'static str> {
    name_of(ETHER_TYPES, number.into())
}

/// IP protocols, as tcpdump -v spells them.
const IP_PROTOCOLS: &[(u32, &str)] = &[
    (0, "Options"),
    (1, "ICMP"),
    (2, "IGMP"),
    (4, "IPIP"),
    (6, "TCP"),
    (8, "EGP"),
    (9, "IGRP"),
    (17, "UDP"),
    (33, "DCCP"),
    (41, "IPv6"),
    (43, "Routing"),
    (44, "Fragment"),
    (46, "RSVP"),
    (47, "GRE"),
    (50, "ESP"),
    (51, "AH"),
    (55, "Mobile IP"),
    (58, "ICMPv6"),
    (62, "Mobile IP (old)"),
    (88, "EIGRP"),
    (89, "OSPF"),
    (103, "PIM"),
    (108, "Compressed IP"),
    (112, "VRRP"),
    (113, "PGM"),
    (132, "SCTP"),
    (135, "Mobility"),
    (143, "Ethernet"),
];

pub(super) fn ip_protocol(number: u8) -> Option<&'static str> {
    name_of(IP_PROTOCOLS, number.into())
}

/// The letters of the TCP flags from the lowest bit (RFC 9293, 3.1).
const TCP_FLAGS: &[u8; 8] = b"FSRP.UEW";

/// The letters of each combination of TCP flags, and how many they are.
const TCP_FLAG_WORDS: [([u8; 8], u8); 256] = {
    let mut words = [([0; 8], 0); 256];
    let mut flags = 0;
    while flags < 256 {
        let (mut bit, mut length) = (0, 0);
        while bit < 8 {
            if flags & (1 << bit) != 0 {
                words[flags].0[length] = TCP_FLAGS[bit];
                length += 1;
            }
            bit += 1;
        }
        words[flags].1 = length as u8;
        flags += 1;
    }
    words
};

/// `S.`, `F.P`, … in tcpdump's letters, or `none`.
pub(super) fn tcp_flags(flags: u8) -> &'static str {
    static WORDS: [([u8; 8], u8); 256] = TCP_FLAG_WORDS;
    let (letters, length) = &WORDS[usize::from(flags)];
    match letters.get(..usize::from(*length)).and_then(|letters| std::str::from_utf8(letters).ok()) {
        None | Some("") => "none",
        Some(letters) => letters,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_flags_in_tcpdumps_order() {
        assert_eq!(tcp_flags(0), "none");
        assert_eq!(tcp_flags(0x12), "S.");
        assert_eq!(tcp_flags(0x19), "FP.");
        assert_eq!(tcp_flags(0xff), "FSRP.UEW");
    }
}
