//! What is attached to BPF programs: EXT (freplace) programs, such as a libxdp dispatcher's components, and tracers.

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

/// All attachments to BPF programs on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attachments {
    known: Vec<Attachment>,
    /// Whether the kernel tells what EXT programs are attached to: it does since 5.13.
    pub told: bool,
}

impl Attachments {
    /// Reads them from the kernel's information on links. Needs CAP_SYS_ADMIN.
    ///
    /// # Errors
    /// Not privileged.
    pub fn read() -> io::Result<Self> {
        let mut attachments = Self { known: Vec::new(), told: true };
        for id in object::ids(Kind::Link)? {
            match read_link(id) {
                Ok(Some(attachment)) if attachment.target == 0 => attachments.told &= !attachment.replaces,
                Ok(Some(attachment)) => attachments.known.push(attachment),
                Ok(None) => {}
                // Gone; or still being made, which bpf_link_by_id says so, and so attached to nothing yet.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EAGAIN)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(attachments)
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
    object::fill(link.as_fd(), &mut info)?;
    if info.type_ != libbpf_sys::BPF_LINK_TYPE_TRACING {
        return Ok(None);
    }
    // SAFETY: this is the member that a link of this type fills; any bits are a valid value of its integers.
    let tracing = unsafe { info.__bindgen_anon_1.tracing };
    Ok(Some(Attachment {
        link: info.id,
        program: info.prog_id,
        target: tracing.target_obj_id,
        function: tracing.target_btf_id,
        replaces: !TRACING.contains(&tracing.attach_type),
    }))
}

/// What a tracing program's attach type can be; an EXT program has none, which is 0.
const TRACING: [u32; 4] = [
    libbpf_sys::BPF_TRACE_FENTRY,
    libbpf_sys::BPF_TRACE_FEXIT,
    libbpf_sys::BPF_MODIFY_RETURN,
    libbpf_sys::BPF_TRACE_RAW_TP,
];
