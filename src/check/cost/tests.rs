//! What is made of measurements.

#![allow(clippy::unwrap_used)]
use anyhow::anyhow;

use super::*;

fn rate(packets: u64) -> Rate {
    Rate { devices: "eth0".into(), packets }
}

#[test]
fn a_cost_is_told_for_the_present_rate() {
    let cost = Cost::of(vec![10, 9, 10, 11, 10], vec![71, 70, 71, 90, 71]).unwrap();
    assert_eq!(cost, Cost { ns: 61, spread: 0 });
    let finding = tell("cost of trace".into(), Ok(cost), Some(&rate(2_100_000)));
    assert_eq!(
        finding.to_string(),
        "cost of trace: note: about 61 ns a packet; at the 2.1 Mpps that eth0 receives now 13 % of a core"
    );
    let numbers = [("ns_per_packet", 61), ("packets_per_second", 2_100_000), ("spread_ns", 0)];
    assert_eq!(finding.numbers, numbers.into_iter().collect());
}

#[test]
fn without_packets_there_is_no_share() {
    assert_eq!(words(61, None), "about 61 ns a packet");
    assert_eq!(words(61, Some(&rate(0))), "about 61 ns a packet; eth0 receives none now");
}

#[test]
fn what_is_lost_in_the_noise_is_unknown() {
    for (untraced, traced) in
        [(vec![10; 5], vec![10; 5]), (vec![50; 5], vec![40; 5]), (vec![10, 10, 40, 40], vec![50; 4])]
    {
        let cost = Cost::of(untraced, traced).unwrap();
        let finding = tell("cost of stats".into(), Ok(cost), None);
        assert_eq!((finding.answer, finding.numbers.len()), (Answer::Unknown, 0), "{finding}");
        assert!(finding.words.contains(": try again "), "{finding}");
    }
    assert_eq!(Cost::of(Vec::new(), vec![1]), None);
    let finding = tell("cost of stats".into(), Err(anyhow!("no ring")), None);
    assert_eq!(finding.to_string(), "cost of stats: unknown: no ring");
}

#[test]
fn shares_and_paces_are_for_people() {
    let shares = [(0, "less than 0.1 %"), (1_000_000, "0.1 %"), (99_400_000, "9.9 %"), (99_600_000, "10 %")];
    for (ns, words) in shares.into_iter().chain([(2_000_000_000, "200 %")]) {
        assert_eq!(share(ns), words);
    }
    for (packets, words) in [(7, "7 packets/s"), (1000, "1.0 kpps"), (999_960, "1.0 Mpps"), (14_880_000, "14.9 Mpps")] {
        assert_eq!(pace(packets), words);
    }
}
