//! Puts programs where they run by the kernel's own interfaces, and knows by itself what they did: the ids that the
//! kernel gave them, and the datagrams that each of them counted.

mod dispatcher;
mod known;
mod programs;
mod traffic;

use std::ffi::{CString, c_int};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::thread;

use libbpf_rs::libbpf_sys as sys;

use crate::lab::Nic;
pub use dispatcher::Dispatcher;
pub use known::{Known, NO_OBJECTS, Ports, Runs, exists, new_objects, objects, program_on, wait_until_gone};
pub use programs::{Programs, detach};
pub use traffic::{Shown, Traffic, send, send_frame, send_frames, shown, socket};

/// The programs of tests/progs/components.bpf.c.
pub const COMPONENTS: &str = concat!(env!("OUT_DIR"), "/components.bpf.o");
/// The programs of tests/progs/chains.bpf.c.
pub const CHAINS: &str = concat!(env!("OUT_DIR"), "/chains.bpf.o");
/// The programs of tests/progs/packets.bpf.c.
pub const PACKETS: &str = concat!(env!("OUT_DIR"), "/packets.bpf.o");
/// The programs of tests/progs/counted.bpf.c.
pub const COUNTED: &str = concat!(env!("OUT_DIR"), "/counted.bpf.o");
/// The programs of tests/progs/harmless.bpf.c.
pub const HARMLESS: &str = concat!(env!("OUT_DIR"), "/harmless.bpf.o");
/// The program of tests/progs/outcomes.bpf.c.
pub const OUTCOMES: &str = concat!(env!("OUT_DIR"), "/outcomes.bpf.o");

/// FIRST_PORT and PORTS of tests/progs/ports.h.
pub const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 4096;

/// How a program is attached.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    /// By the driver.
    Native,
    /// By the kernel, before everything else.
    Generic,
}

impl Mode {
    fn flags(self) -> u32 {
        match self {
            Self::Native => sys::XDP_FLAGS_DRV_MODE,
            Self::Generic => sys::XDP_FLAGS_SKB_MODE,
        }
    }
}

/// What a call of libbpf returned: it is negative where it failed.
fn returned(what: &str, value: c_int) -> c_int {
    assert!(value >= 0, "{what}: {}", io::Error::from_raw_os_error(-value));
    value
}

/// Runs `call` in a network namespace; in a thread of its own, because setns moves the thread that calls it.
pub fn inside<T: Send>(netns: Option<&str>, call: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let done = scope.spawn(|| {
            if let Some(netns) = netns {
                let netns = File::open(format!("/run/netns/{netns}")).unwrap();
                // SAFETY: setns(2) takes a descriptor that is open here.
                assert_eq!(unsafe { libc::setns(netns.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
            }
            call()
        });
        done.join().unwrap()
    })
}

/// A NIC's number in its namespace.
pub fn ifindex(nic: &Nic) -> c_int {
    let name = CString::new(nic.name.as_str()).unwrap();
    // SAFETY: the string ends with a NUL and lives as long as the call.
    let index = inside(nic.netns.as_deref(), || unsafe { libc::if_nametoindex(name.as_ptr()) });
    assert!(index > 0, "no {}", nic.name);
    index as c_int
}
