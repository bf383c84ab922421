//! Devices that come and go: everything adds up, and nothing grows without end.

#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;

use super::super::tests::{DROP, cell, reading, tally};
use super::*;
use crate::event::{Overflow, Standing};
use crate::numbers::{Failures, Latency, Numbers, Program, Tally};

/// A device comes, has three packets, and goes: its cell is given back. Beside it is veth0, which stays, if it has a cell.
fn pass_by(book: &mut Book, ifindex: u32, name: &str, beside: &[Cell]) -> Numbers {
    let mut held = cell(ifindex, 0, &[(DROP, 3, 180)]);
    (held.latencies[8], held.latency_sum_ns, held.latency_max_ns) = (3, 27, 9);
    let stays = |index: u32| beside.iter().any(|cell| cell.ifindex == index).then(|| "veth0".to_owned());
    let there = |_: u32, index: u32| (index == ifindex).then(|| name.to_owned()).or_else(|| stays(index));
    let here = Reading { cells: [&[held][..], beside].concat(), ..reading(0, 12, 0) };
    book.note(&here);
    let _ = book.numbers(&Shared::default(), there);
    let failed = FailedOutcome { netns: 7, ifindex, action: 9, ..FailedOutcome::default() };
    let path = ForwardPath { from_netns: 7, from_ifindex: ifindex, to_netns: 9, to: ifindex, ..ForwardPath::default() };
    let gone = Gone::new([((7, ifindex), Some(name))]);
    book.note(&Reading { cells: beside.to_vec(), ..here.clone() });
    book.keep(&here, &[held]);
    book.keep_outcomes(&[(failed, 2)], &[(path, Forwarded { sent: 1, dropped: 1 })], &gone);
    book.settle(&gone);
    book.numbers(&Shared::default(), |_, index| stays(index))
}

fn packets(program: &Program) -> u64 {
    let tallies = program.traffic.iter().flat_map(|traffic| traffic.verdicts.values());
    tallies.map(|tally| tally.packets).sum()
}

/// By what a series is called: packets of a name, that still has one.
fn by_name(numbers: &Numbers) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for traffic in &numbers.programs[0].traffic {
        if traffic.device.standing != Standing::Forgotten {
            let packets: u64 = traffic.verdicts.values().map(|tally| tally.packets).sum();
            *sums.entry(traffic.device.name.clone().unwrap_or_default()).or_default() += packets;
        }
    }
    sums
}

#[test]
fn the_last_devices_are_kept_by_themselves_and_all_add_up() {
    let mut book = Book::new(None);
    for index in 1..=200 {
        let numbers = pass_by(&mut book, index, &format!("veth{index:03}"), &[]);
        let program = &numbers.programs[0];
        let all = u64::from(index) * 3;
        assert_eq!((packets(program), program.counts.traced, program.counts.seen), (all, all, all));
        assert!(
            program.traffic.len() <= KEPT + 1
                && program.failures.len() <= KEPT + 1
                && numbers.forwards.len() <= KEPT + 1
        );
        let failed: u64 = program.failures.iter().map(|failures| failures.count).sum();
        let sent: u64 = numbers.forwards.iter().map(|forward| forward.sent + forward.dropped).sum();
        assert_eq!((failed, sent), (u64::from(index) * 2, u64::from(index) * 2));
        assert!(book.names.is_empty(), "{:?}", book.names);
    }
    let numbers = book.numbers(&Shared::default(), |_, _| None);
    let expected = (137..=200).map(|index| (format!("veth{index:03}"), 3)).collect();
    assert_eq!(by_name(&numbers), expected);
    let program = &numbers.programs[0];
    let forgotten = program.traffic.last().unwrap();
    assert_eq!((forgotten.device.shown(), forgotten.queue), ("devices gone before".into(), None));
    assert_eq!(forgotten.verdicts.values().copied().collect::<Vec<Tally>>(), [tally(136 * 3, 136 * 180)]);
    assert_eq!(forgotten.latency.as_ref().map(Latency::count), Some(136 * 3));
    let Failures { device, verdict, count, .. } = program.failures.last().unwrap();
    assert_eq!((device.standing, verdict, *count), (Standing::Forgotten, &crate::numbers::Returned::Other, 272));
    assert_eq!(
        numbers.forwards.last().unwrap().to_string(),
        "devices gone before -> devices gone before: 136 sent, 136 dropped"
    );
}

#[test]
fn a_name_that_is_in_use_is_not_forgotten() {
    let mut book = Book::new(None);
    let veth0 = cell(5000, 0, &[(DROP, 1, 60)]);
    for index in 1..=200 {
        // One of that name that comes anew each time, and one of another name.
        let numbers = pass_by(&mut book, 1000 + index, "veth0", &[veth0]);
        assert_eq!(by_name(&numbers)["veth0"], u64::from(index) * 3 + 1);
        let numbers = pass_by(&mut book, index, &format!("veth{index:03}"), &[veth0]);
        assert_eq!(by_name(&numbers)["veth0"], u64::from(index) * 3 + 1);
        assert_eq!(packets(&numbers.programs[0]), u64::from(index) * 6 + 1);
        assert!(numbers.programs[0].traffic.len() <= KEPT + 2);
    }
    // It isn't any more, and went first.
    let numbers = pass_by(&mut book, 201, "veth201", &[]);
    assert!(!by_name(&numbers).contains_key("veth0"));
    // The one that was there is in its place still: its cell was not given back.
    assert_eq!(packets(&numbers.programs[0]), 201 * 3 + 200 * 3);
}

#[test]
fn devices_of_other_namespaces_do_not_grow_without_end() {
    let mut book = Book::new(None);
    for number in 0..100 {
        let cells = (1..5).map(|queue| cell(100 + number, queue, &[(DROP, 1, 60)])).collect();
        let failed = FailedOutcome { target: number, netns: 7, ifindex: 100 + number, ..FailedOutcome::default() };
        book.close(&Reading { cells, ..reading(number, 12, 0) }, &[(failed, 1)]);
        let numbers = book.numbers(&Shared::default(), |_, _| None);
        let program = &numbers.programs[0];
        assert_eq!((packets(program), by_name(&numbers)[""]), (u64::from(number + 1) * 4, u64::from(number + 1) * 4));
        assert!(
            program.traffic.len() <= 4 * KEPT + 1 && program.failures.len() <= KEPT + 1,
            "{}",
            program.traffic.len()
        );
        assert_eq!(program.failures.iter().map(|failures| failures.count).sum::<u64>(), u64::from(number + 1));
    }
}

#[test]
fn a_device_without_a_name_is_one_however_many_queues_it_has() {
    let mut book = Book::new(None);
    let cells = (0..100).map(|queue| cell(2, queue, &[(DROP, 1, 60)])).chain([cell(0, 0, &[(DROP, 1, 60)])]).collect();
    book.close(&Reading { cells, ..reading(0, 12, 0) }, &[]);
    let numbers = book.numbers(&Shared::default(), |_, _| None);
    let traffic = &numbers.programs[0].traffic;
    assert!(traffic.iter().all(|traffic| traffic.device.is_one()) && traffic.len() == 101, "{traffic:?}");
}

#[test]
fn what_there_was_no_room_for_is_told() {
    let overflow = Overflow { outcomes: 3, forwards: 4 };
    let shared = Shared { overflow, ..Shared::default() };
    assert_eq!(Book::new(None).numbers(&shared, |_, _| None).overflow, overflow);
}
