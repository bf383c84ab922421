//! Which halves find each other, and in which order runs are shown.

#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use super::*;
use crate::recorded::interface::{Clock, Description, ETHERNET};

fn interfaces(names: &[&'static str]) -> Interfaces {
    let mut interfaces = Interfaces::default();
    for name in names {
        let name = (*name).into();
        interfaces.add(&Description { name, link_type: ETHERNET, clock: Clock::NANOSECONDS });
    }
    interfaces
}

/// A half of run `id`; its bytes are its interface, so that they can be told.
fn half(interface: u32, id: u64, time_ns: u64) -> Half<&'static [u8]> {
    let bytes = &[[0; 1], [1; 1], [2; 1], [3; 1]][interface as usize];
    Half { packet_id: Some(id), ..Half::new(interface, time_ns, 1, &bytes[..]) }
}

/// What is shown of `halves`: the ids of entry and exit, and for the last one how many were shown before the end.
fn shown(interfaces: &Interfaces, halves: &[Half<&'static [u8]>]) -> (Vec<(u64, u64)>, usize) {
    let (mut pairs, mut shown) = (Pairs::default(), Vec::new());
    let mut show = |run: Run<'_>| {
        let id = |half: Option<&Half<&[u8]>>, bytes: &[u8]| {
            half.map_or(0, |half| {
                assert!(bytes.contains(&half.bytes[0]));
                half.packet_id.unwrap()
            })
        };
        shown.push((id(run.entry, &[0, 2, 3]), id(run.exit, &[1])));
        Ok::<(), Infallible>(())
    };
    halves.iter().for_each(|half| pairs.take(half, interfaces, &mut show).unwrap());
    let mut after = 0;
    pairs
        .end(&mut |run| {
            after += 1;
            show(run)
        })
        .unwrap();
    assert_eq!((pairs.bytes, pairs.by_key.len()), (0, 0));
    let before = shown.len() - after;
    (shown, before)
}

const BOTH: [&str; 4] = ["e:f()@fentry", "e:f()@fexit", "e:g()@fentry", "e"];

#[test]
fn halves_next_to_each_other_are_shown_at_once() {
    let halves = [half(0, 1, 10), half(1, 1, 20), half(0, 2, 30), half(1, 2, 40)];
    assert_eq!(shown(&interfaces(&BOTH), &halves), (vec![(1, 1), (2, 2)], 2));
}

#[test]
fn halves_far_apart_are_one_run_in_the_order_of_the_first_ones() {
    let entries = (1..=5000).map(|id| half(0, id, id));
    let exits = (1..=5000).rev().map(|id| half(1, id, 10_000 + id));
    let halves: Vec<_> = entries.chain(exits).collect();
    let (shown, before) = shown(&interfaces(&BOTH), &halves);
    assert_eq!(shown, (1..=5000).map(|id| (id, id)).collect::<Vec<_>>());
    assert_eq!(before, 5000);
}

#[test]
fn an_exit_that_stands_before_its_entry_finds_it() {
    let halves = [half(1, 1, 20), half(0, 2, 20), half(0, 1, 20), half(1, 2, 30)];
    assert_eq!(shown(&interfaces(&BOTH), &halves), (vec![(1, 1), (2, 2)], 2));
}

#[test]
fn exits_do_not_wait_where_no_entries_are_captured() {
    assert_eq!(shown(&interfaces(&BOTH[..2]), &[half(1, 1, 20)]).1, 0);
    assert_eq!(shown(&interfaces(&["x", BOTH[1]]), &[half(1, 1, 20), half(1, 2, 30)]), (vec![(0, 1), (0, 2)], 2));
}

#[test]
fn entries_do_not_wait_where_no_exits_are_captured() {
    let entries = [half(2, 1, 10), half(2, 2, 20)];
    assert_eq!(shown(&interfaces(&BOTH), &entries), (vec![(1, 0), (2, 0)], 2));
    // The exits' interface is described with the first of them.
    let told = entries.map(|half| Half { latency_ns: Some(5), ..half });
    assert_eq!(shown(&interfaces(&BOTH), &told), (vec![(1, 0), (2, 0)], 0));
}

#[test]
fn ids_that_come_again_are_told_by_latencies() {
    let of = |latency, half| Half { latency_ns: Some(latency), ..half };
    let halves = [of(50, half(0, 1, 100)), of(20, half(0, 1, 120)), of(20, half(1, 1, 140)), of(50, half(1, 1, 150))];
    assert_eq!(shown(&interfaces(&BOTH), &halves), (vec![(1, 1), (1, 1)], 2));
    let late = [of(50, half(0, 1, 100)), of(50, half(1, 1, 160))];
    assert_eq!(shown(&interfaces(&BOTH), &late).0, [(1, 0), (0, 1)]);
    let untold = [of(50, half(0, 1, 100)), half(1, 1, 150)];
    assert_eq!(shown(&interfaces(&BOTH), &untold).0, [(1, 0), (0, 1)]);
}

#[test]
fn a_half_alone_keeps_its_place_and_others_wait_for_no_more_than_a_second() {
    let soon = [half(0, 1, 10), half(0, 2, 20), half(1, 2, 30), half(3, 7, 40)];
    assert_eq!(shown(&interfaces(&BOTH), &soon), (vec![(1, 0), (2, 2), (7, 0)], 0));
    let late = [&soon[..], &[half(3, 8, 11 + LONGEST_RUN_NS)]].concat();
    assert_eq!(shown(&interfaces(&BOTH), &late), (vec![(1, 0), (2, 2), (7, 0), (8, 0)], 4));
    // One CPU's packets behind another's.
    let back = [half(0, 1, 9 * LONGEST_RUN_NS), half(0, 2, 10), half(1, 2, 20), half(1, 1, 9 * LONGEST_RUN_NS)];
    assert_eq!(shown(&interfaces(&BOTH), &back), (vec![(1, 1), (2, 2)], 2));
}

#[test]
fn what_waits_has_an_end() {
    let most = MOST as u64;
    let halves: Vec<_> = (1..=most + 10).map(|id| half(0, id, 0)).collect();
    let (runs, before) = shown(&interfaces(&BOTH), &halves);
    assert_eq!(runs, (1..=most + 10).map(|id| (id, 0)).collect::<Vec<_>>());
    assert_eq!(before, 10);
    let large = Half { bytes: &[0; 1 << 20][..], ..half(0, 1, 0) };
    let halves: Vec<_> = (1..=20).map(|id| Half { packet_id: Some(id), ..large }).collect();
    assert_eq!(shown(&interfaces(&BOTH), &halves).1, 4);
}

#[test]
fn what_is_not_of_the_same_run_is_not_paired() {
    // Another function, another program, an exit before its entry, an id that comes again, no id, no probe.
    let all = interfaces(&BOTH);
    assert_eq!(shown(&all, &[half(2, 1, 10), half(1, 1, 20)]).0, [(1, 0), (0, 1)]);
    let of = |program, half| Half { program_id: Some(program), ..half };
    assert_eq!(shown(&all, &[of(7, half(0, 1, 10)), of(8, half(1, 1, 20))]).0, [(1, 0), (0, 1)]);
    assert_eq!(shown(&all, &[of(7, half(0, 1, 10)), half(1, 1, 20)]).0, [(1, 1)]);
    assert_eq!(shown(&all, &[half(0, 1, 10), half(1, 1, 9)]).0, [(1, 0), (0, 1)]);
    assert_eq!(shown(&all, &[half(0, 1, 10), half(0, 1, 20), half(1, 1, 30)]).0, [(1, 0), (1, 1)]);
    assert_eq!(shown(&all, &[half(3, 1, 10), half(3, 1, 20)]).0, [(1, 0), (1, 0)]);
}
