//! Our words for packets against tcpdump's, and the printer and the walk through the headers on bytes of any kind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod corpus;
mod differences;
mod mutated;
mod random;
mod tcpdump;

use std::collections::BTreeMap;

use corpus::Packet;
use differences::{DIFFERENCES, explained};
use xdptrace::packet::{Dump, Printer, Style, dump};

/// A way of telling: tcpdump's flags, and ours.
struct Way {
    flags: &'static [&'static str],
    style: Style,
    /// In what form, and whether the link-layer header is with it.
    dump: Option<(Dump, bool)>,
}

const PLAIN: Style = Style {
    verbosity: 0,
    quiet: false,
    link_level: false,
    absolute_sequence: false,
    unchecked_sums: false,
    no_payload: false,
};
const LINK: Style = Style { link_level: true, ..PLAIN };
const VERBOSE: Style = Style { verbosity: 1, ..PLAIN };
const QUIET: Style = Style { quiet: true, ..PLAIN };

const fn way(flags: &'static [&'static str], style: Style) -> Way {
    Way { flags, style, dump: None }
}

const fn dumped(flags: &'static [&'static str], style: Style, dump: Dump, with_link_header: bool) -> Way {
    let no_payload = !matches!(dump, Dump::Ascii);
    Way { flags, style: Style { no_payload, ..style }, dump: Some((dump, with_link_header)) }
}

const WAYS: &[Way] = &[
    way(&[], PLAIN),
    way(&["-e"], LINK),
    way(&["-v"], VERBOSE),
    way(&["-vv"], Style { verbosity: 2, ..PLAIN }),
    way(&["-vvv"], Style { verbosity: 3, ..PLAIN }),
    way(&["-q"], QUIET),
    way(&["-S"], Style { absolute_sequence: true, ..PLAIN }),
    way(&["-K", "-vv"], Style { unchecked_sums: true, verbosity: 2, ..PLAIN }),
    way(&["-e", "-v"], Style { link_level: true, ..VERBOSE }),
    way(&["-e", "-vv", "-S"], Style { link_level: true, verbosity: 2, absolute_sequence: true, ..PLAIN }),
    way(&["-q", "-e"], Style { link_level: true, ..QUIET }),
    way(&["-q", "-v"], Style { verbosity: 1, ..QUIET }),
    dumped(&["-x"], PLAIN, Dump::Hex, false),
    dumped(&["-xx"], PLAIN, Dump::Hex, true),
    dumped(&["-X"], PLAIN, Dump::HexAscii, false),
    dumped(&["-XX"], PLAIN, Dump::HexAscii, true),
    dumped(&["-A"], PLAIN, Dump::Ascii, false),
    dumped(&["-AA"], PLAIN, Dump::Ascii, true),
    dumped(&["-e", "-vv", "-X"], Style { link_level: true, verbosity: 2, ..PLAIN }, Dump::HexAscii, false),
    dumped(&["-q", "-x"], QUIET, Dump::Hex, false),
];

/// Our words for each packet.
fn ours(way: &Way, packets: &[Packet]) -> Vec<String> {
    let mut printer = Printer::new(way.style);
    let told = packets.iter().map(|packet| {
        let mut out = Vec::new();
        let header = printer.print(&mut out, &packet.bytes, packet.length);
        if let Some((form, with_link_header)) = way.dump {
            dump(&mut out, &packet.bytes, if with_link_header { 0 } else { header }, form);
        }
        String::from_utf8(out).unwrap()
    });
    told.collect()
}

#[test]
fn words_are_tcpdumps() {
    let packets = corpus::packets();
    let path = tcpdump::write("corpus", &packets);
    let (mut compared, mut different, mut unexplained) = (0, 0, Vec::new());
    let mut occurred = BTreeMap::new();
    for way in WAYS {
        let theirs = tcpdump::read(&path, way.flags, packets.len());
        for ((packet, theirs), ours) in packets.iter().zip(theirs).zip(ours(way, &packets)) {
            compared += 1;
            if theirs == ours {
                continue;
            }
            different += 1;
            match explained(&packet.name) {
                Some(difference) => _ = occurred.insert(difference.name, difference.why),
                None => unexplained.push(format!("{} {:?}\n  {theirs:?}\n  {ours:?}", packet.name, way.flags)),
            }
        }
    }
    println!(
        "{}: {} packets in {} ways: {compared} compared, {} equal, {different} different, {} of them not explained",
        tcpdump::version(),
        packets.len(),
        WAYS.len(),
        compared - different,
        unexplained.len()
    );
    for (name, why) in &occurred {
        println!("different: {name}: {why}");
    }
    let shown = &unexplained[..unexplained.len().min(10)];
    assert!(shown.is_empty(), "{}: packet, flags, tcpdump's words, ours:\n{}", tcpdump::version(), shown.join("\n"));
    assert!(different * 100 <= compared * 3, "more than 3 % differ");
    for difference in DIFFERENCES {
        assert!(occurred.contains_key(difference.name), "no longer different: {}", difference.name);
    }
}

#[test]
fn each_protocol_has_packets_enough() {
    let packets = corpus::packets();
    assert!(packets.len() >= 500);
    let mut groups = BTreeMap::new();
    for packet in packets.iter().filter(|packet| !packet.group.ends_with("not decoded")) {
        *groups.entry(packet.group).or_insert(0) += 1;
    }
    for (group, packets) in groups {
        assert!(packets >= 10, "{group} has {packets} packets only");
    }
}
