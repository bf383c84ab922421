//! Frames to run programs on.

/// A frame, and how often in a row the program runs on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 98 bytes, as ping sends them
    Icmp,
    /// 98 bytes to UDP port 7
    Udp,
    /// 1514 bytes
    Whole,
}

/// A frame's bytes.
pub struct Frame {
    /// From the destination MAC on.
    pub bytes: Vec<u8>,
    /// So few that all fit into the smallest tracer's ring.
    pub repeat: u32,
}

const ETHERNET: usize = 14;
const IPV4: usize = 20;

impl Kind {
    /// The frame.
    pub fn frame(self) -> Frame {
        let (length, protocol, repeat) = match self {
            Self::Icmp => (98, 1, 320),
            Self::Udp => (98, 17, 320),
            Self::Whole => (1514, 1, 160),
        };
        let mut bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
        bytes[..ETHERNET].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        let [high, low] = ((length - ETHERNET) as u16).to_be_bytes();
        let header = [0x45, 0, high, low, 0, 1, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1];
        bytes[ETHERNET..ETHERNET + IPV4].copy_from_slice(&header);
        let inner: [u8; 8] = match self {
            Self::Udp => [0x30, 0x39, 0, 7, 0, 64, 0, 0],
            _ => [8, 0, 0, 0, 0, 1, 0, 1],
        };
        bytes[ETHERNET + IPV4..][..8].copy_from_slice(&inner);
        Frame { bytes, repeat }
    }
}
