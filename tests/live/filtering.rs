//! The translated filter in the kernel against libpcap's own verdict. tests/filter does the same without a kernel.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Instant;

use libbpf_rs::libbpf_sys as sys;
use xdptrace::filter::{self, Insn};

use expressions::expressions;
use packets::{Packet, corpus};

use crate::lab::kernel;

#[path = "../filter/expressions/mod.rs"]
mod expressions;
#[path = "../filter/libpcap.rs"]
mod libpcap;
#[path = "../filter/packets/mod.rs"]
mod packets;
#[path = "../filter/view.rs"]
mod view;

/// The instructions that src/bpf keeps free.
const SLED: usize = 2048;

/// What the program returns where there is no packet with its number.
const NO_PACKET: i32 = 77;

/// What a call of libbpf returned: a descriptor, or an error where it is negative.
fn descriptor(what: &str, fd: c_int) -> OwnedFd {
    assert!(fd >= 0, "{what}: {}", io::Error::from_raw_os_error(-fd));
    // SAFETY: it is a new one, and ours.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A map that holds each packet's view and, behind it, its bytes.
fn packet_map(packets: &[Packet]) -> OwnedFd {
    let longest = packets.iter().map(|packet| packet.bytes.len()).max().unwrap();
    let size = (view::SIZE + longest).next_multiple_of(8);
    let (kind, count) = (sys::BPF_MAP_TYPE_ARRAY, packets.len() as u32);
    // SAFETY: the name is a constant, and there are no options.
    let map = unsafe { sys::bpf_map_create(kind, c"packets".as_ptr(), 4, size as u32, count, ptr::null()) };
    let map = descriptor("bpf_map_create", map);
    for (key, packet) in (0_u32..).zip(packets) {
        // The address of the bytes is for the program to write.
        let mut value = view::view(packet, 0).to_vec();
        value.extend(&packet.bytes);
        value.resize(size, 0);
        let (key, value) = ((&raw const key).cast(), value.as_ptr().cast());
        // SAFETY: key and value are as long as the map's.
        let done = unsafe { sys::bpf_map_update_elem(map.as_raw_fd(), key, value, sys::BPF_ANY.into()) };
        assert_eq!(done, 0, "{}", packet.name);
    }
    map
}

/// Loads a program that filters the packet whose number is the first word of its context.
fn filtering(map: &OwnedFd, sled: &[Insn]) -> OwnedFd {
    let insn = |code, dst, src, off, imm| Insn { code, dst, src, off, imm };
    let exit = insn(0x95, 0, 0, 0, 0);
    let find_view = [
        // *(u32 *)(r10 - 4) = *(u64 *)(r1 + 0)
        insn(0x79, 2, 1, 0, 0),
        insn(0x63, 10, 2, -4, 0),
        // r0 = bpf_map_lookup_elem(map, r10 - 4)
        insn(0x18, 1, 1, 0, map.as_raw_fd()),
        insn(0x00, 0, 0, 0, 0),
        insn(0xbf, 2, 10, 0, 0),
        insn(0x07, 2, 0, 0, -4),
        insn(0x85, 0, 0, 0, 1),
        // if r0 == 0 return NO_PACKET
        insn(0x55, 0, 0, 2, 0),
        insn(0xb7, 0, 0, 0, NO_PACKET),
        exit,
        // r1 = r0; r3 = r1->linear, which the filter doesn't know; r1->data = r0 + SIZE
        insn(0xbf, 1, 0, 0, 0),
        insn(0x61, 3, 1, view::LINEAR as i16, 0),
        insn(0x07, 0, 0, 0, view::SIZE as i32),
        insn(0x7b, 1, 0, view::DATA as i16, 0),
    ];
    load(&[&find_view, sled, &[exit]].concat())
}

fn load(program: &[Insn]) -> OwnedFd {
    let words: Vec<u64> = program.iter().map(|insn| insn.to_u64()).collect();
    let (name, license) = (c"filtering".as_ptr(), c"GPL".as_ptr());
    let (insns, count) = (words.as_ptr().cast(), words.len() as sys::size_t);
    let kind = sys::BPF_PROG_TYPE_RAW_TRACEPOINT;
    // SAFETY: a `struct bpf_insn` is 8 bytes, and there are `count` of them.
    let fd = unsafe { sys::bpf_prog_load(kind, name, license, insns, count, ptr::null_mut()) };
    descriptor("bpf_prog_load", fd)
}

/// Whether a program accepts the packet with this number.
fn accepts(program: &OwnedFd, number: u64) -> bool {
    let mut run = sys::bpf_test_run_opts {
        sz: size_of::<sys::bpf_test_run_opts>() as sys::size_t,
        ctx_in: (&raw const number).cast::<c_void>(),
        ctx_size_in: size_of_val(&number) as u32,
        ..Default::default()
    };
    // SAFETY: the context lives as long as the call, and is as long as it is told.
    let done = unsafe { sys::bpf_prog_test_run_opts(program.as_raw_fd(), &mut run) };
    assert_eq!(done, 0, "packet {number}: {}", io::Error::from_raw_os_error(-done));
    assert_ne!(run.retval, NO_PACKET as u32, "packet {number}");
    run.retval != 0
}

/// A quarter of them, another one on each line: a guest that is emulated takes its time, and tests/filter has them all.
fn packets() -> Vec<Packet> {
    let line = [(6, 1), (6, 12), (7, 0)].iter().filter(|first| kernel() >= **first).count();
    corpus().into_iter().skip(line).step_by(4).collect()
}

/// What came of an expression.
struct Outcome {
    /// libpcap accepts some packets and rejects others.
    divides: bool,
    /// Where the kernel says something else.
    differences: Vec<String>,
}

fn outcome(number: usize, expression: &str, map: &OwnedFd, packets: &[Packet]) -> Outcome {
    let own = libpcap::compile(expression, true, libpcap::NETMASK_UNKNOWN).unwrap();
    let expected: Vec<bool> = packets.iter().map(|packet| libpcap::accepts(&own, packet)).collect();
    let program = filter::compile(expression).unwrap();
    let code = filter::translate(program.instructions(), &view::LAYOUT).unwrap();
    // The verifier looks at what is left of a sled, too: for the short ones, every fourth shows enough.
    let in_a_sled = number % 4 == 0 || code.size() > 300;
    let program = filtering(map, &if in_a_sled { code.fill(SLED) } else { code.instructions() }.unwrap());
    let differs = |(number, expected): &(u64, &bool)| accepts(&program, *number) != **expected;
    let differences = (0..).zip(&expected).filter(differs);
    Outcome {
        divides: expected.contains(&true) && expected.contains(&false),
        differences: differences
            .map(|(number, _)| format!("{expression} on {}", packets[number as usize].name))
            .collect(),
    }
}

#[test]
fn expressions_agree_with_libpcap() {
    let begin = Instant::now();
    let (expressions, packets) = (expressions(), packets());
    let map = packet_map(&packets);
    let outcome = |(number, expression): (usize, &String)| outcome(number, expression, &map, &packets);
    let outcomes: Vec<_> = expressions.iter().enumerate().map(outcome).collect();
    let differences: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.differences).collect();
    let dividing = outcomes.iter().filter(|outcome| outcome.divides).count();
    println!(
        "{} expressions ({dividing} accept a packet and reject another), {} packets, {} pairs, {} differences, {:.1} s",
        expressions.len(),
        packets.len(),
        expressions.len() * packets.len(),
        differences.len(),
        begin.elapsed().as_secs_f64()
    );
    assert!(dividing >= 200);
    assert!(differences.is_empty(), "{:#?}", &differences[..differences.len().min(20)]);
}
