//! libxdp's dispatchers, as its own tool makes them.

use std::os::fd::AsFd;
use std::path::Path;

use super::known::Known;
use super::{COMPONENTS, COUNTED, ifindex};
use crate::lab::{Nic, run};

/// A dispatcher of libxdp on a NIC, as xdp-loader makes it.
pub struct Dispatcher<'nic>(&'nic Nic);

impl<'nic> Dispatcher<'nic> {
    /// Loads programs of COMPONENTS, in this order, each by its own run of xdp-loader.
    pub fn load(nic: &'nic Nic, programs: &[&str]) -> Self {
        let dispatcher = Self(nic);
        for (number, program) in programs.iter().enumerate() {
            dispatcher.add(program, 10 * (number as u32 + 1), "XDP_PASS", 1);
        }
        dispatcher
    }

    /// Loads one program `count` times at once.
    pub fn load_times(nic: &'nic Nic, program: &str, count: usize) -> Self {
        let dispatcher = Self(nic);
        dispatcher.add(program, 50, "XDP_PASS", count);
        dispatcher
    }

    /// Loads ten programs that count their runs, of which the last one drops.
    pub fn load_counted(nic: &'nic Nic) -> Self {
        let dispatcher = Self(nic);
        dispatcher.add_of(COUNTED, "counted_pass", 10, "XDP_PASS", 9);
        dispatcher.add_of(COUNTED, "counted_drop", 20, "XDP_PASS", 1);
        dispatcher
    }

    /// Adds a program of this priority, `count` times; the next one runs after the verdicts `actions`.
    pub fn add(&self, program: &str, priority: u32, actions: &str, count: usize) {
        self.add_of(COMPONENTS, program, priority, actions, count);
    }

    fn add_of(&self, object: &str, program: &str, priority: u32, actions: &str, count: usize) {
        let priority = priority.to_string();
        let mut words = vec!["xdp-loader", "load", "-m", "native", &self.0.name];
        words.extend(["-n", program, "-P", &priority, "-A", actions]);
        words.extend(vec![object; count]);
        self.0.output(&words);
    }

    /// The dispatcher itself.
    pub fn known(&self) -> Known {
        let known = Known::on(self.0);
        assert_eq!(known.name, "xdp_dispatcher");
        known
    }

    /// Its components in the order in which they run, by libxdp's pins.
    pub fn components(&self) -> Vec<Known> {
        let folder = format!("/sys/fs/bpf/xdp/dispatch-{}-{}", ifindex(self.0), self.known().id);
        let pins =
            (0..10).map(|number| format!("{folder}/prog{number}-prog")).take_while(|pin| Path::new(pin).exists());
        pins.map(|pin| Known::by_id(pinned(&pin))).collect()
    }
}

fn pinned(path: &str) -> u32 {
    let program = libbpf_rs::Program::fd_from_pinned_path(path).unwrap();
    libbpf_rs::Program::id_from_fd(program.as_fd()).unwrap()
}

impl Drop for Dispatcher<'_> {
    /// Its pins would outlive the namespace.
    fn drop(&mut self) {
        let words = self.0.inside(&["xdp-loader", "unload", &self.0.name, "--all"]);
        run(&words.iter().map(String::as_str).collect::<Vec<_>>());
    }
}
