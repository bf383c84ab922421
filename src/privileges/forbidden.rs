//! System calls that a tracer has no use for once it is set up, and whoever had taken it over would.
//!
//! A list of what is refused, not of what is allowed: what the C library and the kernel agree on changes with every version of
//! either, and a run must not end for that.

use std::io;
use std::mem::offset_of;

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_SET_MODE_FILTER, sock_filter,
};
use nix::errno::Errno;

/// Running programs, getting at other processes, what is mounted, namespaces, modules and kernels, keys, the clock; and
/// io_uring, whose requests no filter sees.
const FORBIDDEN: [libc::c_long; 33] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
];

/// AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 of include/uapi/linux/audit.h: the machine, 64 bits wide, the least significant
/// byte first. By it, calls by another set of numbers are refused, all of them: those of 32 bits, which any process can make.
#[cfg(target_arch = "x86_64")]
const ARCH: Option<u32> = Some(libc::EM_X86_64 as u32 | WIDE_AND_LITTLE);
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
const ARCH: Option<u32> = Some(libc::EM_AARCH64 as u32 | WIDE_AND_LITTLE);
/// Without it a call's number means nothing: nothing is forbidden there, and `check` says so.
#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little"))))]
const ARCH: Option<u32> = None;
/// __AUDIT_ARCH_64BIT and __AUDIT_ARCH_LE.
#[allow(dead_code, reason = "on other architectures")]
const WIDE_AND_LITTLE: u32 = 0x8000_0000 | 0x4000_0000;
/// __X32_SYSCALL_BIT: on x86-64, another set of numbers for the same calls, of the same architecture.
const X32: Option<u32> = if cfg!(target_arch = "x86_64") { Some(0x4000_0000) } else { None };

/// Whether system calls can be forbidden on the architecture that this was built for.
pub const KNOWN: bool = ARCH.is_some();

/// Has this thread, and those that it starts, get EPERM for each of them from now on. Takes no_new_privs.
///
/// # Errors
/// The kernel refuses. That it has no such filters is none; nor that this is an architecture whose calls are not known here.
pub(super) fn forbid() -> io::Result<()> {
    let Some(arch) = ARCH else { return Ok(()) };
    let mut code = filter(arch);
    let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_mut_ptr() };
    // Without that flag, before Linux 5.16 this thread would be slowed down as if it ran somebody else's code (commit
    // 2f46993d83ff).
    // SAFETY: the kernel copies the program, which outlives the call and has the length that it says.
    let done = unsafe {
        libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &raw const program)
    };
    match Errno::result(done) {
        Ok(_) | Err(Errno::ENOSYS | Errno::EINVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// cBPF over `struct seccomp_data`.
fn filter(arch: u32) -> Vec<sock_filter> {
    let load = |offset: usize| statement(BPF_LD | BPF_W | BPF_ABS, offset as u32);
    let refuse = statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | libc::EPERM as u32);
    // Each comparison skips what is in front of its refusal, or the refusal.
    let mut code = vec![load(offset_of!(libc::seccomp_data, arch)), jump(BPF_JEQ, arch, 1, 0), refuse];
    code.push(load(offset_of!(libc::seccomp_data, nr)));
    code.extend(X32.into_iter().flat_map(|x32| [jump(BPF_JGE, x32, 0, 1), refuse]));
    code.extend(FORBIDDEN.iter().flat_map(|number| [jump(BPF_JEQ, *number as u32, 0, 1), refuse]));
    code.push(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    code
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Skips so many instructions where it holds, and where it doesn't.
fn jump(compare: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | compare | BPF_K) as u16, jt, jf, k }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::thread;

    use super::*;

    #[test]
    fn what_is_forbidden_is_refused_and_nothing_else_and_in_this_thread_alone() {
        let chroot = || Errno::result(unsafe_chroot()).unwrap_err();
        let there = thread::spawn(move || {
            assert_eq!(chroot(), Errno::ENOENT);
            nix::sys::prctl::set_no_new_privs().unwrap();
            forbid().unwrap();
            assert!(fs::read("/proc/self/stat").is_ok());
            chroot()
        });
        assert_eq!(there.join().unwrap(), if KNOWN { Errno::EPERM } else { Errno::ENOENT });
    }

    /// To nowhere.
    fn unsafe_chroot() -> libc::c_int {
        // SAFETY: the path is a C string.
        unsafe { libc::chroot(c"/nowhere".as_ptr()) }
    }
}
