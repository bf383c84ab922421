//! What a run traces, from the start to its end: attached, let go of, and said.

use std::cell::RefCell;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::{Run, account};
use crate::delivery::Delivery;
use crate::failure::{self, Failure, Status};
use crate::follow::{Step, Traced};
use crate::plan::{Devices, Scope, Selector};
use crate::probe;
use crate::reader::Reader;
use crate::sink::Notice;
use crate::target::{self, Refused, Target, View};

/// How long to wait before starting anew because programs vanished while they were attached to, and how often to do so.
const PAUSE: Duration = Duration::from_millis(100);
const TRIES: u32 = 20;

impl Run<'_> {
    /// Attaches what there is, and gives up what isn't needed any more.
    ///
    /// # Errors
    /// Nothing can be traced, and nothing is waited for; or the kernel refuses what every run takes.
    pub(super) fn start(&mut self, delivery: &RefCell<Delivery<'_>>) -> Result<()> {
        let mut refused = Vec::new();
        let view = self.attach_at_once(&mut refused)?;
        delivery.borrow_mut().refresh(self.watch.names())?;
        delivery.borrow_mut().take_in(self.follow.traced());
        let mut delivery = delivery.borrow_mut();
        if self.follow.traced().is_empty() {
            return self.begin_to_wait(refused, &mut delivery);
        }
        self.tell_who_follows(&mut delivery);
        // A file is created where it is told what is attached: by another user, as such.
        let is_another_user = self.plan.user.is_some();
        if is_another_user {
            self.give_up(view.as_ref())?;
        }
        for traced in self.follow.traced() {
            self.tell_attached(traced, false, &mut delivery);
        }
        for (refused, _) in refused {
            delivery.notice(&Notice::NotTraced(refused.to_string()));
        }
        self.tell_untold(&mut delivery);
        if !is_another_user {
            self.give_up(view.as_ref())?;
        }
        delivery.notice_listening();
        Ok(())
    }

    /// Attaches what there is, and returns what was seen last.
    fn attach_at_once(&mut self, refused: &mut Vec<(Refused, Status)>) -> Result<Option<View>> {
        let mut seen = None;
        for _ in 0..TRIES {
            if let Some(view) = self.watch.look()? {
                let vanished = self.attach_all(&view, refused)?;
                if self.plan.promiscuous {
                    self.promiscuous.hold(&view)?;
                }
                seen = Some(view);
                if !vanished {
                    break;
                }
            }
            thread::sleep(PAUSE);
        }
        Ok(seen)
    }

    /// Says what is waited for, where that is asked for.
    fn begin_to_wait(&mut self, refused: Vec<(Refused, Status)>, delivery: &mut Delivery<'_>) -> Result<()> {
        if !self.plan.wait {
            return Err(nothing_traced(refused));
        }
        // What no program could be traced for is not worth waiting for.
        probe::try_probes()?;
        self.give_up(None)?;
        self.tell_who_follows(delivery);
        delivery.notice(&Notice::Waiting(self.waited_for()));
        for (refused, _) in refused.iter().filter(|(refused, _)| refused.remedy.is_none()) {
            delivery.notice(&Notice::NotTraced(refused.to_string()));
        }
        Ok(())
    }

    /// Says that -Z follows nothing, which nobody has asked for.
    fn tell_who_follows(&self, delivery: &mut Delivery<'_>) {
        if let Some(user) = &self.plan.user {
            let user = user.escape_default();
            delivery
                .notice(&Notice::NotTraced(format!("what comes later: -Z {user} gives up what it takes to find it")));
        }
    }

    fn tell_attached(&self, traced: &Traced, is_late: bool, delivery: &mut Delivery<'_>) {
        let missed = traced.missed_since.map(|since| (wall_clock_ns(since), wall_clock_ns(traced.traced_since)));
        let Target { probes, devices, .. } = &traced.target;
        delivery.notice(&Notice::Attached { subject: traced.target.subject(), probes: *probes, is_late, missed });
        for device in devices.iter().filter(|_| self.plan.capture.is_some()) {
            // Not every driver says something.
            if let Ok(driver) = target::driver(device) {
                delivery.notice(&Notice::Driver { device: device.clone(), driver });
            }
        }
    }

    /// Whether a program vanished meanwhile.
    fn attach_all(&mut self, view: &View, refused: &mut Vec<(Refused, Status)>) -> Result<bool> {
        loop {
            let step = self.follow.step(view, false)?;
            self.watch.set_own(self.follow.own_programs());
            refused.extend(step.refused);
            if step.vanished || !step.more {
                self.is_settled = !self.follow.traced().is_empty();
                return Ok(step.vanished);
            }
        }
    }

    /// `an XDP program on eth0`
    fn waited_for(&self) -> String {
        let Scope { devices, narrowing, .. } = &self.plan.scope;
        let devices = match devices {
            Devices::Named(names) => names.join(", ").escape_default().to_string(),
            Devices::Any | Devices::Unnamed => "any device".into(),
        };
        let named: Vec<String> = narrowing.iter().map(ToString::to_string).collect();
        match narrowing.iter().any(|one| one.program == Selector::All) || named.is_empty() {
            true => format!("an XDP program on {devices}"),
            false => format!("program {} on {devices}", named.join(", ")),
        }
    }

    /// Attaches what has come since, and lets go of what has gone.
    ///
    /// # Errors
    /// The kernel's maps cannot be read or written, or privileges not given up. The inner one ends the run in order: nothing
    /// is left to trace.
    pub(super) fn keep_up(&mut self, reader: &Reader<'_>, delivery: &RefCell<Delivery<'_>>) -> Result<Result<()>> {
        let seen = match self.look(&mut delivery.borrow_mut()) {
            Ok(seen) => seen,
            Err(gone) => return Ok(Err(gone)),
        };
        delivery.borrow_mut().refresh(self.watch.names())?;
        let Some(view) = seen.or_else(|| self.unfinished.take()) else {
            self.settle(reader, delivery)?;
            return Ok(Ok(()));
        };
        if let Some(refused) = self.plan.promiscuous.then(|| self.promiscuous.keep(&view)).flatten() {
            delivery.borrow_mut().notice(&Notice::NotTraced(refused));
        }
        let step = self.follow.step(&view, self.is_settled && !self.plan.follow)?;
        self.watch.set_own(self.follow.own_programs());
        // The last records of what was let go of, and perhaps the first ones of what has come.
        delivery.borrow_mut().take_in(self.follow.traced());
        if step.attached {
            self.tell_untold(&mut delivery.borrow_mut());
        }
        self.tell(&step, delivery);
        self.close(&step.detached)?;
        self.released.extend(step.detached);
        self.settle(reader, delivery)?;
        let is_idle = self.follow.traced().is_empty();
        if self.is_settled && is_idle && !self.plan.follow {
            return Ok(Err(Failure::no_target(
                "what was traced is gone, and --no-follow leaves what has come instead untraced",
            )));
        }
        if !self.is_settled && !step.more && !is_idle {
            self.is_settled = true;
            // What was waited for is there, and the file, too.
            self.give_up(Some(&view))?;
        }
        self.unfinished = step.more.then_some(view);
        Ok(Ok(()))
    }

    /// What there is to see, if that may have changed. The kernel's refusal, as where no descriptor is left, is said once
    /// and is no end: the next look may do better. Where there is nothing to look at any more, that is an error.
    fn look(&mut self, delivery: &mut Delivery<'_>) -> Result<Option<View>> {
        let (seen, error) = match self.watch.look() {
            Err(error) if failure::status(&error) == Status::NoTarget => return Err(error),
            Err(error) => (None, Some(format!("{error:#}"))),
            Ok(seen) => (seen, None),
        };
        if let Some(error) = error.as_ref().filter(|error| self.look_error.as_ref() != Some(error)) {
            delivery.notice(&Notice::NotTraced(format!("what has come since: {error}")));
        }
        self.look_error = error;
        Ok(seen)
    }

    /// Says what came of what was let go of, once all its records have been read: while the output is blocked, that waits.
    fn settle(&mut self, reader: &Reader<'_>, delivery: &RefCell<Delivery<'_>>) -> Result<()> {
        if self.released.is_empty() {
            return Ok(());
        }
        self.drain_for_a_while(reader, delivery)?;
        if self.more || self.is_blocked() {
            return Ok(());
        }
        // What a file keeps back for its order, too: only then is it known what was written.
        delivery.borrow_mut().write_out();
        if self.is_blocked() {
            return Ok(());
        }
        for released in self.released.drain(..) {
            let account = account(&released, &mut delivery.borrow_mut());
            self.progress.let_go(&released, &account.counts);
            delivery.borrow_mut().notice(&Notice::Told(account));
        }
        Ok(())
    }

    fn tell(&self, step: &Step, delivery: &RefCell<Delivery<'_>>) {
        let mut delivery = delivery.borrow_mut();
        if let Some(new) = self.follow.traced().last().filter(|_| step.attached) {
            self.tell_attached(new, true, &mut delivery);
        }
        for old in &step.detached {
            delivery.notice(&Notice::Detached(old.target.subject()));
        }
        for (refused, _) in &step.refused {
            delivery.notice(&Notice::NotTraced(refused.to_string()));
        }
        if !step.more && !self.follow.traced().is_empty() {
            delivery.notice_listening();
        }
    }
}

/// One line for all that stood against tracing; several reasons have the status of the one that comes first.
fn nothing_traced(refused: Vec<(Refused, Status)>) -> anyhow::Error {
    let status = [Status::Unable, Status::Failed, Status::NoTarget];
    let status = status.into_iter().find(|status| refused.iter().any(|(_, one)| one == status));
    /// Reasons in one line, at most.
    const LIMIT: usize = 5;
    let reasons: Vec<String> = refused.iter().take(LIMIT).map(|(refused, _)| reason(refused)).collect();
    let more = refused.len() - reasons.len();
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let reasons =
        if reasons.is_empty() { "no XDP program on any device".to_owned() } else { reasons.join("; ") + &more };
    Failure::with(status.unwrap_or(Status::NoTarget), reasons)
}

fn reason(Refused { what, why, remedy }: &Refused) -> String {
    let cannot = if what.is_empty() { String::new() } else { format!("cannot trace {what}: ") };
    let remedy = remedy.map_or_else(String::new, |remedy| format!(": {remedy}"));
    format!("{cannot}{why}{remedy}")
}

fn wall_clock_ns(then: Instant) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(then.elapsed()).as_nanos() as u64
}
