//! What this user and this kernel must allow, asked before anything is touched, so that a 'no' has a name.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::failure::Failure;

/// Bits of CapEff, include/uapi/linux/capability.h.
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
/// PROC_USER_INIT_INO of include/linux/proc_ns.h, in every kernel the same.
const INITIAL_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// Checks what tracing takes: capabilities (not the user id) and the kernel's BTF.
///
/// CAP_SYS_ADMIN opens a program by its id, and stands for CAP_BPF and CAP_PERFMON, which load fentry and fexit.
///
/// # Errors
/// Names what is missing and what it is for.
pub fn check_tracing() -> Result<()> {
    need(CAP_SYS_ADMIN, "CAP_SYS_ADMIN (to open the XDP program by its id and to load fentry and fexit)")?;
    let users = fs::metadata("/proc/thread-self/ns/user").context("failed to read /proc/thread-self/ns/user")?;
    if users.ino() != INITIAL_USER_NAMESPACE {
        bail!(Failure::unable(
            "not privileged: these capabilities are a user namespace's, and BPF needs the machine's: run xdptrace outside \
             of it, as root"
        ));
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        bail!(Failure::unable("the kernel has no BTF at /sys/kernel/btf/vmlinux: it needs CONFIG_DEBUG_INFO_BTF=y"));
    }
    Ok(())
}

/// Checks what attaching a pass-through program takes beyond that.
///
/// # Errors
/// Names what is missing and what it is for.
pub fn check_attaching() -> Result<()> {
    need(CAP_NET_ADMIN, "CAP_NET_ADMIN (to attach the pass-through program)")
}

fn need(capability: u32, name: &str) -> Result<()> {
    let status = fs::read_to_string("/proc/thread-self/status").context("failed to read /proc/thread-self/status")?;
    let effective = effective_capabilities(&status).context("no CapEff in /proc/thread-self/status")?;
    if effective >> capability & 1 == 0 {
        bail!(Failure::unable(format!("not privileged: {name} is missing: run xdptrace with sudo")));
    }
    Ok(())
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_as_hexadecimal() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t0000000000201000\n";
        assert_eq!(effective_capabilities(status), Some(1 << CAP_NET_ADMIN | 1 << CAP_SYS_ADMIN));
        assert_eq!(effective_capabilities("Name:\tx\n"), None);
    }
}
