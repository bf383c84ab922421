//! Each scene, and what the kernel makes of it, by its lines.

use crate::lab::kernel;
use crate::loader::Mode;
use crate::scenes::{
    BARE, BARE_AND_DOWN, BOUND, By, DOWN, GONE, LONG_QUEUE, NO_DEVICE, NOTHING, QUEUE_OF_ONE, Scene, UNBOUND, UP,
};

/// What a scene comes to.
#[derive(Clone, Copy)]
pub struct Expected {
    /// What the program returns.
    pub verdict: &'static str,
    /// What the kernel says of each packet,
    pub said: Said,
    /// … and of many at a time.
    pub batches: &'static [Batch],
}

/// The tracepoints that carry the program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// None of them.
    Nothing,
    /// xdp_redirect.
    Accepted,
    /// xdp_redirect_err, with this error.
    Failed(i32),
    /// xdp_exception.
    Exception,
    /// The scene can't be played there.
    Unplayed,
}

/// Those that don't.
#[derive(Clone, Copy)]
pub enum Batch {
    /// xdp_devmap_xmit, from veth0 to a pair: sent, dropped, error.
    Xmit(u32, u32, u32, i32),
    /// xdp_bulk_tx, of veth0: sent, dropped, error.
    Tx(u32, u32, i32),
    /// xdp_cpumap_enqueue: processed, which counts the dropped as well, dropped.
    Enqueue(u32, u32),
    /// xdp_cpumap_kthread: processed.
    Dequeue(u32),
}

const fn redirected(said: Said, batches: &'static [Batch]) -> Expected {
    Expected { verdict: "XDP_REDIRECT", said, batches }
}

const fn accepted(batches: &'static [Batch]) -> Expected {
    redirected(Said::Accepted, batches)
}

const fn failed(error: i32) -> Expected {
    redirected(Said::Failed(error), &[])
}

const fn exception(verdict: &'static str) -> Expected {
    Expected { verdict, said: Said::Exception, batches: &[] }
}

const fn unsaid(verdict: &'static str, batches: &'static [Batch]) -> Expected {
    Expected { verdict, said: Said::Nothing, batches }
}

const ABORTED: Expected = exception("XDP_ABORTED");
const UNPLAYED: Expected = redirected(Said::Unplayed, &[]);

/// A scene, and what it comes to where the driver runs the program and where the kernel does, on 5.10, 6.1, 6.12 and 7.
struct Row {
    scene: Scene,
    native: [Expected; 4],
    generic: [Expected; 4],
}

const fn row(name: &'static str, by: By, key: u32, native: [Expected; 4], generic: [Expected; 4]) -> Row {
    Row { scene: Scene { name, by, key, flags: 0, datagrams: 1 }, native, generic }
}

impl Row {
    const fn flags(mut self, flags: u64) -> Self {
        self.scene.flags = flags;
        self
    }

    const fn datagrams(mut self, datagrams: usize) -> Self {
        self.scene.datagrams = datagrams;
        self
    }

    /// On this kernel.
    fn expected(&self, mode: Mode) -> Expected {
        let line = [(6, 1), (6, 12), (7, 0)].iter().filter(|first| kernel() >= **first).count();
        match mode {
            Mode::Native => self.native[line],
            Mode::Generic => self.generic[line],
        }
    }
}

/// Of include/uapi/linux/bpf.h.
const BPF_F_BROADCAST: u64 = 8;

/// A redirect to a device whose driver can't take the frame, which kernels up to 6.1 see only when they hand it over.
const REFUSED: [Expected; 4] = [TOO_LATE, TOO_LATE, failed(libc::EOPNOTSUPP), failed(libc::EOPNOTSUPP)];
const TOO_LATE: Expected = accepted(&[Batch::Xmit(BARE, 0, 1, -libc::ENXIO)]);

/// A broadcast, which 5.10 doesn't know: it takes the flag for a wrong argument.
const BROADCAST: [Expected; 4] = {
    let sent = accepted(&[Batch::Xmit(UP, 1, 0, 0), Batch::Xmit(UP + 1, 1, 0, 0)]);
    [ABORTED, sent, sent, sent]
};
const BROADCAST_GENERIC: [Expected; 4] = [ABORTED, accepted(&[]), accepted(&[]), accepted(&[])];

const TABLE: &[Row] = &[
    row("devmap_up", By::Devices, UP, [accepted(&[Batch::Xmit(UP, 1, 0, 0)]); 4], [accepted(&[]); 4]),
    row("devmap_down", By::Devices, DOWN, [failed(libc::ENETDOWN); 4], [failed(libc::ENETDOWN); 4]),
    // The verdict itself: there is nothing in the map.
    row("devmap_gone", By::Devices, GONE, [ABORTED; 4], [ABORTED; 4]),
    row("devmap_bare", By::Devices, BARE, REFUSED, [accepted(&[]); 4]),
    row(
        "devmap_bare_down",
        By::Devices,
        BARE_AND_DOWN,
        [failed(libc::ENETDOWN), failed(libc::ENETDOWN), failed(libc::EOPNOTSUPP), failed(libc::EOPNOTSUPP)],
        [failed(libc::ENETDOWN); 4],
    ),
    row("broadcast", By::Everyone, UP, BROADCAST, BROADCAST_GENERIC).flags(BPF_F_BROADCAST),
    row("broadcast_without_a_key", By::Everyone, NOTHING, BROADCAST, BROADCAST_GENERIC).flags(BPF_F_BROADCAST),
    row("cpumap", By::Cpus, LONG_QUEUE, [accepted(&[Batch::Enqueue(1, 0), Batch::Dequeue(1)]); 4], {
        let queued = accepted(&[Batch::Enqueue(1, 0), Batch::Dequeue(1)]);
        [failed(libc::EBADRQC), queued, queued, queued]
    }),
    // One of the eight finds room. Without the driver they don't come at once.
    row(
        "cpumap_overrun",
        By::Cpus,
        QUEUE_OF_ONE,
        [accepted(&[Batch::Enqueue(8, 7), Batch::Dequeue(1)]); 4],
        [UNPLAYED; 4],
    )
    .datagrams(8),
    row("ifindex", By::Ifindex, UP, [accepted(&[Batch::Xmit(UP, 1, 0, 0)]); 4], [accepted(&[]); 4]),
    row("ifindex_down", By::Ifindex, DOWN, [failed(libc::ENETDOWN); 4], [failed(libc::ENETDOWN); 4]),
    row("ifindex_of_nothing", By::Ifindex, NO_DEVICE, [failed(libc::EINVAL); 4], [failed(libc::EINVAL); 4]),
    row("xsk_of_nothing", By::Sockets, NOTHING, [ABORTED; 4], [ABORTED; 4]),
    row(
        "xsk_unbound",
        By::Sockets,
        UNBOUND,
        [failed(libc::EINVAL), failed(libc::ENXIO), failed(libc::ENXIO), failed(libc::ENXIO)],
        // 5.10.262 crashes: xsk_generic_rcv follows a null pointer.
        [UNPLAYED, failed(libc::ENXIO), failed(libc::ENXIO), failed(libc::ENXIO)],
    ),
    row("xsk_full", By::Sockets, BOUND, FULL, FULL),
    row("xsk_accepted", By::Sockets, BOUND, [accepted(&[]); 4], [accepted(&[]); 4]),
    // Only the counters of the driver say that it failed.
    row("tx_bare", By::Return, 3, [unsaid("XDP_TX", &[Batch::Tx(0, 1, -libc::ENXIO)]); 4], [unsaid("XDP_TX", &[]); 4]),
    row("tx", By::Return, 3, [unsaid("XDP_TX", &[Batch::Tx(1, 0, 0)]); 4], [unsaid("XDP_TX", &[]); 4]),
    row("aborted", By::Return, 0, [ABORTED; 4], [ABORTED; 4]),
    row("no_action", By::Return, 42, [exception("42"); 4], [exception("42"); 4]),
    row("pass", By::Return, 2, [unsaid("XDP_PASS", &[]); 4], [unsaid("XDP_PASS", &[]); 4]),
];

/// A socket that has no frame to receive into.
const FULL: [Expected; 4] = [failed(libc::ENOSPC), failed(libc::ENOMEM), failed(libc::ENOMEM), failed(libc::ENOMEM)];

/// The scenes that can be played in this mode on this kernel, by their numbers.
pub fn played(mode: Mode) -> impl Iterator<Item = (u16, Scene, Expected)> {
    let rows = (0..).zip(TABLE).map(move |(number, row)| (number, row.scene, row.expected(mode)));
    rows.filter(|(_, _, expected)| expected.said != Said::Unplayed)
}

/// The name of the map that a scene redirects by.
pub fn map(by: By) -> Option<&'static str> {
    match by {
        By::Devices => Some("devices"),
        By::Everyone => Some("everyone"),
        By::Cpus => Some("cpus"),
        By::Sockets => Some("sockets"),
        By::Return | By::Ifindex => None,
    }
}
