//! A flood: the kernel's packet generator on the other end of the pair.

use std::fs;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::nic::{self, PEER, Target};

/// Bytes of a frame.
const FRAME: u32 = 98;

/// What became of a flood.
#[derive(Debug, Clone, Copy)]
pub struct Flood {
    /// How often the program ran.
    pub runs: u64,
    elapsed: Duration,
}

impl Flood {
    /// Packets per second that passed through the program.
    pub fn rate(self) -> f64 {
        self.runs as f64 / self.elapsed.as_secs_f64()
    }
}

/// Has one of the kernel's threads ready, on the first processor: the reader has the second one.
pub fn set_up() -> Result<()> {
    nic::run(&["modprobe", "pktgen"])?;
    tell("kpktgend_0", "rem_device_all")?;
    tell("kpktgend_0", &format!("add_device {PEER}"))?;
    for words in ["dst 192.0.2.1", "dst_mac 02:00:00:00:00:01", "clone_skb 0", "delay 0"] {
        tell(PEER, words)?;
    }
    // By itself it sends from and to port 9, which a filter is to reject.
    for (side, port) in [("src", 12345), ("dst", 7)] {
        tell(PEER, &format!("udp_{side}_min {port}"))?;
        tell(PEER, &format!("udp_{side}_max {port}"))?;
    }
    tell(PEER, &format!("pkt_size {FRAME}"))
}

fn tell(file: &str, words: &str) -> Result<()> {
    fs::write(format!("/proc/net/pktgen/{file}"), format!("{words}\n"))
        .with_context(|| format!("pktgen: {file}: {words}"))
}

/// Sends so many frames through the program.
pub fn flood(target: &Target, packets: u64) -> Result<Flood> {
    tell(PEER, &format!("count {packets}"))?;
    let before = target.runs()?;
    let began = Instant::now();
    // Returns when all are sent.
    tell("pgctrl", "start")?;
    let elapsed = began.elapsed();
    // The last of them are still on their way on another processor.
    thread::sleep(Duration::from_millis(200));
    Ok(Flood { runs: target.runs()? - before, elapsed })
}

/// A flood that lasts as long as this.
pub struct Lasting(Option<JoinHandle<Result<()>>>);

/// Starts it. It ends by itself after so many packets, should nobody be left to end it.
pub fn start(most: u64) -> Result<Lasting> {
    tell(PEER, &format!("count {most}"))?;
    let thread = thread::spawn(|| tell("pgctrl", "start"));
    thread::sleep(Duration::from_millis(500));
    Ok(Lasting(Some(thread)))
}

impl Lasting {
    /// Whether it has not ended by itself.
    pub fn lasts(&self) -> bool {
        self.0.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        // Each 'stop' is for the threads that run at that moment.
        while self.lasts() {
            let _ = tell("pgctrl", "stop");
            thread::sleep(Duration::from_millis(50));
        }
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}
