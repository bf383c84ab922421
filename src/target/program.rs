//! A loaded BPF program and the function that the kernel enters it by.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result, anyhow};
use libbpf_rs::btf::{Btf, BtfType, TypeId};
use libbpf_rs::{ErrorKind, Program as LibbpfProgram, libbpf_sys};

use crate::failure::Failure;

/// A loaded BPF program, held open.
///
/// Holding it keeps it and its maps in memory, also once the device has another.
#[derive(Debug)]
pub struct Program {
    /// Program id.
    pub id: u32,
    /// Name of its entry function, whole: `bpf_prog_info.name` is cut at 15 characters.
    pub function: String,
    fd: OwnedFd,
}

impl Program {
    /// Opens program `id` and resolves its entry function from its BTF. Needs CAP_SYS_ADMIN.
    ///
    /// # Errors
    /// The program is gone, or it has no BTF.
    pub fn open(id: u32) -> Result<Self> {
        let fd = LibbpfProgram::fd_from_id(id).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::no_target(format!("XDP program {id} is gone: it was replaced just now")),
            _ => anyhow!("failed to open XDP program {id}: {error:#}"),
        })?;
        let function = entry_function(fd.as_fd()).with_context(|| format!("failed to read the BTF of program {id}"))?;
        let function = function.ok_or_else(|| {
            Failure::no_target(format!("XDP program {id} has no BTF, so it cannot be traced: rebuild it with clang -g"))
        })?;
        Ok(Self { id, function, fd })
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// func_info[0] → BTF type → name: the function at instruction 0, by the name its author gave it. None without BTF.
fn entry_function(program: BorrowedFd<'_>) -> Result<Option<String>> {
    let mut first = libbpf_sys::bpf_func_info::default();
    // One record: the kernel fills as many as there is room for, and returns how many there are.
    let mut info = libbpf_sys::bpf_prog_info {
        nr_func_info: 1,
        func_info_rec_size: size_of_val(&first) as u32,
        func_info: (&raw mut first).expose_provenance() as u64,
        ..Default::default()
    };
    let mut size = size_of_val(&info) as u32;
    // SAFETY: `info` and `size` outlive the call, and `info` points to room for the one record that it announces.
    let errno = unsafe { libbpf_sys::bpf_obj_get_info_by_fd(program.as_raw_fd(), (&raw mut info).cast(), &mut size) };
    if errno < 0 {
        return Err(io::Error::from_raw_os_error(-errno).into());
    }
    if info.btf_id == 0 || info.nr_func_info == 0 {
        return Ok(None);
    }
    let btf = Btf::from_prog_id(info.id)?;
    let function: BtfType<'_> = btf
        .type_by_id(TypeId::from(first.type_id))
        .ok_or_else(|| anyhow!("its function information names BTF type {}, which is not there", first.type_id))?;
    Ok(function.name().map(|name| name.to_string_lossy().into_owned()))
}
