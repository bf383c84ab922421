//! The instructions of BPF programs, overwritten before the kernel gets them.
//!
//! Programs call subprograms, whose instructions libbpf puts behind a program's own only when it loads it. For those who want
//! to change instructions it then calls them back, by the name of the program's section: see `libbpf_prog_prepare_load_fn_t`
//! in its libbpf.h. (What would do that before, bpf_object__prepare, is there since libbpf 1.6.)

use std::cell::RefCell;
use std::ffi::{CStr, c_int, c_long};
use std::slice;
use std::sync::Once;

use libbpf_rs::libbpf_sys::{self, bpf_insn, bpf_prog_load_opts, bpf_program};

use super::aim::Filter;
use super::settings::Settings;
use crate::filter::Insn;

/// What is overwritten in a program.
#[derive(Debug, Clone)]
pub(super) struct Changes {
    pub(super) settings: Settings,
    pub(super) filter: Option<Filter>,
}

impl Changes {
    fn make(&self, instructions: &mut [bpf_insn]) {
        self.settings.write(instructions);
        if let Some(filter) = &self.filter {
            filter.place(instructions);
        }
    }
}

thread_local! {
    /// Those that are made while this thread loads programs.
    static CHANGES: RefCell<Option<Changes>> = const { RefCell::new(None) };
}

/// By sections: fentry and fexit, and the programs for tracepoints, of which `flush` is one.
const SECTIONS: [(&CStr, libbpf_sys::bpf_prog_type, libbpf_sys::bpf_attach_type); 3] = [
    (c"fentry/xdp", libbpf_sys::BPF_PROG_TYPE_TRACING, libbpf_sys::BPF_TRACE_FENTRY),
    (c"fexit/xdp", libbpf_sys::BPF_PROG_TYPE_TRACING, libbpf_sys::BPF_TRACE_FEXIT),
    (c"raw_tp+", libbpf_sys::BPF_PROG_TYPE_RAW_TRACEPOINT, 0),
];

/// Has the programs of objects that are opened afterwards be changed by [`load_with`].
pub(super) fn watch_loading() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let options = libbpf_sys::libbpf_prog_handler_opts {
            sz: size_of::<libbpf_sys::libbpf_prog_handler_opts>() as libbpf_sys::size_t,
            prog_prepare_load_fn: Some(prepare),
            ..Default::default()
        };
        for (section, kind, attach_type) in SECTIONS {
            // It fails for want of memory only; the settings are then missing, and the verifier refuses the programs.
            // SAFETY: libbpf copies both, which outlive the call.
            unsafe {
                libbpf_sys::libbpf_register_prog_handler(section.as_ptr(), kind, attach_type, &raw const options);
            }
        }
    });
}

/// Has the programs changed so that `load` loads.
pub(super) fn load_with<T>(changes: Changes, load: impl FnOnce() -> T) -> T {
    CHANGES.set(Some(changes));
    let result = load();
    CHANGES.take();
    result
}

/// What libbpf calls before it loads a program of [`SECTIONS`].
extern "C" fn prepare(program: *mut bpf_program, _options: *mut bpf_prog_load_opts, _cookie: c_long) -> c_int {
    // SAFETY: libbpf's program is its caller's, which does nothing to it meanwhile.
    let instructions = unsafe { instructions_of(program) };
    CHANGES.with_borrow(|changes| changes.iter().for_each(|changes| changes.make(instructions)));
    0
}

/// # Safety
/// The program is there, and nothing else looks at its instructions, as long as these are used.
unsafe fn instructions_of<'program>(program: *mut bpf_program) -> &'program mut [bpf_insn] {
    // SAFETY: libbpf keeps so many instructions there, in memory of its own, from opening to the end of loading.
    unsafe {
        let count = libbpf_sys::bpf_program__insn_cnt(program) as usize;
        slice::from_raw_parts_mut(libbpf_sys::bpf_program__insns(program).cast_mut(), count)
    }
}

/// Puts an instruction in the place of another.
pub(super) fn overwrite(place: &mut bpf_insn, insn: Insn) {
    let Insn { code, dst, src, off, imm } = insn;
    *place = bpf_insn { code, off, imm, ..Default::default() };
    place.set_dst_reg(dst);
    place.set_src_reg(src);
}
