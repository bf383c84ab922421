//! Packets with bytes changed and ends missing: headers that contradict each other, as no builder writes them.

use crate::corpus::{self, Packet};
use crate::{WAYS, ours, tcpdump};

const PACKETS: usize = 6000;

/// Where the outermost headers name what follows them: other protocols and payloads are the corpus's business.
const KEPT: [std::ops::Range<usize>; 5] = [12..14, 20..21, 23..24, 34..38, 54..58];

/// Xorshift (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

fn mutate(packet: &mut Packet, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(packet.bytes.len());
        if KEPT.iter().all(|kept| !kept.contains(&at)) {
            let values = [random.below(256) as u8, packet.bytes[at].wrapping_add(1), 0, 1, 0x80, 0xff];
            packet.bytes[at] = values[random.below(values.len())];
        }
    }
    if random.below(3) == 0 {
        let end = random.below(packet.bytes.len()) + 1;
        packet.bytes.truncate(end);
    }
}

/// What tcpdump takes apart and we show by its number: a protocol in IP, and TCP's multipath option.
fn explained(words: &str) -> bool {
    words.contains(" ip-proto-") || words.contains("mptcp 0x")
}

#[test]
fn words_for_broken_packets_are_tcpdumps() {
    let whole: Vec<Packet> = corpus::packets()
        .into_iter()
        .filter(|packet| !packet.group.ends_with("not decoded") && !packet.name.contains("signature"))
        .collect();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let packets: Vec<Packet> = (0..PACKETS)
        .map(|_| {
            let mut packet = whole[random.below(whole.len())].clone();
            mutate(&mut packet, &mut random);
            packet
        })
        .collect();
    let path = tcpdump::write("broken", &packets);
    let (mut different, mut wrong) = (0, Vec::new());
    for way in WAYS {
        let theirs = tcpdump::read(&path, way.flags, packets.len());
        for ((packet, theirs), ours) in packets.iter().zip(theirs).zip(ours(way, &packets)) {
            if theirs != ours {
                different += 1;
                if !explained(&ours) {
                    wrong.push(format!("{} {:?}\n  {theirs:?}\n  {ours:?}", packet.name, way.flags));
                }
            }
        }
    }
    let compared = PACKETS * WAYS.len();
    println!("{PACKETS} broken packets in {} ways: {compared} compared, {different} different", WAYS.len());
    let shown = &wrong[..wrong.len().min(10)];
    assert!(shown.is_empty(), "{}: packet, flags, tcpdump's words, ours:\n{}", tcpdump::version(), shown.join("\n"));
    assert!(different * 100 <= compared * 3, "more than 3 % differ");
}
