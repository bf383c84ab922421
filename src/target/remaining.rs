//! What is left of what was found, as far as can be seen without opening programs, which takes privileges: by the ids of the
//! programs on devices.

use super::device::Device;
use super::links::Link;
use super::select::Target;
use super::watch::View;

/// Targets, and the indexes of the devices that each was found on.
#[derive(Debug)]
pub struct Remaining(Vec<(Target, Vec<u32>)>);

impl Remaining {
    /// Those of `view`.
    pub fn of(view: &View) -> Self {
        let targets = view.selection.targets.iter().map(|target| {
            let devices = view.devices.iter().filter(|device| target.devices.contains(&device.name));
            (target.clone(), devices.map(|device| device.ifindex).collect())
        });
        Self(targets.collect())
    }

    /// Those that may still run, and on which of `devices`. A device's own program is on it or isn't. Of one behind that, which
    /// a program that has taken that one's place may well call, only the end of both tells. One that was found on no device
    /// stays.
    pub fn targets<'a>(&self, devices: impl Iterator<Item = (&'a Device, &'a Link)> + Clone) -> Vec<Target> {
        let left = self.0.iter().filter_map(|(target, found_on)| {
            let found_on_it = devices.clone().filter(|(device, _)| found_on.contains(&device.ifindex));
            let still_on = found_on_it.filter(|(_, link)| match target.is_devices_own {
                true => link.programs.iter().any(|(_, id)| *id == target.program),
                false => !link.programs.is_empty(),
            });
            let still_on: Vec<String> = still_on.map(|(device, _)| device.name.clone()).collect();
            let is_left = found_on.is_empty() || !still_on.is_empty();
            is_left.then(|| Target { devices: still_on, ..target.clone() })
        });
        left.collect()
    }
}
