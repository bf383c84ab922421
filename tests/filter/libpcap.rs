//! libpcap itself: its compiler and its own interpreter, called without anything of xdptrace in between.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr;

use super::packets::Packet;

/// `struct bpf_insn` of pcap/bpf.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

#[repr(C)]
struct RawProgram {
    length: c_uint,
    instructions: *mut Instruction,
}

#[link(name = "pcap")]
unsafe extern "C" {
    fn pcap_open_dead(linktype: c_int, snaplen: c_int) -> *mut c_void;
    fn pcap_close(handle: *mut c_void);
    fn pcap_geterr(handle: *mut c_void) -> *const c_char;
    fn pcap_compile(
        handle: *mut c_void,
        program: *mut RawProgram,
        expression: *const c_char,
        optimize: c_int,
        netmask: u32,
    ) -> c_int;
    fn pcap_freecode(program: *mut RawProgram);
    fn bpf_filter(program: *const Instruction, packet: *const u8, length: c_uint, captured: c_uint) -> c_uint;
}

/// `PCAP_NETMASK_UNKNOWN`, with which `ip broadcast` is refused.
pub const NETMASK_UNKNOWN: u32 = u32::MAX;
const DLT_EN10MB: c_int = 1;
/// tcpdump's own.
const SNAPLEN: c_int = 262_144;

/// The program that libpcap makes of `expression` for Ethernet, or what it says against it.
pub fn compile(expression: &str, optimize: bool, netmask: u32) -> Result<Vec<Instruction>, String> {
    let text = CString::new(expression).expect("an expression without NUL");
    let mut raw = RawProgram { length: 0, instructions: ptr::null_mut() };
    // SAFETY: the handle is used between open and close only; `raw` is read only where pcap_compile has filled it.
    unsafe {
        let handle = pcap_open_dead(DLT_EN10MB, SNAPLEN);
        assert!(!handle.is_null(), "pcap_open_dead");
        let compiled = if pcap_compile(handle, &mut raw, text.as_ptr(), c_int::from(optimize), netmask) == 0 {
            let program = std::slice::from_raw_parts(raw.instructions, raw.length as usize).to_vec();
            pcap_freecode(&mut raw);
            Ok(program)
        } else {
            Err(CStr::from_ptr(pcap_geterr(handle)).to_string_lossy().into_owned())
        };
        pcap_close(handle);
        compiled
    }
}

/// libpcap's own verdict on a packet.
pub fn accepts(program: &[Instruction], packet: &Packet) -> bool {
    // SAFETY: pcap_compile made the program, which ends in a return; the lengths are those of the packet.
    unsafe { bpf_filter(program.as_ptr(), packet.bytes.as_ptr(), packet.length, packet.bytes.len() as c_uint) != 0 }
}
