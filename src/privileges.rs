//! What this user and this kernel must allow, asked before anything is touched, so that a 'no' has a name; and what of it is
//! given up once that is no longer needed.

mod files;
mod forbidden;
mod give_up;
mod user;

use anyhow::{Result, bail};
use caps::Capability;

pub use forbidden::KNOWN as KNOWS_SYSTEM_CALLS;
pub use give_up::{Needs, give_up, hand_down, keep_only, powerless};
pub use user::{as_user, become_user};

use crate::failure::Failure;
use crate::kernel::{self, Capabilities};

/// Checks what tracing takes: capabilities (not the user id) and the kernel's BTF.
///
/// CAP_SYS_ADMIN opens a program by its id, and stands for CAP_BPF and CAP_PERFMON, which load fentry and fexit.
///
/// # Errors
/// Names what is missing and what it is for.
pub fn check_tracing() -> Result<()> {
    need(Capability::CAP_SYS_ADMIN, "(to open the XDP program by its id and to load fentry and fexit)")?;
    if !kernel::in_initial_user_namespace()? {
        bail!(Failure::unable(
            "not privileged: these capabilities are a user namespace's, and BPF needs the machine's: run xdptrace outside \
             of it, as root"
        ));
    }
    if !kernel::has_btf() {
        bail!(Failure::unable(kernel::NO_BTF));
    }
    Ok(())
}

/// Checks what reading of programs takes.
///
/// # Errors
/// Names what is missing and what it is for.
pub fn check_reading() -> Result<()> {
    need(Capability::CAP_SYS_ADMIN, "(to open BPF programs by their id)")
}

/// Checks what attaching a pass-through program takes beyond that.
///
/// # Errors
/// Names what is missing and what it is for.
pub fn check_attaching() -> Result<()> {
    need(Capability::CAP_NET_ADMIN, "(to attach the pass-through program)")
}

/// Checks what having a NIC take frames for others takes beyond that.
///
/// # Errors
/// Names what is missing and what it is for.
pub fn check_promiscuous() -> Result<()> {
    need(Capability::CAP_NET_RAW, "(for -P, to have the NIC take frames for others)")
}

/// `purpose` in brackets.
fn need(capability: Capability, purpose: &str) -> Result<()> {
    if !Capabilities::effective()?.has(capability) {
        bail!(Failure::unable(format!("not privileged: {capability} {purpose} is missing: run xdptrace with sudo")));
    }
    Ok(())
}
