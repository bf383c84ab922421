//! What is exported, and where to.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use super::{Counting, Devices, Filter, Outcomes, Probes, Scope, Selection, Side, Tracing, parse_duration};
use crate::cli;
use crate::failure::Failure;

/// The shortest interval between readings.
const SHORTEST: Duration = Duration::from_millis(100);

/// Numbers for Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Where to answer.
    pub listen: SocketAddr,
    /// Series for each receive queue.
    pub per_queue: bool,
    /// How often numbers are read.
    pub interval: Duration,
    /// What to count; a service outlives programs and NICs, so it waits for them and follows them.
    pub tracing: Tracing,
}

impl Export {
    /// What the command line says of it.
    ///
    /// # Errors
    /// A value means nothing, or nothing here.
    pub(super) fn new(export: cli::Export) -> Result<Self> {
        let interval = parse_duration("--interval", &export.interval)?;
        if interval < SHORTEST {
            return Err(Failure::usage("--interval: who scrapes comes every few seconds: 100ms is the shortest"));
        }
        let counting = Counting { interval, times: None, by: None, drops_a_second: None };
        Ok(Self {
            listen: parse_address(&export.listen)?,
            per_queue: export.per_queue,
            tracing: Tracing {
                selection: selection(&export)?,
                scope: scope(export.scope)?,
                wait: true,
                follow: true,
                allowed_hazards: export.allow_hazard,
                counting: Some(counting),
                ..Tracing::default()
            },
            interval,
        })
    }
}

/// Any NIC's, unless it says something else.
fn scope(words: cli::Scope) -> Result<Scope> {
    let scope = Scope::new(words)?;
    let is_unsaid = scope.devices == Devices::Unnamed && scope.narrowing.is_empty();
    Ok(if is_unsaid { Scope { devices: Devices::Any, ..scope } } else { scope })
}

fn selection(export: &cli::Export) -> Result<Selection> {
    let shown = match export.probe {
        cli::Probe::Both => Probes::Both,
        cli::Probe::Exit => Probes::Exit,
        cli::Probe::Entry => {
            return Err(Failure::usage("--probe entry sees no verdict, and that is what is counted: both, or exit"));
        }
    };
    Ok(Selection {
        shown,
        filter: Filter::of(&export.filter, export.filter_file.as_deref(), export.no_optimize)?,
        filter_at: match export.filter_at {
            cli::Side::Entry => Side::Entry,
            cli::Side::Exit => Side::Exit,
        },
        outcomes: match export.outcome {
            cli::Outcome::Off => Outcomes::Off,
            cli::Outcome::Failed => Outcomes::Failed,
            cli::Outcome::All => Outcomes::All,
        },
        ..Selection::default()
    })
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
