//! Whether packets and expressions are worth comparing on: an expression that accepts all or nothing tells little.

use std::collections::HashSet;

use crate::expressions::expressions;
use crate::libpcap::{NETMASK_UNKNOWN, accepts, compile};
use crate::packets::{Packet, corpus, frames};

/// The expressions that accept nothing, in their order.
const ONE_SIDED: &[&str] = &[
    // Up to 1500 it is no type but the LLC's DSAP, which is a byte.
    "ether proto 1500",
];

/// Whether an expression accepts some of the packets and rejects some, in libpcap's own eyes.
fn divides(expression: &str, packets: &[Packet]) -> bool {
    let program = compile(expression, true, NETMASK_UNKNOWN).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let accepted = packets.iter().filter(|packet| accepts(&program, packet)).count();
    (1..packets.len()).contains(&accepted)
}

#[test]
fn each_frame_is_made_once() {
    let frames = frames();
    let names: HashSet<_> = frames.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), frames.len());
    let bytes: HashSet<_> = frames.iter().map(|(_, bytes)| bytes).collect();
    println!("{} frames, {} of them different, {} packets", frames.len(), bytes.len(), corpus().len());
    assert!(bytes.len() >= 300);
}

#[test]
fn packets_are_cut_everywhere() {
    let packets = corpus();
    assert!(packets.iter().all(|packet| packet.bytes.len() <= packet.length as usize));
    let cut: HashSet<_> = packets.iter().map(|packet| packet.bytes.len()).collect();
    assert!((0..134).all(|length| cut.contains(&length)));
}

#[test]
fn expressions_tell_packets_apart() {
    let (all, packets) = (expressions(), corpus());
    let distinct: HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    let (dividing, one_sided): (Vec<_>, Vec<_>) = all.iter().partition(|expression| divides(expression, &packets));
    println!("{} expressions, {} of them accept a packet and reject another", all.len(), dividing.len());
    assert!(dividing.len() >= 200);
    assert_eq!(one_sided, ONE_SIDED);
}
