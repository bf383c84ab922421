//! The translated code in our interpreter against libpcap's own.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use xdptrace::filter::{self, Classic, Insn, Layout};

use crate::expressions::expressions;
use crate::interpreter::{self, Instruction};
use crate::libpcap::{self, NETMASK_UNKNOWN};
use crate::packets::{Packet, corpus};
use crate::view::LAYOUT;

/// The instructions that src/bpf keeps free.
const SLED: usize = 2048;

impl From<Insn> for Instruction {
    fn from(insn: Insn) -> Self {
        Self { code: insn.code, target: insn.dst, source: insn.src, offset: insn.off, immediate: insn.imm }
    }
}

fn classic(program: &[libpcap::Instruction]) -> Vec<Classic> {
    program.iter().map(|&libpcap::Instruction { code, jt, jf, k }| Classic { code, jt, jf, k }).collect()
}

pub fn interpretable(insns: Vec<Insn>) -> Vec<Instruction> {
    insns.into_iter().map(Instruction::from).collect()
}

/// What `translated` does otherwise than libpcap's `own`.
fn differences(
    name: &str,
    own: &[libpcap::Instruction],
    translated: &[Instruction],
    packets: &[Packet],
) -> Vec<String> {
    let compare = |packet: &Packet| {
        let expected = Ok(libpcap::accepts(own, packet));
        let found = interpreter::accepts(translated, packet);
        (found != expected).then(|| format!("{name} on {}: {found:?}, not {expected:?}", packet.name))
    };
    packets.iter().filter_map(compare).collect()
}

/// Does `check` for each item, in as many threads as there are processors.
pub fn everywhere<T: Sync>(items: &[T], check: impl Fn(&T) -> Vec<String> + Sync) -> Vec<String> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let check = &check;
    thread::scope(|scope| {
        let parts = items.chunks(items.len().div_ceil(threads).max(1));
        let running: Vec<_> = parts.map(|part| scope.spawn(|| part.iter().flat_map(check).collect())).collect();
        running.into_iter().flat_map(|part| -> Vec<String> { part.join().unwrap() }).collect()
    })
}

fn report(what: &str, programs: usize, packets: usize, differences: &[String]) {
    let pairs = programs * packets;
    println!("{programs} {what}, {packets} packets, {pairs} pairs, {} differences", differences.len());
    assert!(differences.is_empty(), "{:#?}", &differences[..differences.len().min(20)]);
}

#[test]
fn expressions_agree_with_libpcap() {
    let (expressions, packets) = (expressions(), corpus());
    let found = everywhere(&expressions, |expression| {
        let own = libpcap::compile(expression, true, NETMASK_UNKNOWN).unwrap();
        let program = filter::compile(expression).unwrap();
        let code = filter::translate(program.instructions(), &LAYOUT).unwrap();
        let mut found = differences(expression, &own, &interpretable(code.instructions().unwrap()), &packets);
        // Behind the code, nothing of the sled may matter; the packets of one kind suffice to see that.
        let filled = interpretable(code.fill(SLED).unwrap());
        found.extend(differences(&format!("{expression} in a sled"), &own, &filled, &packets[..100]));
        found
    });
    report("expressions", expressions.len(), packets.len(), &found);
}

/// As the kernel's two places have it: shown no more than the headers at first, and all of it where they are too few.
#[test]
fn first_looks_agree_with_libpcap() {
    const SHORT: u32 = 2;
    let (expressions, packets) = (expressions(), corpus());
    let (answered, short) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let found = everywhere(&expressions, |expression| {
        let own = libpcap::compile(expression, true, NETMASK_UNKNOWN).unwrap();
        let program = filter::compile(expression).unwrap();
        let close = filter::translate(program.instructions(), &LAYOUT).unwrap();
        let mut found = Vec::new();
        let look = close.reach().next_multiple_of(8).clamp(8, 128);
        for least in [8, look, 128] {
            let layout = Layout { least, short: SHORT, ..LAYOUT };
            let quick = interpretable(filter::translate(program.instructions(), &layout).unwrap().fill(SLED).unwrap());
            for packet in packets.iter().filter(|packet| packet.bytes.len() >= least as usize) {
                let expected = u32::from(libpcap::accepts(&own, packet));
                let said = interpreter::answer(&quick, packet, least as usize);
                let counter = if said == Ok(SHORT) { &short } else { &answered };
                counter.fetch_add(usize::from(least == look), Relaxed);
                if said != Ok(SHORT) && said != Ok(expected) {
                    found.push(format!("{expression} at {least} on {}: {said:?}", packet.name));
                }
            }
        }
        found
    });
    report("first looks", 3 * expressions.len(), packets.len(), &found);
    let (answered, short) = (answered.into_inner(), short.into_inner());
    println!("{answered} answered at a look at the headers, {short} not");
    assert!(answered > short);
}

/// Without libpcap's optimiser, the same expressions are other programs: longer, and with more of M[].
#[test]
fn unoptimised_programs_agree_with_libpcap() {
    let (mut expressions, packets) = (expressions(), corpus());
    // The longest are so long then that a jump of eBPF doesn't lead over them.
    expressions.retain(|expression| expression.len() < 1000);
    let found = everywhere(&expressions, |expression| {
        let own = libpcap::compile(expression, false, NETMASK_UNKNOWN).unwrap();
        let code = filter::translate(&classic(&own), &LAYOUT).unwrap();
        differences(expression, &own, &interpretable(code.instructions().unwrap()), &packets)
    });
    report("unoptimised programs", expressions.len(), packets.len(), &found);
}
