//! What became of verdicts, as far as it is no record's: what the kernel doesn't tell, and what it tells of many packets.

use anyhow::Result;

use super::Run;
use crate::delivery::Delivery;
use crate::event::{Forward, Losses};
use crate::numbers;
use crate::plan::{Devices, Outcomes};
use crate::sink::Notice;

impl Run<'_> {
    /// What is missing is said once.
    pub(super) fn tell_untold(&mut self, delivery: &mut Delivery<'_>) {
        for untold in self.follow.untold() {
            if self.untold.insert(untold.clone()) {
                delivery.notice(&Notice::NotTraced(untold));
            }
        }
    }

    /// What was lost of what is to be accounted for. Where runs are counted, records only tell of some of them besides.
    ///
    /// # Errors
    /// The kernel's maps cannot be read.
    pub(super) fn losses(&self) -> Result<Losses> {
        let records = if self.counting.is_some() { Losses::default() } else { self.batches.losses() };
        Ok(Losses { overflow: self.follow.maps().overflow()?, ..records })
    }

    /// What the kernel told of packets many at a time, where that was asked for; of devices that were named, and their members, only.
    ///
    /// # Errors
    /// As [`Self::losses`].
    pub(super) fn forwards(&self) -> Result<Option<Vec<Forward>>> {
        if self.plan.selection.outcomes != Outcomes::All || self.counting.is_some() {
            return Ok(None);
        }
        let mut told = self.follow.maps().forwards()?;
        if let Devices::Named(_) = &self.plan.scope.devices {
            // By their indexes: a device may have several names, another one by now, or none in this network namespace. Cpumaps are no
            // device's.
            told.retain(|(path, _)| {
                path.from_netns == 0 || self.follow.has_asked_for(path.from_netns, path.from_ifindex)
            });
        }
        let names = self.watch.names();
        let name = |netns, ifindex| names.of(netns, ifindex).map(str::to_owned);
        Ok(Some(numbers::forwards(&told, name)))
    }
}
