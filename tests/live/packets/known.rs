//! What the session itself tells of one datagram, also what no output shows.

use std::io;
use std::thread;

use xdptrace::event::Event;
use xdptrace::plan::{Devices, Narrowing, Scope, Selection, Selector, Tracing};
use xdptrace::session;
use xdptrace::sink::{Notice, Sink};
use xdptrace::stop::Signals;

use crate::lab::Nic;
use crate::loader::{FIRST_PORT, send};

/// What is known of an event, for as long as it is wanted.
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

/// Keeps what is known of the first event, then asks for the end.
struct Keep<'run> {
    nic: &'run Nic,
    signals: &'run Signals,
    known: Option<Known>,
}

impl Sink for Keep<'_> {
    fn packet(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.known.get_or_insert(Known {
            device: event.device.and_then(|device| device.name).map(str::to_owned),
            queue: event.queue,
            egress: event.egress.map(|device| (device.ifindex, device.name.map(str::to_owned))),
            metadata_lengths: [event.before, event.after].map(|frame| frame.unwrap().metadata),
            metadata: event.metadata.to_vec(),
            changed: event.changed,
        });
        self.signals.ask_to_stop();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        if *notice == Notice::Listening {
            send(self.nic, [FIRST_PORT]);
        }
        Ok(())
    }
}

/// What the session tells of a datagram's run of a program that is on the NIC's path.
pub fn known_of(nic: &Nic, id: u32) -> Known {
    let narrowing = vec![Narrowing { program: Selector::Id(id), function: None }];
    let scope = Scope { devices: Devices::Named(vec![nic.name.clone()]), narrowing, netns: nic.netns.clone() };
    let selection = Selection { filter: "udp".into(), ..Selection::default() };
    let plan = Tracing { scope, selection, keeps_privileges: true, ..Tracing::default() };
    let signals = Signals::default();
    let mut keep = Keep { nic, signals: &signals, known: None };
    // A thread of its own, because the session moves its thread into the NIC's namespace.
    thread::scope(|scope| {
        let tracing = scope.spawn(|| {
            session::trace(&plan, &mut keep, &[], &signals).unwrap();
            keep.known.unwrap()
        });
        tracing.join().unwrap()
    })
}
