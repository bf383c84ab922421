//! -Z: a run as another user, who owns what it writes.

use anyhow::{Context, Result};
use caps::{CapSet, Capability};
use nix::sys::prctl;
use nix::unistd::{User, getegid, geteuid, initgroups, setresgid, setresuid};

use super::give_up::OVERRIDE;
use super::need;
use crate::failure::Failure;
use crate::kernel;

/// Becomes the user called `name`, with the groups that has, in all of this process; without one, stays who it is. Its
/// capabilities stay until they are given up: to be called while there is one thread.
///
/// # Errors
/// There is no such user, or this one may not become it.
pub fn become_user(name: Option<&str>) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    let shown = name.escape_default();
    let user = User::from_name(name).with_context(|| format!("failed to look for user {shown}"))?;
    let user =
        user.ok_or_else(|| Failure::usage(format!("-Z: no user is called {shown}: `getent passwd` lists them")))?;
    if (geteuid(), getegid()) == (user.uid, user.gid) {
        return Ok(());
    }
    need(Capability::CAP_SETGID, &format!("(for -Z, to leave this user's groups for {shown}'s)"))?;
    need(Capability::CAP_SETUID, &format!("(for -Z, to become {shown})"))?;
    change(name, &user).with_context(|| format!("failed to become user {shown}"))
}

fn change(name: &str, user: &User) -> Result<()> {
    // A user other than root has the capabilities that are permitted then, but none in effect.
    prctl::set_keepcaps(true)?;
    initgroups(&std::ffi::CString::new(name)?, user.gid)?;
    setresgid(user.gid, user.gid, user.gid)?;
    setresuid(user.uid, user.uid, user.uid)?;
    prctl::set_keepcaps(false)?;
    let permitted = caps::read(None, CapSet::Permitted)?;
    Ok(caps::set(None, CapSet::Effective, &permitted)?)
}

/// Opens what is `user`'s business, if there is one, without what would pass over the permissions of files.
///
/// # Errors
/// Of `open`, or the kernel refuses.
pub fn as_user<T>(user: Option<&str>, open: impl FnOnce() -> Result<T>) -> Result<T> {
    if user.is_some() { kernel::without(&OVERRIDE, open)? } else { open() }
}
