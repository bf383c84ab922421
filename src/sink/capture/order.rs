//! Packets that wait for earlier ones: CPUs are read one after the other, and a file is to be in the order of time.

use std::io;

use crate::outlet::Ended;

/// Bytes that wait, at most.
const MOST: usize = 8 << 20;

/// Bytes that are put in order at a time: few enough to stay in the processor's cache until they are written.
const PIECE: usize = 256 << 10;

/// Packets, each already as it stands in the file.
#[derive(Debug, Default)]
pub struct Order {
    bytes: Vec<u8>,
    /// As they lie in `bytes`.
    waiting: Vec<Waiting>,
    /// The order in which they go: of each, the time and its place in `waiting`.
    turns: Vec<(u64, usize)>,
    /// Where they are put in that order, as far as they aren't.
    piece: Piece,
    /// The time of the last one handed on.
    last_ns: u64,
    late: u64,
    /// Where those of the present event begin.
    event: usize,
}

#[derive(Debug, Default)]
struct Piece {
    bytes: Vec<u8>,
    packets: Vec<Waiting>,
}

/// A packet that waits.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// Nanoseconds since the Unix epoch.
    time_ns: u64,
    /// Where its bytes begin among those that wait, and how many there are: a long one beyond [`MOST`] at the most.
    start: u32,
    length: u32,
    /// Its interface, by its number.
    pub interface: u32,
    /// Another packet of its event comes behind it.
    pub begins: bool,
    /// One came in front of it.
    pub closes: bool,
    /// The event that ends with it.
    pub ended: Option<Ended>,
}

impl Order {
    /// Adds a packet, which `write` appends; it answers with its interface.
    pub fn add(&mut self, time_ns: u64, write: impl FnOnce(&mut Vec<u8>) -> u32) {
        let start = self.bytes.len();
        let interface = write(&mut self.bytes);
        let length = self.bytes.len() - start;
        let (start, length) = (start as u32, length as u32);
        self.waiting.push(Waiting { time_ns, start, length, interface, begins: false, closes: false, ended: None });
    }

    /// What is added from now on is of one event.
    pub fn begin_event(&mut self) {
        self.event = self.waiting.len();
    }

    /// … which is this one: its last packet is not earlier than the others.
    pub fn end_event(&mut self, event: Ended) {
        if let Some((last, others)) = self.waiting.get_mut(self.event..).and_then(<[_]>::split_last_mut) {
            if let Some(first) = others.first_mut() {
                (first.begins, last.closes) = (true, true);
            }
            last.ended = Some(event);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether some have to go before more can be added.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= MOST
    }

    /// How many were handed on behind later ones.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Hands on most of those that wait, the first: a quarter is as much as CPUs lie apart that are read in turn.
    ///
    /// # Errors
    /// The first one that `hand` answers with; all are handed to it nevertheless, many at a time.
    pub fn release_most(&mut self, hand: impl FnMut(&[u8], &[Waiting]) -> io::Result<()>) -> io::Result<()> {
        if self.is_in_order() {
            return self.release_as_they_lie(self.waiting.len() - self.waiting.len() / 4, hand);
        }
        self.line_up();
        self.release_first(self.turns.len() - self.turns.len() / 4, hand)
    }

    /// Hands on, in the order of time, those up to `until_ns`.
    ///
    /// # Errors
    /// As [`Order::release_most`].
    pub fn release(&mut self, until_ns: u64, hand: impl FnMut(&[u8], &[Waiting]) -> io::Result<()>) -> io::Result<()> {
        if self.is_in_order() {
            return self.release_as_they_lie(self.waiting.partition_point(|one| one.time_ns <= until_ns), hand);
        }
        self.line_up();
        self.release_first(self.turns.partition_point(|(time_ns, _)| *time_ns <= until_ns), hand)
    }

    /// As it mostly is where one CPU alone has something to tell.
    fn is_in_order(&self) -> bool {
        self.waiting.is_sorted_by_key(|one| one.time_ns)
    }

    fn release_as_they_lie(
        &mut self,
        count: usize,
        mut hand: impl FnMut(&[u8], &[Waiting]) -> io::Result<()>,
    ) -> io::Result<()> {
        let released = &self.waiting[..count];
        let Some(last) = released.last() else { return Ok(()) };
        let end = last.end();
        self.late += released.partition_point(|one| one.time_ns < self.last_ns) as u64;
        self.last_ns = self.last_ns.max(last.time_ns);
        let handed = hand(&self.bytes[..end], released);
        self.bytes.drain(..end);
        self.waiting.drain(..count);
        self.waiting.iter_mut().for_each(|one| one.start -= end as u32);
        handed
    }

    fn line_up(&mut self) {
        self.turns.clear();
        self.turns.extend(self.waiting.iter().enumerate().map(|(place, one)| (one.time_ns, place)));
        // Those of one CPU are in order nearly, which this sort makes good use of.
        self.turns.sort_by_key(|(time_ns, _)| *time_ns);
    }

    fn release_first(&mut self, count: usize, hand: impl FnMut(&[u8], &[Waiting]) -> io::Result<()>) -> io::Result<()> {
        let turns = &self.turns[..count];
        let Some(last) = turns.last().copied() else { return Ok(()) };
        self.late += turns.partition_point(|(time_ns, _)| *time_ns < self.last_ns) as u64;
        self.last_ns = self.last_ns.max(last.0);
        let handed = self.hand_in_pieces(count, hand);
        self.forget_until(last);
        handed
    }

    fn hand_in_pieces(
        &mut self,
        count: usize,
        mut hand: impl FnMut(&[u8], &[Waiting]) -> io::Result<()>,
    ) -> io::Result<()> {
        let (mut result, Piece { bytes, packets }) = (Ok(()), &mut self.piece);
        for (turn, (_, place)) in (1..).zip(&self.turns[..count]) {
            let one = self.waiting[*place];
            bytes.extend_from_slice(&self.bytes[one.start()..one.end()]);
            packets.push(one);
            if bytes.len() >= PIECE || turn == count {
                result = result.and(hand(bytes, packets));
                bytes.clear();
                packets.clear();
            }
        }
        result
    }

    /// Leaves those that come behind `last`, without gaps between them.
    fn forget_until(&mut self, last: (u64, usize)) {
        let (mut place, mut end) = (0, 0);
        self.waiting.retain_mut(|one| {
            let stays = (one.time_ns, place) > last;
            if stays {
                self.bytes.copy_within(one.start()..one.end(), end);
                one.start = end as u32;
                end = one.end();
            }
            place += 1;
            stays
        });
        self.bytes.truncate(end);
    }
}

impl Waiting {
    fn start(&self) -> usize {
        self.start as usize
    }

    /// Its bytes in the file.
    pub fn length(&self) -> usize {
        self.length as usize
    }

    fn end(&self) -> usize {
        self.start() + self.length()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn add(order: &mut Order, time_ns: u64, byte: u8) {
        order.add(time_ns, |bytes| {
            bytes.push(byte);
            0
        });
    }

    fn release(order: &mut Order, until_ns: u64) -> (Vec<u8>, Vec<u32>) {
        let (mut bytes, mut targets) = (Vec::new(), Vec::new());
        let handed = order.release(until_ns, |packets, waiting| {
            bytes.extend(packets);
            targets.extend(waiting.iter().filter_map(|one| one.ended).map(|event| event.target));
            Ok(())
        });
        handed.unwrap();
        (bytes, targets)
    }

    #[test]
    fn packets_leave_in_the_order_of_time_and_those_that_come_later_are_late() {
        let mut order = Order::default();
        for (time_ns, byte) in [(10, b'b'), (30, b'd'), (40, b'f')] {
            order.begin_event();
            add(&mut order, time_ns, byte);
            order.end_event(Ended { target: u32::from(byte), verdict: None });
        }
        for (time_ns, byte) in [(5, b'a'), (20, b'c'), (30, b'e')] {
            add(&mut order, time_ns, byte);
        }
        assert_eq!(release(&mut order, 20), (b"abc".into(), vec![u32::from(b'b')]));
        add(&mut order, 19, b'x');
        assert_eq!(order.late(), 0);
        assert_eq!(release(&mut order, u64::MAX), (b"xdef".into(), vec![u32::from(b'd'), u32::from(b'f')]));
        assert_eq!(order.late(), 1);
    }

    #[test]
    fn what_waits_is_bounded_and_all_of_it_is_handed_on_in_spite_of_a_failure() {
        let mut order = Order::default();
        for time_ns in (0..8).rev() {
            assert!(!order.is_full());
            order.add(time_ns, |bytes| {
                bytes.resize(bytes.len() + MOST / 8, time_ns as u8);
                0
            });
        }
        assert!(order.is_full());
        let mut handed: Vec<u8> = Vec::new();
        let failed = order.release_most(|packets, _| {
            handed.extend(packets.iter().step_by(MOST / 8));
            Err(io::Error::other("full"))
        });
        assert!(failed.is_err() && !order.is_full());
        assert_eq!(handed, [0, 1, 2, 3, 4, 5]);
        assert_eq!(release(&mut order, 6).0, [6; MOST / 8]);
    }
}
