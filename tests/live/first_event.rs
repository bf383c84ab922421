//! What the session itself tells of one packet, also what no output shows.

use std::io;
use std::thread;

use xdptrace::event::Event;
use xdptrace::plan::{Devices, Narrowing, Scope, Selection, Tracing};
use xdptrace::session;
use xdptrace::sink::{Notice, Sink};
use xdptrace::stop::Signals;

use crate::lab::Nic;

/// Takes of the first event what is wanted, then asks for the end.
struct Keep<'run, T> {
    send: &'run (dyn Fn() + Sync),
    take: fn(&Event<'_>) -> T,
    signals: &'run Signals,
    taken: Option<T>,
}

impl<T> Sink for Keep<'_, T> {
    fn packet(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.taken.get_or_insert_with(|| (self.take)(event));
        self.signals.ask_to_stop();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        if *notice == Notice::Listening {
            (self.send)();
        }
        Ok(())
    }
}

/// What `take` has of the first event on the NIC that the filter lets through, once `send` has sent something.
pub fn first_event<T: Send>(
    nic: &Nic,
    narrowing: Vec<Narrowing>,
    filter: &str,
    send: &(dyn Fn() + Sync),
    take: fn(&Event<'_>) -> T,
) -> T {
    let scope = Scope { devices: Devices::Named(vec![nic.name.clone()]), narrowing, netns: nic.netns.clone() };
    let selection = Selection { filter: filter.into(), ..Selection::default() };
    let plan = Tracing { scope, selection, keeps_privileges: true, ..Tracing::default() };
    let signals = Signals::default();
    let mut keep = Keep { send, take, signals: &signals, taken: None };
    // A thread of its own, because the session moves its thread into the NIC's namespace.
    thread::scope(|scope| {
        let tracing = scope.spawn(|| {
            session::trace(&plan, &mut keep, &[], &signals).unwrap();
            keep.taken.unwrap()
        });
        tracing.join().unwrap()
    })
}
