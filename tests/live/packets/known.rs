//! What is known of an event that is a datagram's.

use xdptrace::event::Event;
use xdptrace::plan::{Narrowing, Selector};

use crate::first_event::first_event;
use crate::lab::Nic;
use crate::loader::{FIRST_PORT, send};

/// For as long as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub device: Option<String>,
    pub queue: Option<u32>,
    pub egress: Option<(u32, Option<String>)>,
    /// Bytes of metadata before and after the program.
    pub metadata_lengths: [u16; 2],
    pub metadata: Vec<u8>,
    pub changed: Option<bool>,
}

impl Known {
    fn of(event: &Event<'_>) -> Self {
        Self {
            device: event.device.and_then(|device| device.name).map(str::to_owned),
            queue: event.queue,
            egress: event.egress.map(|device| (device.ifindex, device.name.map(str::to_owned))),
            metadata_lengths: [event.before, event.after].map(|frame| frame.unwrap().metadata),
            metadata: event.metadata.to_vec(),
            changed: event.changed,
        }
    }
}

/// What the session tells of a datagram's run of a program that is on the NIC's path.
pub fn known_of(nic: &Nic, id: u32) -> Known {
    let narrowing = vec![Narrowing { program: Selector::Id(id), function: None }];
    first_event(nic, narrowing, "udp", &|| send(nic, [FIRST_PORT]), Known::of)
}
