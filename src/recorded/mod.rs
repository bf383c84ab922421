//! A file of packets → events: what a pcapng of ours or of xdpdump's tells of runs, and what any other tells of packets.
//!
//! ```text
//! source     a file or a pipe → bytes, as many as a block needs
//! block      … → blocks and options of a pcapng, in either byte order
//! format     … → packets: pcapng of one section or several; pcap
//! interface  which end of which function on which device; its clock
//! half       a packet, and what its block's options tell of the run
//! outcome    … and of what became of its verdict
//! pairs      … → runs: the packet before and after the program
//! event      … → Event
//! outward    the output, while nobody reads it
//! ```
//!
//! However a file lies about its lengths and counts, no more than some 100 MiB are used.

mod block;
mod event;
mod format;
mod half;
mod interface;
mod outcome;
mod outward;
mod pairs;
mod source;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::choice::Choice;
use crate::event::Event;
use crate::outlet;
use crate::plan::Reading;
use crate::sink::Sink;
use crate::stop::Signals;
use block::Fault;
use format::{Format, Piece};
use half::Half;
pub use outward::Outward;
use pairs::Pairs;
use source::{Filled, Source};

/// How soon the wish to end is noticed while a pipe is silent, in milliseconds.
const LOOK_EVERY_MS: u16 = 100;

/// How long a pipe is silent before nobody waits for the other half of a run: as long as in a file, by its time.
const SILENCE: Duration = Duration::from_secs(1);

/// A file that was opened, and what of it to show.
#[derive(Debug)]
pub struct Recording {
    name: String,
    input: File,
    choice: Choice,
    count: Option<u64>,
}

impl Recording {
    /// That which `reading` names. Opening a named pipe waits for who writes to it.
    ///
    /// # Errors
    /// The filter can't be compiled, or the file can't be opened.
    pub fn open(reading: &Reading) -> Result<Self> {
        let choice = Choice::new(&reading.selection)?;
        let (name, input) = open(&reading.file)?;
        Ok(Self { name, input, choice, count: reading.count })
    }

    /// Reads it, and shows its events.
    ///
    /// # Errors
    /// The file can't be read, is no file of packets, or ends within a packet: then what is before that was shown; or the
    /// output can't be written, but for a reader of it that has gone.
    pub fn show(self, sink: &mut dyn Sink, stop: &Signals) -> Result<()> {
        let Self { name, input, choice, count } = self;
        let is_file = input.metadata().is_ok_and(|data| data.is_file() || data.is_dir());
        let show = Show { sink, choice, left: count.unwrap_or(u64::MAX), stop };
        let pipe = (!is_file).then(|| input.as_fd());
        match (Recorded { source: Source::new(&input), pipe, show }).read_all() {
            Ok(()) | Err(Ended::Enough) => Ok(()),
            Err(Ended::Unwritten(error)) => outlet::written(Err(error)),
            Err(Ended::Unread(why)) => Err(why.context(format!("failed to read {name}"))),
        }
    }
}

/// The file, and what to call it.
fn open(path: &Path) -> Result<(String, File)> {
    if path.as_os_str() == "-" {
        let input = io::stdin().as_fd().try_clone_to_owned().context("failed to open the standard input")?;
        return Ok(("the standard input".into(), input.into()));
    }
    let name = path.to_string_lossy().escape_default().to_string();
    let file = File::open(path).with_context(|| format!("failed to open {name}"))?;
    Ok((name, file))
}

/// Why no more is shown.
#[derive(Debug)]
enum Ended {
    /// As much as was asked for has been.
    Enough,
    /// The output failed.
    Unwritten(io::Error),
    /// The input did.
    Unread(anyhow::Error),
}

/// Where events go.
struct Show<'run> {
    sink: &'run mut dyn Sink,
    choice: Choice,
    /// How many may still be shown.
    left: u64,
    stop: &'run Signals,
}

impl Show<'_> {
    #[inline]
    fn event(&mut self, event: &Event<'_>) -> Result<(), Ended> {
        if !self.choice.takes(event) {
            return Ok(());
        }
        self.sink.packet(event).map_err(Ended::Unwritten)?;
        self.left -= 1;
        if self.left == 0 { Err(Ended::Enough) } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Ended> {
        self.sink.flush().map_err(Ended::Unwritten)
    }

    fn is_stopped(&self) -> bool {
        self.stop.stop()
    }
}

/// A file on its way to its sink.
struct Recorded<'run, R> {
    source: Source<R>,
    /// What may have to be waited for.
    pipe: Option<BorrowedFd<'run>>,
    show: Show<'run>,
}

impl<R: Read> Recorded<'_, R> {
    fn read_all(&mut self) -> Result<(), Ended> {
        let read = self.read();
        let flushed = self.show.flush();
        match read {
            // Whose output fails isn't told of a broken file besides.
            Err(Ended::Unwritten(error)) => Err(Ended::Unwritten(error)),
            read => flushed.and(read),
        }
    }

    fn read(&mut self) -> Result<(), Ended> {
        let Some(mut format) = self.begin()? else { return Ok(()) };
        let mut pairs = Pairs::default();
        let read = self.read_packets(&mut format, &mut pairs);
        if let Ok(()) | Err(Ended::Unread(_)) = read {
            pairs.end(&mut |run| self.show.event(&run.event(&format.interfaces)))?;
        }
        read?;
        match format.left_out {
            0 => Ok(()),
            number => Err(Ended::Unread(anyhow!(
                "{number} packets were left out: simple packet blocks have no time, and packet blocks are obsolete"
            ))),
        }
    }

    /// None if it was stopped before.
    fn begin(&mut self) -> Result<Option<Format>, Ended> {
        loop {
            match Format::new(self.source.rest()) {
                Ok((length, format)) => {
                    self.source.consume(length);
                    return Ok(Some(format));
                }
                Err(Fault::Broken(why)) => return Err(Ended::Unread(anyhow!(why))),
                Err(Fault::Incomplete) => match self.fill()? {
                    Some(Filled::More) => {}
                    None => return Ok(None),
                    Some(_) if self.source.rest().is_empty() => return Err(Ended::Unread(anyhow!("it is empty"))),
                    Some(_) => return Err(Ended::Unread(anyhow!("neither pcapng nor pcap, or cut at its beginning"))),
                },
            }
        }
    }

    fn read_packets(&mut self, format: &mut Format, pairs: &mut Pairs) -> Result<(), Ended> {
        loop {
            let mut half = Half::new(0, 0, 0, &[][..]);
            match format.next(self.source.rest(), &mut half) {
                Ok((length, piece)) => {
                    let show = &mut self.show;
                    match piece {
                        Piece::Packet => {
                            let interfaces = &format.interfaces;
                            pairs.take(&half, interfaces, &mut |run| show.event(&run.event(interfaces)))?;
                        }
                        Piece::Section => {
                            pairs.end(&mut |run| show.event(&run.event(&format.interfaces)))?;
                            format.begin_section();
                        }
                        Piece::Other => {}
                    }
                    self.source.consume(length);
                }
                Err(Fault::Broken(why)) => return Err(self.unread(&format!("broken at byte {{}}, {why}"))),
                Err(Fault::Incomplete) => match self.fill_for(format, pairs)? {
                    Some(Filled::More) => {}
                    None => return Ok(()),
                    Some(Filled::Ended) if self.source.rest().is_empty() => return Ok(()),
                    Some(Filled::Ended) => return Err(self.unread("truncated at byte {}")),
                    Some(Filled::TooLong) => return Err(self.unread("broken at byte {}, a block of more than 16 MiB")),
                },
            }
        }
    }

    /// `how`, with the position in place of `{}`.
    fn unread(&self, how: &str) -> Ended {
        let how = how.replacen("{}", &self.source.position().to_string(), 1);
        Ended::Unread(anyhow!("{how}: what is before it was shown"))
    }

    /// Reads more. Halves of runs don't wait for a pipe that is silent.
    fn fill_for(&mut self, format: &Format, pairs: &mut Pairs) -> Result<Option<Filled>, Ended> {
        if !pairs.is_empty() && !self.wait(Some(SILENCE))? {
            pairs.end(&mut |run| self.show.event(&run.event(&format.interfaces)))?;
        }
        self.fill()
    }

    /// Reads more. None if that was stopped.
    fn fill(&mut self) -> Result<Option<Filled>, Ended> {
        self.wait(None)?;
        if self.show.is_stopped() {
            return Ok(None);
        }
        self.source.fill().map(Some).map_err(|error| Ended::Unread(error.into()))
    }

    /// Waits until there is more, or the wish to end; what was shown is out before. False if that takes longer than
    /// `longest`.
    fn wait(&mut self, longest: Option<Duration>) -> Result<bool, Ended> {
        let Some(pipe) = self.pipe else { return Ok(true) };
        self.show.flush()?;
        let began = Instant::now();
        let mut fds = [PollFd::new(pipe, PollFlags::POLLIN)];
        let mut is_silent = || matches!(poll(&mut fds, PollTimeout::from(LOOK_EVERY_MS)), Ok(0) | Err(Errno::EINTR));
        while !self.show.is_stopped() && is_silent() {
            if longest.is_some_and(|longest| began.elapsed() >= longest) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
