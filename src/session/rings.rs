//! The rings between the kernel and the output, emptied as far as that takes it.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Flushed, Run};
use crate::delivery::Delivery;
use crate::failure::{self, Status};
use crate::kernel;
use crate::plan::Tracing;
use crate::reader::{self, Reader};

/// How long to deliver what there is at most before the stop flag, `--rate` and the like get their turn.
const A_WHILE: Duration = Duration::from_millis(100);

impl Run<'_> {
    /// Rings of the size that was asked for; else of the default, or of what may be locked, which is little without
    /// CAP_IPC_LOCK.
    ///
    /// # Errors
    /// What was asked for is more than may be locked, or than is sensible; or the least there can be is.
    pub(super) fn open_rings<'delivery>(
        &self,
        delivery: &'delivery RefCell<Delivery<'_>>,
    ) -> Result<Reader<'delivery>> {
        let mut bytes = ring_bytes(self.plan)?;
        loop {
            let opened = Reader::new(self.follow.maps().events(), bytes, |told| delivery.borrow_mut().record(told));
            match opened {
                Err(error) if self.plan.ring_kib.is_none() && failure::status(&error) == Status::Unable => {
                    bytes = reader::smaller(bytes).ok_or(error)?;
                }
                opened => return opened,
            }
        }
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.outputs.iter().any(|output| output.is_blocked())
    }

    /// Delivers what the rings hold, as far as its turn goes. While the output is blocked, the rings have to hold it.
    ///
    /// # Errors
    /// The ring cannot be read. What the output doesn't take is no error here: it ends the run by itself.
    pub(super) fn drain(&mut self, reader: &Reader<'_>, delivery: &RefCell<Delivery<'_>>) -> Result<()> {
        for error in self.outputs.iter().filter_map(|output| output.push().err()) {
            delivery.borrow_mut().break_off(error);
        }
        self.more = true;
        if !self.is_blocked() {
            self.more = !reader.drain()?;
            let mut delivery = delivery.borrow_mut();
            if let Some(Flushed { ns, gathering, elsewhere }) = &self.flushed {
                // A CPU whose ring has been read isn't to wait for one whose ring never ends.
                let is_read = |cpu| if elsewhere.contains(&cpu) { !self.more } else { reader.has_read(cpu) };
                delivery.release_settled(*ns, |cpu| !gathering.contains(&cpu) && is_read(cpu));
            }
            let settled = self.flushed.take_if(|_| !self.more).filter(|_| self.plan.capture.is_some());
            if let Some(Flushed { ns, .. }) = settled {
                delivery.settle(ns);
            }
            delivery.flush();
            self.more |= self.is_blocked();
        }
        Ok(())
    }

    /// Delivers what there is, also what CPUs are gathering, as far as a while goes: where packets come faster than they can
    /// be delivered, there is always more.
    ///
    /// # Errors
    /// As [`Self::drain`]; or the kernel doesn't have what CPUs gather flushed.
    pub(super) fn drain_for_a_while(&mut self, reader: &Reader<'_>, delivery: &RefCell<Delivery<'_>>) -> Result<()> {
        let ends = Instant::now() + A_WHILE;
        self.batches.flush_all(self.follow.maps().flush(), |cpu| reader.revive(cpu))?;
        loop {
            self.drain(reader, delivery)?;
            if !self.more || self.is_blocked() || self.signals.stop() || Instant::now() > ends {
                return Ok(());
            }
        }
    }

    /// Delivers all that there is, also what CPUs are gathering. For the end, when nothing more comes.
    ///
    /// # Errors
    /// As [`Self::drain_for_a_while`].
    pub(super) fn drain_all(&mut self, reader: &Reader<'_>, delivery: &RefCell<Delivery<'_>>) -> Result<()> {
        self.batches.flush_all(self.follow.maps().flush(), |cpu| reader.revive(cpu))?;
        loop {
            self.drain(reader, delivery)?;
            if !self.more || self.is_blocked() {
                return Ok(());
            }
        }
    }
}

fn ring_bytes(plan: &Tracing) -> Result<usize> {
    // Of packets that are counted, few are told of besides.
    let asked = if plan.counting.is_some() { Some(0) } else { plan.ring_kib };
    reader::ring_bytes(asked, plan.force, kernel::available_kib(), kernel::online_cpus())
}
