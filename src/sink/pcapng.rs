//! pcapng (draft-ietf-opsawg-pcapng): a packet before and after the program is two, on two interfaces.
//!
//! Packets say nothing of losses (epb_dropcount): they are counted by CPU and program, and between which two packets of an
//! interface they were isn't known.

mod packet;

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use byteorder_slice::NativeEndian;
use nix::sys::utsname::uname;
use pcap_file::pcapng::Block;
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness};

use super::Notice;
use super::capture::{Captured, End, Format};
use crate::event::{Account, Counts, Event};

/// The blocks of a file of one section: `eth0:xdp_lb()@fentry` is an interface of it, and so is `eth0:xdp_lb()@fexit`.
#[derive(Debug)]
pub struct Pcapng {
    snap_len: u32,
    /// Those of all files, by their number there.
    interfaces: Vec<Interface>,
    /// What the drivers of devices say of themselves.
    drivers: HashMap<String, String>,
    /// How many of them the present file describes: the first ones.
    described: usize,
    /// What came of targets that were let go of; at the end, of all.
    told: Vec<Account>,
    /// Whether the run has ended: no interface's counts are known before.
    has_ended: bool,
    comment: packet::Comment,
}

/// One end of a function on a device.
#[derive(Debug, PartialEq, Eq)]
struct Interface {
    device: Option<String>,
    function: String,
    end: End,
    /// Packets written so far, to whichever file.
    packets: u64,
}

/// Its section's length is not told.
const UNKNOWN_LENGTH: i64 = -1;
/// Times are in units of 10⁻⁹ s.
const NANOSECONDS: u8 = 9;

const USER_APPLICATION: &str = concat!("xdptrace ", env!("CARGO_PKG_VERSION"));
const COMMENT: &str = "packets as an XDP program got them (@fentry) and as it left them (@fexit): the two of one run have the \
                       same packet id";

impl Pcapng {
    /// `snap_len` is how many bytes of a packet are kept, at most. It is the same for all interfaces, for libpcap reads no
    /// file in which it isn't.
    pub fn new(snap_len: u32) -> Self {
        Self {
            snap_len,
            interfaces: Vec::new(),
            drivers: HashMap::new(),
            described: 0,
            told: Vec::new(),
            has_ended: false,
            comment: packet::Comment::default(),
        }
    }

    /// The number of the interface for this end of the event.
    fn interface(&mut self, event: &Event<'_>, end: End) -> usize {
        let device = event.device.and_then(|device| device.name);
        let function = event.function.unwrap_or("?");
        let known = self.interfaces.iter().position(|one| one.is(device, function, end));
        known.unwrap_or_else(|| {
            let (device, function) = (device.map(str::to_owned), function.to_owned());
            self.interfaces.push(Interface { device, function, end, packets: 0 });
            self.interfaces.len() - 1
        })
    }

    fn write_interface(&self, out: &mut Vec<u8>, interface: Option<&Interface>) {
        let name = interface.map(|interface| InterfaceDescriptionOption::IfName(interface.name().into()));
        let driver = interface.and_then(|interface| self.drivers.get(interface.device.as_ref()?));
        let driver = driver.map(|driver| InterfaceDescriptionOption::IfHardware(driver.clone().into()));
        let options =
            name.into_iter().chain(driver).chain([InterfaceDescriptionOption::IfTsResol(NANOSECONDS)]).collect();
        let linktype = DataLink::ETHERNET;
        write(
            out,
            &Block::InterfaceDescription(InterfaceDescriptionBlock { linktype, snaplen: self.snap_len, options }),
        );
    }

    fn statistics(&self, interface: &Interface) -> Vec<InterfaceStatisticsOption<'static>> {
        let counts = interface.counts(&self.told).filter(|_| self.has_ended);
        let options = counts.iter().flat_map(|counts| {
            [InterfaceStatisticsOption::IsbIfRecv(counts.seen), InterfaceStatisticsOption::IsbIfDrop(counts.lost)]
        });
        options.chain([InterfaceStatisticsOption::IsbUsrDeliv(interface.packets)]).collect()
    }
}

impl Format for Pcapng {
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.described = 0;
        let endianness = if cfg!(target_endian = "big") { Endianness::Big } else { Endianness::Little };
        let (major_version, minor_version, section_length) = (1, 0, UNKNOWN_LENGTH);
        let mut options = vec![
            SectionHeaderOption::Comment(COMMENT.into()),
            SectionHeaderOption::UserApplication(USER_APPLICATION.into()),
        ];
        options.extend(machine());
        let section = SectionHeaderBlock { endianness, major_version, minor_version, section_length, options };
        write(out, &Block::SectionHeader(section));
    }

    fn packet(&mut self, out: &mut Vec<u8>, event: &Event<'_>, end: End, frame: &Captured<'_>) -> u32 {
        let interface = self.interface(event, end) as u32;
        packet::write(out, interface, event, end, frame, &mut self.comment);
        interface
    }

    fn describe(&mut self, out: &mut Vec<u8>, interface: u32) {
        while self.described <= interface as usize {
            self.write_interface(out, self.interfaces.get(self.described));
            self.described += 1;
        }
        if let Some(interface) = self.interfaces.get_mut(interface as usize) {
            interface.packets += 1;
        }
    }

    fn note(&mut self, notice: &Notice) {
        match notice {
            Notice::Driver { device, driver } => drop(self.drivers.insert(device.clone(), driver.clone())),
            Notice::Told(account) => self.told.push(account.clone()),
            Notice::Ended(summary) => {
                self.told.extend(summary.programs.iter().cloned());
                self.has_ended = true;
            }
            _ => {}
        }
    }

    /// Where the runs went, for each interface, as far as that is known.
    fn end(&mut self, out: &mut Vec<u8>) {
        if self.described == 0 {
            // libpcap reads no file without any.
            self.write_interface(out, None);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos() as u64);
        // The upper half comes first in either byte order; the crate writes an integer.
        let timestamp = if cfg!(target_endian = "big") { now } else { now.rotate_left(32) };
        for (interface_id, interface) in (0_u32..).zip(&self.interfaces[..self.described]) {
            let options = self.statistics(interface);
            write(out, &Block::InterfaceStatistics(InterfaceStatisticsBlock { interface_id, timestamp, options }));
        }
    }
}

/// Where packets were captured, in xdpdump's words: uname's.
fn machine() -> impl Iterator<Item = SectionHeaderOption<'static>> {
    uname().into_iter().flat_map(|uname| {
        let system = [uname.sysname(), uname.nodename(), uname.release(), uname.version()];
        let system = system.map(|word| word.to_string_lossy()).join(" ");
        let hardware = uname.machine().to_string_lossy().into_owned();
        [SectionHeaderOption::Hardware(hardware.into()), SectionHeaderOption::OS(system.into())]
    })
}

fn write(out: &mut Vec<u8>, block: &Block<'_>) {
    // There is nothing that can fail in appending to a Vec.
    let written = block.write_to::<NativeEndian, _>(out);
    debug_assert!(written.is_ok());
}

impl Interface {
    fn is(&self, device: Option<&str>, function: &str, end: End) -> bool {
        self.end == end && self.function == function && self.device.as_deref() == device
    }

    /// `eth0:xdp_lb()@fentry`, as xdpdump names it.
    fn name(&self) -> String {
        let Self { device, function, end, .. } = self;
        let end = match end {
            End::Entry => "fentry",
            End::Exit => "fexit",
        };
        format!("{}:{function}()@{end}", device.as_deref().unwrap_or("?"))
    }

    /// Those of its function on its device, added up from those of all. None where one of them is of several devices, or
    /// where there is none.
    fn counts(&self, told: &[Account]) -> Option<Counts> {
        let device = self.device.as_ref()?;
        let mut sum = None;
        for Account { subject, counts } in told.iter().filter(|told| told.subject.function == self.function) {
            match &subject.devices[..] {
                [one] if one == device => sum.get_or_insert_with(Counts::none).add(counts),
                several if several.contains(device) => return None,
                _ => {}
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests;
