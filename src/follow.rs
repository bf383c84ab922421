//! Keeps the probes in step with what is to be traced: attaches what has come, lets go of what has gone. Prints nothing.

mod cells;
mod devices;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};

pub use cells::free;

use devices::Asked;

use crate::bpf::{Cell, State};
use crate::failure::{self, Failure, Status};
use crate::kernel;
use crate::plan::{Outcomes, Tracing};
use crate::probe::{self, Aim, Filter, Loaded, Maps, Probe, Wanted};
use crate::target::{self, Refused, Target, View};

/// How long a target that could not be traced is left alone at first, and at most: each try loads programs.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_AT_MOST: Duration = Duration::from_secs(64);

/// The probes that are attached, and what they are attached to.
#[derive(Debug)]
pub struct Follow<'plan> {
    plan: &'plan Tracing,
    filter: Option<Filter>,
    can_read: bool,
    maps: Maps,
    netns: u32,
    asked: Asked,
    traced: Vec<Traced>,
    next: u32,
    /// Targets that are to be traced and aren't yet, by when they may have begun to run.
    untraced: HashMap<Key, Instant>,
    /// When the first of those that vanished before they were traced may have begun to run.
    vanished: Option<Instant>,
    /// Targets that could not be traced.
    failed: HashMap<Key, Failed>,
    /// What was refused at the last step, so that it is said once.
    said: HashSet<Refused>,
}

/// A function of a program: the program's id and the function's BTF type.
type Key = (u32, u32);

/// A target with its probes on.
#[derive(Debug)]
pub struct Traced {
    /// What is traced.
    pub target: Target,
    /// How records tell it from others.
    pub number: u32,
    /// Since when it, or one that has vanished meanwhile, may have run without being traced.
    pub missed_since: Option<Instant>,
    /// Since when it is traced.
    pub traced_since: Instant,
    /// Runs that stood in cells which were given back.
    pub freed: u64,
    counts: bool,
    devices: Wanted,
    probe: Probe,
}

/// A target that was let go of. Its records may still be in the rings.
#[derive(Debug)]
pub struct Released {
    /// What was traced.
    pub target: Target,
    /// How records tell it from others.
    pub number: u32,
    /// What each CPU had counted at the end.
    pub states: Vec<State>,
    /// … by device and queue; None where nothing is counted instead of being told.
    pub cells: Option<Vec<Cell>>,
    /// … and runs that stood in cells which were given back before.
    pub freed: u64,
    /// Runs that the kernel left out; None: it doesn't tell.
    pub recursion_misses: Option<u64>,
}

#[derive(Debug)]
struct Failed {
    refused: Refused,
    status: Status,
    pause: Duration,
    retry: Instant,
}

/// What a step changed.
#[derive(Debug, Default)]
pub struct Step {
    /// Whether the last of [`Follow::traced`] is new.
    pub attached: bool,
    /// Whether there is more to attach to: step again soon.
    pub more: bool,
    /// Let go of.
    pub detached: Vec<Released>,
    /// What can't be traced, with the exit status that it stands for, said for the first time.
    pub refused: Vec<(Refused, Status)>,
    /// A program vanished while it was being attached to: look again.
    pub vanished: bool,
}

impl<'plan> Follow<'plan> {
    /// Begins with nothing attached, in the network namespace with this inode number. `filter` is what the plan's is in the
    /// kernel.
    pub fn new(plan: &'plan Tracing, filter: Option<Filter>, maps: Maps, netns: u32) -> Self {
        let (untraced, failed, said) = (HashMap::new(), HashMap::new(), HashSet::new());
        let can_read = probe::can_read();
        let (asked, traced) = (Asked::default(), Vec::new());
        Self { plan, filter, can_read, maps, netns, asked, traced, next: 0, untraced, vanished: None, failed, said }
    }

    /// The maps that the probes share.
    pub fn maps(&self) -> &Maps {
        &self.maps
    }

    /// Whether the device was named, or is a member of one that was; also one that has gone.
    pub fn has_asked_for(&self, netns: u32, ifindex: u32) -> bool {
        self.asked.has(netns, ifindex)
    }

    /// Ids of the programs that are attached.
    pub fn own_programs(&self) -> HashSet<u32> {
        self.traced.iter().flat_map(|traced| traced.probe.programs()).copied().collect()
    }

    /// What of the outcomes that were asked for this kernel doesn't tell, in a sentence each.
    pub fn untold(&self) -> BTreeSet<String> {
        let missing = self.maps.untold().chain(self.traced.iter().flat_map(|traced| traced.probe.untold()));
        let missing = missing
            .map(|(name, why)| format!("what became of verdicts as far as {} tells: {why}", name.to_string_lossy()));
        let is_forbidden = !self.can_read && self.plan.selection.outcomes != Outcomes::Off;
        let forbidden = "what became of verdicts: kernel lockdown (confidentiality) forbids reading it".to_owned();
        // Where nobody's is told, or nobody's else is shown, silence would be taken for success.
        let is_root = |traced: &Traced| traced.target.root.is_some();
        let is_silent = self.plan.selection.outcomes != Outcomes::Off && !self.traced.iter().any(is_root);
        let unknown =
            self.traced.iter().filter(|traced| !is_root(traced) && (is_silent || self.plan.selection.only_failed));
        let unknown = unknown.map(|Traced { target, .. }| {
            format!(
                "what became of verdicts of {target}: other programs have a say in them: trace the NIC's own program"
            )
        });
        missing.chain(is_forbidden.then_some(forbidden)).chain(unknown).collect()
    }

    /// What is traced, the newest last.
    pub fn traced(&self) -> &[Traced] {
        &self.traced
    }

    /// The same, to give back what it no longer needs.
    pub fn traced_mut(&mut self) -> &mut [Traced] {
        &mut self.traced
    }

    /// Goes one step towards tracing what is to be traced according to `view`: attaches to one target at most, because
    /// that takes a while and the ring fills meanwhile, and lets go of all that has gone. With `only_release`, does no
    /// more than that.
    ///
    /// # Errors
    /// The maps cannot be written. That a program cannot be traced is none.
    pub fn step(&mut self, view: &View, only_release: bool) -> Result<Step> {
        let asked = &self.plan.scope.devices;
        let devices = devices::wanted(asked, self.netns, &view.devices);
        let listed = devices::listed(asked, &view.devices);
        self.asked.update(&listed);
        self.maps.set_devices(listed)?;
        let mut step = Step::default();
        let targets = &view.selection.targets;
        let is_there = |traced: &Traced| targets.iter().any(|target| key(target) == key(&traced.target));
        if !only_release {
            // First those that are aimed anew: two probes of ours on one function would show each run twice.
            let is_right = |traced: &Traced| targets.iter().any(|target| traced.is_for(target, devices));
            step.detached = self.release(|traced| is_there(traced) && !is_right(traced))?;
            self.note_untraced(view, devices);
            self.attach_next(view, devices, &mut step)?;
            step.refused = self.say_once(view);
        }
        // Behind attaching to the first one that has come: a grace period is time in which that goes untraced.
        step.detached.extend(self.release(|traced| !is_there(traced))?);
        Ok(step)
    }

    /// Lets go of everything. All records are then in the ring and all counts in the map.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub fn end(&mut self) -> Result<Vec<Released>> {
        self.release(|_| true)
    }

    /// Notes what is to be traced and isn't yet, since when, and what of that has vanished again.
    fn note_untraced(&mut self, view: &View, devices: Wanted) {
        let targets = &view.selection.targets;
        let is_wanted = |untraced: &Key| targets.iter().any(|target| key(target) == *untraced);
        let over = self.untraced.iter().filter(|(untraced, _)| !is_wanted(untraced)).map(|(_, since)| *since);
        self.vanished = over.chain(self.vanished).min();
        self.untraced.retain(|untraced, _| is_wanted(untraced));
        for target in targets {
            if !self.traced.iter().any(|traced| traced.is_for(target, devices)) {
                self.untraced.entry(key(target)).or_insert_with(|| runs_since(target, view));
            }
        }
    }

    fn attach_next(&mut self, view: &View, devices: Wanted, step: &mut Step) -> Result<()> {
        let targets = &view.selection.targets;
        self.failed.retain(|failed, _| targets.iter().any(|target| key(target) == *failed));
        let mut new = Vec::new();
        for target in targets {
            match self.traced.iter_mut().find(|traced| traced.is_for(target, devices)) {
                Some(known) => known.stay(target)?,
                None => new.push(target),
            }
        }
        let now = Instant::now();
        new.retain(|target| self.failed.get(&key(target)).is_none_or(|failed| failed.retry <= now));
        let (first, behind) = first_there(&new, |target| self.attach(target, devices));
        step.vanished = new.len() > behind + usize::from(first.is_some());
        step.more = behind > 0;
        match first {
            Some((_, Ok(traced))) => {
                self.traced.push(traced);
                step.attached = true;
            }
            Some((target, Err(error))) => self.note_failure(target, &error),
            None => {}
        }
        Ok(())
    }

    fn note_failure(&mut self, target: &Target, error: &Error) {
        let now = Instant::now();
        let earlier = self.failed.get(&key(target));
        let pause = earlier.map_or(RETRY_AFTER, |earlier| RETRY_AFTER_AT_MOST.min(earlier.pause * 2));
        let failed = Failed {
            refused: Refused { what: String::new(), why: format!("{error:#}"), remedy: None },
            status: failure::status(error),
            pause,
            retry: now + pause,
        };
        self.failed.insert(key(target), failed);
    }

    /// None where the program is gone.
    fn attach(&mut self, target: &Target, devices: Wanted) -> Result<Option<Traced>> {
        let program = match target::open_program(target.program) {
            Err(error) if is_gone(&error) => return Ok(None),
            program => program?,
        };
        let number = self.next;
        let aim = Aim {
            number,
            function: target.function.clone(),
            place: target.place,
            probes: target.probes,
            devices,
            selection: &self.plan.selection,
            counting: self.plan.counting.as_ref(),
            root: target.root,
            filter: self.filter.as_ref(),
            can_read: self.can_read,
            shown: target.to_string(),
        };
        let probe =
            Loaded::new(&aim, program.as_fd(), &self.maps)?.attach().map_err(|error| name_holder(target, error))?;
        self.next += 1;
        probe.begin()?;
        self.failed.remove(&key(target));
        let missed_since = self.untraced.remove(&key(target)).into_iter().chain(self.vanished.take()).min();
        let (traced_since, counts) = (Instant::now(), self.plan.counting.is_some());
        Ok(Some(Traced {
            target: target.clone(),
            number,
            missed_since,
            traced_since,
            freed: 0,
            counts,
            devices,
            probe,
        }))
    }

    fn release(&mut self, is_over: impl Fn(&Traced) -> bool) -> Result<Vec<Released>> {
        let (mut over, kept): (Vec<Traced>, Vec<Traced>) = self.traced.drain(..).partition(is_over);
        self.traced = kept;
        if !over.is_empty() {
            over.iter_mut().try_for_each(|traced| traced.probe.end())?;
            probe::wait_for_running_programs();
        }
        over.into_iter().map(Traced::released).collect()
    }

    /// What can't be traced and wasn't said to be at the last step.
    fn say_once(&mut self, view: &View) -> Vec<(Refused, Status)> {
        let in_view = view.missing.iter().chain(&view.selection.refused).map(|one| (one.clone(), Status::NoTarget));
        let failed = self.failed.values().map(|failed| (failed.refused.clone(), failed.status));
        let mut refused: Vec<(Refused, Status)> = in_view.chain(failed).collect();
        let now = refused.iter().map(|(refused, _)| refused.clone()).collect();
        let said = std::mem::replace(&mut self.said, now);
        refused.retain(|(one, _)| !said.contains(one));
        refused
    }
}

fn key(target: &Target) -> Key {
    (target.program, target.function.type_id)
}

impl Traced {
    /// What each CPU has counted so far, all together, and by device and queue; None where nothing is counted instead of being
    /// told.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub fn counters(&self) -> Result<(Vec<State>, Option<Vec<Cell>>)> {
        let (states, cells) = self.probe.counters()?;
        Ok((states, self.counts.then_some(cells)))
    }

    /// Runs that the kernel has left out so far; None: it doesn't tell.
    pub fn recursion_misses(&self) -> Option<u64> {
        self.probe.recursion_misses()
    }

    /// Closes the probes, once no run is under way.
    fn released(self) -> Result<Released> {
        let (states, cells) = self.counters()?;
        let Self { target, number, freed, probe, .. } = self;
        Ok(Released { target, number, states, cells, freed, recursion_misses: probe.recursion_misses() })
    }

    fn is_for(&self, target: &Target, devices: Wanted) -> bool {
        key(&self.target) == key(target) && self.target.probes == target.probes && self.devices == devices
    }

    /// The same function is traced on, whatever now calls it, as a rebuilt dispatcher does.
    fn stay(&mut self, target: &Target) -> Result<()> {
        if self.target.root != target.root {
            self.probe.set_root(target.root)?;
        }
        let Target { devices, behind, root, .. } = &mut self.target;
        devices.clone_from(&target.devices);
        behind.clone_from(&target.behind);
        *root = target.root;
        Ok(())
    }
}

/// What came of attaching to the first of `new` that is still there, and how many are left behind that. Those that have gone meanwhile
/// are in the same view at the next step, too: whoever stopped at one would not come to the others.
fn first_there<N: Copy, T>(
    new: &[N],
    mut attach: impl FnMut(N) -> Result<Option<T>>,
) -> (Option<(N, Result<T>)>, usize) {
    let mut rest = new.iter();
    let first = rest.find_map(|one| Some((*one, attach(*one).transpose()?)));
    (first, rest.len())
}

/// When `target` may have begun to run: it was not there at the look before, or not yet loaded. At the first look, now:
/// nothing is promised of the time before.
fn runs_since(target: &Target, view: &View) -> Instant {
    let looked = if target.is_devices_own { view.changed_after } else { view.changed_behind_after };
    let now = Instant::now();
    let age = kernel::since_boot().saturating_sub(Duration::from_nanos(target.loaded_ns));
    looked.map_or(now, |looked| now.checked_sub(age).map_or(looked, |loaded| loaded.max(looked)))
}

fn is_gone(error: &Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// The kernel only says EBUSY.
fn name_holder(target: &Target, error: Error) -> Error {
    match target::holder(target) {
        Some(holder) => Failure::no_target(format!("failed to attach to {target}: its place is taken by {holder}")),
        None => error,
    }
}

#[cfg(test)]
mod tests;
