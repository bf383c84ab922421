//! Keeps the probes in step with what is to be traced: attaches what has come, lets go of what has gone. Prints nothing.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use anyhow::{Error, Result};

use crate::failure::{self, Failure, Status};
use crate::plan::{Devices, Tracing};
use crate::probe::{self, Aim, Loaded, Maps, Probe, Wanted};
use crate::target::{self, Device, Refused, Target, View};

/// The probes that are attached, and what they are attached to.
#[derive(Debug)]
pub struct Follow<'plan> {
    plan: &'plan Tracing,
    maps: Maps,
    netns: u32,
    traced: Vec<Traced>,
    next: u32,
    /// What has been refused so far, and since when, so that it is said once.
    refused: HashMap<Refused, Instant>,
    /// The same by program and function: what is traced later has been missed since then.
    missed: HashMap<(u32, u32), Instant>,
}

/// A target with its probes on.
#[derive(Debug)]
pub struct Traced {
    /// What is traced.
    pub target: Target,
    /// How records tell it from others.
    pub number: u32,
    /// Since when it may have run without being traced; None at the start, before which nothing is promised.
    pub missed_since: Option<Instant>,
    devices: Wanted,
    probe: Probe,
}

/// What a step changed.
#[derive(Debug, Default)]
pub struct Step {
    /// How many of [`Follow::traced`], at its end, are new.
    pub attached: usize,
    /// Let go of. Their records may still be in the ring.
    pub detached: Vec<Traced>,
    /// What can't be traced, with the exit status that it stands for, said for the first time.
    pub refused: Vec<(Refused, Status)>,
    /// A program vanished while it was being attached to: look again.
    pub vanished: bool,
}

impl<'plan> Follow<'plan> {
    /// Begins with nothing attached, in the network namespace with this inode number.
    pub fn new(plan: &'plan Tracing, maps: Maps, netns: u32) -> Self {
        let (refused, missed) = (HashMap::new(), HashMap::new());
        Self { plan, maps, netns, traced: Vec::new(), next: 0, refused, missed }
    }

    /// The maps that the probes share.
    pub fn maps(&self) -> &Maps {
        &self.maps
    }

    /// What is traced, the newest last.
    pub fn traced(&self) -> &[Traced] {
        &self.traced
    }

    /// Traces what is to be traced according to `view`. With `only_release`, lets go of what has gone, and no more.
    ///
    /// # Errors
    /// The maps cannot be written. That a program cannot be traced is none.
    pub fn step(&mut self, view: &View, only_release: bool) -> Result<Step> {
        let devices = self.wanted(&view.devices);
        self.maps.set_devices(&listed(&view.devices))?;
        let mut step = Step::default();
        if !only_release {
            self.attach_new(view, devices, &mut step)?;
        }
        // Last, so that nobody waits for it: what is new has been traced for a while by then.
        step.detached = self.release(|traced| {
            let is_wanted = |target: &Target| is_same(target, &traced.target) && traced.devices == devices;
            !view.selection.targets.iter().any(is_wanted)
        })?;
        Ok(step)
    }

    /// Lets go of everything. All records are then in the ring and all counts in the map.
    ///
    /// # Errors
    /// None but a defect of this build.
    pub fn end(&mut self) -> Result<Vec<Traced>> {
        self.release(|_| true)
    }

    fn attach_new(&mut self, view: &View, devices: Wanted, step: &mut Step) -> Result<()> {
        let mut refused: Vec<(Refused, Status)> = Vec::new();
        for target in &view.selection.targets {
            let known = self.traced.iter_mut().find(|one| is_same(target, &one.target) && one.devices == devices);
            if let Some(known) = known {
                known.target.devices.clone_from(&target.devices);
                continue;
            }
            match self.attach(target, devices, view.changed_after) {
                Ok(Some(traced)) => {
                    self.traced.push(traced);
                    step.attached += 1;
                }
                Ok(None) => step.vanished = true,
                Err(error) => {
                    self.missed.entry(key(target)).or_insert_with(Instant::now);
                    let why = format!("{error:#}");
                    refused.push((Refused { what: String::new(), why, remedy: None }, failure::status(&error)));
                }
            }
        }
        let new = self.traced.len() - step.attached;
        self.traced[new..].iter().try_for_each(|traced| traced.probe.begin())?;
        let in_view = view.missing.iter().chain(&view.selection.refused).cloned();
        refused.extend(in_view.map(|refused| (refused, Status::NoTarget)));
        step.refused = self.say_once(refused);
        Ok(())
    }

    /// None where the program is gone.
    fn attach(&mut self, target: &Target, devices: Wanted, changed_after: Option<Instant>) -> Result<Option<Traced>> {
        // Tried once; again when something has changed.
        let program = match target::open_program(target.program) {
            Err(error) if is_gone(&error) => return Ok(None),
            program => program?,
        };
        let number = self.next;
        let aim = Aim {
            number,
            program: target.program,
            function: target.function.clone(),
            probes: target.probes,
            devices,
            filter: self.plan.filter,
            shown: target.to_string(),
        };
        let probe =
            Loaded::new(&aim, program.as_fd(), &self.maps)?.attach().map_err(|error| name_holder(target, error))?;
        self.next += 1;
        let refused_since = self.missed.remove(&key(target));
        let missed_since = changed_after.map(|since| refused_since.map_or(since, |refused| refused.min(since)));
        Ok(Some(Traced { target: target.clone(), number, missed_since, devices, probe }))
    }

    fn release(&mut self, is_over: impl Fn(&Traced) -> bool) -> Result<Vec<Traced>> {
        let (over, kept): (Vec<Traced>, Vec<Traced>) = self.traced.drain(..).partition(is_over);
        self.traced = kept;
        if !over.is_empty() {
            over.iter().try_for_each(|traced| traced.probe.end())?;
            probe::wait_for_running_programs();
        }
        Ok(over)
    }

    /// Those of `refused` that weren't refused at the last step.
    fn say_once(&mut self, refused: Vec<(Refused, Status)>) -> Vec<(Refused, Status)> {
        let mut said = std::mem::take(&mut self.refused);
        let now = Instant::now();
        self.refused = refused.iter().map(|(one, _)| (one.clone(), said.remove(one).unwrap_or(now))).collect();
        refused.into_iter().filter(|(one, _)| self.refused.get(one) == Some(&now)).collect()
    }

    fn wanted(&self, devices: &[Device]) -> Wanted {
        match (&self.plan.scope.devices, devices) {
            (Devices::Unnamed, _) => Wanted::All,
            (Devices::Any, _) => Wanted::Netns(self.netns),
            (Devices::Named(names), [only]) if names.len() == 1 && only.members.is_empty() => {
                Wanted::One { netns: only.netns, ifindex: only.ifindex }
            }
            (Devices::Named(_), _) => Wanted::Listed,
        }
    }
}

fn listed(devices: &[Device]) -> Vec<(u32, u32)> {
    let indexes = devices.iter().flat_map(|device| {
        [device.ifindex].into_iter().chain(device.members.iter().copied()).map(|ifindex| (device.netns, ifindex))
    });
    indexes.collect()
}

fn key(target: &Target) -> (u32, u32) {
    (target.program, target.function.type_id)
}

fn is_same(one: &Target, other: &Target) -> bool {
    key(one) == key(other) && one.probes == other.probes
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
