//! The expressions of the differential test, in the order of pcap-filter(7), whose sections the comments name.

use super::libpcap::{NETMASK_UNKNOWN, compile};

mod addresses;
mod arithmetic;
mod encapsulations;
mod protocols;

/// Those that any libpcap compiles for Ethernet from 1.10 on, written by hand.
const WRITTEN: [&[&str]; 4] =
    [addresses::EXPRESSIONS, protocols::EXPRESSIONS, encapsulations::EXPRESSIONS, arithmetic::EXPRESSIONS];

/// Those that need /etc/services or /etc/protocols: they are left out where libpcap doesn't know the name.
const NAMED: &[&str] = &[
    "port domain",
    "dst port http",
    "tcp port ssh or https",
    "udp src port domain",
    "tcp portrange ftp-ssh",
    "ip proto \\gre",
    "ip6 proto \\ipv6-icmp",
    "proto ospf",
];

/// Those of later libpcaps: left out where this one doesn't know them.
const LATER: &[&str] = &["vxlan", "vxlan 42", "vxlan 42 and udp port 53", "vxlan and tcp"];

/// All that libpcap compiles here.
pub fn expressions() -> Vec<String> {
    let known = |expression: &&&str| compile(expression, true, NETMASK_UNKNOWN).is_ok();
    let optional = NAMED.iter().chain(LATER).filter(known).copied();
    let mut all: Vec<String> = WRITTEN.concat().into_iter().chain(optional).map(String::from).collect();
    all.extend(long());
    all
}

/// Lists such as scripts make, up to what a sled just holds.
fn long() -> [String; 5] {
    let any = |count: u32, primitive: fn(u32) -> String| (0..count).map(primitive).collect::<Vec<_>>().join(" or ");
    [
        any(1000, |n| format!("ip host 10.{}.{}.3", n / 250, n % 250)),
        any(150, |n| format!("port {}", 20 + 3 * n)),
        any(160, |n| format!("net 2001:db8:{n:x}::/48")),
        any(50, |n| format!("udp[udp[8:4] + {n}] = {}", 7 * n + 1)),
        any(50, |n| format!("(ip[{n}] > 200 and not ip[{}:4] & {} = 0)", 2 * n, 3 * n + 1)),
    ]
}
