//! What hazards leave of the probes that are asked for.

use std::collections::HashSet;

use anyhow::Result;

use super::hazard::{Fixed, Hazard};
use super::obstacle::Obstacle;
use super::tree::Node;
use crate::failure::Failure;
use crate::kernel::Kernel;
use crate::plan::{Probes, Selection};

/// What of this kernel's hazards stands against tracing, by the sentence that names the risk; None where nothing does,
/// or the user has allowed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guards {
    /// Against tracing a subprogram of a program that tail-calls.
    pub subprogram: Option<String>,
    /// Against a second probe on a program that tail-calls.
    pub second_probe: Option<String>,
    /// The probes that are asked for.
    pub wanted: Probes,
    /// What is asked for can't be had without fentry.
    pub needs_entry: bool,
    /// Ids of the tracer's own programs, which are no second probes.
    pub own: HashSet<u32>,
}

impl Guards {
    /// Those of `kernel`, but for the hazards that are allowed by their names.
    ///
    /// # Errors
    /// No hazard has that name.
    pub fn new(kernel: &Kernel, allowed: &[String], selection: &Selection) -> Result<Self> {
        if let Some(unknown) = allowed.iter().find(|name| Hazard::from_name(name).is_none()) {
            let names = Hazard::ALL.map(Hazard::name).join(", ");
            return Err(Failure::usage(format!(
                "no hazard is called '{}': there are {names}",
                unknown.escape_default()
            )));
        }
        let guard = |hazard: Hazard| {
            let is_allowed = allowed.iter().any(|name| Hazard::from_name(name) == Some(hazard));
            (!is_allowed && hazard.fixed(kernel) != Fixed::Yes).then(|| hazard.describe(kernel))
        };
        let (subprogram, second_probe) = (guard(Hazard::SubprogramTailCall), guard(Hazard::SecondProbe));
        let (wanted, needs_entry) = (selection.attached(), selection.needs_entry());
        Ok(Self { subprogram, second_probe, wanted, needs_entry, own: HashSet::new() })
    }

    /// Which probes a function of the program at `node` may have: its entry function, or another one.
    ///
    /// # Errors
    /// The hazard that stands against any.
    pub fn probes(&self, node: &Node, is_entry: bool) -> std::result::Result<Probes, Obstacle> {
        if let (false, true, Some(hazard)) = (is_entry, node.tail_calls, &self.subprogram) {
            return Err(Obstacle::Hazard(hazard.clone()));
        }
        match &self.second_probe {
            Some(hazard) if node.tail_calls && node.tracers.iter().any(|tracer| !self.own.contains(tracer)) => {
                Err(Obstacle::Hazard(hazard.clone()))
            }
            Some(hazard) if node.tail_calls && self.needs_entry => Err(Obstacle::NeedsEntry(hazard.clone())),
            Some(_) if node.tail_calls => Ok(Probes::Exit),
            _ => Ok(self.wanted),
        }
    }
}
