//! Fixed counters → numbers, worked out by hand.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::IpAddr;

use super::*;
use crate::bpf::{Counted, Key, Known, Tallied, VerdictKind};
use crate::event::Verdict;
use crate::numbers::{Forward, Latency, Path, Tally};
use crate::plan::Part;

pub(in crate::numbers) const DROP: usize = 1;
const PASS: usize = 2;

pub(in crate::numbers) fn cell(ifindex: u32, queue: u32, tallies: &[(usize, u64, u64)]) -> Cell {
    let mut cell = Cell { netns: 7, ifindex, queue, is_used: 1, ..Cell::default() };
    for (kind, packets, bytes) in tallies {
        cell.tallies[*kind] = Tallied { packets: *packets, bytes: *bytes };
    }
    cell
}

fn state(kept: u64, filtered: u64) -> State {
    State { counts: Counted { kept, filtered, ..Counted::default() }, ..State::default() }
}

fn subject(program_id: u32) -> Subject {
    Subject { program_id, function: "xdp_lb".into(), ..Subject::default() }
}

pub(in crate::numbers) fn reading(number: u32, program_id: u32, packets: u64) -> Reading {
    Reading {
        number,
        subject: subject(program_id),
        behind: None,
        has_queue: true,
        cells: vec![cell(2, 0, &[(DROP, packets, packets * 60)])],
        states: vec![state(packets, 0)],
        recursion_misses: Some(0),
    }
}

fn eth(_netns: u32, ifindex: u32) -> Option<String> {
    (1..9).contains(&ifindex).then(|| format!("eth{ifindex}"))
}

pub(in crate::numbers) fn tally(packets: u64, bytes: u64) -> Tally {
    Tally { packets, bytes }
}

fn packets(program: &Program) -> u64 {
    program.traffic.iter().flat_map(|traffic| traffic.verdicts.values()).map(|tally| tally.packets).sum()
}

#[test]
fn cpus_are_added_up_by_device_and_queue() {
    let mut second = cell(2, 1, &[(PASS, 4, 400), (VerdictKind::VERDICT_OTHER.0 as usize, 1, 60)]);
    (second.latencies[8], second.latency_sum_ns, second.latency_max_ns) = (5, 45, 9);
    let mut third = cell(2, 1, &[(PASS, 1, 100)]);
    (third.latencies[12], third.latency_sum_ns, third.latency_max_ns) = (1, 17, 17);
    let unused = Cell { is_used: 0, ..cell(3, 0, &[(DROP, 9, 9)]) };
    let elsewhere = Cell { netns: 0, ..cell(0, 5, &[(DROP, 2, 120)]) };
    let cells = vec![cell(2, 0, &[(DROP, 3, 180)]), second, unused, third, elsewhere];
    let states = vec![state(8, 10), state(4, 0)];
    let mut book = Book::new(None);
    book.note(&Reading { cells, states, ..reading(0, 12, 0) });
    let program = book.numbers(&Shared::default(), eth).programs.remove(0);
    assert_eq!((program.counts.seen, program.counts.filtered, program.counts.traced), (21, 10, 11));
    let [other, first, second] = &program.traffic[..] else { panic!("{:?}", program.traffic) };
    assert_eq!((&other.device, other.queue), (&Port::default(), None));
    assert_eq!((first.device.name.as_deref(), first.queue, &first.latency), (Some("eth2"), Some(0), &None));
    assert_eq!(first.verdicts, BTreeMap::from([(Returned::Action(Verdict(1)), tally(3, 180))]));
    let expected = [(Returned::Action(Verdict(2)), tally(5, 500)), (Returned::Other, tally(1, 60))];
    assert_eq!(second.verdicts, BTreeMap::from(expected));
    let latency = second.latency.clone().unwrap();
    assert_eq!((latency.count(), latency.sum_ns, latency.max_ns), (6, 62, 17));
    assert_eq!(latency.quantile(0.5), Some(std::time::Duration::from_nanos(9)));
    assert_eq!(Latency::default().quantile(0.5), None);
}

#[test]
fn what_was_let_go_of_stays_and_goes_on_where_it_was() {
    let mut book = Book::new(None);
    book.note(&reading(0, 12, 5));
    book.close(&reading(0, 12, 7), &[]);
    book.note(&reading(1, 13, 2));
    book.note(&reading(2, 12, 1));
    let numbers = book.numbers(&Shared::default(), eth);
    let told =
        |program: &Program| (program.subject.program_id, program.is_traced, packets(program), program.counts.seen);
    assert_eq!(numbers.programs.iter().map(told).collect::<Vec<_>>(), [(12, true, 8, 8), (13, true, 2, 2)]);
    assert_eq!((book.total().seen, book.verdicts()), (10, BTreeMap::from([(Returned::Action(Verdict(1)), 10)])));
}

#[test]
fn old_programs_are_merged_and_none_is_forgotten() {
    let mut book = Book::new(None);
    let failure = |target| {
        (FailedOutcome { target, netns: 7, ifindex: 2, action: 4, error: -100, ..FailedOutcome::default() }, 1)
    };
    let shared = Shared::default();
    for number in 0..200 {
        book.close(&reading(number, number + 1, 3), &[failure(number)]);
        assert!(book.numbers(&shared, eth).programs.len() <= PAST);
    }
    let programs = book.numbers(&shared, eth).programs;
    assert_eq!(programs.iter().map(packets).sum::<u64>(), 600);
    assert_eq!(programs.iter().map(|program| program.failures[0].count).sum::<u64>(), 200);
    assert!(book.entries.iter().all(|entry| entry.numbers.len() == 1));
}

#[test]
fn programs_of_ever_new_names_are_told_together_in_the_end_but_for_names_in_use() {
    let mut book = Book::new(None);
    let named = |number: u32, name: String| Reading {
        subject: Subject { program_id: number + 1, function: name, ..Subject::default() },
        ..reading(number, number + 1, 3)
    };
    book.note(&named(1000, "xdp7".into()));
    for number in 0..200 {
        let failed = FailedOutcome { target: number, netns: 7, ifindex: 2, action: 4, ..FailedOutcome::default() };
        book.close(&named(number, format!("xdp{number}")), &[(failed, 1)]);
        let programs = book.numbers(&Shared::default(), eth).programs;
        assert!(programs.len() <= PAST + 2, "{}", programs.len());
        assert_eq!(programs.iter().map(packets).sum::<u64>(), u64::from(number) * 3 + 6);
    }
    let programs = book.numbers(&Shared::default(), eth).programs;
    let names: Vec<String> = programs.iter().map(|program| program.subject.shown()).collect();
    let expected = ["programs gone before", "xdp7#1001", "xdp7#8"].map(str::to_owned).into_iter();
    let expected = expected.chain((137..200).map(|number| format!("xdp{number}#{}", number + 1)));
    assert_eq!(names, expected.collect::<Vec<_>>());
    assert_eq!((packets(&programs[0]), programs[0].failures[0].count), (136 * 3, 136));
}

#[test]
fn a_device_that_has_gone_keeps_its_name() {
    let mut book = Book::new(None);
    book.note(&reading(0, 12, 5));
    let _ = book.numbers(&Shared::default(), eth);
    let numbers = book.numbers(&Shared::default(), |_, _| None);
    assert_eq!(numbers.programs[0].traffic[0].device.name.as_deref(), Some("eth2"));
}

#[test]
fn failures_and_forwards_are_in_the_kernels_words() {
    let failed = |error| FailedOutcome { target: 0, netns: 7, ifindex: 2, source: 2, action: 4, error };
    let failures =
        vec![(failed(-100), 3), (failed(0), 2), (failed(-524), 1), (FailedOutcome { target: 9, ..failed(-1) }, 5)];
    let path = |kind| ForwardPath { kind, from_netns: 7, from_ifindex: 2, to_netns: 7, to: 12, cpu: 1, error: -6 };
    let forwarded = Forwarded { sent: 4, dropped: 1 };
    let forwards = (0..5).map(|kind| (path(kind), forwarded)).collect();
    let mut book = Book::new(None);
    book.note(&reading(0, 12, 5));
    let numbers = book.numbers(&Shared { failures, forwards, ..Shared::default() }, eth);
    let told = |one: &crate::numbers::Failures| (one.error.clone(), one.count, one.device.name.clone());
    let eth2 = || Some("eth2".to_owned());
    let expected = [(Some("ENOTSUPP".into()), 1, eth2()), (Some("ENETDOWN".into()), 3, eth2()), (None, 2, eth2())];
    assert_eq!(numbers.programs[0].failures.iter().map(told).collect::<Vec<_>>(), expected);
    let port = |name: Option<String>, ifindex| Port { name, netns: 7, ifindex, ..Port::default() };
    let paths = [
        Path::Redirect { from: port(eth2(), 2), to: port(None, 12) },
        Path::Tx(port(eth2(), 2)),
        Path::Enqueue { map: 12, cpu: 1 },
        Path::Dequeue { map: 12, cpu: 1 },
    ];
    let expected = paths.map(|path| Forward { path, sent: 4, dropped: 1, error: Some("ENXIO".into()) });
    assert_eq!(numbers.forwards, expected);
}

fn by(parts: &[Part], prefix4: u8) -> By {
    By { parts: parts.to_vec(), prefix4, prefix6: 64, rows: 20 }
}

/// 192.0.2.0 > 198.51.100.7, TCP from 1024 to 443, in VLAN 5, dropped.
fn key(known: u32) -> Key {
    let address = |bytes: [u8; 4]| [(u64::from(u32::from_be_bytes(bytes)) << 32).to_be(), 0];
    let (source, destination) = (address([192, 0, 2, 0]), address([198, 51, 100, 7]));
    let known = (known | Known::KEY_READ.0) as u8;
    Key {
        protocol: 6,
        vlan: 5,
        source_port: 1024,
        destination_port: 443,
        length: 60,
        verdict: 1,
        known,
        source,
        destination,
        ..Key::default()
    }
}

#[test]
fn keys_are_as_they_are_written() {
    use Part::{Destination, DestinationPort, Length, Protocol, Source, SourcePort, Vlan};
    let shown = |parts: &[Part], key: &Key| {
        let by = by(parts, 24);
        let words = Row::new(&by, key, Tally::default()).unwrap().key.words(&by);
        words.iter().map(|part| part.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(" ")
    };
    let all = [Source, SourcePort, Destination, DestinationPort, Protocol, Vlan, Length];
    let tcp = Known::KEY_IPV4.0 | Known::KEY_PROTOCOL.0 | Known::KEY_PORTS.0 | Known::KEY_VLAN.0 | Known::KEY_LENGTH.0;
    assert_eq!(shown(&all, &key(tcp)), "192.0.2.0/24 1024 198.51.100.7/24 443 tcp 5 60");
    assert_eq!(shown(&all, &key(0)), "- - - - - - -");
    assert_eq!(shown(&[Destination], &key(Known::KEY_IPV6.0)), "c633:6407::/64");
    assert_eq!(shown(&[Length], &Key { length: 65_535, ..key(tcp) }), "65535+");
    let of = |protocol, known: Known| shown(&[Protocol], &Key { protocol, ..key(known.0) });
    assert_eq!(of(253, Known::KEY_PROTOCOL), "253");
    assert_eq!([of(0x0806, Known::KEY_ETHERTYPE), of(0x1234, Known::KEY_ETHERTYPE)], ["arp", "0x1234"]);
}

/// In this order in the table.
fn entries(keys: impl IntoIterator<Item = (Key, Tallied)>) -> Vec<KeyEntry> {
    keys.into_iter().enumerate().map(|(place, (key, tally))| KeyEntry { place, key, tally }).collect()
}

fn ports<'rows>(rows: impl IntoIterator<Item = &'rows Row>) -> Vec<(Option<u16>, u64)> {
    rows.into_iter().map(|row| (row.key.destination_port, row.tally.packets)).collect()
}

#[test]
fn rows_and_others_are_all_packets() {
    let mut book = Book::new(Some(by(&[Part::DestinationPort], 32)));
    let states = vec![State { evicted: 2, ..state(60, 0) }, State { evicted: 1, ..state(40, 0) }];
    book.note(&Reading { states, ..reading(3, 12, 100) });
    let port = |destination_port, packets| {
        let key = Key { target: 3, destination_port, ..key(Known::KEY_PORTS.0) };
        (key, Tallied { packets, bytes: packets * 60 })
    };
    let others = (Key { target: 4, ..key(0) }, Tallied { packets: 30, bytes: 1800 });
    let keys = entries([port(53, 10), port(443, 39), others, port(443, 1)]);
    let keys = book.numbers(&Shared { keys, ..Shared::default() }, eth).programs.remove(0).keys.unwrap();
    assert_eq!(ports(keys.rows.iter()), [(Some(53), 10), (Some(443), 40)]);
    assert_eq!(ports(keys.most(&by(&[Part::DestinationPort], 32), 9)), [(Some(443), 40), (Some(53), 10)]);
    assert_eq!((keys.other, keys.evicted), (tally(50, 3000), 3));
    assert_eq!(keys.rows[0].verdict, Returned::Action(Verdict(1)));
}

/// A key and its packets, from this source to this port.
fn counted(&(source, destination_port, packets): &(u32, u16, u64)) -> (Key, Tallied) {
    let source = [(u64::from(source) << 32).to_be(), 0];
    let known = Known::KEY_IPV4.0 | Known::KEY_PORTS.0;
    let key = Key { target: 3, source, destination_port, ..key(known) };
    (key, Tallied { packets, bytes: packets })
}

#[test]
fn the_most_packets_are_first_and_of_as_many_the_least_key() {
    let by = by(&[Part::DestinationPort, Part::Source], 32);
    let table = [(9, 80, 5), (1, 443, 5), (2, 80, 2), (7, 80, 9), (2, 80, 3), (10, 80, 5), (3, 53, 1)];
    let rows = Table::default().read(&by, &entries(table.iter().map(counted))).map(|(_, row)| row).collect();
    let keys = Keys::new(rows, tally(1000, 1000), tally(0, 0), 0);
    let most = |count| -> Vec<(u16, String, u64)> {
        let shown = |row: &&Row| (row.key.destination_port.unwrap(), row.key.source.unwrap(), row.tally.packets);
        keys.most(&by, count).iter().map(shown).map(|(port, from, packets)| (port, from.to_string(), packets)).collect()
    };
    let all = [(80, 7, 9), (80, 2, 5), (80, 9, 5), (80, 10, 5), (443, 1, 5), (53, 3, 1)];
    let all = all.map(|(port, source, packets)| (port, format!("0.0.0.{source}"), packets));
    for count in 0..8 {
        assert_eq!(most(count), all[..count.min(6)], "{count}");
    }
}

/// What has come by source, and of others, where the table's places hold this, and so many packets were counted in all.
fn came(book: &mut Book, places: &[(u32, u16, u64)], total: u64) -> (Vec<(u32, u64)>, u64) {
    book.note(&reading(3, 12, total));
    let shared = Shared { keys: entries(places.iter().map(counted)), ..Shared::default() };
    let keys = book.numbers(&shared, eth).programs.remove(0).keys.unwrap();
    let source = |row: &Row| match row.key.source {
        Some(IpAddr::V4(source)) => u32::from(source),
        _ => panic!("{row:?}"),
    };
    (keys.rows.iter().map(|row| (source(row), row.came.packets)).collect(), keys.others_came.packets)
}

#[test]
fn what_has_come_is_told_by_the_places_of_each_cpu() {
    let mut book = Book::new(Some(by(&[Part::Source], 32)));
    // On two CPUs the second key.
    let places = [(1, 80, 5), (2, 80, 700), (2, 80, 1000), (6, 80, 1)];
    assert_eq!(came(&mut book, &places, 1800), (vec![(1, 5), (2, 1700), (6, 1)], 94));
    // It has left one of them, for a key that is new; the first one has come back with less than it had.
    let places = [(1, 80, 4), (3, 80, 2), (2, 80, 1010), (6, 80, 1)];
    assert_eq!(came(&mut book, &places, 1830), (vec![(1, 4), (2, 10), (3, 2), (6, 0)], 14));
    // It comes back, elsewhere.
    let places = [(2, 80, 20), (3, 80, 2), (2, 80, 1010), (6, 80, 1)];
    assert_eq!(came(&mut book, &places, 1860), (vec![(2, 20), (3, 0), (6, 0)], 10));
}
