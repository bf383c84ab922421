//! The batches that CPUs are gathering: looked at, and flushed where their records have waited long enough.

use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;

use anyhow::{Context, Result};
use libbpf_rs::{MapHandle, libbpf_sys};
use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

use crate::bpf::{Batch, LONGEST_BATCH, Sample};
use crate::event::Losses;
use crate::probe::{Maps, batch_size};

/// What the flushing program answers, as in src/bpf/batch.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Flushed,
    /// By another CPU than the batch's, which is offline.
    FlushedElsewhere,
    /// It found the batch busy: who is at it sends it, then.
    Busy,
    /// The CPU lacks a ring: the batch stays as it is.
    NoRing,
    /// The one does by which it was to be sent.
    NoRingElsewhere,
}

/// How often to try to flush a busy batch: each try takes longer than a record does.
const TRIES: u32 = 1000;

/// The batches of all CPUs.
#[derive(Debug)]
pub struct Batches {
    first: MmapRaw,
    second: MmapRaw,
    cpus: u32,
    /// For each CPU, how often its batch had been sent when it was looked at last and had records; None: it had none.
    seen: Vec<Option<u32>>,
    /// Those that another one has sent the batches of at the last flush.
    elsewhere: Vec<u32>,
}

impl Batches {
    /// Maps them.
    ///
    /// # Errors
    /// The kernel refuses: no memory.
    pub fn new(maps: &Maps) -> Result<Self> {
        let cpus = maps.cpus();
        let map = |batches: &MapHandle, size: u32| {
            let length = (size * cpus) as usize;
            let memory = MmapOptions::new().len(length).map_raw_read_only(batches.as_fd().as_raw_fd());
            memory.context("failed to map the batches: free some memory")
        };
        let first = map(maps.batches(), batch_size(cpus))?;
        let second = map(maps.second_batches(), LONGEST_BATCH)?;
        Ok(Self { first, second, cpus, seen: vec![None; cpus as usize], elsewhere: Vec::new() })
    }

    /// Sends the batches whose records have been waiting since the last call; those of a busy CPU leave by themselves. A CPU that
    /// lacks a ring is to get one by `revive`; those of one that can't be helped are lost.
    ///
    /// # Errors
    /// The kernel refuses to run the flushing program.
    pub fn flush_waiting(&mut self, flush: BorrowedFd<'_>, revive: impl Fn(u32)) -> Result<()> {
        self.elsewhere.clear();
        for cpu in 0..self.cpus {
            let now = (!self.is_empty(cpu)).then(|| self.sends(cpu));
            if now.is_some() && self.seen[cpu as usize] == now {
                self.flush(flush, cpu, &revive)?;
            }
            self.seen[cpu as usize] = now;
        }
        Ok(())
    }

    /// Sends all of them.
    ///
    /// # Errors
    /// As [`Batches::flush_waiting`].
    pub fn flush_all(&mut self, flush: BorrowedFd<'_>, revive: impl Fn(u32)) -> Result<()> {
        self.elsewhere.clear();
        for cpu in 0..self.cpus {
            if self.is_empty(cpu) {
                continue;
            }
            // Whoever is at it is done in an instant, and sends it then; trying again makes sure that it was.
            let mut tries = 0..TRIES;
            while self.flush(flush, cpu, &revive)? == Answer::Busy && tries.next().is_some() {}
        }
        Ok(())
    }

    fn flush(&mut self, flush: BorrowedFd<'_>, cpu: u32, revive: impl Fn(u32)) -> Result<Answer> {
        let answer = run_on(flush, cpu, revive)?;
        self.elsewhere.extend((answer == Answer::FlushedElsewhere).then_some(cpu));
        Ok(answer)
    }

    /// What was lost so far.
    pub fn losses(&self) -> Losses {
        let of_both = |cpu, offset| self.read::<u64>(cpu, offset) + self.read_second::<u64>(cpu, offset);
        let sum = |offset| (0..self.cpus).map(|cpu| of_both(cpu, offset)).sum();
        Losses {
            full: sum(offset_of!(Batch, lost_full)),
            no_ring: sum(offset_of!(Batch, lost_no_ring)),
            other: sum(offset_of!(Batch, lost_other)),
            ..Losses::default()
        }
    }

    /// Whether a CPU gathers nothing.
    pub fn is_empty(&self, cpu: u32) -> bool {
        self.read::<u32>(cpu, offset_of!(Batch, sample) + offset_of!(Sample, used)) == 0
    }

    /// The CPUs that gather something.
    pub fn gathering(&self) -> Vec<u32> {
        (0..self.cpus).filter(|cpu| !self.is_empty(*cpu)).collect()
    }

    /// The CPUs whose batches were sent by another one at the last flush, because they are offline.
    pub fn elsewhere(&self) -> &[u32] {
        &self.elsewhere
    }

    fn sends(&self, cpu: u32) -> u32 {
        self.read(cpu, offset_of!(Batch, sends))
    }

    fn read<T: Copy>(&self, cpu: u32, offset: usize) -> T {
        read(&self.first, batch_size(self.cpus) as usize * cpu as usize + offset)
    }

    fn read_second<T: Copy>(&self, cpu: u32, offset: usize) -> T {
        read(&self.second, LONGEST_BATCH as usize * cpu as usize + offset)
    }
}

/// An integer at an aligned offset.
fn read<T: Copy>(memory: &MmapRaw, offset: usize) -> T {
    assert!(offset + size_of::<T>() <= memory.len(), "an integer beyond the batches");
    // SAFETY: the integer lies within what is mapped. BPF programs write to it meanwhile, so it is read as what changes by
    // itself; it is only ever read one integer at a time.
    unsafe { ptr::read_volatile(memory.as_ptr().add(offset).cast()) }
}

/// Runs the flushing program on `cpu`, once more where that lacked a ring and `revive` may have given it one.
fn run_on(flush: BorrowedFd<'_>, cpu: u32, revive: impl Fn(u32)) -> Result<Answer> {
    match run_once_on(flush, cpu, true)? {
        Answer::NoRing => {
            revive(cpu);
            run_once_on(flush, cpu, false)
        }
        Answer::NoRingElsewhere => {
            // The one that sent for it has come back itself, and had nothing to send since.
            sched_getcpu().iter().for_each(|here| revive(*here as u32));
            run_once_on(flush, cpu, false)
        }
        answer => Ok(answer),
    }
}

/// Runs the flushing program on `cpu`. It runs in an interrupt: the records stay in order, because no run can come in between.
///
/// On the CPU that it is called from, the kernel would run it in the caller's own context, in the middle of which the
/// traced program may run; so this thread moves away for the time. On a machine of one CPU it can't, and records of
/// runs in that instant are sent one by one, perhaps in front of those in the batch.
fn run_once_on(flush: BorrowedFd<'_>, cpu: u32, keeps: bool) -> Result<Answer> {
    let away = move_away(cpu);
    let ran = test_run(flush, cpu, keeps, true).or_else(|error| match error {
        // The CPU went offline: what it has gathered is sent by this one, and nobody is at it.
        Errno::ENXIO => test_run(flush, cpu, keeps, false).map(|answer| match answer {
            Answer::Flushed => Answer::FlushedElsewhere,
            Answer::NoRing => Answer::NoRingElsewhere,
            answer => answer,
        }),
        error => Err(error),
    });
    if let Some(before) = away {
        // Where it may not go back, it stays.
        let _ = sched_setaffinity(Pid::from_raw(0), &before);
    }
    ran.context("failed to flush the records of a CPU")
}

/// Where this thread was allowed to run, if it has been moved.
fn move_away(cpu: u32) -> Option<CpuSet> {
    let here = sched_getcpu().ok()?;
    if here != cpu as usize {
        return None;
    }
    let before = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let mut elsewhere = before;
    elsewhere.unset(here).ok()?;
    sched_setaffinity(Pid::from_raw(0), &elsewhere).ok()?;
    Some(before)
}

fn test_run(flush: BorrowedFd<'_>, cpu: u32, keeps: bool, there: bool) -> Result<Answer, Errno> {
    let arguments = [u64::from(cpu), u64::from(keeps)];
    let mut options = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as u64,
        ctx_in: arguments.as_ptr().cast(),
        ctx_size_in: size_of_val(&arguments) as u32,
        ..Default::default()
    };
    if there {
        options.flags = libbpf_sys::BPF_F_TEST_RUN_ON_CPU;
        options.cpu = cpu;
    }
    // SAFETY: the descriptor is open, and the options point to arguments that outlive the call.
    let error = unsafe { libbpf_sys::bpf_prog_test_run_opts(flush.as_raw_fd(), &mut options) };
    match (error, options.retval) {
        (..0, _) => Err(Errno::from_raw(-error)),
        (_, 0) => Ok(Answer::Flushed),
        (_, 1) => Ok(Answer::Busy),
        _ => Ok(Answer::NoRing),
    }
}
