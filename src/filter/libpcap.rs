//! The few functions of libpcap that a filter needs: its compiler, and its words for what it made.

use std::ffi::{CStr, CString, c_char, c_int, c_uint};
use std::ptr::NonNull;
use std::slice;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Classic;

/// `pcap_t`, whose inside is libpcap's own.
#[repr(C)]
struct Handle {
    _opaque: [u8; 0],
}

/// `struct bpf_program`.
#[repr(C)]
struct RawProgram {
    length: c_uint,
    instructions: *mut Classic,
}

#[cfg_attr(feature = "static-libpcap", link(name = "pcap", kind = "static"))]
#[cfg_attr(not(feature = "static-libpcap"), link(name = "pcap"))]
unsafe extern "C" {
    fn pcap_open_dead(link_type: c_int, snap_length: c_int) -> *mut Handle;
    fn pcap_compile(
        handle: *mut Handle,
        program: *mut RawProgram,
        expression: *const c_char,
        optimise: c_int,
        netmask: u32,
    ) -> c_int;
    fn pcap_geterr(handle: *mut Handle) -> *mut c_char;
    fn pcap_freecode(program: *mut RawProgram);
    fn pcap_close(handle: *mut Handle);
    fn bpf_filter(program: *const Classic, packet: *const u8, length: c_uint, captured: c_uint) -> c_uint;
    fn bpf_image(instruction: *const Classic, number: c_int) -> *mut c_char;
}

/// `DLT_EN10MB`: XDP programs see Ethernet frames.
const ETHERNET: c_int = 1;

/// Any that is not zero would do: it is only what an accepting filter returns.
const SNAP_LENGTH: c_int = 65535;

/// `PCAP_NETMASK_UNKNOWN`: `ip broadcast` is then refused instead of meaning something else.
const NO_NETMASK: u32 = 0xffff_ffff;

/// libpcap's compiler kept its state in global variables until 1.8, and `bpf_image` has a static buffer to this day.
static TURN: Mutex<()> = Mutex::new(());

fn take_turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// libpcap's optimiser takes time with the cube of the length: some 15 s for this many instructions.
const MOST_TO_OPTIMISE: usize = 20_000;

/// What libpcap makes of `expression` for Ethernet, optimised if asked for, or its own words on why it makes nothing of it.
///
/// # Errors
/// libpcap's words: the expression is wrong, too long to be optimised, or there is no memory.
pub(super) fn compile(expression: &CStr, optimise: bool) -> Result<Vec<Classic>, String> {
    let _turn = take_turn();
    let compiler = Compiler::open().ok_or("libpcap is out of memory")?;
    let program = compiler.compile(expression, false)?;
    if !optimise {
        return Ok(program);
    }
    let size = program.len();
    if size > MOST_TO_OPTIMISE {
        return Err(format!(
            "it is too long: {size} instructions before they are optimised, and more than {MOST_TO_OPTIMISE} take minutes"
        ));
    }
    compiler.compile(expression, true)
}

/// Whether `program`, which is one that [`compile`] made, accepts a packet of this length of which `bytes` are the first.
pub(super) fn accepts(program: &[Classic], bytes: &[u8], length: u32) -> bool {
    let captured = c_uint::try_from(bytes.len()).unwrap_or(c_uint::MAX);
    // SAFETY: libpcap runs its own program, which ends and whose jumps stay in it, and reads no more than `captured` bytes.
    program.is_empty() || unsafe { bpf_filter(program.as_ptr(), bytes.as_ptr(), length, captured) } != 0
}

/// `tcpdump -d`'s line for instruction `number` of a program.
pub(super) fn image(instruction: &Classic, number: usize) -> String {
    let _turn = take_turn();
    // SAFETY: `instruction` lives as long as the call, whose result is copied out of libpcap's buffer in our turn.
    unsafe { words(bpf_image(instruction, c_int::try_from(number).unwrap_or(c_int::MAX))) }
}

/// # Safety
/// `text` is a string of C's, or null.
unsafe fn words(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: it isn't null, so it is a string of C's, as our caller promises; it is copied at once.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// A `pcap_t` that is good for compiling only.
struct Compiler(NonNull<Handle>);

impl Compiler {
    fn open() -> Option<Self> {
        // SAFETY: takes numbers only.
        NonNull::new(unsafe { pcap_open_dead(ETHERNET, SNAP_LENGTH) }).map(Self)
    }

    fn compile(&self, expression: &CStr, optimise: bool) -> Result<Vec<Classic>, String> {
        let mut program = RawProgram { length: 0, instructions: std::ptr::null_mut() };
        // SAFETY: the handle is open, and the other two pointers are good for the length of the call.
        let status =
            unsafe { pcap_compile(self.0.as_ptr(), &mut program, expression.as_ptr(), optimise.into(), NO_NETMASK) };
        if status != 0 {
            // SAFETY: the text lies in the handle, which is open.
            return Err(unsafe { words(pcap_geterr(self.0.as_ptr())) });
        }
        // SAFETY: pcap_compile filled it in and said so.
        let instructions = unsafe { copy(&program) };
        // SAFETY: it came from pcap_compile, is freed once, and nothing points into it any more.
        unsafe { pcap_freecode(&mut program) };
        Ok(instructions)
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        // SAFETY: it is open, and nobody else has it.
        unsafe { pcap_close(self.0.as_ptr()) };
    }
}

/// # Safety
/// `program` is as pcap_compile leaves it.
unsafe fn copy(program: &RawProgram) -> Vec<Classic> {
    if program.instructions.is_null() {
        return Vec::new();
    }
    // SAFETY: it points at `length` instructions, as our caller promises.
    unsafe { slice::from_raw_parts(program.instructions, program.length as usize) }.to_vec()
}

/// `expression` as C has it. None where it holds a NUL.
pub(super) fn c_string(expression: &str) -> Option<CString> {
    CString::new(expression).ok()
}
