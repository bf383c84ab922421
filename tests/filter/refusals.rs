//! What is refused, and by whom.

use xdptrace::filter;

use crate::libpcap::{NETMASK_UNKNOWN, compile};
use crate::view::LAYOUT;

/// Those whose programs jump backwards: protochain follows the headers in a loop.
const LOOPS: &[&str] = &[
    "ip protochain 17",
    "ip6 protochain 6",
    "ip6 protochain 44",
    "protochain 17",
    "protochain \\tcp",
    "ip6 protochain \\udp and port 53",
    "not ip6 protochain 58",
    "tcp or ip protochain 51",
];

/// Those that load from where no packet has bytes: Linux keeps the direction there, and only for sockets.
const ANCILLARY: &[&str] = &["inbound", "outbound", "inbound and tcp", "ether[0xfffffff0] >= 0", "ether[-1:4] >= 0"];

/// Those that libpcap itself refuses on Ethernet, or without a netmask, a resolver or /etc/ethers.
const REFUSED: &[&str] = &[
    "ip broadcast",
    "gateway 192.168.1.1",
    "192.168.1.138",
    "mpls or vlan",
    "ifname eth0",
    "rnr 1",
    "rset a",
    "reason match",
    "action pass",
    "wlan addr1 02:00:00:00:00:01",
    "type mgt",
    "type data subtype null",
    "dir fromds",
    "vpi 1",
    "vci 1",
    "lane",
    "oam",
    "metac",
    "connectmsg",
    "radio[0] = 0",
    "net 192.168.1.1/16",
    "net 2001:db8::1/32",
    "port 65536",
    "vlan 4096",
    "mpls 1048576",
    "pppoes 65536",
    "geneve 16777216",
    "ip[0:3] = 0",
    "ip[0] / 0 = 1",
    "ip[0] % 0 = 1",
    "ip[0] << 32 = 0",
    "tcp port",
    "ip and",
    "(ip",
    "ether proto nosuch",
];

#[test]
fn loops_are_refused_by_the_translator() {
    for expression in LOOPS {
        let own = compile(expression, true, NETMASK_UNKNOWN).unwrap();
        // BPF_JMP | BPF_JA
        assert!(own.iter().any(|instruction| instruction.code == 5 && (instruction.k as i32) < 0), "{expression}");
        let program = filter::compile(expression).unwrap();
        let error = filter::translate(program.instructions(), &LAYOUT).map(drop).unwrap_err();
        assert!(error.to_string().contains("protochain"), "{expression}: {error}");
    }
}

#[test]
fn what_lies_beside_the_packet_is_refused() {
    for expression in ANCILLARY {
        assert!(compile(expression, true, NETMASK_UNKNOWN).is_ok(), "{expression}");
        assert!(filter::compile(expression).is_err(), "{expression}");
    }
}

#[test]
fn what_libpcap_refuses_is_refused_in_its_words() {
    for expression in REFUSED {
        let own = compile(expression, true, NETMASK_UNKNOWN).unwrap_err();
        let error = filter::compile(expression).map(drop).unwrap_err().to_string();
        assert!(error.ends_with(&own), "{error}, not {own}");
    }
}
