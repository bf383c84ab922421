//! What is attached to BPF programs: EXT (freplace) programs, such as a libxdp dispatcher's components, and tracers.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;

use libbpf_rs::libbpf_sys::{self, bpf_link_info};

use super::object::{self, Info, Kind};

/// A BPF program attached to a function of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attachment {
    /// The link's id.
    pub link: u32,
    /// The attached program's id.
    pub program: u32,
    /// The id of the program that it is attached to.
    pub target: u32,
    /// The BTF type of the function there.
    pub function: u32,
    /// It takes the function's place, as a component of a dispatcher does; otherwise it traces it.
    pub replaces: bool,
}

/// Links by id, once read; None for those that attach nothing to a BPF program.
pub type KnownLinks = HashMap<u32, Option<Attachment>>;

/// All attachments to BPF programs on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attachments {
    known: Vec<Attachment>,
    /// Whether the kernel tells what EXT programs are attached to: it does since 5.13.
    pub told: bool,
}

impl Attachments {
    /// Reads them from the kernel's information on links, but for those that are `known`. Needs CAP_SYS_ADMIN.
    ///
    /// Reading a link holds it for a moment: a loader that closes its XDP link just then, and attaches anew at once,
    /// gets EBUSY. So each link is read once in its life.
    ///
    /// # Errors
    /// Not privileged.
    pub fn read(known: &mut KnownLinks) -> io::Result<Self> {
        let ids = object::ids(Kind::Link)?;
        let mut before = std::mem::take(known);
        for id in ids {
            match before.remove(&id).map_or_else(|| read_link(id), Ok) {
                Ok(link) => {
                    known.insert(id, link);
                }
                // Gone; or still being made, which bpf_link_by_id says so, and so attached to nothing yet.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EAGAIN)) => {}
                Err(error) => return Err(error),
            }
        }
        let attachments = || known.values().flatten().copied();
        let told = attachments().all(|attachment| attachment.target != 0 || !attachment.replaces);
        Ok(Self { known: attachments().filter(|attachment| attachment.target != 0).collect(), told })
    }

    /// The EXT programs that replace functions of program `id`.
    pub fn replacing(&self, id: u32) -> impl Iterator<Item = &Attachment> {
        self.known.iter().filter(move |attachment| attachment.target == id && attachment.replaces)
    }

    /// The tracing programs on functions of program `id`. For a tracer of a kernel function, the kernel gives the id of
    /// a BTF object in the program's place, so that there may seem to be one that isn't.
    pub fn tracing(&self, id: u32) -> impl Iterator<Item = &Attachment> {
        self.known.iter().filter(move |attachment| attachment.target == id && !attachment.replaces)
    }
}

fn read_link(id: u32) -> io::Result<Option<Attachment>> {
    let link = object::open(Kind::Link, id)?;
    let mut info = bpf_link_info::zeroed();
    // Of some links, such as those of perf events, some kernels have nothing to tell.
    if object::fill(link.as_fd(), &mut info).is_err() || info.type_ != libbpf_sys::BPF_LINK_TYPE_TRACING {
        return Ok(None);
    }
    // SAFETY: this is the member that a link of this type fills; any bits are a valid value of its integers.
    let tracing = unsafe { info.__bindgen_anon_1.tracing };
    Ok(Some(Attachment {
        link: info.id,
        program: info.prog_id,
        target: tracing.target_obj_id,
        function: tracing.target_btf_id,
        // A tracing program has its own attach type; an EXT program has none, which is 0.
        replaces: tracing.attach_type == 0,
    }))
}
