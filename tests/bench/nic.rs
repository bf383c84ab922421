//! The NIC that is measured on: one end of a veth pair in a network namespace of the benchmark's own.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use libbpf_rs::{MapCore, MapFlags, Object, ObjectBuilder, ProgramMut, Xdp, XdpFlags};
use nix::sched::{CloneFlags, unshare};

/// Where programs run.
pub const DEV: &str = "veth0";
/// Where pktgen sends.
pub const PEER: &str = "veth1";

/// The object of targets.bpf.c.
pub const TARGETS: &str = concat!(env!("OUT_DIR"), "/bench_targets.bpf.o");

/// Moves this process, and so the tracers that it starts, into a new namespace with the pair.
pub fn enter() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("failed to make a network namespace")?;
    // Without addresses of their own the two have nothing to say to each other: every packet seen is one of ours.
    for of in ["all", "default"] {
        fs::write(format!("/proc/sys/net/ipv6/conf/{of}/disable_ipv6"), "1").context("failed to turn IPv6 off")?;
    }
    let pair = ["link", "add", DEV, "address", "02:00:00:00:00:01", "type", "veth"];
    ip(&[&pair[..], &["peer", "name", PEER, "address", "02:00:00:00:00:02"]].concat())?;
    ip(&["link", "set", PEER, "up"])?;
    ip(&["link", "set", DEV, "up"])
}

fn ip(words: &[&str]) -> Result<()> {
    run(&[&["ip"], words].concat())
}

/// Runs a command that must succeed.
pub fn run(words: &[&str]) -> Result<()> {
    let done = Command::new(words[0]).args(&words[1..]).output().with_context(|| format!("failed to run {words:?}"))?;
    ensure!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(())
}

/// The index of [`DEV`].
pub fn ifindex() -> Result<u32> {
    let name = CString::new(DEV)?;
    // SAFETY: the name ends in a zero and is only read during the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    ensure!(index != 0, "failed to find {DEV}: {}", io::Error::last_os_error());
    Ok(index)
}

/// The programs of targets.bpf.c, one of which sits on the NIC.
pub struct Target {
    object: Object,
    name: &'static str,
}

impl Target {
    /// Puts a program on the NIC in place of whatever is there.
    pub fn attach(name: &'static str) -> Result<Self> {
        let object = ObjectBuilder::default().open_file(TARGETS)?.load().context("failed to load the targets")?;
        let target = Self { object, name };
        Xdp::new(target.program()?.as_fd())
            .attach(ifindex()? as i32, XdpFlags::DRV_MODE)
            .context("failed to attach XDP")?;
        Ok(target)
    }

    /// The program's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The program.
    pub fn program(&self) -> Result<ProgramMut<'_>> {
        self.object.progs_mut().find(|program| program.name() == self.name).context("no such target")
    }

    /// How often bench_drop ran.
    pub fn runs(&self) -> Result<u64> {
        let map = self.object.maps().find(|map| map.name() == "runs").context("no map 'runs'")?;
        let counts = map.lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)?.context("no count")?;
        Ok(counts.iter().filter_map(|count| count.as_slice().try_into().ok()).map(u64::from_ne_bytes).sum())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let (Ok(program), Ok(ifindex)) = (self.program(), ifindex()) {
            // It may have been replaced or the NIC be gone: nothing to undo then.
            let _ = Xdp::new(program.as_fd()).detach(ifindex as i32, XdpFlags::DRV_MODE);
        }
    }
}
