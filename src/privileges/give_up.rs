//! What a run gives up once it is set up, and what it keeps.
//!
//! Capabilities, no_new_privs, Landlock's rules and seccomp's filters are each thread's own, and a thread begins with those of
//! the one that starts it. So whatever else runs in this process is started by a thread that has given up everything.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result, anyhow};
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;

use super::{files, forbidden};
use crate::kernel;

/// What passes over the permissions of files.
pub(super) const OVERRIDE: [Capability; 2] = [Capability::CAP_DAC_OVERRIDE, Capability::CAP_DAC_READ_SEARCH];

/// What there is still to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Counters are read, and CPUs asked for what they have gathered.
    pub uses_bpf: bool,
    /// Programs that come are found, opened, and attached to.
    pub finds_programs: bool,
    /// … and their NICs are to take frames for others.
    pub is_promiscuous: bool,
    /// Folders in which files are created, or opened anew.
    pub folders: Vec<PathBuf>,
    /// Pins, and folders of pins, that are looked at again.
    pub pins: Vec<PathBuf>,
    /// -Z: files are that user's business, whom no capability helps.
    pub is_another_user: bool,
}

/// Gives up, in this thread, what isn't among `needs`, for good: capabilities; privileges that a new program could bring;
/// files, where the kernel has Landlock; and system calls that a tracer has no use for.
///
/// # Errors
/// The kernel refuses.
pub fn give_up(needs: &Needs) -> Result<()> {
    let permitted = caps::read(None, CapSet::Permitted).context("failed to read the capabilities")?;
    // A sandbox may forbid even to ask.
    let takes_bpf = needs.uses_bpf && kernel::is_bpf_privileged()?;
    let overrides = !needs.is_another_user && needs_override(needs)?;
    set(&kept(needs, &permitted, takes_bpf, overrides))?;
    prctl::set_no_new_privs().context("failed to renounce new privileges")?;
    files::narrow(needs).context("failed to narrow access to files by Landlock")?;
    forbidden::forbid().context("failed to forbid system calls by seccomp")
}

/// Keeps this capability alone, and no new privileges.
///
/// # Errors
/// The kernel refuses.
pub fn keep_only(capability: Capability) -> Result<()> {
    let permitted = caps::read(None, CapSet::Permitted).context("failed to read the capabilities")?;
    set(&permitted.into_iter().filter(|one| *one == capability).collect())?;
    prctl::set_no_new_privs().context("failed to renounce new privileges")
}

/// Has a program that is run from here have this capability whoever the user is, if this thread has it.
///
/// # Errors
/// The kernel refuses.
pub fn hand_down(capability: Capability) -> Result<()> {
    const FAILED: &str = "failed to hand a capability down";
    if caps::has_cap(None, CapSet::Permitted, capability).context(FAILED)? {
        caps::raise(None, CapSet::Inheritable, capability).context(FAILED)?;
        caps::raise(None, CapSet::Ambient, capability).context(FAILED)?;
    }
    Ok(())
}

/// Does it in a thread that has given up everything; and so has every thread that this starts.
///
/// # Errors
/// There can be no other thread, or the kernel refuses; or of `act`.
pub fn powerless<T: Send>(act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let everything = || give_up(&Needs::default()).and_then(|()| act());
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, everything).context("failed to start a thread")?;
        thread.join().unwrap_or_else(|_| Err(anyhow!("a thread of xdptrace's own has ended early")))
    })
}

/// Which of the `permitted` capabilities stay, where what is needed `takes_bpf`, or `overrides` permissions.
fn kept(needs: &Needs, permitted: &CapsHashSet, takes_bpf: bool, overrides: bool) -> CapsHashSet {
    use Capability::{CAP_BPF, CAP_DAC_OVERRIDE, CAP_NET_RAW, CAP_SYS_ADMIN};
    // CAP_SYS_ADMIN opens programs by their id, and stands for CAP_BPF and CAP_PERFMON.
    let bpf = if permitted.contains(&CAP_BPF) { CAP_BPF } else { CAP_SYS_ADMIN };
    let wanted = [
        needs.finds_programs.then_some(CAP_SYS_ADMIN),
        (needs.finds_programs && needs.is_promiscuous).then_some(CAP_NET_RAW),
        // Also beside CAP_SYS_ADMIN: that may go later.
        takes_bpf.then_some(bpf),
        overrides.then_some(CAP_DAC_OVERRIDE),
    ];
    wanted.into_iter().flatten().filter(|capability| permitted.contains(capability)).collect()
}

/// Whether something that is needed can't be had by its permissions, as where root writes into a user's folder.
fn needs_override(needs: &Needs) -> Result<bool> {
    kernel::without(&OVERRIDE, || {
        let mut folders = needs.folders.iter().map(|path| (path, libc::W_OK | libc::X_OK));
        let mut pins = needs.pins.iter().map(|path| (path, libc::R_OK));
        folders.any(is_closed) || pins.any(is_closed)
    })
}

/// By what is in effect. The C library's eaccess(3) asks by what is permitted where the user's ids are all the same.
fn is_closed((path, mode): (&PathBuf, libc::c_int)) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return true };
    // SAFETY: faccessat2(2), which is in Linux 5.8, reads a C string that outlives the call.
    let closed = unsafe { libc::syscall(libc::SYS_faccessat2, libc::AT_FDCWD, path.as_ptr(), mode, libc::AT_EACCESS) };
    closed != 0
}

fn set(kept: &CapsHashSet) -> Result<()> {
    // In this order, because what is in effect must be permitted. The ambient set goes with the inheritable one.
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, kept).context("failed to give up capabilities")?;
    }
    caps::clear(None, CapSet::Inheritable).context("failed to give up capabilities")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use Capability::{CAP_BPF, CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_NET_RAW, CAP_PERFMON, CAP_SYS_ADMIN};

    use super::*;

    #[test]
    fn no_more_is_kept_than_is_needed_and_permitted() {
        let all = [CAP_BPF, CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_NET_RAW, CAP_PERFMON, CAP_SYS_ADMIN];
        let reads = Needs { uses_bpf: true, ..Needs::default() };
        let finds = Needs { finds_programs: true, ..reads.clone() };
        let joins = Needs { is_promiscuous: true, ..finds.clone() };
        let held = Needs { is_promiscuous: true, ..reads.clone() };
        let table = [
            (&Needs::default(), &all[..], false, false, &[][..]),
            (&reads, &all, false, false, &[]),
            (&reads, &all, true, false, &[CAP_BPF]),
            (&reads, &[CAP_SYS_ADMIN, CAP_CHOWN], true, false, &[CAP_SYS_ADMIN]),
            (&reads, &all, false, true, &[CAP_DAC_OVERRIDE]),
            (&finds, &all, false, false, &[CAP_SYS_ADMIN]),
            (&finds, &all, true, true, &[CAP_SYS_ADMIN, CAP_BPF, CAP_DAC_OVERRIDE]),
            (&finds, &[CAP_SYS_ADMIN], true, true, &[CAP_SYS_ADMIN]),
            (&joins, &all, false, false, &[CAP_SYS_ADMIN, CAP_NET_RAW]),
            (&held, &all, false, false, &[]),
        ];
        for (needs, permitted, takes_bpf, overrides, expected) in table {
            let permitted = permitted.iter().copied().collect();
            let expected: CapsHashSet = expected.iter().copied().collect();
            assert_eq!(kept(needs, &permitted, takes_bpf, overrides), expected, "{needs:?}");
        }
    }

    #[test]
    fn a_powerless_thread_has_nothing_left_and_neither_have_those_that_it_starts() {
        let before = caps::read(None, CapSet::Permitted).unwrap();
        let look = || (caps::read(None, CapSet::Permitted).unwrap(), prctl::get_no_new_privs().unwrap());
        let thread = powerless(|| Ok((look(), thread::spawn(look)))).unwrap();
        assert_eq!(thread.0, (CapsHashSet::new(), true));
        assert_eq!(thread.1.join().unwrap(), (CapsHashSet::new(), true));
        assert_eq!(look(), (before, false));
    }
}
