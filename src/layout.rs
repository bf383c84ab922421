//! The places of the kernel's members that the BPF side reads, looked up once a process.
//!
//! vmlinux.h only names them. Libbpf finds their places in the running kernel's BTF when an object is loaded, which is
//! done for each target, and would read all of that BTF each time: 5 MB, over 100 000 types. It takes another file in
//! its stead, and gets one of a few hundred types.

mod types;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Error, Result};
use libbpf_rs::btf::types::Composite;
use libbpf_rs::btf::{Btf, BtfType};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::bpf;
use crate::failure::Failure;
use crate::kernel;

/// As constant as the kernel that runs.
static LAYOUT: OnceLock<Layout> = OnceLock::new();

/// The file for libbpf's `btf_custom_path`: what the running kernel's BTF says of the types that the BPF side names.
/// Made at the first call, there as long as this process.
///
/// # Errors
/// The kernel has no BTF, or of a kind that is not known here.
pub fn path() -> Result<&'static Path> {
    Ok(&layout()?.path)
}

/// Whether the running kernel's packets may have more buffers than one.
///
/// # Errors
/// As [`path`].
pub fn has_fragments() -> Result<bool> {
    Ok(layout()?.has_fragments)
}

fn layout() -> Result<&'static Layout> {
    if let Some(known) = LAYOUT.get() {
        return Ok(known);
    }
    let layout = Layout::make()?;
    Ok(LAYOUT.get_or_init(|| layout))
}

#[derive(Debug)]
struct Layout {
    path: PathBuf,
    has_fragments: bool,
    // Only to be held: closing it takes the path away.
    _file: File,
}

impl Layout {
    fn make() -> Result<Self> {
        let kernel = fs::read(kernel::BTF).map_err(explain)?;
        let few = extract(&kernel, &bpf::type_names()?)?;
        let file = keep(&few).context("failed to keep the kernel's types in memory: free some")?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let btf = Btf::from_path(&path).context("failed to read the kernel's types")?;
        let buff: Composite<'_> = btf.type_by_name("xdp_buff").context("the kernel has no struct xdp_buff")?;
        let has_fragments = has_member(&btf, &buff, "flags");
        Ok(Self { path, has_fragments, _file: file })
    }
}

fn keep(btf: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("xdptrace-btf", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(btf)?;
    Ok(file)
}

/// Also in what has no name: 7.3 has `flags` in a struct in a union.
fn has_member(btf: &Btf<'_>, of: &Composite<'_>, member: &str) -> bool {
    of.iter().any(|one| match one.name {
        Some(name) => name == member,
        None => {
            let inner = btf.type_by_id::<BtfType<'_>>(one.ty).and_then(|ty| Composite::try_from(ty).ok());
            inner.is_some_and(|inner| has_member(btf, &inner, member))
        }
    })
}

fn explain(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Failure::unable(kernel::NO_BTF),
        _ => Error::new(error).context(format!("failed to read {}", kernel::BTF)),
    }
}

fn extract(btf: &[u8], names: &HashSet<Vec<u8>>) -> Result<Vec<u8>> {
    types::extract(btf, |name| names.contains(name)).ok_or_else(|| {
        Failure::unable(format!("{} is of a format that is not known here: use a newer xdptrace", kernel::BTF))
    })
}

#[cfg(test)]
mod tests;
