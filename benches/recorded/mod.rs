//! Records as they were read from the ring on Linux 6.1 with `bpftool map event_pipe` (samples.bin: each sample behind its length,
//! 32 bits): full batches of a flood through a program that passes everything, and small ones of a ping at one that swaps the
//! addresses.

use std::hint::black_box;
use std::io;
use std::path::Path;
use std::sync::LazyLock;

use xdptrace::bpf::{Records, Told};
use xdptrace::event::Event;
use xdptrace::plan::{Capture, Format, Probes, Rotation};
use xdptrace::sink::Sink;
use xdptrace::target::{Function, Names, Place, Target};

/// The recorded samples.
const RECORDED: &[u8] = include_bytes!("samples.bin");
/// Longer than it took to record them.
const RECORDED_NS: u64 = 5_000_000_000;
/// Bytes of a pass: the ring of one of two CPUs by default, through which the reader goes again and again.
const PASS: usize = 32 << 20;
/// Where they were recorded.
const NETNS: u32 = 4_026_532_271;
/// Devices that have a name, and the one that packets came by.
const DEVICES: u32 = 8;
const IFINDEX: u32 = 2;
pub const TARGET: u32 = 0;
pub const FUNCTION: &str = "xdp_lb";
pub const PROGRAM: u32 = 12;

pub static RING: LazyLock<Ring> = LazyLock::new(Ring::new);

/// A file that is written as `-w` does by itself.
pub fn capture(path: &Path) -> Capture {
    Capture {
        path: path.into(),
        format: Format::Pcapng,
        rotation: Rotation::default(),
        packet_buffered: false,
        reopens: false,
        prints: false,
    }
}

/// A sink that only takes events, and counts them.
pub struct Nowhere(pub u64);

impl Sink for Nowhere {
    fn packet(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.0 += 1;
        black_box(event);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub fn names() -> Names {
    let names: Vec<String> = (1..=DEVICES).map(|ifindex| format!("eth{ifindex}")).collect();
    Names::new(NETNS, (1..).zip(names.iter().map(String::as_str)), &Names::default())
}

pub fn target() -> Target {
    let function = Function {
        name: FUNCTION.to_owned(),
        type_id: 1,
        context: Some(0),
        typed: true,
        parameters: 1,
        returns: true,
        is_static: false,
    };
    Target {
        program: PROGRAM,
        function,
        devices: vec![format!("eth{IFINDEX}")],
        probes: Probes::Both,
        place: Place::Device,
        loaded_ns: 0,
        behind: None,
        root: None,
        is_devices_own: true,
        program_name: FUNCTION.to_owned(),
    }
}

/// Perf samples as they lie in a ring, each behind its header and its size.
pub struct Ring {
    memory: Vec<u64>,
    /// Where each of them begins, and its length.
    samples: Vec<(usize, usize)>,
    /// How many of them are recorded: then they begin anew.
    recorded: usize,
    pub records: usize,
}

impl Ring {
    /// struct perf_event_header, and the sample's size behind it.
    const HEADER: usize = 8 + 4;

    fn new() -> Self {
        let (mut bytes, mut samples, mut records) = (Vec::new(), Vec::new(), 0);
        while bytes.len() < PASS {
            for sample in recorded() {
                bytes.resize(bytes.len() + Self::HEADER, 0);
                samples.push((bytes.len(), sample.len()));
                bytes.extend(sample);
                bytes.resize(bytes.len().next_multiple_of(8), 0);
                records += Records::new(sample).expect("a recorded sample").count();
            }
        }
        let words = bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes")));
        Self { memory: words.collect(), samples, recorded: recorded().count(), records }
    }

    pub fn samples(&self) -> impl Iterator<Item = &[u8]> {
        // SAFETY: integers, all of them initialised.
        let bytes = unsafe { plain::as_bytes(&self.memory[..]) };
        self.samples.iter().map(|(start, length)| &bytes[*start..start + length])
    }

    // Not every bench asks.
    #[allow(dead_code)]
    pub fn bytes(&self) -> usize {
        self.samples.iter().map(|(_, length)| length).sum()
    }

    /// What the reader does with what libbpf gives it. The recorded samples come again and again, but their time goes on, as
    /// it does where so many CPUs are read in turn: each of them tells of the same time, one behind the other.
    pub fn deliver(&self, cpus: usize, deliver: &mut dyn FnMut(&Told<'_>) -> bool) {
        for (number, records) in self.samples().filter_map(Records::new).enumerate() {
            let later_ns = (number / self.recorded / cpus) as u64 * RECORDED_NS;
            for mut told in records {
                told.record.time_ns += later_ns;
                assert!(deliver(&told));
            }
        }
    }
}

fn recorded() -> impl Iterator<Item = &'static [u8]> {
    let mut rest = RECORDED;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk()?;
        let (sample, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
        rest = behind;
        Some(sample)
    })
}
