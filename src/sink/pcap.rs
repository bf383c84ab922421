//! Legacy pcap, as xdpdump's --use-pcap writes it: packets, one after the other, and nothing of what became of them.

use std::borrow::Cow;

use byteorder_slice::NativeEndian;
use pcap_file::pcap::{PcapHeader, RawPcapPacket};
use pcap_file::{DataLink, Endianness, TsResolution};

use super::Notice;
use super::capture::{Captured, End, Format};
use crate::event::Event;

/// Seconds and the nanoseconds beyond them, in this machine's byte order.
#[derive(Debug)]
pub struct Pcap {
    snap_len: u32,
}

const SECOND: u64 = 1_000_000_000;

impl Pcap {
    /// `snap_len` is how many bytes of a packet are kept, at most.
    pub fn new(snap_len: u32) -> Self {
        Self { snap_len }
    }
}

impl Format for Pcap {
    fn begin(&mut self, out: &mut Vec<u8>) {
        let header = PcapHeader {
            snaplen: self.snap_len,
            datalink: DataLink::ETHERNET,
            ts_resolution: TsResolution::NanoSecond,
            endianness: if cfg!(target_endian = "big") { Endianness::Big } else { Endianness::Little },
            ..PcapHeader::default()
        };
        // There is nothing that can fail in appending to a Vec.
        let written = header.write_to(out);
        debug_assert!(written.is_ok());
    }

    fn packet(&mut self, out: &mut Vec<u8>, _: &Event<'_>, _: End, frame: &Captured<'_>) -> u32 {
        let packet = RawPcapPacket {
            // An unsigned number of 32 bits: until 2106.
            ts_sec: (frame.time_ns / SECOND) as u32,
            ts_frac: (frame.time_ns % SECOND) as u32,
            incl_len: frame.bytes.len() as u32,
            orig_len: frame.length,
            data: Cow::Borrowed(frame.bytes),
        };
        let written = packet.write_to::<_, NativeEndian>(out);
        debug_assert!(written.is_ok());
        0
    }

    fn describe(&mut self, _: &mut Vec<u8>, _: u32) {}

    fn note(&mut self, _: &Notice) {}

    fn end(&mut self, _: &mut Vec<u8>) {}
}
