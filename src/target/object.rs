//! BPF programs, maps and links as the kernel numbers them: all ids, a descriptor for an id, what the kernel says of it.

use std::ffi::CString;
use std::io;
use std::mem::{self, offset_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libbpf_rs::libbpf_sys;

/// What may be asked for by id. Each needs CAP_SYS_ADMIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A loaded program.
    Program,
    /// A link: a program's attachment.
    Link,
}

/// The ids of all objects of `kind`, in the order in which they were made.
///
/// # Errors
/// Not privileged.
pub fn ids(kind: Kind) -> io::Result<Vec<u32>> {
    let mut ids = Vec::new();
    let mut id = 0;
    loop {
        // SAFETY: `id` outlives the call.
        let errno = unsafe {
            match kind {
                Kind::Program => libbpf_sys::bpf_prog_get_next_id(id, &mut id),
                Kind::Link => libbpf_sys::bpf_link_get_next_id(id, &mut id),
            }
        };
        match -errno {
            0 => ids.push(id),
            libc::ENOENT => return Ok(ids),
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// Opens the object with this id. Holding it keeps it in memory.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] where it is gone; not privileged; no descriptor left.
pub fn open(kind: Kind, id: u32) -> io::Result<OwnedFd> {
    // SAFETY: neither call takes a pointer.
    let fd = unsafe {
        match kind {
            Kind::Program => libbpf_sys::bpf_prog_get_fd_by_id(id),
            Kind::Link => libbpf_sys::bpf_link_get_fd_by_id(id),
        }
    };
    own(fd)
}

/// Opens the object that is pinned at `path` in a BPF file system.
///
/// # Errors
/// There is none, or not permitted.
pub fn open_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` is a C string that outlives the call.
    own(unsafe { libbpf_sys::bpf_obj_get(path.as_ptr()) })
}

/// What a call of libbpf returned: a descriptor that was just made, or a negative errno.
///
/// # Errors
/// It was an errno.
pub fn own(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: the descriptor was just made and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The id of the program behind `fd`.
///
/// # Errors
/// `fd` is no program.
pub fn program_id(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut info = libbpf_sys::bpf_prog_info::zeroed();
    fill(fd, &mut info)?;
    Ok(info.id)
}

/// One of the kernel's `bpf_*_info`.
///
/// # Safety
/// The type is such a structure: plain integers and addresses, valid when all zero.
pub unsafe trait Info: Copy {
    /// All zero, padding included, as kernels older than the structure want what they don't know.
    fn zeroed() -> Self {
        // SAFETY: valid when all zero, as every implementor promises.
        unsafe { mem::zeroed() }
    }
}

// SAFETY: include/uapi/linux/bpf.h.
unsafe impl Info for libbpf_sys::bpf_prog_info {}
// SAFETY: include/uapi/linux/bpf.h.
unsafe impl Info for libbpf_sys::bpf_link_info {}

/// Has the kernel fill `info` of the object behind `fd`. Every address in it must be null or point to as much room as
/// the count beside it says.
///
/// # Errors
/// The object is of another kind, or not permitted.
pub fn fill<T: Info>(fd: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    fill_known(fd, info).map(drop)
}

/// As [`fill`], and says how many bytes of `info` this kernel knows.
fn fill_known<T: Info>(fd: BorrowedFd<'_>, info: &mut T) -> io::Result<usize> {
    let mut size = size_of::<T>() as u32;
    // SAFETY: `info` and `size` outlive the call, and say how long they are; addresses within are the caller's promise.
    let errno = unsafe { libbpf_sys::bpf_obj_get_info_by_fd(fd.as_raw_fd(), (info as *mut T).cast(), &mut size) };
    if errno < 0 { Err(io::Error::from_raw_os_error(-errno)) } else { Ok(size as usize) }
}

/// How often the kernel left out a tracing program because it was at work on that CPU already; None: it doesn't tell
/// (before 5.12).
pub fn recursion_misses(fd: BorrowedFd<'_>) -> Option<u64> {
    let mut info = libbpf_sys::bpf_prog_info::zeroed();
    let known = fill_known(fd, &mut info).ok()?;
    (known >= offset_of!(libbpf_sys::bpf_prog_info, recursion_misses) + size_of::<u64>())
        .then_some(info.recursion_misses)
}
