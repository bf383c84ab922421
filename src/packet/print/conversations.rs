//! Where TCP's sequence numbers begin: what makes them relative.

/// Two ends of a connection, in an order that is the same for both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ends {
    /// Addresses, of IPv4 in the first four bytes.
    pub(super) low: [u8; 16],
    pub(super) high: [u8; 16],
    /// The low end's port in the upper half.
    pub(super) ports: u32,
    /// 4 or 6.
    pub(super) version: u8,
}

/// What a connection's numbers are told from: the low end's first number and the high one's.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Origins {
    pub(super) low: u32,
    pub(super) high: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Conversation {
    ends: Ends,
    origins: Origins,
}

const SETS: usize = 4096;
const WAYS: usize = 4;

/// A set of connections with the same hash; the newest is in front.
type Set = [Conversation; WAYS];

/// At most 16,384 connections.
#[derive(Debug, Default)]
pub(super) struct Conversations(Vec<Set>);

impl Conversations {
    /// What is known of a connection. `None`: it is new, or begins anew, and `first` is what it will be told from.
    pub(super) fn find(&mut self, ends: Ends, anew: bool, first: Origins) -> Option<Origins> {
        if self.0.is_empty() {
            self.0.resize(SETS, Set::default());
        }
        let set = self.0.get_mut(place(&ends))?;
        match set.iter_mut().find(|conversation| conversation.ends == ends) {
            Some(known) if anew => {
                known.origins = first;
                None
            }
            Some(known) => Some(known.origins),
            None => {
                set.rotate_right(1);
                set[0] = Conversation { ends, origins: first };
                None
            }
        }
    }
}

/// Where a connection's set is. Who makes connections collide has others forgotten a little earlier, no more: the hash
/// need not withstand that.
fn place(ends: &Ends) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let half = |address: &[u8; 16], n: usize| {
        address.get(8 * n..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    let ports = u64::from(ends.ports) << 8 | u64::from(ends.version);
    let words = [half(&ends.low, 0), half(&ends.low, 1), half(&ends.high, 0), half(&ends.high, 1), ports];
    let hash = words.iter().fold(0_u64, |hash, word| (hash.rotate_left(23) ^ word).wrapping_mul(ODD));
    (hash >> 40) as usize % SETS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(port: u32) -> Ends {
        Ends { ports: port, version: 4, ..Ends::default() }
    }

    #[test]
    fn a_connection_is_told_from_its_first_segment() {
        let mut known = Conversations::default();
        assert!(known.find(ends(1), false, Origins { low: 5, high: 6 }).is_none());
        assert_eq!(known.find(ends(1), false, Origins::default()).map(|origins| origins.low), Some(5));
        assert!(known.find(ends(1), true, Origins { low: 9, high: 6 }).is_none());
        assert_eq!(known.find(ends(1), false, Origins::default()).map(|origins| origins.low), Some(9));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut known = Conversations::default();
        for port in 0..100_000 {
            known.find(ends(port), false, Origins::default());
        }
        assert_eq!(known.0.len() * WAYS, 16_384);
        assert!(known.find(ends(99_999), false, Origins::default()).is_some());
        assert!(known.find(ends(0), false, Origins::default()).is_none());
    }
}
