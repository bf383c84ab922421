//! What is exported, and where to.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use super::{Counting, Tracing};
use crate::cli;
use crate::failure::Failure;

/// Numbers for Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Where to answer.
    pub listen: SocketAddr,
    /// Series for each receive queue.
    pub per_queue: bool,
    /// How often numbers are read.
    pub interval: Duration,
    /// What to count; a service outlives programs and NICs, so it waits for them.
    pub tracing: Tracing,
}

impl Export {
    /// What the command line says of it.
    ///
    /// # Errors
    /// A value means nothing, or nothing here.
    pub(super) fn new(cli::Export { listen, mut counted, per_queue }: cli::Export) -> Result<Self> {
        let listen = parse_address(&listen)?;
        let scope = &mut counted.targets.scope;
        if scope.place.device.is_empty() && scope.prog.is_empty() {
            scope.place.device.push("any".into());
        }
        let mut tracing = Tracing { wait: true, ..Tracing::counted(counted)? };
        tracing.counting = tracing.counting.map(|counting| Counting { at_once: true, ..counting });
        let interval = tracing.counting.as_ref().map_or(Duration::ZERO, |counting| counting.interval);
        Ok(Self { listen, per_queue, interval, tracing })
    }
}

/// `127.0.0.1:9494`, `[::1]:9494`: no name, which may be several addresses, and nothing left out, for who listens where is
/// not to be guessed.
fn parse_address(words: &str) -> Result<SocketAddr> {
    words.parse().map_err(|_| {
        let words = words.escape_default();
        Failure::usage(format!(
            "--listen '{words}' is no address and port: write it like 127.0.0.1:9494, [::1]:9494, or 0.0.0.0:9494 for all of \
             the machine's IPv4 addresses"
        ))
    })
}
