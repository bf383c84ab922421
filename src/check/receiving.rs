//! How many packets devices receive.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::plan::Devices;
use crate::target::Device;

/// How long packets are counted.
const WHILE: Duration = Duration::from_secs(1);

/// Packets that devices had received at some moment, by their own count.
#[derive(Debug)]
pub(super) struct Receiving {
    devices: Vec<Device>,
    packets: u64,
    since: Instant,
}

impl Receiving {
    /// Those of devices that were named; None where none is, or one isn't there.
    pub(super) fn begin(devices: &Devices) -> Option<Self> {
        let Devices::Named(names) = devices else { return None };
        let devices = names.iter().map(|name| Device::find(name)).collect::<Result<Vec<_>>>().ok()?;
        let packets = received(&devices).ok()?;
        Some(Self { devices, packets, since: Instant::now() })
    }

    /// How many they have received since, a second; once they had a second's time.
    ///
    /// # Errors
    /// One has gone.
    pub(super) fn end(self) -> Result<Rate> {
        std::thread::sleep(WHILE.saturating_sub(self.since.elapsed()));
        let (packets, took) = (received(&self.devices)?, self.since.elapsed());
        let a_second = packets.saturating_sub(self.packets) as f64 / took.as_secs_f64();
        let names: Vec<String> = self.devices.iter().map(ToString::to_string).collect();
        Ok(Rate { devices: names.join(", "), packets: a_second.round() as u64 })
    }
}

/// How many packets devices receive a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rate {
    /// Their names.
    pub(super) devices: String,
    /// How many.
    pub(super) packets: u64,
}

/// Not by /sys, which shows the network namespace that it was mounted in.
fn received(devices: &[Device]) -> Result<u64> {
    const FILE: &str = "/proc/thread-self/net/dev";
    let lines = fs::read_to_string(FILE).with_context(|| format!("failed to read {FILE}"))?;
    let of = |device: &Device| packets(&lines, &device.name).with_context(|| format!("{device} has gone"));
    devices.iter().map(of).sum()
}

/// `  eth0: BYTES PACKETS …`
fn packets(lines: &str, name: &str) -> Option<u64> {
    let mut lines = lines.lines().filter_map(|line| line.split_once(':'));
    let (_, numbers) = lines.find(|(device, _)| device.trim_start() == name)?;
    numbers.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_the_second_number_behind_the_name() {
        let lines = "Inter-|   Receive\n face |bytes    packets errs\n    lo:   11 2 0\n  eth0: 345678     90 1\neth01: 5 6 7\n";
        assert_eq!(packets(lines, "eth0"), Some(90));
        assert_eq!(packets(lines, "eth01"), Some(6));
        assert_eq!(packets(lines, "eth"), None);
    }
}
