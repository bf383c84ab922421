//! What is to be said of what works.

use anyhow::Result;

use super::Scope;
use crate::cli;

/// What to say of what works, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checking {
    /// Which programs on which NICs.
    pub scope: Scope,
    /// What a packet costs, too.
    pub cost: bool,
    /// As JSON.
    pub json: bool,
}

impl Checking {
    /// What the command line says of it.
    ///
    /// # Errors
    /// It names what can't be a device or a program.
    pub(super) fn new(cli::Check { scope, cost, json }: cli::Check) -> Result<Self> {
        Ok(Self { scope: Scope::new(scope)?, cost, json })
    }
}
