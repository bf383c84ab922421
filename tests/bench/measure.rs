//! Instructions per packet, by the kernel's own test run on a machine whose clock counts instructions.

use std::fs;

use anyhow::{Context, Result, ensure};
use libbpf_rs::ProgramInput;

use crate::frame::Frame;
use crate::nic::{self, Target};

/// How many times each figure is measured.
pub const ROUNDS: usize = 5;
/// How many of those must agree: a tick of the clock falls into some of the others.
const AGREEING: usize = 3;
/// By how much those may differ, in percent of the smallest.
const VARIATION: u32 = 2;

/// Refuses a processor on which the figures mean something else: with ERMS the kernel copies by `rep movsb`, of which
/// every byte counts as an instruction.
pub fn check_processor() -> Result<()> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("failed to read /proc/cpuinfo")?;
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).context("no CPU flags")?;
    let flags = flags.split_once(':').map_or("", |(_, flags)| flags.trim());
    eprintln!("CPU flags: {flags}");
    ensure!(!flags.split(' ').any(|flag| flag == "erms"), "this CPU model has erms: boot with -cpu qemu64");
    let cpus = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    ensure!(cpus == 1, "{cpus} processors: boot with --cpus 1");
    Ok(())
}

/// One test run: instructions per packet.
pub fn instructions(target: &Target, frame: &Frame) -> Result<u32> {
    let length = frame.bytes.len() as u32;
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex. Tracers check the NIC.
    let context = [0, length, 0, nic::ifindex()?, 0, 0];
    let mut context: Vec<u8> = context.iter().flat_map(|field| field.to_ne_bytes()).collect();
    let input = ProgramInput {
        context_in: Some(&mut context),
        data_in: Some(&frame.bytes),
        repeat: frame.repeat,
        ..ProgramInput::default()
    };
    let output = target.program()?.test_run(input).context("failed to run the program")?;
    Ok(output.duration.as_nanos() as u32)
}

/// The smallest of several; Err where they don't agree. `between` gives the tracer time to read.
pub fn steady(target: &Target, frame: &Frame, between: impl Fn() -> Result<()>) -> Result<u32> {
    let mut figures = Vec::new();
    for _ in 0..ROUNDS {
        figures.push(instructions(target, frame)?);
        between()?;
    }
    eprintln!("    {figures:?}");
    figures.sort_unstable();
    let (least, most) = (figures[0], figures[AGREEING - 1]);
    ensure!((most - least) * 100 <= least * VARIATION, "not steady: {figures:?}");
    Ok(least)
}
