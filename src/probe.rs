//! Loads fentry and fexit for one target and attaches them; owns their links. Prints nothing.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, Map, MapCore, MapFlags, OpenObject};

use crate::bpf::{self, Counted, OpenXdptraceSkel, PassthroughSkelBuilder, XdptraceSkel, XdptraceSkelBuilder};
use crate::plan::Filter;
use crate::refusal;
use crate::target::Target;

/// fentry and fexit of one program, loaded, and attached until dropped or detached.
#[allow(missing_debug_implementations)]
pub struct Probe<'obj> {
    skeleton: XdptraceSkel<'obj>,
    links: Vec<Link>,
    target: String,
}

impl<'obj> Probe<'obj> {
    /// Sets the target on the opened skeleton and loads it. `storage` is where libbpf-rs keeps the object.
    ///
    /// # Errors
    /// What the kernel refused, with its meaning and the remedy where they are known.
    pub fn load(storage: &'obj mut MaybeUninit<OpenObject>, target: &Target, filter: Filter) -> Result<Self> {
        let mut open = XdptraceSkelBuilder::default().open(storage).context("failed to open the BPF object")?;
        configure(&mut open, target, filter)?;
        let shown = target.to_string();
        let skeleton = aim_and_load(open, target.program.as_fd(), &target.program.function, &shown)?;
        Ok(Self { skeleton, links: Vec::new(), target: shown })
    }

    /// Loads both probes for a program of our own that is attached nowhere, and lets go of them again: what fails here
    /// fails for every program.
    ///
    /// # Errors
    /// As [`Probe::load`].
    pub fn try_load() -> Result<()> {
        let (mut storage, mut own_storage) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        let own = PassthroughSkelBuilder::default().open(&mut own_storage).context("failed to open the BPF object")?;
        let own = own.load().map_err(|error| refusal::explain(&error, "load", "an XDP program"))?;
        let open = XdptraceSkelBuilder::default().open(&mut storage).context("failed to open the BPF object")?;
        aim_and_load(open, own.progs.xdptrace_pass.as_fd(), "xdptrace_pass", "a program of our own")?;
        Ok(())
    }

    /// Attaches fentry.
    ///
    /// # Errors
    /// The kernel refused, with its reason where it is known.
    pub fn attach_fentry(&mut self) -> Result<()> {
        let link = self.skeleton.progs.fentry_xdp.attach_trace();
        self.links.push(link.map_err(|error| refusal::explain(&error, "attach fentry to", &self.target))?);
        Ok(())
    }

    /// Attaches fexit.
    ///
    /// # Errors
    /// As [`Probe::attach_fentry`].
    pub fn attach_fexit(&mut self) -> Result<()> {
        let link = self.skeleton.progs.fexit_xdp.attach_trace();
        self.links.push(link.map_err(|error| refusal::explain(&error, "attach fexit to", &self.target))?);
        Ok(())
    }

    /// Has runs noted from now on: once both probes are attached.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub fn begin(&mut self) -> Result<()> {
        self.set_tracing(true)
    }

    /// Has no more runs noted, waits until those are over that were, and takes both probes off the program: all
    /// records are then in the ring and all counts in the map.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub fn detach(&mut self) -> Result<()> {
        self.set_tracing(false)?;
        wait_for_running_programs();
        self.links.clear();
        Ok(())
    }

    fn set_tracing(&mut self, tracing: bool) -> Result<()> {
        self.skeleton.maps.bss_data.as_deref_mut().context("the BPF object has no switch")?.tracing = tracing;
        Ok(())
    }

    /// The perf event array that records arrive by.
    pub fn events(&self) -> &Map<'obj> {
        &self.skeleton.maps.events
    }

    /// Each CPU's counters.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn counted(&self) -> Result<Vec<Counted>> {
        let cpus = self.skeleton.maps.counted.lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY);
        let cpus = cpus.context("failed to read the counters")?.unwrap_or_default();
        cpus.iter().map(|cpu| bpf::read_counted(cpu).context("the counters are too short")).collect()
    }
}

fn aim_and_load<'obj>(
    mut open: OpenXdptraceSkel<'obj>,
    program: BorrowedFd<'_>,
    function: &str,
    shown: &str,
) -> Result<XdptraceSkel<'obj>> {
    for probe in [&mut open.progs.fentry_xdp, &mut open.progs.fexit_xdp] {
        probe
            .set_attach_target(program.as_raw_fd(), Some(function.to_owned()))
            .map_err(|error| refusal::explain(&error, "aim fentry and fexit at", shown))?;
    }
    open.load().map_err(|error| refusal::explain(&error, "load fentry and fexit for", shown))
}

fn configure(open: &mut OpenXdptraceSkel<'_>, target: &Target, filter: Filter) -> Result<()> {
    let config = open.maps.rodata_data.as_deref_mut().context("the BPF object has no configuration")?;
    config.program_id = target.program.id;
    config.only_icmp = filter == Filter::Icmp;
    if !target.device.has_members {
        config.only_ifindex = target.device.ifindex;
        config.only_netns = target.device.netns;
    }
    Ok(())
}

/// A run that has begun on another CPU goes on, whatever is switched or closed here.
fn wait_for_running_programs() {
    // MEMBARRIER_CMD_GLOBAL is synchronize_rcu() in the kernel (kernel/sched/membarrier.c), and a BPF program runs
    // within one RCU read side. A kernel with nohz_full refuses it; there a wait many times as long as any
    // program runs has to do.
    // SAFETY: membarrier(2) takes no pointer.
    let refused = unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) } != 0;
    if refused {
        thread::sleep(Duration::from_millis(20));
    }
}
