//! The tracer on real programs on real devices of a real kernel. Needs root; makes its own namespaces and packets.
//!
//! tests/live.sh runs it in a VM on each kernel line, and compares what ran with tests/live/names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod capture;
mod checking;
mod churn;
mod drivers;
mod endings;
mod export;
mod faults;
mod fields;
mod files;
mod filter;
mod filtering;
mod first_event;
mod flood;
mod following;
mod harmless;
mod hostile;
mod kernel_events;
mod lab;
mod listing;
mod load;
mod loader;
mod lockdown;
mod losses;
mod outcomes;
mod output;
mod packets;
mod privileges;
// Not all of it is needed here.
#[allow(dead_code)]
#[path = "../packaging/prometheus.rs"]
mod prometheus;
mod promiscuous;
mod refusals;
mod scenes;
mod selecting;
mod setups;
mod showing;
mod stats;
mod targets;
mod top;
mod tracer;
mod verdicts;
mod verifier;
mod xdpdump;
mod xsk;
