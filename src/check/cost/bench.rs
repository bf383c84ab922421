//! Has the kernel run a program again and again (BPF_PROG_TEST_RUN), with probes and without.

use std::cell::Cell;
use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use libbpf_rs::libbpf_sys;
use nix::errno::Errno;

use crate::batches::Batches;
use crate::kernel;
use crate::numbers;
use crate::plan::Tracing;
use crate::probe::{self, Aim, Loaded, Maps, OWN, Probe, Wanted};
use crate::reader::{self, Reader};
use crate::target::{self, Place};

/// Bytes of a packet.
const LENGTH: usize = 98;
/// Runs of a round, at most.
const RUNS: usize = 1000;
/// Bytes of a ring, at most: as many as one may lock without CAP_IPC_LOCK (kernel.perf_event_mlock_kb).
const RING: usize = 512 << 10;
/// Bytes that are told of a run, at most.
const TOLD: usize = 256;
/// Rounds, if there is time, and at least.
const ROUNDS: usize = 15;
const LEAST: usize = 5;
/// How long rounds of the same may take, with which there are nine times as many: a second in all. Since Linux 5.14 each waits
/// for all CPUs twice (bpf_prog_change_xdp in net/core/dev.c).
const LIMIT: Duration = Duration::from_millis(110);

/// The index of a network namespace's loopback device, by which a test run's packets come (bpf_prog_test_run_xdp in
/// net/bpf/test_run.c).
const LOOPBACK: u32 = 1;

/// A program that is attached nowhere.
pub(super) struct Bench<'program> {
    program: BorrowedFd<'program>,
    /// Bytes of a ring.
    ring: usize,
    /// Runs of a round: what is told of them takes half a ring.
    runs: u32,
}

impl<'program> Bench<'program> {
    /// With rings no larger than those of a run, which are small where there are many CPUs.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub(super) fn new(program: &'program OwnedFd) -> Result<Self> {
        let ring = reader::ring_bytes(None, false, kernel::available_kib(), kernel::online_cpus())?.min(RING);
        let runs = (ring / 2 / TOLD).min(RUNS) as u32;
        Ok(Self { program: program.as_fd(), ring, runs })
    }

    /// Nanoseconds that a run took, on average, of several rounds.
    pub(super) fn untraced(&self) -> Result<Vec<u32>> {
        self.rounds(|| Ok(()))
    }

    /// The first one, of which caches know nothing, is not among them. `rest` is between two.
    fn rounds(&self, mut rest: impl FnMut() -> Result<()>) -> Result<Vec<u32>> {
        let began = Instant::now();
        let mut rounds = Vec::new();
        self.round()?;
        while rounds.len() < LEAST || (rounds.len() < ROUNDS && began.elapsed() < LIMIT) {
            rest()?;
            rounds.push(self.round()?);
        }
        rest()?;
        Ok(rounds)
    }

    fn round(&self) -> Result<u32> {
        let frame = [0_u8; LENGTH];
        let mut options = libbpf_sys::bpf_test_run_opts {
            sz: size_of::<libbpf_sys::bpf_test_run_opts>() as u64,
            data_in: frame.as_ptr().cast(),
            data_size_in: LENGTH as u32,
            repeat: self.runs as c_int,
            ..Default::default()
        };
        // SAFETY: the descriptor is open, and the options point to a frame that outlives the call.
        let error = unsafe { libbpf_sys::bpf_prog_test_run_opts(self.program.as_raw_fd(), &mut options) };
        ensure!(error >= 0, anyhow!(Errno::from_raw(-error)).context("failed to run a program of our own"));
        Ok(options.duration)
    }

    /// The same, with probes as `plan` has them.
    pub(super) fn traced(&self, plan: &Tracing) -> Result<Vec<u32>> {
        let told = Cell::new(0_u64);
        let maps = Maps::create(plan)?;
        let mut batches = Batches::new(&maps)?;
        let reader = Reader::new(maps.events(), self.ring, |_| {
            told.set(told.get() + 1);
            true
        })?;
        let read = || {
            while !reader.drain()? {}
            anyhow::Ok(())
        };
        let mut probe = self.attach(plan, &maps)?;
        let rounds = self.rounds(read)?;
        probe.end()?;
        batches.flush_all(maps.flush(), |cpu| reader.revive(cpu))?;
        read()?;
        let seen = if plan.counting.is_some() { counted(&probe)? } else { told.get() };
        let runs = u64::from(self.runs) * (rounds.len() as u64 + 1);
        // A run that isn't told costs less than one that is.
        ensure!(
            seen == runs,
            "this kernel had the probes see {seen} of {runs} runs: what a packet costs can't be measured"
        );
        Ok(rounds)
    }

    fn attach(&self, plan: &Tracing, maps: &Maps) -> Result<Probe> {
        let netns = target::own_netns()?;
        let aim = Aim {
            number: 0,
            function: probe::own_function(),
            place: Place::Device,
            probes: plan.selection.shown,
            devices: Wanted::One { netns, ifindex: LOOPBACK },
            selection: &plan.selection,
            counting: plan.counting.as_ref(),
            // What becomes of verdicts is told by tracepoints, which other programs' packets pass as well.
            root: None,
            filter: None,
            can_read: probe::can_read(),
            shown: OWN.into(),
        };
        let probe = Loaded::new(&aim, self.program, maps)?.attach()?;
        probe.begin().map(|()| probe)
    }
}

fn counted(probe: &Probe) -> Result<u64> {
    let (_, cells) = probe.counters().context("failed to read what was counted")?;
    Ok(numbers::tallied(&cells))
}
