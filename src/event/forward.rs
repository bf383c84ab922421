//! What the kernel tells of packets many at a time, which names no program.

use std::fmt::{self, Display, Formatter};

/// A device, by what is known of it; or, of those that have gone, many.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Which of both.
    pub standing: Standing,
    /// Its name; None: it is one of another network namespace, or the index is no longer in use.
    pub name: Option<String>,
    /// Inode number of its network namespace; 0: not known.
    pub netns: u32,
    /// Its index there; 0: not known.
    pub ifindex: u32,
}

/// What a port stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// A device.
    #[default]
    One,
    /// All devices that had its name and have gone; without a name, those that can't be told to be there.
    Gone,
    /// All that went before those, whatever they were called.
    Forgotten,
}

/// What the kernel told of packets that it sent on many at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// From where to where.
    pub path: Path,
    /// Packets sent on; into or out of a CPU's queue, handed on.
    pub sent: u64,
    /// Packets dropped.
    pub dropped: u64,
    /// With this error, in the kernel's word for it.
    pub error: Option<String>,
}

/// From where to where packets were sent on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// By XDP_REDIRECT, from one device to another.
    Redirect {
        /// The receiving device.
        from: Port,
        /// The sending one.
        to: Port,
    },
    /// By XDP_TX, back out of the device.
    Tx(Port),
    /// Into a CPU's queue.
    Enqueue {
        /// The cpumap's id.
        map: u32,
        /// The queue's CPU.
        cpu: u32,
    },
    /// Out of a CPU's queue.
    Dequeue {
        /// The cpumap's id.
        map: u32,
        /// The queue's CPU.
        cpu: u32,
    },
}

impl Port {
    /// Its name, such that it cannot command a terminal; `?` where it isn't known; `eth0 (gone)`.
    pub fn shown(&self) -> String {
        let name = self.name.as_ref().map_or_else(|| "?".into(), |name| name.escape_default().to_string());
        match self.standing {
            Standing::One => name,
            Standing::Gone => format!("{name} (gone)"),
            Standing::Forgotten => "devices gone before".into(),
        }
    }

    /// Whether it is a device, and not those of many that have gone.
    pub fn is_one(&self) -> bool {
        self.standing == Standing::One
    }
}

impl Path {
    /// The devices in it.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        let (one, other) = match self {
            Self::Redirect { from, to } => (Some(from), Some(to)),
            Self::Tx(device) => (Some(device), None),
            Self::Enqueue { .. } | Self::Dequeue { .. } => (None, None),
        };
        one.into_iter().chain(other)
    }

    /// The same between other devices.
    pub fn map(self, mut port: impl FnMut(Port) -> Port) -> Self {
        match self {
            Self::Redirect { from, to } => Self::Redirect { from: port(from), to: port(to) },
            Self::Tx(device) => Self::Tx(port(device)),
            cpu => cpu,
        }
    }

    /// What packets are that weren't dropped.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Redirect { .. } | Self::Tx(_) => "sent",
            Self::Enqueue { .. } => "queued",
            Self::Dequeue { .. } => "processed",
        }
    }
}

impl Display for Path {
    /// `eth0 -> eth1`, `XDP_TX eth0`, `-> cpu map 12[3]`, `cpu map 12[3] ->`
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redirect { from, to } => write!(f, "{} -> {}", from.shown(), to.shown()),
            Self::Tx(device) => write!(f, "XDP_TX {}", device.shown()),
            Self::Enqueue { map, cpu } => write!(f, "-> cpu map {map}[{cpu}]"),
            Self::Dequeue { map, cpu } => write!(f, "cpu map {map}[{cpu}] ->"),
        }
    }
}

impl Display for Forward {
    /// `eth0 -> eth1: 12 sent, 3 dropped (ENXIO)`
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { path, sent, dropped, error } = self;
        write!(f, "{path}: {sent} {}, {dropped} dropped", path.verb())?;
        error.as_ref().map_or(Ok(()), |error| write!(f, " ({error})"))
    }
}
