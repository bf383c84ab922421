//! Where we say something else than tcpdump, and why.

/// Packets whose names begin like this are told differently, in one way of telling at least.
pub struct Difference {
    pub name: &'static str,
    pub why: &'static str,
}

/// Payloads and protocols beyond those that a tracer of XDP programs is asked for are shown by length or number.
pub const DIFFERENCES: &[Difference] = &[
    Difference { name: "payload not decoded: ntp", why: "payloads are `UDP, length N`" },
    Difference { name: "payload not decoded: dns", why: "payloads are `UDP, length N`" },
    Difference { name: "payload not decoded: syslog", why: "payloads are `UDP, length N`" },
    Difference { name: "payload not decoded: http", why: "payloads are `length N`" },
    Difference { name: "tcp options: signature", why: "no secret is asked for with -M, so there is no word of it" },
    Difference { name: "ethertype not decoded: lldp", why: "shown by its EtherType" },
    Difference { name: "ethertype not decoded: pppoe", why: "shown by its EtherType" },
    Difference { name: "ethertype not decoded: eapol", why: "shown by its EtherType" },
    Difference { name: "ethertype not decoded: lacp", why: "shown by its EtherType" },
    Difference { name: "802.3 not decoded: stp", why: "shown by its service access point" },
    Difference { name: "802.3 not decoded: ipx", why: "shown by its service access point" },
    Difference { name: "802.3 not decoded: is-is", why: "shown by its service access point" },
    Difference { name: "802.3 not decoded: cdp", why: "shown by its SNAP type" },
    Difference { name: "ip protocols not decoded: igmp", why: "shown by its protocol number" },
    Difference { name: "ip protocols not decoded: ospf", why: "shown by its protocol number" },
    Difference { name: "ip protocols not decoded: vrrp", why: "shown by its protocol number" },
    Difference { name: "ip protocols not decoded: pim", why: "shown by its protocol number" },
    Difference { name: "icmp6 not decoded: node information", why: "shown by its type" },
    Difference { name: "icmp6 not decoded: rpl", why: "shown by its type" },
];

pub fn explained(name: &str) -> Option<&'static Difference> {
    DIFFERENCES.iter().find(|difference| name.starts_with(difference.name))
}
