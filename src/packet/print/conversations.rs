//! Where TCP's sequence numbers begin: what makes them relative.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// Two ends of a connection, in an order that is the same for both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Ends {
    pub(super) low: [u8; 16],
    pub(super) high: [u8; 16],
    /// The low end's port in the upper half.
    pub(super) ports: u32,
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

fn place(ends: &Ends) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(ends);
    hash as usize % SETS
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
