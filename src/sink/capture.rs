//! Packets in files, for Wireshark and tcpdump: a packet before and after the program is two.

mod order;

use std::io::{self, ErrorKind};
use std::iter;

use self::order::{Order, Waiting};
use super::{Notice, Sink, tell};
use crate::event::{Event, Frame};
use crate::outlet::{Due, Ended, Files, now};

/// Where a packet was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As it arrived.
    Entry,
    /// As the program left it.
    Exit,
}

/// What files consist of. Everything is appended to a buffer; what begins a file is not known when its packets are made.
pub trait Format {
    /// Begins a file.
    fn begin(&mut self, out: &mut Vec<u8>);

    /// One packet, captured at `time_ns`; its interface, by its number among those of all files.
    fn packet(&mut self, out: &mut Vec<u8>, event: &Event<'_>, end: End, frame: &Captured<'_>) -> u32;

    /// What has to be in the file in front of a packet of this interface, and isn't yet: it is written now.
    fn describe(&mut self, out: &mut Vec<u8>, interface: u32);

    /// What became of a target that was let go of, or, at the end of the run, of all.
    fn note(&mut self, notice: &Notice);

    /// Ends a file: what there is to say of its interfaces.
    fn end(&mut self, out: &mut Vec<u8>);
}

/// A packet, as much of it as is kept.
#[derive(Debug, Clone, Copy)]
pub struct Captured<'a> {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// Bytes that it had.
    pub length: u32,
    /// … and of these, the first.
    pub bytes: &'a [u8],
}

impl<'a> Captured<'a> {
    /// No more than the packet has, or than is to be kept.
    pub fn new(frame: Frame<'a>, time_ns: u64, snap_len: u32) -> Self {
        let longest = frame.length.unwrap_or(u32::MAX).min(snap_len) as usize;
        let bytes = &frame.bytes[..frame.bytes.len().min(longest)];
        Self { time_ns, length: frame.length.unwrap_or(bytes.len() as u32), bytes }
    }
}

/// Writes packets to files, in the order of time as far as they can be.
#[derive(Debug)]
pub struct Capture<'out, F> {
    files: Files<'out>,
    format: F,
    snap_len: u32,
    order: Order,
    /// What is written next that is no packet.
    scratch: Vec<u8>,
    /// Runs of which a packet is written, and one is still to come: the two are to be in one file.
    open: usize,
    /// The time of the present file is over.
    is_due: bool,
    /// Bytes written since it was time for the next file, and runs were open.
    held: usize,
    /// There were to be no more files than there are.
    is_over: bool,
}

/// … at most: where many CPUs run programs all the time, there may never be an instant without an open run.
const MOST_HELD: usize = 1 << 20;

impl<'out, F: Format> Capture<'out, F> {
    /// Writes to `files`; `snap_len` is how many bytes of a packet are kept, at most.
    pub fn new(files: Files<'out>, format: F, snap_len: u32) -> Self {
        let (order, scratch) = (Order::default(), Vec::new());
        Self { files, format, snap_len, order, scratch, open: 0, is_due: false, held: 0, is_over: false }
    }

    /// Takes note of what happens to the tracer, and says nothing of it.
    ///
    /// # Errors
    /// A file cannot be opened, or written.
    pub fn note(&mut self, notice: &Notice) -> io::Result<()> {
        self.format.note(notice);
        match notice {
            // Whoever begins may do so for the last time: see what a run gives up.
            Notice::Attached { .. } | Notice::Listening => self.begin(),
            Notice::Ended(_) => self.finish(),
            _ => Ok(()),
        }
    }

    /// Begins the first file, unless there is one.
    fn begin(&mut self) -> io::Result<()> {
        if self.files.is_open() { Ok(()) } else { self.begin_next(Files::open_next) }
    }

    fn begin_next(&mut self, open: impl FnOnce(&mut Files<'out>) -> io::Result<()>) -> io::Result<()> {
        open(&mut self.files)?;
        self.format.begin(&mut self.scratch);
        write_block(&mut self.files, &mut self.scratch)
    }

    /// Ends this file and begins one that `open` opens.
    fn turn(&mut self, open: impl FnOnce(&mut Files<'out>) -> io::Result<()>) -> io::Result<()> {
        (self.is_due, self.held) = (false, 0);
        self.end_file()?;
        self.begin_next(open)
    }

    /// Begins the next file if it is time for it in front of so many bytes.
    fn turn_if_due(&mut self, length: usize) -> io::Result<()> {
        if self.files.outlet().is_broken() || !(self.is_due || self.files.is_long(0)) {
            return Ok(());
        }
        if self.open > 0 && self.held < MOST_HELD {
            self.held += length;
            return Ok(());
        }
        self.turn(Files::open_next)
    }

    fn end_file(&mut self) -> io::Result<()> {
        self.format.end(&mut self.scratch);
        write_block(&mut self.files, &mut self.scratch)?;
        self.files.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.files.outlet().is_broken() {
            return Ok(());
        }
        let finished = self.begin().and_then(|()| self.end_file()).and_then(|()| self.files.outlet().push_all());
        match finished {
            // Who went away before the last words doesn't miss them.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            finished => finished,
        }
    }

    /// Writes packets that need wait no longer: up to `until_ns`, or most of them.
    fn release(&mut self, until_ns: Option<u64>) -> io::Result<()> {
        if self.order.is_empty() {
            return Ok(());
        }
        self.begin()?;
        let mut order = std::mem::take(&mut self.order);
        let hand = |bytes: &[u8], packets: &[Waiting]| self.hand(bytes, packets);
        let released = match until_ns {
            Some(until_ns) => order.release(until_ns, hand),
            None => order.release_most(hand),
        };
        self.order = order;
        released
    }

    /// Writes packets that lie one behind the other in `bytes`: in one piece, but for where something else comes between.
    fn hand(&mut self, bytes: &[u8], packets: &[Waiting]) -> io::Result<()> {
        let mut result = Ok(());
        let mut piece = Piece { bytes, packets, length: 0, count: 0 };
        for packet in packets {
            if self.is_due || self.files.is_long(piece.length) {
                result = result.and(self.write_piece(&mut piece)).and(self.turn_if_due(packet.length()));
            }
            self.format.describe(&mut self.scratch, packet.interface);
            if !self.scratch.is_empty() {
                result = result.and(self.write_piece(&mut piece)).and(write_block(&mut self.files, &mut self.scratch));
            }
            piece.length += packet.length();
            piece.count += 1;
            self.open = (self.open + usize::from(packet.begins)).saturating_sub(packet.closes.into());
        }
        result.and(self.write_piece(&mut piece))
    }

    /// Writes what there is of `piece`, of which the rest is left.
    fn write_piece(&mut self, piece: &mut Piece<'_>) -> io::Result<()> {
        let ((bytes, packets), rest) = piece.split();
        *piece = rest;
        // Also where it isn't written: that is how it is known to be lost.
        self.files.write_blocks(bytes, packets.iter().map(|one| (one.length(), one.ended)))
    }

    fn add(&mut self, event: &Event<'_>, end: End, frame: Frame<'_>, time_ns: u64) {
        let captured = Captured::new(frame, time_ns, self.snap_len);
        self.order.add(time_ns, |out| self.format.packet(out, event, end, &captured));
    }
}

fn write_block(files: &mut Files<'_>, block: &mut Vec<u8>) -> io::Result<()> {
    let written = files.write_blocks(block, iter::once((block.len(), None)));
    block.clear();
    written
}

/// Packets that are to be written together: the first `count` of `packets`, the first `length` of `bytes`.
struct Piece<'a> {
    bytes: &'a [u8],
    packets: &'a [Waiting],
    length: usize,
    count: usize,
}

impl<'a> Piece<'a> {
    /// What there is of it, and one that begins behind that.
    fn split(&self) -> ((&'a [u8], &'a [Waiting]), Self) {
        let (written, bytes) = self.bytes.split_at(self.length);
        let (these, packets) = self.packets.split_at(self.count);
        ((written, these), Self { bytes, packets, length: 0, count: 0 })
    }
}

impl<F: Format> Sink for Capture<'_, F> {
    fn packet(&mut self, event: &Event<'_>) -> io::Result<()> {
        let released = if self.order.is_full() { self.release(None) } else { Ok(()) };
        self.order.begin_event();
        if let Some(frame) = event.before {
            self.add(event, End::Entry, frame, event.time_ns);
        }
        if let Some(frame) = event.after {
            self.add(event, End::Exit, frame, event.time_ns.saturating_add(event.latency_ns.unwrap_or(0)));
        }
        released
    }

    fn end_event(&mut self, event: Ended) -> bool {
        self.order.end_event(event);
        true
    }

    fn flush(&mut self) -> io::Result<()> {
        self.files.flush()
    }

    fn settle(&mut self, until_ns: u64) -> io::Result<()> {
        self.release(Some(until_ns))
    }

    fn tick(&mut self) -> io::Result<()> {
        match self.files.due(now()) {
            Due::No => {
                self.is_due = false;
                Ok(())
            }
            Due::Next => {
                self.is_due = true;
                self.turn_if_due(0)
            }
            Due::Over => {
                self.is_over = true;
                Ok(())
            }
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if !self.files.is_open() {
            return Ok(());
        }
        self.release(Some(u64::MAX))?;
        self.turn(Files::reopen)
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn late(&self) -> u64 {
        self.order.late()
    }

    fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        let noted = self.note(notice);
        tell(notice);
        noted
    }
}

#[cfg(test)]
pub mod tests;
