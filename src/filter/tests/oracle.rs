//! libpcap's own verdict.

use std::ffi::{c_int, c_uint};

use crate::filter::Classic;

unsafe extern "C" {
    fn bpf_filter(program: *const Classic, packet: *const u8, length: c_uint, linear: c_uint) -> c_uint;
    fn bpf_validate(program: *const Classic, length: c_int) -> c_int;
}

/// Whether libpcap's interpreter takes this program.
pub fn is_valid(program: &[Classic]) -> bool {
    // SAFETY: the program lives as long as the call, and the number is its length.
    unsafe { bpf_validate(program.as_ptr(), program.len() as c_int) != 0 }
}

/// Whether a packet is accepted of which `linear` is what can be read, and `length` the whole length.
pub fn accepts(program: &[Classic], linear: &[u8], length: u32) -> bool {
    assert!(is_valid(program), "{program:?}");
    // SAFETY: the program is valid, and it and the packet live as long as the call.
    unsafe { bpf_filter(program.as_ptr(), linear.as_ptr(), length, linear.len() as c_uint) != 0 }
}
