//! Loads fentry and fexit for one target and attaches them; owns their links. Prints nothing.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, Map, MapCore, MapFlags, OpenObject};

use crate::bpf::{self, Counted, OpenXdptraceSkel, XdptraceSkel, XdptraceSkelBuilder};
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
        let program = target.program.as_fd().as_raw_fd();
        for probe in [&mut open.progs.fentry_xdp, &mut open.progs.fexit_xdp] {
            probe
                .set_attach_target(program, Some(target.program.function.clone()))
                .map_err(|error| refusal::explain(&error, "aim fentry and fexit at", &shown))?;
        }
        let skeleton = open.load().map_err(|error| refusal::explain(&error, "load fentry and fexit for", &shown))?;
        Ok(Self { skeleton, links: Vec::new(), target: shown })
    }

    /// Attaches fentry.
    pub fn attach_fentry(&mut self) -> Result<()> {
        let link = self.skeleton.progs.fentry_xdp.attach_trace();
        self.links.push(link.map_err(|error| refusal::explain(&error, "attach fentry to", &self.target))?);
        Ok(())
    }

    /// Attaches fexit.
    pub fn attach_fexit(&mut self) -> Result<()> {
        let link = self.skeleton.progs.fexit_xdp.attach_trace();
        self.links.push(link.map_err(|error| refusal::explain(&error, "attach fexit to", &self.target))?);
        Ok(())
    }

    /// Takes fexit and fentry off the program, and returns once every run that they saw is over: all records are
    /// then in the ring and all counts in the map.
    pub fn detach(&mut self) {
        while self.links.pop().is_some() {}
        wait_for_running_programs();
    }

    /// The perf event array that records arrive by.
    pub fn events(&self) -> &Map<'obj> {
        &self.skeleton.maps.events
    }

    /// Each CPU's counters.
    pub fn counted(&self) -> Result<Vec<Counted>> {
        let cpus = self.skeleton.maps.counted.lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY);
        let cpus = cpus.context("failed to read the counters")?.unwrap_or_default();
        cpus.iter().map(|cpu| bpf::read_counted(cpu).context("the counters are too short")).collect()
    }
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

/// Closing a link stops new runs, but one that has begun on another CPU goes on.
fn wait_for_running_programs() {
    // MEMBARRIER_CMD_GLOBAL is synchronize_rcu() in the kernel (kernel/sched/membarrier.c), and a BPF program runs
    // within one RCU read side. A kernel with nohz_full refuses it; then the last records may miss the summary.
    // SAFETY: membarrier(2) takes no pointer.
    unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
}
