//! The packets of the differential test: made here, the same in each run, none of them captured.
//!
//! Checksums are left at zero: a filter never looks at them.

mod internet;
mod layers;
mod link;
mod transport;
mod tunnels;

/// A packet as a filter sees it: the bytes that can be read, and the length that the whole of it had.
#[derive(Clone, Debug)]
pub struct Packet {
    /// What it is, and where it was cut.
    pub name: String,
    /// The readable bytes.
    pub bytes: Vec<u8>,
    /// The whole length: no less than the readable bytes.
    pub length: u32,
}

/// Whole frames by name.
pub struct Frames(Vec<(String, Vec<u8>)>);

impl Frames {
    fn add(&mut self, name: impl Into<String>, frame: Vec<u8>) {
        self.0.push((name.into(), frame));
    }
}

/// One frame of each kind, whole.
pub fn frames() -> Vec<(String, Vec<u8>)> {
    let mut frames = Frames(Vec::new());
    link::add(&mut frames);
    internet::add(&mut frames);
    transport::add(&mut frames);
    tunnels::add(&mut frames);
    frames.0
}

/// The frames that are cut at each length up to `SWEPT`: between them they have each layer whose length varies.
const SWEPT_FRAMES: [&str; 12] = [
    "802.3 ipx raw",
    "snap appletalk",
    "isis l1 iih",
    "decnet long",
    "arp request",
    "tcp syn",
    "tcp on ipv4 options",
    "udp over ipv6 hop-by-hop",
    "qinq 88a8 udp",
    "mpls 2 udp",
    "pppoe 27 udp",
    "geneve options ethernet udp",
];

/// Beyond the last header of all of `SWEPT_FRAMES`.
const SWEPT: usize = 122;

/// The frames, and what is left of them when only their first bytes can be read.
pub fn corpus() -> Vec<Packet> {
    let mut packets = Vec::new();
    for (index, (name, frame)) in frames().iter().enumerate() {
        packets.push(cut(name, frame, frame.len()));
        let swept = if SWEPT_FRAMES.contains(&name.as_str()) { (0..SWEPT).collect() } else { some_lengths(index) };
        packets.extend(swept.into_iter().filter(|at| *at < frame.len()).map(|at| cut(name, frame, at)));
        // A frame that ends here, where the one above only can't be read further.
        let end = 14 + index % 50;
        if end < frame.len() {
            packets.push(Packet { length: end as u32, ..cut(&format!("{name}, ending"), frame, end) });
        }
    }
    packets
}

/// Two lengths at which the frame with this index is cut: between them all frames cover each boundary.
fn some_lengths(index: usize) -> Vec<usize> {
    let early = index % 64;
    let late = 34 + index * 7 % 100;
    if early == late { vec![early] } else { vec![early, late] }
}

fn cut(name: &str, frame: &[u8], at: usize) -> Packet {
    let name = if at == frame.len() { name.to_owned() } else { format!("{name}, cut at {at}") };
    Packet { name, bytes: frame[..at].to_vec(), length: frame.len() as u32 }
}
