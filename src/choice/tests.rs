//! What is asked for, of which run, and whether that is one.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;

/// An Ethernet frame with an IPv4 header: UDP to port 9, or TCP.
fn packet(protocol: u8) -> Vec<u8> {
    let mut bytes = vec![0; 42];
    (bytes[12], bytes[14], bytes[23], bytes[37]) = (8, 0x45, protocol, 9);
    bytes
}

fn selection() -> Selection {
    Selection::default()
}

#[test]
fn each_option_takes_what_it_means_and_nothing_unknown() {
    let (udp, tcp) = (packet(17), packet(6));
    let frame = |bytes| Some(Frame { length: Some(42), metadata: 0, bytes });
    let event = Event {
        queue: Some(3),
        verdict: Some(Verdict(1)),
        latency_ns: Some(1000),
        before: frame(&udp),
        after: frame(&tcp),
        changed: Some(true),
        ..Event::NOTHING_KNOWN
    };
    let unknown =
        Event { queue: None, verdict: None, latency_ns: None, before: None, after: None, changed: None, ..event };
    let filter = |words: &str, filter_at| Selection { filter: words.into(), filter_at, ..selection() };
    let slower = |ns| Selection { slower: Some(Duration::from_nanos(ns)), ..selection() };
    let verdicts = |mask| Selection { verdicts: Some(mask), ..selection() };
    let queue = |number| Selection { queue: Some(number), ..selection() };
    let changed = Selection { changed: true, ..selection() };
    let table = [
        (selection(), event, true),
        (selection(), unknown, true),
        (verdicts(0b10), event, true),
        (verdicts(0b1), event, false),
        (verdicts(0b11_1111), unknown, false),
        (verdicts(0b10_0000), Event { verdict: Some(Verdict(u32::MAX)), ..event }, true),
        (verdicts(0b1_1111), Event { verdict: Some(Verdict(5)), ..event }, false),
        (queue(3), event, true),
        (queue(0), event, false),
        (queue(0), unknown, false),
        (slower(1000), event, true),
        (slower(1001), event, false),
        (slower(1), unknown, false),
        (changed.clone(), event, true),
        (changed.clone(), Event { changed: Some(false), ..event }, false),
        (changed, unknown, false),
        (filter("udp port 9", Side::Entry), event, true),
        (filter("udp port 9", Side::Exit), event, false),
        (filter("tcp", Side::Exit), event, true),
        (filter("udp", Side::Exit), Event { after: None, ..event }, true),
        (filter("tcp", Side::Entry), Event { before: None, ..event }, true),
        (filter("udp", Side::Entry), Event { before: frame(&udp[..20]), ..event }, false),
        (filter("greater 42", Side::Entry), event, true),
        (filter("greater 43", Side::Entry), event, false),
        (filter("ip", Side::Entry), unknown, false),
        (Selection { verdicts: Some(2), ..filter("tcp", Side::Entry) }, event, false),
    ];
    for (number, (selection, event, is_taken)) in table.into_iter().enumerate() {
        assert_eq!(Choice::new(&selection).unwrap().takes(&event), is_taken, "row {number}: {selection:?}");
    }
}

#[test]
fn a_filter_that_libpcap_does_not_understand_is_refused() {
    assert!(Choice::new(&Selection { filter: "tcp and and".into(), ..selection() }).is_err());
}
