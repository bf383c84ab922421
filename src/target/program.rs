//! A loaded BPF program as the kernel describes it: plain data, read once.

use std::ffi::CStr;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use libbpf_rs::btf::Btf;
use libbpf_rs::libbpf_sys::{self, bpf_func_info, bpf_prog_info};

use super::function::Function;
use super::object::{self, Info, Kind};

/// A loaded BPF program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// Program id.
    pub id: u32,
    /// Program type, as `enum bpf_prog_type` numbers it.
    pub kind: u32,
    /// The kernel's name for it: at most 15 characters.
    pub name: String,
    /// Digest of its instructions, as `bpftool prog` prints it.
    pub tag: [u8; 8],
    /// When it was loaded: nanoseconds of CLOCK_BOOTTIME.
    pub loaded_ns: u64,
    /// Whether it was compiled to machine code.
    pub jited: bool,
    /// The NIC's hardware runs it.
    pub offloaded: bool,
    /// Ids of the maps that it uses.
    pub maps: Vec<u32>,
    /// Its functions, the entry function first; none without BTF.
    pub functions: Vec<Function>,
}

impl Program {
    /// Reads program `id`. Needs CAP_SYS_ADMIN.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where it is gone.
    pub fn read(id: u32) -> io::Result<Self> {
        Self::read_open(object::open(Kind::Program, id)?.as_fd())
    }

    /// Reads the program behind `fd`.
    ///
    /// # Errors
    /// `fd` is no program.
    pub fn read_open(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let mut counts = bpf_prog_info::zeroed();
        object::fill(fd, &mut counts)?;
        let mut maps = vec![0u32; counts.nr_map_ids as usize];
        let mut functions = vec![bpf_func_info::default(); counts.nr_func_info as usize];
        let mut info = bpf_prog_info::zeroed();
        info.nr_map_ids = counts.nr_map_ids;
        info.map_ids = maps.as_mut_ptr().expose_provenance() as u64;
        info.nr_func_info = counts.nr_func_info;
        info.func_info_rec_size = size_of::<bpf_func_info>() as u32;
        info.func_info = functions.as_mut_ptr().expose_provenance() as u64;
        object::fill(fd, &mut info)?;
        let functions = read_functions(&info, &functions)?;
        Ok(Self {
            id: info.id,
            kind: info.type_,
            name: name(&info),
            tag: info.tag,
            loaded_ns: info.load_time,
            jited: info.jited_prog_len > 0,
            offloaded: info.ifindex > 0,
            functions,
            maps,
        })
    }

    /// The function that the kernel enters it by. None without BTF.
    pub fn entry(&self) -> Option<&Function> {
        self.functions.first()
    }

    /// Its name: the entry function's, whole, else the kernel's.
    pub fn full_name(&self) -> &str {
        self.entry().map_or(&self.name, |entry| &entry.name)
    }

    /// Its type as bpftool names it: `xdp`, `sched_cls`, `tracing`.
    pub fn kind_name(&self) -> String {
        // SAFETY: the call takes a number, and returns null or a static string.
        let name = unsafe {
            let name = libbpf_sys::libbpf_bpf_prog_type_str(self.kind);
            (!name.is_null()).then(|| CStr::from_ptr(name))
        };
        name.map_or_else(|| self.kind.to_string(), |name| name.to_string_lossy().into_owned())
    }
}

impl Display for Program {
    /// `xdp_lb#12`, such that it cannot command a terminal.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.full_name().escape_default(), self.id)
    }
}

fn name(info: &bpf_prog_info) -> String {
    let bytes: Vec<u8> = info.name.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// func_info → BTF type → name and parameters. None where there is no BTF.
fn read_functions(info: &bpf_prog_info, functions: &[bpf_func_info]) -> io::Result<Vec<Function>> {
    if info.btf_id == 0 || functions.is_empty() {
        return Ok(Vec::new());
    }
    let btf = Btf::from_prog_id(info.id).map_err(io::Error::other)?;
    Ok(functions.iter().map_while(|function| Function::read(&btf, function.type_id)).collect())
}
