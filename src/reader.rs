//! The perf rings' user side: samples → records, and the clock to date them by. Knows no format.

mod revive;
mod size;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{c_int, c_void};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, libbpf_sys};
use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

pub use size::{ring_bytes, smaller};

use crate::bpf::{Records, Told};
use crate::failure::Failure;

/// How long to deliver what is in the rings before others get their turn.
const TURN: Duration = Duration::from_millis(10);

/// Samples of a ring to deliver before the next ring's: a batch holds 8 KiB.
const SLICE: usize = 16;

/// Bytes in a ring that wake the reader, at most: what it looks at by itself comes 20 times a second.
const WATERMARK: usize = 1 << 20;

/// What becomes of a record; false: no more of them for now.
type Deliver<'run> = dyn FnMut(&Told<'_>) -> bool + 'run;

/// Reads records from the rings of all CPUs.
pub struct Reader<'run> {
    buffer: NonNull<libbpf_sys::perf_buffer>,
    // Its address is libbpf's callback context, so it stays where it is.
    state: Box<RefCell<State<'run>>>,
    /// The ring whose turn it is.
    next: Cell<libbpf_sys::size_t>,
    /// Of the map `events`, which is open as long as the buffer.
    events: RawFd,
    ring_bytes: usize,
    /// CPUs that cannot be given a ring again.
    hopeless: RefCell<BTreeSet<u32>>,
    _not_sync: PhantomData<*const ()>,
}

struct State<'run> {
    deliver: Box<Deliver<'run>>,
    /// Samples of this ring that may still be delivered.
    left: usize,
    /// Whether there were more.
    was_cut_short: bool,
    /// Whether no more is delivered.
    is_stopped: bool,
    /// This ring.
    ring: libbpf_sys::size_t,
    /// Of each CPU, the ring that its last sample was in: its own, but of one that is offline another one's.
    rings: BTreeMap<u32, libbpf_sys::size_t>,
    /// Rings that have been read to their end since the mark.
    ended: BTreeSet<libbpf_sys::size_t>,
}

impl<'run> State<'run> {
    fn new(deliver: Box<Deliver<'run>>) -> Self {
        let (rings, ended) = Default::default();
        Self { deliver, left: 0, was_cut_short: false, is_stopped: false, ring: 0, rings, ended }
    }
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl<'run> Reader<'run> {
    /// Opens a ring of `ring_bytes`, a power of two of at least a page, for each CPU that is online, behind the perf event
    /// array `events`. Each record read goes to `deliver`, in order per CPU; where that answers false, the rest waits in
    /// the rings.
    ///
    /// libbpf-rs' own PerfBuffer has no way to wake the reader by the bytes in a ring.
    ///
    /// Samples that the kernel could not put into a full ring are not this room's: the BPF side counts them, because
    /// the kernel reports a loss only in front of a later sample, and so never the last one.
    ///
    /// # Errors
    /// The kernel refuses the rings: too little memory may be locked, or no file descriptor is left.
    pub fn new(
        events: &impl MapCore,
        ring_bytes: usize,
        deliver: impl FnMut(&Told<'_>) -> bool + 'run,
    ) -> Result<Self> {
        let state = Box::new(RefCell::new(State::new(Box::new(deliver))));
        let mut attributes = attributes(ring_bytes);
        let context = ptr::from_ref::<RefCell<State<'run>>>(&state).cast_mut().cast();
        // SAFETY: the map's descriptor is open, the attributes outlive the call, and the context, which the callback takes for
        // what it is, lives as long as the buffer.
        let buffer = unsafe {
            libbpf_sys::perf_buffer__new_raw(
                events.as_fd().as_raw_fd(),
                (ring_bytes / page_size()) as u64,
                &mut attributes,
                Some(on_event),
                context,
                ptr::null(),
            )
        };
        match NonNull::new(buffer) {
            Some(buffer) => Ok(Self {
                buffer,
                state,
                next: Cell::new(0),
                events: events.as_fd().as_raw_fd(),
                ring_bytes,
                hopeless: RefCell::default(),
                _not_sync: PhantomData,
            }),
            None => Err(explain(Errno::last(), ring_bytes)),
        }
    }

    /// Delivers what the rings hold, also what no wake-up was sent for; a little of each in turn, so that none lags far
    /// behind the others. False if there may be more: its turn was over, or no more could be delivered.
    ///
    /// # Errors
    /// The rings cannot be read.
    pub fn drain(&self) -> Result<bool> {
        let turn_ends = Instant::now() + TURN;
        let rings = self.count();
        self.state.borrow_mut().is_stopped = false;
        loop {
            let mut is_empty = true;
            for _ in 0..rings {
                // Where the last turn ended, for there may be more rings than a turn has time for.
                let ring = self.next.get() % rings;
                self.next.set(ring + 1);
                is_empty &= self.drain_slice(ring)?;
                if self.state.borrow().is_stopped || Instant::now() > turn_ends {
                    return Ok(false);
                }
            }
            if is_empty {
                return Ok(true);
            }
        }
    }

    fn count(&self) -> libbpf_sys::size_t {
        // SAFETY: the buffer is there until this is dropped.
        unsafe { libbpf_sys::perf_buffer__buffer_cnt(self.buffer.as_ptr()) }
    }

    /// From now on it counts for [`Self::has_read`] what is read.
    pub fn mark(&self) {
        self.state.borrow_mut().ended.clear();
    }

    /// Whether all has been read that this CPU, of which something was read before, had sent up to the mark.
    pub fn has_read(&self, cpu: u32) -> bool {
        let state = self.state.borrow();
        state.rings.get(&cpu).is_some_and(|ring| state.ended.contains(ring))
    }

    /// Whether that was all.
    fn drain_slice(&self, ring: libbpf_sys::size_t) -> Result<bool> {
        {
            let mut state = self.state.borrow_mut();
            (state.left, state.was_cut_short, state.ring) = (SLICE, false, ring);
        }
        // SAFETY: the buffer is there until this is dropped, and has that many rings.
        let error = unsafe { libbpf_sys::perf_buffer__consume_buffer(self.buffer.as_ptr(), ring) };
        if error < 0 {
            return Err(Errno::from_raw(-error)).context("failed to read the perf rings");
        }
        let mut state = self.state.borrow_mut();
        if !state.was_cut_short {
            state.ended.insert(ring);
        }
        Ok(!state.was_cut_short)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // SAFETY: nobody uses the buffer any more; the state that its callback uses is still there.
        unsafe { libbpf_sys::perf_buffer__free(self.buffer.as_ptr()) };
    }
}

impl AsFd for Reader<'_> {
    /// Readable when there is much to read; a little may be there before.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: libbpf's epoll descriptor is open as long as the buffer, which this borrows.
        unsafe { BorrowedFd::borrow_raw(libbpf_sys::perf_buffer__epoll_fd(self.buffer.as_ptr())) }
    }
}

/// libbpf's, but for the wake-up.
fn attributes(ring_bytes: usize) -> libbpf_sys::perf_event_attr {
    let mut attributes = libbpf_sys::perf_event_attr {
        type_: libbpf_sys::PERF_TYPE_SOFTWARE,
        size: size_of::<libbpf_sys::perf_event_attr>() as u32,
        config: libbpf_sys::PERF_COUNT_SW_BPF_OUTPUT.into(),
        sample_type: libbpf_sys::PERF_SAMPLE_RAW.into(),
        ..Default::default()
    };
    attributes.__bindgen_anon_1.sample_period = 1;
    attributes.set_watermark(1);
    attributes.__bindgen_anon_2.wakeup_watermark = WATERMARK.min(ring_bytes / 8) as u32;
    attributes
}

fn explain(errno: Errno, ring_bytes: usize) -> anyhow::Error {
    let size = format!("failed to open perf rings of {} KiB for each CPU", ring_bytes / 1024);
    match errno {
        Errno::EPERM => Failure::unable(format!("{size}: too little memory may be locked: ask for less with -B")),
        Errno::ENOMEM => Failure::unable(format!("{size}: no memory: ask for less with -B")),
        Errno::EMFILE => anyhow::anyhow!("{size}: {}", crate::refusal::NO_DESCRIPTOR),
        errno => anyhow::Error::new(errno).context(size),
    }
}

/// Bytes of a page, of which a ring has a power of two.
pub fn page_size() -> usize {
    // SAFETY: sysconf(3) takes no pointer.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// libbpf calls this for each event in a ring.
unsafe extern "C" fn on_event(
    context: *mut c_void,
    _cpu: c_int,
    event: *mut libbpf_sys::perf_event_header,
) -> libbpf_sys::bpf_perf_event_ret {
    // SAFETY: `Reader::new` gave libbpf the address of a state that lives as long as the buffer; one thread uses both.
    let state = unsafe { &*context.cast::<RefCell<State<'_>>>() };
    // SAFETY: libbpf gives a whole event, whose size is in its header.
    let sample = unsafe { sample_of(event) };
    let mut state = state.borrow_mut();
    if let Some(records) = sample.and_then(Records::new) {
        let mut goes_on = true;
        let ring = state.ring;
        state.rings.insert(records.cpu(), ring);
        for told in records {
            goes_on &= (state.deliver)(&told);
        }
        state.is_stopped |= !goes_on;
        state.left = state.left.saturating_sub(1);
        if state.is_stopped || state.left == 0 {
            state.was_cut_short = true;
            return libbpf_sys::LIBBPF_PERF_EVENT_DONE;
        }
    }
    libbpf_sys::LIBBPF_PERF_EVENT_CONT
}

/// The bytes of a sample; None of any other event, as of PERF_RECORD_LOST.
///
/// # Safety
/// `event` is a whole event of `PERF_SAMPLE_RAW`.
unsafe fn sample_of<'a>(event: *const libbpf_sys::perf_event_header) -> Option<&'a [u8]> {
    /// Behind the header, a 32-bit size.
    const SIZE: usize = size_of::<u32>();
    // SAFETY: the caller's promise: all of this is within the event. An event is aligned to 8 bytes, its size is a multiple.
    unsafe {
        let header = event.read();
        let all = usize::from(header.size).checked_sub(size_of_val(&header))?;
        let bytes: &[u8] = slice::from_raw_parts(event.add(1).cast(), all);
        let (size, sample) = bytes.split_first_chunk::<SIZE>()?;
        let length = u32::from_ne_bytes(*size) as usize;
        (header.type_ == libbpf_sys::PERF_RECORD_SAMPLE).then(|| sample.get(..length)).flatten()
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

/// Nanoseconds of CLOCK_MONOTONIC.
///
/// # Errors
/// The kernel has no such clock.
pub fn monotonic_ns() -> io::Result<u64> {
    read_clock(ClockId::CLOCK_MONOTONIC)
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
