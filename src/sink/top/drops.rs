//! The last few packets that were dropped.

use std::collections::{HashMap, VecDeque};

use super::tree::{Branch, RowId};
use super::words;
use crate::event::{Event, Verdict};
use crate::numbers::Port;

/// Of each program on a device, so many are kept.
const KEPT: usize = 16;
/// Programs and devices of which any are kept, at most: one is dropped from wherever a number says so.
const PROGRAMS: usize = 256;

/// A packet that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// When: nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// What the program returned.
    pub verdict: Option<Verdict>,
    /// What it is, in one line that cannot command a terminal.
    pub words: String,
}

/// The last few, by program and device.
#[derive(Debug, Clone, Default)]
pub struct Drops {
    by_row: HashMap<RowId, VecDeque<Dropped>>,
}

impl Drops {
    /// Keeps one, by what a line says of the packet.
    pub fn push(&mut self, event: &Event<'_>, body: &[u8]) {
        let Some(id) = row(event) else { return };
        if self.by_row.len() >= PROGRAMS && !self.by_row.contains_key(&id) {
            self.by_row.clear();
        }
        let kept = self.by_row.entry(id).or_default();
        kept.truncate(KEPT - 1);
        kept.push_front(Dropped { time_ns: event.time_ns, verdict: event.verdict, words: printable(body) });
    }

    /// Those of a row, and of a device's programs, the newest first.
    pub fn of(&self, branch: &Branch) -> Vec<&Dropped> {
        let is_device = branch.id.program.is_none();
        let is_meant = |id: &RowId| *id == branch.id || (is_device && id.device == branch.id.device);
        let mut drops: Vec<&Dropped> =
            self.by_row.iter().filter(|(id, _)| is_meant(id)).flat_map(|(_, drops)| drops).collect();
        drops.sort_by_key(|dropped| std::cmp::Reverse(dropped.time_ns));
        drops.truncate(KEPT);
        drops
    }
}

fn row(event: &Event<'_>) -> Option<RowId> {
    let device = event.device.map_or_else(Port::default, |device| Port {
        name: device.name.map(str::to_owned),
        netns: device.netns,
        ifindex: device.ifindex,
        ..Port::default()
    });
    Some(RowId { device: words::port(&device), program: Some((event.program_id?, event.function?.to_owned())) })
}

fn printable(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' }).collect()
}
