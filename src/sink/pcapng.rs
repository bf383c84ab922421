//! pcapng, for Wireshark and tcpdump: a packet before and after the program is two, on two interfaces.

mod block;

use std::io::{self, ErrorKind, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use self::block::{Block, Kind};
use super::{Notice, Sink, tell};
use crate::event::{Counts, Event, Frame};

/// Writes a pcapng file of one section: `eth0:xdp_lb()@fentry` is an interface of it, and so is `eth0:xdp_lb()@fexit`.
#[derive(Debug)]
pub struct Pcapng<W> {
    out: W,
    snap_len: u32,
    /// Whole blocks that aren't written yet.
    blocks: Vec<u8>,
    /// Those that are described in the file, by their number there.
    interfaces: Vec<Interface>,
    /// What came of targets that were let go of before the end.
    told: Vec<(String, Counts)>,
}

/// One end of a function on a device.
#[derive(Debug, PartialEq, Eq)]
struct Interface {
    device: Option<String>,
    function: String,
    end: End,
}

/// Where a packet was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Entry,
    Exit,
}

/// Options by their codes, which the kinds of blocks share out anew.
mod code {
    pub const COMMENT: u16 = 1;
    pub const SHB_USERAPPL: u16 = 4;
    pub const IF_NAME: u16 = 2;
    pub const IF_TSRESOL: u16 = 9;
    pub const EPB_FLAGS: u16 = 2;
    pub const EPB_PACKETID: u16 = 5;
    pub const EPB_QUEUE: u16 = 6;
    pub const EPB_VERDICT: u16 = 7;
    pub const ISB_IFRECV: u16 = 4;
    pub const ISB_IFDROP: u16 = 5;
}

/// What a reader finds, in its own byte order, in files of its byte order.
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Its section's length is not told.
const UNKNOWN_LENGTH: u64 = u64::MAX;
const LINK_TYPE_ETHERNET: u16 = 1;
/// Times are in units of 10⁻⁹ s.
const NANOSECONDS: u8 = 9;
const INBOUND: u32 = 1;
/// The verdict is that of an XDP program: a 64-bit integer follows.
const VERDICT_OF_XDP: u8 = 2;

const USER_APPLICATION: &str = concat!("xdptrace ", env!("CARGO_PKG_VERSION"));
const COMMENT: &str = "packets as an XDP program got them (@fentry) and as it left them (@fexit): the two of one run have the \
                       same packet id";

impl<W: Write> Pcapng<W> {
    /// Writes to `out`; `snap_len` is how many bytes of a packet are kept, at most. It is the same for all interfaces, for
    /// libpcap reads no file in which it isn't.
    pub fn new(out: W, snap_len: u32) -> Self {
        let mut blocks = Vec::new();
        Block::new(&mut blocks, Kind::SectionHeader)
            .u32(BYTE_ORDER_MAGIC)
            .u16(1)
            .u16(0)
            .u64(UNKNOWN_LENGTH)
            .option(code::COMMENT, COMMENT.as_bytes())
            .option(code::SHB_USERAPPL, USER_APPLICATION.as_bytes())
            .end();
        Self { out, snap_len, blocks, interfaces: Vec::new(), told: Vec::new() }
    }

    fn add_packet(&mut self, event: &Event<'_>, end: End, frame: Frame<'_>, time_ns: u64) {
        let interface = self.interface(event, end);
        let longest = frame.length.unwrap_or(u32::MAX).min(self.snap_len) as usize;
        let captured = &frame.bytes[..frame.bytes.len().min(longest)];
        let verdict = event.verdict.filter(|_| end == End::Exit);
        Block::new(&mut self.blocks, Kind::EnhancedPacket)
            .u32(interface)
            .time(time_ns)
            .u32(captured.len() as u32)
            .u32(frame.length.unwrap_or(captured.len() as u32))
            .padded(captured)
            .option(code::EPB_FLAGS, &INBOUND.to_ne_bytes())
            .option_if_known(code::EPB_PACKETID, event.packet_id.map(u64::to_ne_bytes))
            .option_if_known(code::EPB_QUEUE, event.queue.map(u32::to_ne_bytes))
            .option_if_known(code::EPB_VERDICT, verdict.map(|verdict| verdict_value(verdict.0)))
            .option(code::COMMENT, comment(event).as_bytes())
            .end();
    }

    /// The number of the interface for this end of the event, which is described first if it is a new one.
    fn interface(&mut self, event: &Event<'_>, end: End) -> u32 {
        let device = event.device.and_then(|device| device.name);
        let function = event.function.unwrap_or("?");
        let known = self.interfaces.iter().position(|one| one.is(device, function, end));
        let number = known.unwrap_or_else(|| {
            let interface = Interface { device: device.map(str::to_owned), function: function.to_owned(), end };
            self.describe(Some(interface.name()));
            self.interfaces.push(interface);
            self.interfaces.len() - 1
        });
        number as u32
    }

    fn describe(&mut self, name: Option<String>) {
        Block::new(&mut self.blocks, Kind::InterfaceDescription)
            .u16(LINK_TYPE_ETHERNET)
            .u16(0)
            .u32(self.snap_len)
            .option_if_known(code::IF_NAME, name)
            .option(code::IF_TSRESOL, &[NANOSECONDS])
            .end();
    }

    /// Where the runs went, for each interface; `targets` are those that were traced to the end.
    fn add_statistics(&mut self, targets: &[(String, Counts)]) {
        if self.interfaces.is_empty() {
            // libpcap reads no file without any.
            self.describe(None);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos() as u64);
        for (number, interface) in (0_u32..).zip(&self.interfaces) {
            let counts = interface.counts(self.told.iter().chain(targets));
            Block::new(&mut self.blocks, Kind::InterfaceStatistics)
                .u32(number)
                .time(now)
                .option_if_known(code::ISB_IFRECV, counts.as_ref().map(|counts| counts.seen.to_ne_bytes()))
                .option_if_known(code::ISB_IFDROP, counts.as_ref().map(|counts| counts.lost.to_ne_bytes()))
                .end();
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.blocks);
        self.blocks.clear();
        written
    }
}

impl<W: Write> Sink for Pcapng<W> {
    fn packet(&mut self, event: &Event<'_>) -> io::Result<()> {
        if let Some(frame) = event.before {
            self.add_packet(event, End::Entry, frame, event.time_ns);
        }
        if let Some(frame) = event.after {
            let end_ns = event.time_ns.saturating_add(event.latency_ns.unwrap_or(0));
            self.add_packet(event, End::Exit, frame, end_ns);
        }
        self.write()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write()?;
        self.out.flush()
    }

    fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        let written = match notice {
            Notice::Told(target, counts) => {
                self.told.push((target.clone(), counts.clone()));
                Ok(())
            }
            Notice::Ended(summary) => {
                self.add_statistics(&summary.programs);
                self.flush()
            }
            _ => Ok(()),
        };
        tell(notice);
        match written {
            // Who went away before the last words doesn't miss them.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }
}

impl Interface {
    fn is(&self, device: Option<&str>, function: &str, end: End) -> bool {
        self.end == end && self.function == function && self.device.as_deref() == device
    }

    /// `eth0:xdp_lb()@fentry`, as xdpdump names it.
    fn name(&self) -> String {
        let Self { device, function, end } = self;
        let end = match end {
            End::Entry => "fentry",
            End::Exit => "fexit",
        };
        format!("{}:{function}()@{end}", device.as_deref().unwrap_or("?"))
    }

    /// Those of its function on its device, added up from those of the targets. None where a target's are of several
    /// devices, or where there is none.
    fn counts<'a>(&self, targets: impl Iterator<Item = &'a (String, Counts)>) -> Option<Counts> {
        // Targets are called by names that were made fit for a terminal.
        let function = self.function.escape_default().to_string();
        let device = self.device.as_ref()?.escape_default().to_string();
        let mut sum = None;
        for (target, counts) in targets {
            let Some((program, devices)) = target.split_once(" on ") else { continue };
            if program.rsplit_once('#').is_none_or(|(name, _)| name != function) {
                continue;
            }
            if devices == device {
                sum.get_or_insert_with(Counts::none).add(counts);
            } else if devices.split(", ").any(|one| one == device) {
                return None;
            }
        }
        sum
    }
}

fn verdict_value(verdict: u32) -> [u8; 9] {
    let mut value = [VERDICT_OF_XDP; 9];
    value[1..].copy_from_slice(&u64::from(verdict).to_ne_bytes());
    value
}

fn comment(event: &Event<'_>) -> String {
    let program = event.program_id.map_or_else(|| "?".into(), |id| id.to_string());
    match event.latency_ns {
        Some(latency) => format!("latency {latency} ns, program {program}"),
        None => format!("program {program}"),
    }
}

#[cfg(test)]
mod tests;
