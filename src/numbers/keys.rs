//! What packets have in common: the kernel's table, a part for each CPU → rows → as they are shown, those that are.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cells::returned;
use super::{Keys, Returned, Row, Tally};
use crate::bpf::{Key, KeyEntry, Known};
use crate::plan::{By, Part};

/// What packets have in common; None where they have none, or it wasn't asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Common {
    /// Leading bits of the source address, as many as matter.
    pub source: Option<IpAddr>,
    /// … and of the destination address.
    pub destination: Option<IpAddr>,
    /// Source port.
    pub source_port: Option<u16>,
    /// Destination port.
    pub destination_port: Option<u16>,
    /// Protocol.
    pub protocol: Option<Protocol>,
    /// Identifier of the outermost VLAN tag.
    pub vlan: Option<u16>,
    /// Bytes; 65535 is that or more.
    pub length: Option<u16>,
}

/// A protocol, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Of IP.
    Ip(u16),
    /// An EtherType, of what is no IP.
    Ethernet(u16),
}

/// The kernel's table at the last reading, to tell what has come since.
///
/// By its places, for each CPU has some of its own: where a key has left one CPU's and stays in another's, there are fewer of it
/// in all, and yet not all of these have just come.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Held>);

/// What a place of it held: the number of the target, and its packets.
#[derive(Debug, Clone, Copy)]
struct Held {
    place: usize,
    target: u32,
    row: Row,
}

impl Table {
    /// What it holds now: rows by the number of their target, each as often as CPUs have it. Packets that could not be read have
    /// none.
    pub(super) fn read(&mut self, by: &By, entries: &[KeyEntry]) -> impl Iterator<Item = (u32, Row)> {
        let mut before = std::mem::take(&mut self.0).into_iter().peekable();
        for KeyEntry { place, key, tally } in entries {
            while before.next_if(|then| then.place < *place).is_some() {}
            let then = before.next_if(|then| then.place == *place);
            let Some(row) = Row::new(by, key, (*tally).into()) else { continue };
            let then = then.filter(|then| then.target == key.target && then.row.place() == row.place());
            let row = row.since(then.map(|then| then.row.tally));
            self.0.push(Held { place: *place, target: key.target, row });
        }
        self.0.iter().map(|held| (held.target, held.row))
    }
}

impl Row {
    /// What the kernel has counted of a key; None where the packet could not be read.
    pub(super) fn new(by: &By, key: &Key, tally: Tally) -> Option<Self> {
        let verdict = returned(key.verdict.into()).unwrap_or(Returned::Other);
        knows(key, Known::KEY_READ).then(|| Self { key: Common::new(by, key), verdict, tally, came: tally })
    }

    /// The same, where there were `then` at the reading before, in the same place.
    fn since(self, then: Option<Tally>) -> Self {
        // Where there are fewer, the key has left the table, and come back.
        let then = then.filter(|then| then.packets <= self.tally.packets);
        Self { came: self.tally.since(then.unwrap_or_default()), ..self }
    }

    /// By what was asked for first, then by the rest.
    pub fn compare(&self, other: &Self, by: &By) -> Ordering {
        let parts = by.parts.iter().map(|part| self.key.compare(&other.key, *part));
        parts.fold(Ordering::Equal, Ordering::then).then_with(|| self.verdict.cmp(&other.verdict))
    }

    fn place(&self) -> (&Common, Returned) {
        (&self.key, self.verdict)
    }
}

impl Keys {
    /// Of the rows of all CPUs; what isn't in them of all of a program's packets, and of those that came, is `other`.
    pub(super) fn new(mut rows: Vec<Row>, total: Tally, came: Tally, evicted: u64) -> Self {
        rows.sort_unstable_by(|one, two| one.place().cmp(&two.place()));
        rows.dedup_by(|next, row| {
            let is_same = next.place() == row.place();
            if is_same {
                row.tally.add(next.tally);
                row.came.add(next.came);
            }
            is_same
        });
        let (mut counted, mut new) = (Tally::default(), Tally::default());
        for row in &rows {
            counted.add(row.tally);
            new.add(row.came);
        }
        Self { rows: rows.into(), other: total.since(counted), others_came: came.since(new), evicted }
    }

    /// So many rows, those with the most packets, and the most first.
    pub fn most(&self, by: &By, count: usize) -> Vec<&Row> {
        first(self.rows.iter().collect(), count, |one, two| {
            two.tally.packets.cmp(&one.tally.packets).then_with(|| one.compare(two, by))
        })
    }
}

/// The first so many in this order.
pub fn first<T>(mut all: Vec<T>, count: usize, order: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    if count < all.len() {
        all.select_nth_unstable_by(count, &order);
        all.truncate(count);
    }
    all.sort_unstable_by(order);
    all
}

impl Common {
    fn new(by: &By, key: &Key) -> Self {
        let number = |part, number: u16, what| (by.asks(part) && knows(key, what)).then_some(number);
        Self {
            source: by.asks(Part::Source).then(|| address(key, key.source)).flatten(),
            destination: by.asks(Part::Destination).then(|| address(key, key.destination)).flatten(),
            source_port: number(Part::SourcePort, key.source_port, Known::KEY_PORTS),
            destination_port: number(Part::DestinationPort, key.destination_port, Known::KEY_PORTS),
            protocol: by.asks(Part::Protocol).then(|| protocol(key)).flatten(),
            vlan: number(Part::Vlan, key.vlan, Known::KEY_VLAN),
            length: number(Part::Length, key.length, Known::KEY_LENGTH),
        }
    }

    fn compare(&self, other: &Self, part: Part) -> Ordering {
        match part {
            Part::Source => self.source.cmp(&other.source),
            Part::Destination => self.destination.cmp(&other.destination),
            Part::SourcePort => self.source_port.cmp(&other.source_port),
            Part::DestinationPort => self.destination_port.cmp(&other.destination_port),
            Part::Protocol => self.protocol.cmp(&other.protocol),
            Part::Vlan => self.vlan.cmp(&other.vlan),
            Part::Length => self.length.cmp(&other.length),
        }
    }

    /// As it is written, a part for each that was asked for, in that order.
    pub fn words(&self, by: &By) -> Vec<Option<String>> {
        by.parts.iter().map(|part| self.word(by, *part)).collect()
    }

    fn word(&self, by: &By, part: Part) -> Option<String> {
        let number = |number: Option<u16>| number.map(|number| number.to_string());
        match part {
            Part::Source => self.source.map(|address| network(by, address)),
            Part::Destination => self.destination.map(|address| network(by, address)),
            Part::SourcePort => number(self.source_port),
            Part::DestinationPort => number(self.destination_port),
            Part::Protocol => self.protocol.map(Protocol::word),
            Part::Vlan => number(self.vlan),
            Part::Length if self.length == Some(u16::MAX) => Some("65535+".into()),
            Part::Length => number(self.length),
        }
    }
}

impl Protocol {
    fn word(self) -> String {
        match self {
            Self::Ip(number) => name_in(&PROTOCOLS, number).unwrap_or_else(|| number.to_string()),
            Self::Ethernet(number) => name_in(&ETHERTYPES, number).unwrap_or_else(|| format!("0x{number:04x}")),
        }
    }
}

fn knows(key: &Key, what: Known) -> bool {
    u32::from(key.known) & what.0 != 0
}

fn address(key: &Key, [high, low]: [u64; 2]) -> Option<IpAddr> {
    // In memory they are in network byte order.
    let address = u128::from(u64::from_be(high)) << 64 | u128::from(u64::from_be(low));
    let ipv4 = knows(key, Known::KEY_IPV4).then(|| Ipv4Addr::from((address >> 96) as u32).into());
    ipv4.or_else(|| knows(key, Known::KEY_IPV6).then(|| Ipv6Addr::from(address).into()))
}

fn protocol(key: &Key) -> Option<Protocol> {
    let ip = knows(key, Known::KEY_PROTOCOL).then_some(Protocol::Ip(key.protocol));
    ip.or_else(|| knows(key, Known::KEY_ETHERTYPE).then_some(Protocol::Ethernet(key.protocol)))
}

/// `192.0.2.1`, or `192.0.2.0/24`.
fn network(by: &By, address: IpAddr) -> String {
    let (prefix, bits) = if address.is_ipv4() { (by.prefix4, 32) } else { (by.prefix6, 128) };
    if prefix < bits { format!("{address}/{prefix}") } else { address.to_string() }
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

fn name_in(table: &[(u16, &str)], number: u16) -> Option<String> {
    table.iter().find(|(value, _)| *value == number).map(|(_, name)| (*name).to_owned())
}
