//! Loads fentry and fexit for one target after the other and attaches them; owns their links. Prints nothing.
//!
//! Loading and attaching hand on nothing but plain data and file descriptors.

mod aim;
mod cells;
mod instructions;
mod maps;
mod memory;
mod settings;
mod tracepoint;

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle, OpenObject, libbpf_sys};

pub use aim::{Aim, Filter, Wanted, layout};
pub use cells::free;
pub use maps::{Maps, batch_size};
pub use memory::Memory;

use maps::Sizes;
use tracepoint::Tracepoint;

use crate::bpf::{self, Cell, OpenXdptraceSkel, State, XdptraceSkel, XdptraceSkelBuilder};
use crate::kernel::Lockdown;
use crate::layout;
use crate::numbers::Latency;
use crate::passthrough;
use crate::plan::{Probes, Selection};
use crate::refusal;
use crate::target::{self, Function, Place};

/// fentry and fexit for one target, loaded.
#[derive(Debug)]
pub struct Loaded {
    fentry: Option<OwnedFd>,
    fexit: Option<OwnedFd>,
    /// Tracepoints of the kernel's, and the programs for them.
    tracepoints: Vec<(&'static CStr, OwnedFd)>,
    switch: MapHandle,
    root: MapHandle,
    states: MapHandle,
    cells: usize,
    shown: String,
}

/// fentry and fexit of one target, attached until dropped.
#[derive(Debug)]
pub struct Probe {
    // Only to be held: closing them detaches, in this order.
    links: Vec<OwnedFd>,
    tracepoints: Vec<Tracepoint>,
    programs: Vec<OwnedFd>,
    ids: Vec<u32>,
    switch: MapHandle,
    root: MapHandle,
    states: MapHandle,
    cells: usize,
}

impl Loaded {
    /// Sets the target on the opened skeleton, has it share `maps`, and loads it. `program` is the target's, open.
    ///
    /// # Errors
    /// What the kernel refused, with its meaning and the remedy where they are known.
    pub fn new(aim: &Aim<'_>, program: BorrowedFd<'_>, maps: &Maps) -> Result<Self> {
        let mut storage = MaybeUninit::uninit();
        let skeleton = load(&mut storage, aim, program, Some(maps))?;
        let keep = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().context(refusal::NO_DESCRIPTOR);
        let (fentry, fexit) = aim::pair_of!(skeleton.progs, aim.pair(), &);
        let fentry = (aim.probes != Probes::Exit).then(|| keep(fentry.as_fd()));
        let fexit = (aim.probes != Probes::Entry).then(|| keep(fexit.as_fd()));
        let outcomes = aim::tracepoints_of!(skeleton.progs, &).into_iter();
        let outcomes = outcomes.filter(|(name, _)| aim.tracepoints().any(|asked| asked == *name));
        let handle = |map| MapHandle::try_from(map).context(refusal::NO_DESCRIPTOR);
        Ok(Self {
            fentry: fentry.transpose()?,
            fexit: fexit.transpose()?,
            tracepoints: outcomes.map(|(name, program)| Ok((name, keep(program.as_fd())?))).collect::<Result<_>>()?,
            switch: handle(&skeleton.maps.bss_switch)?,
            root: with_root(handle(&skeleton.maps.bss_root)?, aim.root)?,
            states: begin_with(handle(&skeleton.maps.bss_states)?, &maps.sizes().states())?,
            cells: maps.sizes().cells(),
            shown: aim.shown.clone(),
        })
    }

    /// Attaches the probes. No run is told that had begun before.
    ///
    /// # Errors
    /// The kernel refused, with its reason where it is known.
    pub fn attach(self) -> Result<Probe> {
        // Attached first and taken off last, for they tell of a run behind its end.
        let told = self.tracepoints.iter().map(|(name, program)| Tracepoint::attach(name, program.as_fd()));
        let tracepoints = told.collect();
        let links =
            attach_both(self.fentry.as_ref().map(AsFd::as_fd), self.fexit.as_ref().map(AsFd::as_fd), &self.shown)?;
        let Self { fentry, fexit, switch, root, states, cells, .. } = self;
        let programs: Vec<OwnedFd> = fexit.into_iter().chain(fentry).collect();
        let ids = programs.iter().map(|program| target::program_id(program.as_fd()));
        let ids = ids.collect::<io::Result<_>>().context("failed to read a program of our own")?;
        Ok(Probe { links, tracepoints, programs, ids, switch, root, states, cells })
    }
}

impl Probe {
    /// Ids of the programs that are attached.
    pub fn programs(&self) -> &[u32] {
        &self.ids
    }

    /// What each CPU is at, and has counted; and, of the same reading, what by device and queue: all that there is room for, also
    /// where nothing was counted yet.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn counters(&self) -> Result<(Vec<State>, Vec<Cell>)> {
        let value = self.read()?;
        Ok((bpf::read_states(&value, self.cells), bpf::read_cells(&value, self.cells)))
    }

    fn read(&self) -> Result<Vec<u8>> {
        let value = self.states.lookup(&0u32.to_ne_bytes(), MapFlags::ANY).context("failed to read the counters")?;
        Ok(value.unwrap_or_default())
    }

    /// The kernel's tracepoints that were to be attached to and aren't, and why.
    pub fn untold(&self) -> impl Iterator<Item = (&'static CStr, String)> {
        self.tracepoints.iter().filter_map(Tracepoint::untold)
    }

    /// How often the kernel left the probes out because one was at work on that CPU; None: it doesn't tell.
    pub fn recursion_misses(&self) -> Option<u64> {
        self.programs.iter().map(|program| target::recursion_misses(program.as_fd())).sum()
    }

    /// Has runs noted from now on: once both probes are attached.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub fn begin(&self) -> Result<()> {
        self.set_tracing(true)
    }

    /// Has no more runs noted, and takes the probes off.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub fn end(&mut self) -> Result<()> {
        self.set_tracing(false)?;
        self.links.clear();
        self.tracepoints.clear();
        Ok(())
    }

    /// Has what the kernel's tracepoints say of this program be the target's.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub fn set_root(&self, root: Option<u32>) -> Result<()> {
        set(&self.root, &root.unwrap_or(0).to_ne_bytes())
    }

    fn set_tracing(&self, tracing: bool) -> Result<()> {
        set(&self.switch, &[tracing.into()])
    }
}

/// Sets the first bytes of a map of one value, of which the others are 0.
fn set(map: &MapHandle, bytes: &[u8]) -> Result<()> {
    let mut value = bytes.to_vec();
    value.resize(map.value_size() as usize, 0);
    map.update(&0u32.to_ne_bytes(), &value, MapFlags::ANY).context("failed to set what the BPF object goes by")
}

/// Loads and attaches both probes for a program of our own that no NIC runs, and lets go of them again: what fails here
/// fails for every program. What the kernel held for them meanwhile.
///
/// # Errors
/// As [`Loaded::new`] and [`Loaded::attach`].
pub fn try_probes() -> Result<Memory> {
    let program = passthrough::load()?;
    let selection = Selection::default();
    let aim = trial(own_function(), OWN.into(), &selection);
    let mut storage = MaybeUninit::uninit();
    let skeleton = load(&mut storage, &aim, program.as_fd(), None)?;
    // Loading asks nothing of the architecture: arm64's kernel before 6.0 takes both, and refuses to attach either.
    let (fentry, fexit) = aim::pair_of!(skeleton.progs, aim.pair(), &);
    let _links = attach_both(Some(fentry.as_fd()), Some(fexit.as_fd()), &aim.shown)?;
    Memory::of(&skeleton)
}

/// What a program of our own is called.
pub const OWN: &str = "a program of our own";

/// Its only function.
pub fn own_function() -> Function {
    let name = passthrough::FUNCTION.to_owned();
    Function { name, context: Some(0), typed: true, parameters: 1, returns: true, ..Function::default() }
}

/// Loads both probes for `function` of program `id`, and lets go of them again.
///
/// # Errors
/// As [`Loaded::new`].
pub fn try_function(id: u32, function: &Function) -> Result<()> {
    let shown = format!("{}#{id}", function.name.escape_default());
    let program = target::open_program(id)?;
    let selection = Selection::default();
    load(&mut MaybeUninit::uninit(), &trial(function.clone(), shown, &selection), program.as_fd(), None).map(drop)
}

fn trial(function: Function, shown: String, selection: &Selection) -> Aim<'_> {
    Aim {
        number: 0,
        function,
        place: Place::Device,
        probes: Probes::Both,
        devices: Wanted::All,
        selection,
        counting: None,
        root: Some(0),
        filter: None,
        can_read: can_read(),
        shown,
    }
}

/// Whether the kernel lets its memory be read by the helper that is made for it: lockdown may forbid that. Where it doesn't
/// tell, whether it has the helper for programs that can be tried without being attached.
pub fn can_read() -> bool {
    match Lockdown::read() {
        Lockdown::None | Lockdown::Integrity => true,
        Lockdown::Confidentiality => false,
        Lockdown::Unknown => {
            let (kind, helper) = (libbpf_sys::BPF_PROG_TYPE_KPROBE, libbpf_sys::BPF_FUNC_probe_read_kernel);
            // SAFETY: without options no pointer is followed.
            unsafe { libbpf_sys::libbpf_probe_bpf_helper(kind, helper, ptr::null()) != 0 }
        }
    }
}

/// Aims the probes and loads them, with the shared maps where there are any. `storage` is where libbpf-rs keeps the
/// object.
fn load<'object>(
    storage: &'object mut MaybeUninit<OpenObject>,
    aim: &Aim<'_>,
    program: BorrowedFd<'_>,
    maps: Option<&Maps>,
) -> Result<XdptraceSkel<'object>> {
    let mut open = open(storage)?;
    let sizes = maps.map_or_else(|| Sizes::of(None), |maps| Ok(*maps.sizes()))?;
    sizes.set(&mut open)?;
    match maps {
        Some(maps) => maps.share(&mut open).context("failed to share the BPF maps")?,
        None => open.progs.flush.set_autoload(true),
    }
    refusal::try_to(|| take_aim(&mut open, aim, program), "aim fentry and fexit at", &aim.shown)?;
    let changes = aim.changes(&sizes, maps.is_some_and(Maps::nests))?;
    let load = || instructions::load_with(changes, || open.load());
    refusal::try_to(load, "load fentry and fexit for", &aim.shown)
}

/// Has the states be these at the start.
fn begin_with(states: MapHandle, value: &[u8]) -> Result<MapHandle> {
    states.update(&0u32.to_ne_bytes(), value, MapFlags::ANY).context("failed to number the CPUs")?;
    Ok(states)
}

fn with_root(map: MapHandle, root: Option<u32>) -> Result<MapHandle> {
    set(&map, &root.unwrap_or(0).to_ne_bytes())?;
    Ok(map)
}

fn open(storage: &mut MaybeUninit<OpenObject>) -> Result<OpenXdptraceSkel<'_>> {
    instructions::watch_loading();
    let mut builder = XdptraceSkelBuilder::default();
    builder.object_builder_mut().btf_custom_path(layout::path()?)?;
    let mut open = refusal::try_to(|| builder.open(storage), "open", "the BPF object")?;
    bpf::ask_verifier_of(open.open_object_mut());
    let steps = (0..).map(|ns| Latency::step(ns) as u8);
    let short = open.maps.rodata_data.as_deref_mut().map(|data| &mut data.short_steps);
    short.into_iter().flatten().zip(steps).for_each(|(place, step)| *place = step);
    Ok(open)
}

fn take_aim(open: &mut OpenXdptraceSkel<'_>, aim: &Aim<'_>, program: BorrowedFd<'_>) -> libbpf_rs::Result<()> {
    aim.chosen(open).try_for_each(|probe| {
        probe.set_autoload(true);
        probe.set_attach_target(program.as_raw_fd(), Some(aim.function.name.clone()))
    })?;
    aim.outcomes(open).for_each(|(_, program)| program.set_autoload(true));
    Ok(())
}

/// In the order in which they are taken off again, too: see `tracing` in xdptrace.bpf.c.
fn attach_both(fentry: Option<BorrowedFd<'_>>, fexit: Option<BorrowedFd<'_>>, shown: &str) -> Result<Vec<OwnedFd>> {
    let probes = [(fexit, "attach fexit to"), (fentry, "attach fentry to")];
    let links = probes.into_iter().filter_map(|(program, action)| {
        Some(attach(program?).map_err(|error| refusal::explain(&error.into(), action, shown)))
    });
    links.collect()
}

/// By BPF_RAW_TRACEPOINT_OPEN, as libbpf attaches fentry and fexit: it is what 5.10 knows.
fn attach(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: the call takes no name for these programs, and a descriptor that is open here.
    target::own(unsafe { libbpf_sys::bpf_raw_tracepoint_open(ptr::null(), program.as_raw_fd()) })
}

/// Waits until no run is under way that had begun before: a run on another CPU goes on, whatever is switched or closed
/// here. Afterwards all records of probes that were ended are in the ring, and all counts in the map.
pub fn wait_for_running_programs() {
    // MEMBARRIER_CMD_GLOBAL is synchronize_rcu() in the kernel (kernel/sched/membarrier.c), and a BPF program runs
    // within one RCU read side. A kernel with nohz_full refuses it; there a wait many times as long as any
    // program runs has to do.
    // SAFETY: membarrier(2) takes no pointer.
    let refused = unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) } != 0;
    if refused {
        thread::sleep(Duration::from_millis(20));
    }
}
