//! What is sent to programs, and what of it the tracer shows.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use super::{FIRST_PORT, PORTS, ifindex, inside};
use crate::lab::Nic;

/// Sends datagrams from the other end to these ports of an address.
pub fn send(nic: &Nic, ports: impl IntoIterator<Item = u16>) {
    let socket = socket(nic);
    for port in ports {
        socket.send_to(b"xdptrace", (nic.address.as_str(), port)).unwrap();
    }
}

/// Sends a frame, of which every byte is the caller's, from the other end, a NIC itself.
pub fn send_frame(other_end: &Nic, frame: &[u8]) {
    send_frames(other_end, [frame]);
}

/// Sends frames in the same way.
pub fn send_frames<F: AsRef<[u8]>>(other_end: &Nic, frames: impl IntoIterator<Item = F> + Send) {
    let to = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_ifindex: ifindex(other_end),
        // SAFETY: all of its members are numbers, which may be zero.
        ..unsafe { std::mem::zeroed() }
    };
    let length = size_of_val(&to) as u32;
    inside(other_end.netns.as_deref(), || {
        // SAFETY: the call takes no pointer, and what it returns is ours.
        let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
        assert!(socket >= 0, "{}", io::Error::last_os_error());
        // SAFETY: as above.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        let to = (&raw const to).cast();
        for frame in frames {
            let frame = frame.as_ref();
            // SAFETY: the kernel reads the frame and the address, no more than their lengths, which it is given.
            let sent = unsafe { libc::sendto(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, to, length) };
            assert_eq!(sent, frame.len() as isize, "{}", io::Error::last_os_error());
        }
    });
}

/// A socket at the other end.
pub fn socket(nic: &Nic) -> UdpSocket {
    inside(nic.peer_netns(), || UdpSocket::bind("0.0.0.0:0").unwrap())
}

/// Datagrams at short intervals, each to the next port.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    sent: Option<JoinHandle<Vec<(u16, SystemTime)>>>,
}

impl Traffic {
    /// Begins to send.
    pub fn start(nic: &Nic) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (socket, address) = (socket(nic), nic.address.clone());
        let stopped = stop.clone();
        let sent = thread::spawn(move || {
            let mut sent = Vec::new();
            for port in FIRST_PORT..FIRST_PORT + PORTS {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                sent.push((port, SystemTime::now()));
                // A device that is gone for the moment is no reason to stop.
                let _ = socket.send_to(b"xdptrace", (address.as_str(), port));
                thread::sleep(Duration::from_millis(5));
            }
            sent
        });
        Self { stop, sent: Some(sent) }
    }

    /// Stops, and says what was sent when.
    pub fn stop(mut self) -> Vec<(u16, SystemTime)> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sent.take().unwrap().join().unwrap();
        assert!(sent.len() < PORTS.into(), "too few ports for this test");
        sent
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A datagram in the tracer's text output.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    /// The device.
    pub device: String,
    /// `FUNC#ID`.
    pub program: String,
    /// The verdict.
    pub verdict: String,
    /// Its destination port.
    pub port: u16,
}

/// The datagrams to our ports among the tracer's lines: `TIME DEV FUNC#ID VERDICT LATENCY IP A.P > B.PORT: UDP, length 8`.
pub fn shown(lines: &[String]) -> Vec<Shown> {
    let one = |line: &String| {
        let (words, destination) = line.strip_suffix(": UDP, length 8")?.split_once(" > ")?;
        let port = destination.rsplit_once('.')?.1.parse().ok()?;
        let words: Vec<&str> = words.split(' ').collect();
        let ours = (FIRST_PORT..FIRST_PORT + PORTS).contains(&port);
        ours.then(|| Shown { device: words[1].into(), program: words[2].into(), verdict: words[3].into(), port })
    };
    lines.iter().filter_map(one).collect()
}
