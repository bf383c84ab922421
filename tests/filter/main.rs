//! The filter against libpcap: every expression on every packet.
//!
//! tests/live/filtering.rs runs the same in the kernel.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod corpus;
mod differential;
mod expressions;
mod interpreter;
mod libpcap;
mod packets;
mod random;
mod refusals;
mod view;
