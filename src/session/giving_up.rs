//! What a run gives up once everything is attached.

use std::path::PathBuf;

use anyhow::Result;

use super::Run;
use crate::privileges::{self, Needs};
use crate::target::View;

impl Run<'_> {
    /// Gives up what isn't needed from now on. `view` is what was seen last: where nothing that comes later is traced, it is all
    /// that there will be.
    ///
    /// # Errors
    /// The kernel doesn't let go of what it has granted.
    pub(super) fn give_up(&mut self, view: Option<&View>) -> Result<()> {
        if self.plan.keeps_privileges {
            return Ok(());
        }
        let finds_programs = self.plan.follow || !self.is_settled;
        if let Some(view) = view.filter(|_| !finds_programs) {
            self.watch.keep_to(view);
        }
        privileges::give_up(&Needs {
            uses_bpf: true,
            finds_programs,
            is_promiscuous: self.plan.promiscuous,
            folders: self.folders(),
            pins: if finds_programs { self.watch.pins() } else { Vec::new() },
            is_another_user: self.plan.user.is_some(),
        })
    }

    /// What has the file is the first of the outputs.
    fn folders(&self) -> Vec<PathBuf> {
        let is_open = self.outputs.first().is_some_and(|output| output.file().is_some());
        self.plan.capture.as_ref().map_or_else(Vec::new, |capture| capture.folders(is_open))
    }
}
