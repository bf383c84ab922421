//! More packets than anybody can show: the kernel's packet generator at the other end of a pair.

use std::fs;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::lab::{Nic, output};
use crate::loader::inside;

/// A flood of datagrams, sent on the first processor, that lasts until it is stopped or has sent all that it was to.
pub struct Flood {
    netns: Option<String>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    /// Starts it, with so many nanoseconds between two packets.
    pub fn start(nic: &Nic, delay_ns: u32) -> Self {
        Self::begin(nic, delay_ns, 0)
    }

    /// Sends so many packets, as fast as it goes.
    pub fn send(nic: &Nic, packets: u64) {
        let mut flood = Self::begin(nic, 0, packets);
        flood.thread.take().unwrap().join().unwrap();
    }

    /// The same, while others look on.
    pub fn send_in_background(nic: &Nic, packets: u64) -> Self {
        Self::begin(nic, 0, packets)
    }

    /// Whether all has been sent.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// 0 packets: without end.
    fn begin(nic: &Nic, delay_ns: u32, packets: u64) -> Self {
        output(&["modprobe", "pktgen"]);
        let netns = nic.peer_netns().map(str::to_owned);
        let tell = |file: &str, words: &str| tell(netns.as_deref(), file, words);
        tell("kpktgend_0", "rem_device_all");
        tell("kpktgend_0", "add_device veth1");
        for words in ["dst 192.0.2.1", "dst_mac 02:00:00:00:00:01", "clone_skb 0", "pkt_size 98"] {
            tell("veth1", words);
        }
        tell("veth1", &format!("delay {delay_ns}"));
        tell("veth1", &format!("count {packets}"));
        let generator = netns.clone();
        // Returns when the flood has ended.
        let thread = thread::spawn(move || self::tell(generator.as_deref(), "pgctrl", "start"));
        Self { netns, thread: Some(thread) }
    }
}

/// The generator's files are the network namespace's, and not the same for all threads.
fn tell(netns: Option<&str>, file: &str, words: &str) {
    let file = format!("/proc/thread-self/net/pktgen/{file}");
    let done = inside(netns, || fs::write(&file, format!("{words}\n")));
    done.unwrap_or_else(|error| panic!("{file}: {words}: {error}"));
}

impl Drop for Flood {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // Each 'stop' is for the generators that run at that moment.
        while !thread.is_finished() {
            tell(self.netns.as_deref(), "pgctrl", "stop");
            thread::sleep(Duration::from_millis(20));
        }
        let _ = thread.join();
    }
}
