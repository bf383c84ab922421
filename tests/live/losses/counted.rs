//! A NIC and a program of which each run is known.

use std::fs;

use crate::lab::Nic;
use crate::loader::{COUNTED, Mode, Programs, Runs, inside};

/// A NIC at which nothing arrives by itself: the neighbours are known, and there is no IPv6 at the other end.
pub fn quiet_nic() -> Nic {
    let nic = Nic::veth();
    inside(nic.peer_netns(), || fs::write("/proc/sys/net/ipv6/conf/veth1/disable_ipv6", "1").unwrap());
    nic
}

/// A program that counts its runs, loaded for this test alone.
pub struct Counted {
    pub programs: Programs,
    pub runs: Runs,
    pub called: String,
}

impl Counted {
    pub fn load(name: &str) -> Self {
        let programs = Programs::load(COUNTED, &[name]);
        let known = programs.known(name);
        Self { programs, runs: known.runs(), called: known.called(name) }
    }

    /// One that drops, on the NIC.
    pub fn drop_on(nic: &Nic) -> Self {
        let counted = Self::load("counted_drop");
        counted.programs.attach(nic, Mode::Native, "counted_drop");
        counted
    }
}
