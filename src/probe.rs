//! Loads fentry and fexit for one target after the other and attaches them; owns their links. Prints nothing.
//!
//! Loading and attaching hand on nothing but plain data and file descriptors.

use std::collections::BTreeSet;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle, OpenObject, libbpf_sys};

use crate::bpf::{self, Counted, Devices, ListedDevice, OpenXdptraceSkel, XdptraceSkel, XdptraceSkelBuilder};
use crate::layout;
use crate::passthrough;
use crate::plan::Filter;
use crate::refusal;
use crate::target::{self, Function, Probes};

/// What a probe is aimed at and what it lets through: plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aim {
    /// How records tell this target from others.
    pub number: u32,
    /// The program's id.
    pub program: u32,
    /// The function in it.
    pub function: Function,
    /// Which probes it gets.
    pub probes: Probes,
    /// The packets of which devices are asked for.
    pub devices: Wanted,
    /// Which of these packets are asked for.
    pub filter: Filter,
    /// `xdp_lb#12 on eth0`, for what is to be said of it.
    pub shown: String,
}

/// The packets of which devices are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Of every one that runs the program.
    All,
    /// Of those of this network namespace, by inode number.
    Netns(u32),
    /// Of this one.
    One {
        /// Its network namespace, by inode number.
        netns: u32,
        /// Its index there.
        ifindex: u32,
    },
    /// Of those in [`Maps::set_devices`].
    Listed,
}

/// The maps that the probes of all targets share.
#[derive(Debug)]
pub struct Maps {
    events: MapHandle,
    counted: MapHandle,
    devices: MapHandle,
    listed: BTreeSet<(u32, u32)>,
}

impl Maps {
    /// Creates them.
    ///
    /// # Errors
    /// What the kernel refused, with its meaning and the remedy where they are known.
    pub fn create() -> Result<Self> {
        let mut storage = MaybeUninit::uninit();
        let mut open = open(&mut storage)?;
        open.progs.fentry_xdp.set_autoload(false);
        open.progs.fexit_xdp.set_autoload(false);
        let skeleton = open.load().map_err(|error| refusal::explain(&error, "create", "the BPF maps"))?;
        let handle = |map| MapHandle::try_from(map).context(refusal::NO_DESCRIPTOR);
        Ok(Self {
            events: handle(&skeleton.maps.events)?,
            counted: handle(&skeleton.maps.counted)?,
            devices: handle(&skeleton.maps.devices)?,
            listed: BTreeSet::new(),
        })
    }

    /// The perf event array that records arrive by.
    pub fn events(&self) -> &MapHandle {
        &self.events
    }

    /// Each CPU's counters.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn counted(&self) -> Result<Vec<Counted>> {
        let cpus = self.counted.lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY);
        let cpus = cpus.context("failed to read the counters")?.unwrap_or_default();
        cpus.iter().map(|cpu| bpf::read_counted(cpu).context("the counters are too short")).collect()
    }

    /// Has the packets of these devices, each a network namespace's inode number and an index in it, let through where
    /// [`Wanted::Listed`] is the aim.
    ///
    /// # Errors
    /// There are more than 1024.
    pub fn set_devices(&mut self, wanted: BTreeSet<(u32, u32)>) -> Result<()> {
        let listed = |(netns, ifindex): &(u32, u32)| ListedDevice { netns: *netns, ifindex: *ifindex };
        for device in wanted.difference(&self.listed).map(listed) {
            let added = self.devices.update(bpf::device_key(&device), &[1], MapFlags::ANY);
            added.context("failed to add to the list of devices (members of bonds included, it holds 1024)")?;
        }
        for device in self.listed.difference(&wanted).map(listed) {
            self.devices.delete(bpf::device_key(&device)).context("failed to take a device off the list")?;
        }
        self.listed = wanted;
        Ok(())
    }
}

/// fentry and fexit for one target, loaded.
#[derive(Debug)]
pub struct Loaded {
    fentry: Option<OwnedFd>,
    fexit: OwnedFd,
    switch: MapHandle,
    shown: String,
}

/// fentry and fexit of one target, attached until dropped.
#[derive(Debug)]
pub struct Probe {
    // Only to be held: closing them detaches.
    _links: Vec<OwnedFd>,
    programs: Vec<u32>,
    switch: MapHandle,
}

impl Loaded {
    /// Sets the target on the opened skeleton, has it share `maps`, and loads it. `program` is the target's, open.
    ///
    /// # Errors
    /// What the kernel refused, with its meaning and the remedy where they are known.
    pub fn new(aim: &Aim, program: BorrowedFd<'_>, maps: &Maps) -> Result<Self> {
        let mut storage = MaybeUninit::uninit();
        let skeleton = load(&mut storage, aim, program, Some(maps))?;
        let keep = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().context(refusal::NO_DESCRIPTOR);
        let fentry = matches!(aim.probes, Probes::Both).then(|| keep(skeleton.progs.fentry_xdp.as_fd()));
        Ok(Self {
            fentry: fentry.transpose()?,
            fexit: keep(skeleton.progs.fexit_xdp.as_fd())?,
            switch: MapHandle::try_from(&skeleton.maps.bss).context("failed to find the BPF object's switch")?,
            shown: aim.shown.clone(),
        })
    }

    /// Attaches both probes. No run is noted before [`Probe::begin`].
    ///
    /// # Errors
    /// The kernel refused, with its reason where it is known.
    pub fn attach(self) -> Result<Probe> {
        let mut links = Vec::new();
        let mut programs = Vec::new();
        for (fd, action) in [(self.fentry.as_ref(), "attach fentry to"), (Some(&self.fexit), "attach fexit to")] {
            let Some(fd) = fd else { continue };
            programs.push(target::program_id(fd.as_fd()).context("failed to read a program of our own")?);
            links.push(attach(fd).map_err(|error| refusal::explain(&error.into(), action, &self.shown))?);
        }
        Ok(Probe { _links: links, programs, switch: self.switch })
    }
}

impl Probe {
    /// Ids of fentry and fexit.
    pub fn programs(&self) -> &[u32] {
        &self.programs
    }

    /// Has runs noted from now on: once both probes are attached.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub fn begin(&self) -> Result<()> {
        self.set_tracing(true)
    }

    /// Has no more runs noted.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub fn end(&self) -> Result<()> {
        self.set_tracing(false)
    }

    fn set_tracing(&self, tracing: bool) -> Result<()> {
        let mut switch = vec![0; self.switch.value_size() as usize];
        if let Some(byte) = switch.first_mut() {
            *byte = tracing.into();
        }
        let set = self.switch.update(&0u32.to_ne_bytes(), &switch, MapFlags::ANY);
        set.context("failed to set the BPF object's switch")
    }
}

/// Loads both probes for a program of our own that is attached nowhere, and lets go of them again: what fails here
/// fails for every program.
///
/// # Errors
/// As [`Loaded::new`].
pub fn try_load() -> Result<()> {
    let own = passthrough::load()?;
    let name = passthrough::FUNCTION.to_owned();
    let function =
        Function { name, context: Some(0), typed: true, parameters: 1, returns: true, ..Function::default() };
    try_loading(own.as_fd(), function, "a program of our own".into())
}

/// Loads both probes for `function` of program `id`, and lets go of them again.
///
/// # Errors
/// As [`Loaded::new`].
pub fn try_function(id: u32, function: &Function) -> Result<()> {
    let shown = format!("{}#{id}", function.name.escape_default());
    try_loading(target::open_program(id)?.as_fd(), function.clone(), shown)
}

fn try_loading(program: BorrowedFd<'_>, function: Function, shown: String) -> Result<()> {
    let (probes, devices, filter) = (Probes::Both, Wanted::All, Filter::All);
    let aim = Aim { number: 0, program: 0, function, probes, devices, filter, shown };
    load(&mut MaybeUninit::uninit(), &aim, program, None).map(drop)
}

/// Aims the probes and loads them, with the shared maps where there are any. `storage` is where libbpf-rs keeps the
/// object.
fn load<'object>(
    storage: &'object mut MaybeUninit<OpenObject>,
    aim: &Aim,
    program: BorrowedFd<'_>,
    maps: Option<&Maps>,
) -> Result<XdptraceSkel<'object>> {
    refusal::forget_messages();
    let mut open = open(storage)?;
    configure(&mut open, aim)?;
    maps.map_or(Ok(()), |maps| share(&mut open, maps)).context("failed to share the BPF maps")?;
    set_target(&mut open, program, &aim.function.name, &aim.shown)?;
    open.load().map_err(|error| refusal::explain(&error, "load fentry and fexit for", &aim.shown))
}

fn open(storage: &mut MaybeUninit<OpenObject>) -> Result<OpenXdptraceSkel<'_>> {
    let mut builder = XdptraceSkelBuilder::default();
    builder.object_builder_mut().btf_custom_path(layout::path()?)?;
    builder.open(storage).context("failed to open the BPF object")
}

fn configure(open: &mut OpenXdptraceSkel<'_>, aim: &Aim) -> Result<()> {
    let config = open.maps.rodata_data.as_deref_mut().context("the BPF object has no configuration")?;
    config.target = aim.number;
    config.program_id = aim.program;
    config.only_icmp = aim.filter == Filter::Icmp;
    config.exit_only = aim.probes == Probes::Exit;
    config.context = aim.function.context.unwrap_or(0).into();
    config.parameters = aim.function.parameters.into();
    config.typed = aim.function.typed;
    config.returns = aim.function.returns;
    let (only, netns, ifindex) = match aim.devices {
        Wanted::All => (Devices::DEVICES_ALL, 0, 0),
        Wanted::Netns(netns) => (Devices::DEVICES_NETNS, netns, 0),
        Wanted::One { netns, ifindex } => (Devices::DEVICES_ONE, netns, ifindex),
        Wanted::Listed => (Devices::DEVICES_LISTED, 0, 0),
    };
    config.only_devices = only;
    config.only_device = ListedDevice { netns, ifindex };
    open.progs.fentry_xdp.set_autoload(aim.probes == Probes::Both);
    Ok(())
}

fn share(open: &mut OpenXdptraceSkel<'_>, maps: &Maps) -> libbpf_rs::Result<()> {
    open.maps.events.reuse_fd(maps.events.as_fd())?;
    open.maps.counted.reuse_fd(maps.counted.as_fd())?;
    open.maps.devices.reuse_fd(maps.devices.as_fd())
}

fn set_target(open: &mut OpenXdptraceSkel<'_>, program: BorrowedFd<'_>, function: &str, shown: &str) -> Result<()> {
    for probe in [&mut open.progs.fentry_xdp, &mut open.progs.fexit_xdp] {
        probe
            .set_attach_target(program.as_raw_fd(), Some(function.to_owned()))
            .map_err(|error| refusal::explain(&error, "aim fentry and fexit at", shown))?;
    }
    Ok(())
}

/// By BPF_RAW_TRACEPOINT_OPEN, as libbpf attaches fentry and fexit: it is what 5.10 knows.
fn attach(program: &OwnedFd) -> io::Result<OwnedFd> {
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
