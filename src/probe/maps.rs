//! The maps that the probes of all targets share, and the program that flushes batches.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use libbpf_rs::skel::OpenSkel;
use libbpf_rs::{MapCore, MapFlags, MapHandle, OpenProgramMut};
use memmap2::MmapOptions;
use plain::Plain;

use super::instructions::{self, Changes};
use super::settings::Settings;
use super::tracepoint::Tracepoint;
use super::{can_read, open};
use crate::bpf::{
    self, Batch, Cell, FailedOutcome, Flag, ForwardPath, Forwarded, KeyEntry, KeySet, ListedDevice, OpenXdptraceSkel,
    Refused, State, Value,
};
use crate::event::Overflow;
use crate::plan::{By, Counting, Outcomes, Tracing};
use crate::refusal;
use crate::target;

/// The maps that the probes of all targets share.
#[derive(Debug)]
pub struct Maps {
    events: MapHandle,
    batches: MapHandle,
    second_batches: MapHandle,
    devices: MapHandle,
    brake: MapHandle,
    key_sets: MapHandle,
    failures: MapHandle,
    forwards: MapHandle,
    refused: MapHandle,
    flush: OwnedFd,
    /// What the kernel tells of packets many at a time.
    forwarding: Vec<Tracepoint>,
    nests: bool,
    sizes: Sizes,
    listed: BTreeSet<(u32, u32)>,
}

impl Maps {
    /// Creates them.
    ///
    /// # Errors
    /// What the kernel refused, with its meaning and the remedy where they are known.
    pub fn create(plan: &Tracing) -> Result<Self> {
        let sizes = Sizes::of(plan.counting.as_ref())?;
        let mut storage = MaybeUninit::uninit();
        let mut open = open(&mut storage)?;
        open.progs.flush.set_autoload(true);
        let asks_forwards = plan.selection.outcomes == Outcomes::All && can_read();
        if asks_forwards {
            forwarding(&mut open).into_iter().for_each(|program| program.set_autoload(true));
        }
        sizes.set(&mut open)?;
        let mut settings = settings_for(&sizes);
        settings.flag(Flag::FLAG_ONLY_FAILED, plan.selection.only_failed);
        let load = || instructions::load_with(Changes { settings, filter: None }, || open.load());
        let skeleton = refusal::try_to(load, "create", "the BPF maps")?;
        let handle = |map| MapHandle::try_from(map).context(refusal::NO_DESCRIPTOR);
        let progs = &skeleton.progs;
        let told = [
            (c"xdp_devmap_xmit", progs.on_devmap_xmit.as_fd()),
            (c"xdp_bulk_tx", progs.on_bulk_tx.as_fd()),
            (c"xdp_cpumap_enqueue", progs.on_cpumap_enqueue.as_fd()),
            (c"xdp_cpumap_kthread", progs.on_cpumap_kthread.as_fd()),
        ];
        let told = told.into_iter().filter(|_| asks_forwards);
        let forwarding: Vec<Tracepoint> = told.map(|(name, program)| Tracepoint::attach(name, program)).collect();
        // Whether programs are kept from running within themselves came with the count of how often they were.
        let nests = target::recursion_misses(skeleton.progs.flush.as_fd()).is_none();
        Ok(Self {
            nests,
            key_sets: handle(&skeleton.maps.key_sets)?,
            failures: handle(&skeleton.maps.failures)?,
            forwards: handle(&skeleton.maps.forwards)?,
            refused: handle(&skeleton.maps.bss_refused)?,
            forwarding,
            events: handle(&skeleton.maps.events)?,
            batches: handle(&skeleton.maps.bss_batches)?,
            second_batches: handle(&skeleton.maps.second_batches)?,
            devices: handle(&skeleton.maps.devices)?,
            brake: handle(&skeleton.maps.bss_brake)?,
            flush: skeleton.progs.flush.as_fd().try_clone_to_owned().context(refusal::NO_DESCRIPTOR)?,
            sizes,
            listed: BTreeSet::new(),
        })
    }

    /// The perf event array that samples arrive by.
    pub fn events(&self) -> &MapHandle {
        &self.events
    }

    /// The records that CPUs are gathering: a batch of [`batch_size`] bytes for each CPU that there may be, and for some more.
    pub fn batches(&self) -> &MapHandle {
        &self.batches
    }

    /// The CPUs' second batches, each of [`bpf::LONGEST_BATCH`] bytes.
    pub fn second_batches(&self) -> &MapHandle {
        &self.second_batches
    }

    /// The program that sends a CPU's batch.
    pub fn flush(&self) -> BorrowedFd<'_> {
        self.flush.as_fd()
    }

    /// Whether a program may run within itself on this kernel.
    pub(super) fn nests(&self) -> bool {
        self.nests
    }

    /// CPUs that there may be.
    pub fn cpus(&self) -> u32 {
        self.sizes.cpus
    }

    /// How large the maps are of the objects that share these.
    pub(super) fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// Begins a new second, as far as the rate goes.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub fn release_brake(&self) -> Result<()> {
        let released = self.brake.update(&0u32.to_ne_bytes(), &0u64.to_ne_bytes(), MapFlags::ANY);
        released.context("failed to begin a new second of the rate")
    }

    /// Packets by what was asked for, each key as often as CPUs have it.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn keys(&self) -> Result<Vec<KeyEntry>> {
        let length = self.sizes.key_bytes();
        let mapped = MmapOptions::new().len(length).map_raw_read_only(self.key_sets.as_fd().as_raw_fd());
        let mapped = mapped.context("failed to map the table of keys")?;
        // SAFETY: the map is an array of that length, mapped as long as this. It is copied from: a key that is counted meanwhile
        // is read as it was or as it is.
        let bytes = unsafe { std::slice::from_raw_parts(mapped.as_ptr(), mapped.len()) };
        Ok(bpf::read_keys(bytes))
    }

    /// Verdicts that came to nothing.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn failures(&self) -> Result<Vec<(FailedOutcome, u64)>> {
        read_all(&self.failures)
    }

    /// What was sent on.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn forwards(&self) -> Result<Vec<(ForwardPath, Forwarded)>> {
        read_all(&self.forwards)
    }

    /// Takes these out of both tables: of targets that were let go of, or of devices that have gone, to which nothing is added any
    /// more. They make room for others.
    ///
    /// # Errors
    /// The maps cannot be written.
    pub fn forget(&self, failures: &[(FailedOutcome, u64)], forwards: &[(ForwardPath, Forwarded)]) -> Result<()> {
        let failures = failures.iter().map(|(outcome, _)| (&self.failures, bpf::failure_key(outcome)));
        let forwards = forwards.iter().map(|(path, _)| (&self.forwards, bpf::forward_key(path)));
        let deleted = failures.chain(forwards).try_for_each(|(map, key)| map.delete(key));
        deleted.context("failed to forget what became of verdicts")
    }

    /// What neither of these tables had room for.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub fn overflow(&self) -> Result<Overflow> {
        let value = self.refused.lookup(&0u32.to_ne_bytes(), MapFlags::ANY);
        let value = value.context("failed to read what was not counted")?;
        let Refused { failures, forwards } = value.and_then(|value| bpf::copy(&value)).unwrap_or_default();
        Ok(Overflow { outcomes: failures, forwards: forwards.sent + forwards.dropped })
    }

    /// Has the packets of these devices, each a network namespace's inode number and an index in it, let through where
    /// [`super::Wanted::Listed`] is the aim.
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

    /// The kernel's tracepoints that were to be attached to and aren't, and why.
    pub fn untold(&self) -> impl Iterator<Item = (&'static CStr, String)> {
        self.forwarding.iter().filter_map(Tracepoint::untold)
    }

    /// Has the object of a target use these instead of its own.
    ///
    /// # Errors
    /// A map of the object is of another kind or size: a defect of this build.
    pub(super) fn share(&self, open: &mut OpenXdptraceSkel<'_>) -> libbpf_rs::Result<()> {
        open.maps.events.reuse_fd(self.events.as_fd())?;
        open.maps.bss_batches.reuse_fd(self.batches.as_fd())?;
        open.maps.second_batches.reuse_fd(self.second_batches.as_fd())?;
        open.maps.devices.reuse_fd(self.devices.as_fd())?;
        open.maps.key_sets.reuse_fd(self.key_sets.as_fd())?;
        open.maps.failures.reuse_fd(self.failures.as_fd())?;
        open.maps.forwards.reuse_fd(self.forwards.as_fd())?;
        open.maps.bss_refused.reuse_fd(self.refused.as_fd())?;
        open.maps.bss_brake.reuse_fd(self.brake.as_fd())
    }
}

/// What a hash holds; what comes or goes meanwhile may be in it.
fn read_all<K: Plain + Default, V: Plain + Default>(map: &MapHandle) -> Result<Vec<(K, V)>> {
    let mut all = Vec::new();
    for key in map.keys() {
        let value = map.lookup(&key, MapFlags::ANY).context("failed to read what became of verdicts")?;
        all.extend(value.and_then(|value| Some((bpf::copy(&key)?, bpf::copy(&value)?))));
    }
    Ok(all)
}

/// The programs for what the kernel tells of packets many at a time.
fn forwarding<'a, 'obj>(open: &'a mut OpenXdptraceSkel<'obj>) -> [&'a mut OpenProgramMut<'obj>; 4] {
    let progs = &mut open.progs;
    [&mut progs.on_devmap_xmit, &mut progs.on_bulk_tx, &mut progs.on_cpumap_enqueue, &mut progs.on_cpumap_kthread]
}

/// How large the maps are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// CPUs that there may be.
    cpus: u32,
    /// Cells that a target has for each; none where nothing is counted.
    cells: u32,
    /// Places for keys that each has.
    key_sets: u32,
    /// Nobody outside knows which keys have the same place.
    key_seed: u64,
}

impl Sizes {
    /// Those that it takes.
    ///
    /// # Errors
    /// The kernel doesn't tell how many CPUs there are.
    pub(super) fn of(counting: Option<&Counting>) -> Result<Self> {
        let cpus = possible_cpus()?;
        let cells = counting.map_or(0, |_| cells(cpus));
        let is_keyed = counting.is_some_and(|counting| counting.by.is_some());
        let key_sets = if is_keyed { key_sets(cpus) } else { 1 };
        Ok(Self { cpus, cells, key_sets, key_seed: RandomState::new().build_hasher().finish() })
    }

    /// Bytes of the table of keys.
    fn key_bytes(&self) -> usize {
        (states(self.cpus) * self.key_sets) as usize * size_of::<KeySet>()
    }

    /// Cells that a target has for each CPU.
    pub(super) fn cells(&self) -> usize {
        self.cells as usize
    }

    /// A CPU's state with its cells, in bytes.
    fn state(&self) -> u32 {
        size_of::<State>() as u32 + self.cells * size_of::<Cell>() as u32
    }

    /// Each CPU's state, and its cells, as they are at the start.
    pub(super) fn states(&self) -> Vec<u8> {
        bpf::states(0..states(self.cpus), self.cells as usize)
    }

    /// Has the object's maps be as large.
    ///
    /// # Errors
    /// libbpf takes none of the sizes: a defect of this build.
    pub(super) fn set(&self, open: &mut OpenXdptraceSkel<'_>) -> Result<()> {
        // They move when they grow.
        open.maps.bss_states_data = None;
        open.maps.bss_batches_data = None;
        let cpus = self.cpus;
        let size_all = |open: &mut OpenXdptraceSkel<'_>| {
            open.maps.events.set_max_entries(cpus)?;
            open.maps.second_batches.set_max_entries(cpus)?;
            open.maps.key_sets.set_max_entries(if self.key_sets == 1 { 1 } else { states(cpus) * self.key_sets })?;
            open.maps.bss_batches.set_value_size(states(cpus) * batch_size(cpus))?;
            open.maps.bss_states.set_value_size(states(cpus) * self.state())
        };
        size_all(open).context("failed to size the BPF maps")
    }
}

/// The states that a target has for so many CPUs: the BPF side finds a CPU's by a mask.
pub(super) fn states(cpus: u32) -> u32 {
    cpus.next_power_of_two()
}

/// The settings that depend on nothing but how large the maps are.
pub(super) fn settings_for(sizes: &Sizes) -> Settings {
    let cpus = sizes.cpus;
    let mut settings = Settings::default();
    settings.set(Value::VALUE_CPU_MASK, u64::from(states(cpus)) - 1);
    settings.set(Value::VALUE_BATCH_SIZE, batch_size(cpus).into());
    let fill = batch_size(cpus) - size_of::<Batch>() as u32 - bpf::RECORD_ROOM;
    settings.set(Value::VALUE_BATCH_FILL, fill.into());
    settings.set(Value::VALUE_STATE_SIZE, sizes.state().into());
    settings.set(Value::VALUE_CELL_MASK, u64::from(sizes.cells.saturating_sub(1)));
    settings.set(Value::VALUE_KEY_SETS, sizes.key_sets.into());
    settings.set(Value::VALUE_KEY_MASK, u64::from(sizes.key_sets - 1));
    settings.set(Value::VALUE_KEY_SEED, sizes.key_seed);
    settings
}

/// Cells that a target has for each of so many CPUs: one for each device and queue whose packets it sees.
fn cells(cpus: u32) -> u32 {
    /// All of them are the value of one array, beside the states: see [`batch_size`].
    const MOST: u32 = 7 << 19;
    let cells = MOST / states(cpus) / size_of::<Cell>() as u32;
    (1 << cells.max(1).ilog2()).clamp(2, 64)
}

/// Places for keys that each of so many CPUs has, and with each of them so many keys (`WAYS`).
fn key_sets(cpus: u32) -> u32 {
    /// Of memory, in all.
    const MOST: u32 = 128 << 20;
    const WAYS: u32 = 4;
    let sets = MOST / states(cpus) / size_of::<KeySet>() as u32;
    (1 << sets.max(1).ilog2()).min(By::KEYS / WAYS)
}

/// A CPU's batch, in bytes.
pub fn batch_size(cpus: u32) -> u32 {
    /// All of them are the value of one array, which was copied in one piece when it was created before Linux 5.15, and may
    /// have 4 MiB (KMALLOC_MAX_SIZE) before 6.0: enough for 2048 CPUs.
    const MOST: u32 = 1 << 20;
    (MOST / states(cpus)).clamp(2 * bpf::RECORD_ROOM.next_power_of_two(), bpf::LONGEST_BATCH)
}

/// CPUs that there may be, present or not: one more than the highest number, as some may be left out.
///
/// # Errors
/// The kernel doesn't tell.
pub(super) fn possible_cpus() -> Result<u32> {
    const FILE: &str = "/sys/devices/system/cpu/possible";
    let ranges = fs::read_to_string(FILE).with_context(|| format!("failed to read {FILE}"))?;
    let last = ranges.trim().rsplit(['-', ',']).next().and_then(|number| number.parse::<u32>().ok());
    last.map(|last| last + 1).with_context(|| format!("failed to count the CPUs: {FILE} says '{}'", ranges.trim()))
}
