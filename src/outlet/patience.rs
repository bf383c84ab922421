//! How long to wait for who reads.

use std::time::Instant;

use super::{Outlet, PATIENCE};

/// How long a reader is waited for: as long as it goes on reading.
#[derive(Debug)]
pub struct Patience<'run> {
    outputs: &'run [&'run Outlet],
    waiting: usize,
    ends: Instant,
}

impl<'run> Patience<'run> {
    /// Begins to wait for those of `outputs`.
    pub fn new(outputs: &'run [&'run Outlet]) -> Self {
        Self { outputs, waiting: 0, ends: Instant::now() + PATIENCE }
    }

    /// Whether to go on: something was read lately, or nothing waits.
    pub fn lasts(&mut self) -> bool {
        let waiting: usize = self.outputs.iter().map(|output| output.waiting()).sum();
        if std::mem::replace(&mut self.waiting, waiting) != waiting || waiting == 0 {
            self.ends = Instant::now() + PATIENCE;
        }
        Instant::now() < self.ends
    }
}
