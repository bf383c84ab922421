//! The perf ring's user side: samples → records, and the clock to date them by. Knows no format.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, PerfBuffer, PerfBufferBuilder};
use nix::time::{ClockId, clock_gettime};

use crate::bpf::{Record, read_record};

/// Size of one CPU's ring in pages: about 800 records.
const PAGES: usize = 64;

/// Reads records from the rings of all CPUs.
#[derive(Debug)]
pub struct Reader<'sink>(PerfBuffer<'sink>);

impl<'sink> Reader<'sink> {
    /// Opens the rings behind the perf event array `events`; each record read goes to `deliver`, in order per CPU.
    ///
    /// Samples that the kernel could not put into a full ring are not this room's: the BPF side counts them, because
    /// the kernel reports a loss only in front of a later sample, and so never the last one.
    ///
    /// # Errors
    /// The kernel refuses the rings: too little memory may be locked, or no file descriptor is left.
    pub fn new(events: &impl MapCore, mut deliver: impl FnMut(&Record) + 'sink) -> Result<Self> {
        let buffer = PerfBufferBuilder::new(events)
            .pages(PAGES)
            .sample_cb(move |_, sample: &[u8]| {
                if let Some(record) = read_record(sample) {
                    deliver(&record);
                }
            })
            .build()
            .context("failed to open the perf rings")?;
        Ok(Self(buffer))
    }

    /// Delivers all that the rings hold, also what no wake-up was sent for.
    ///
    /// # Errors
    /// The rings cannot be read.
    pub fn drain(&self) -> Result<()> {
        self.0.consume().context("failed to read the perf rings")
    }
}

impl AsFd for Reader<'_> {
    /// Readable when there are records.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: libbpf's epoll descriptor is open as long as the buffer, which this borrows.
        unsafe { BorrowedFd::borrow_raw(self.0.epoll_fd()) }
    }
}

/// Nanoseconds to add to CLOCK_MONOTONIC for the time since the Unix epoch.
///
/// Read anew whenever events are dated, so that a clock that was set is followed.
///
/// # Errors
/// The kernel has no such clock.
pub fn boot_ns() -> io::Result<u64> {
    // The tightest of three: this thread may be put aside between two readings.
    let pairs = [read_clock_pair()?, read_clock_pair()?, read_clock_pair()?];
    let [first, second, third] = pairs;
    let (_, boot_ns) = first.min(second).min(third);
    Ok(boot_ns)
}

/// How far apart the readings were, and the difference between the clocks, in nanoseconds.
fn read_clock_pair() -> io::Result<(u64, u64)> {
    let before = read_clock(ClockId::CLOCK_MONOTONIC)?;
    let real = read_clock(ClockId::CLOCK_REALTIME)?;
    let width = read_clock(ClockId::CLOCK_MONOTONIC)? - before;
    Ok((width, real.saturating_sub(before + width / 2)))
}

fn read_clock(clock: ClockId) -> io::Result<u64> {
    Ok(Duration::from(clock_gettime(clock)?).as_nanos() as u64)
}
