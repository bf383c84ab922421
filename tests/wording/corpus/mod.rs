//! The packets that both printers tell: made here, the same in each run, none of them captured.

mod internet;
mod link;
mod messages;
mod transport;
mod tunnels;
mod wire;

/// A packet as it was captured.
#[derive(Clone, Debug)]
pub struct Packet {
    /// What it belongs to: each has at least ten packets, except what is listed as different.
    pub group: &'static str,
    /// The group, what it is, and where it was cut.
    pub name: String,
    /// The captured bytes.
    pub bytes: Vec<u8>,
    /// The length of the whole frame.
    pub length: u32,
}

/// Frames, whole and cut.
#[derive(Default)]
pub struct Frames {
    group: &'static str,
    packets: Vec<Packet>,
    added: usize,
}

/// What is captured of each packet unless more is asked for.
const SNAP_LENGTH: usize = 128;

impl Frames {
    fn group(&mut self, group: &'static str) {
        self.group = group;
    }

    fn cut(&mut self, name: &str, frame: &[u8], at: usize) {
        let cut = if at < frame.len() { format!(", cut at {at}") } else { String::new() };
        let bytes = frame[..at.min(frame.len())].to_vec();
        let name = format!("{}: {name}{cut}", self.group);
        self.packets.push(Packet { group: self.group, name, bytes, length: frame.len() as u32 });
    }

    /// The frame as it is.
    fn whole(&mut self, name: impl AsRef<str>, frame: Vec<u8>) {
        self.cut(name.as_ref(), &frame, frame.len());
    }

    /// The frame, and what is left of it at some lengths: those of all frames cover each boundary.
    fn add(&mut self, name: impl AsRef<str>, frame: Vec<u8>) {
        self.added += 1;
        let mut cuts = vec![frame.len(), SNAP_LENGTH, 14 + self.added * 7 % 60, 34 + self.added * 11 % 120];
        cuts.dedup();
        for at in cuts.iter().filter(|at| **at == frame.len() || **at < frame.len()) {
            self.cut(name.as_ref(), &frame, *at);
        }
    }

    /// The frame, cut at each of its lengths.
    fn swept(&mut self, name: impl AsRef<str>, frame: Vec<u8>) {
        for at in 1..=frame.len() {
            self.cut(name.as_ref(), &frame, at);
        }
    }
}

/// All packets, in the order in which they are told: TCP's numbers depend on it.
pub fn packets() -> Vec<Packet> {
    let mut frames = Frames::default();
    link::add(&mut frames);
    internet::add(&mut frames);
    transport::add(&mut frames);
    messages::add(&mut frames);
    tunnels::add(&mut frames);
    frames.packets
}
