//! The interfaces of a section: which probe of which function on which device each of them stands for, and its clock.

use std::collections::HashMap;

use pcap_file::DataLink;
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};

/// Which probe saw a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Entry,
    Exit,
}

/// Where packets were captured.
#[derive(Debug)]
pub struct Interface {
    pub device: Option<String>,
    pub function: Option<String>,
    /// None where it wasn't a probe.
    pub end: Option<End>,
    /// The same for both ends of a function on a device.
    pub point: u32,
    clock: Clock,
    link_type: DataLink,
}

/// Those of a section, by their numbers there.
#[derive(Debug, Default)]
pub struct Interfaces {
    list: Vec<Interface>,
    names: HashMap<String, Points>,
    /// For each point, whether its entry has been described.
    entered: Vec<bool>,
}

/// Those of a `DEV:func()`. After files were merged there may be several, of which the first exit belongs to the first
/// entry, and so on.
#[derive(Debug, Default)]
struct Points {
    points: Vec<u32>,
    entries: usize,
    exits: usize,
}

impl Interfaces {
    /// The one of a file that says nothing of it.
    pub fn unnamed(link_type: DataLink) -> Self {
        let mut interfaces = Self::default();
        interfaces.add(&InterfaceDescriptionBlock { linktype: link_type, snaplen: 0, options: Vec::new() });
        interfaces
    }

    /// Takes in the next one.
    pub fn add(&mut self, block: &InterfaceDescriptionBlock<'_>) {
        let name = block.options.iter().find_map(|option| match option {
            InterfaceDescriptionOption::IfName(name) => Some(&**name),
            _ => None,
        });
        let (device, function, end) = parse_name(name.unwrap_or_default());
        let key = function.and(name).and_then(|name| name.rsplit_once('@')).map_or("", |(key, _)| key);
        let point = self.point(key, end);
        let known = |name: &str| Some(name).filter(|name| !["", "?"].contains(name)).map(str::to_owned);
        self.list.push(Interface {
            device: known(device),
            function: function.and_then(known),
            end,
            point,
            clock: Clock::of(&block.options),
            link_type: block.linktype,
        });
    }

    pub fn get(&self, number: u32) -> Option<&Interface> {
        self.list.get(number as usize)
    }

    /// Whether entries come from the same point as this one's packets, as far as is known yet.
    pub fn has_entry(&self, interface: &Interface) -> bool {
        self.entered.get(interface.point as usize) == Some(&true)
    }

    fn point(&mut self, key: &str, end: Option<End>) -> u32 {
        let next = self.entered.len() as u32;
        let Some(end) = end else {
            self.entered.push(false);
            return next;
        };
        let points = self.names.entry(key.to_owned()).or_default();
        let number = match end {
            End::Entry => &mut points.entries,
            End::Exit => &mut points.exits,
        };
        let point = points.points.get(*number).copied().unwrap_or(next);
        *number += 1;
        if point == next {
            points.points.push(point);
            self.entered.push(false);
        }
        if let Some(entered) = self.entered.get_mut(point as usize) {
            *entered |= end == End::Entry;
        }
        point
    }
}

impl Interface {
    /// What link type it has, if packets of it can't be read: only Ethernet can.
    pub fn foreign_link_type(&self) -> Option<u32> {
        (self.link_type != DataLink::ETHERNET).then(|| self.link_type.into())
    }

    /// Nanoseconds since the Unix epoch.
    pub fn time_ns(&self, ticks: u64) -> u64 {
        self.clock.time_ns(ticks)
    }
}

/// `eth0:xdp_lb()@fentry`, as xdpdump and xdptrace name it; anything else is a device.
fn parse_name(name: &str) -> (&str, Option<&str>, Option<End>) {
    let parts = || {
        let (point, end) = name.rsplit_once('@')?;
        let end = match end {
            "fentry" => End::Entry,
            "fexit" => End::Exit,
            _ => return None,
        };
        // The kernel allows no colon in a device's name.
        let (device, function) = point.strip_suffix("()")?.split_once(':')?;
        Some((device, Some(function), Some(end)))
    };
    parts().unwrap_or((name, None, None))
}

/// What a tick of an interface's clock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    /// if_tsresol: a tick is 10⁻ⁿ s, or 2⁻ⁿ s where the uppermost bit is set.
    resolution: u8,
    /// if_tsoffset: seconds to add.
    offset: i64,
}

impl Clock {
    const SECOND: i128 = 1_000_000_000;

    fn of(options: &[InterfaceDescriptionOption<'_>]) -> Self {
        options.iter().fold(Self { resolution: 6, offset: 0 }, |clock, option| match option {
            InterfaceDescriptionOption::IfTsResol(resolution) => Self { resolution: *resolution, ..clock },
            InterfaceDescriptionOption::IfTsOffset(offset) => Self { offset: *offset as i64, ..clock },
            _ => clock,
        })
    }

    /// What lies outside of a u64 of nanoseconds, before 1970 or from 2554 on, becomes its nearest end.
    fn time_ns(self, ticks: u64) -> u64 {
        if self == (Self { resolution: 9, offset: 0 }) {
            return ticks;
        }
        let ticks = i128::from(ticks);
        let exponent = u32::from(self.resolution & 0x7f);
        let since = match self.resolution & 0x80 {
            0 if exponent <= 9 => ticks * 10_i128.pow(9 - exponent),
            0 => 10_i128.checked_pow(exponent - 9).map_or(0, |parts| ticks / parts),
            _ => (ticks * Self::SECOND) >> exponent,
        };
        let time = since + i128::from(self.offset) * Self::SECOND;
        u64::try_from(time.max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_scaled_by_the_interfaces_clock() {
        let table = [
            (9, 0, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
            (6, 0, 1_700_000_000_123_456, 1_700_000_000_123_456_000),
            (0, 0, 17, 17_000_000_000),
            (12, 0, 1_999, 1),
            (127, 0, u64::MAX, 0),
            (0x80 | 10, 0, 1536, 1_500_000_000),
            (0xff, 0, u64::MAX, 0),
            (0x80 | 32, 0, 3 << 31, 1_500_000_000),
            (9, 2, 5, 2_000_000_005),
            (9, -2, 3_000_000_000, 1_000_000_000),
            (9, -2, 5, 0),
            (0, i64::MAX, u64::MAX, u64::MAX),
        ];
        for (resolution, offset, ticks, ns) in table {
            assert_eq!(Clock { resolution, offset }.time_ns(ticks), ns, "{resolution:#x} {offset} {ticks}");
        }
    }

    #[test]
    fn names_are_read_as_they_are_made() {
        let entry = ("eth0", Some("xdp_lb"), Some(End::Entry));
        assert_eq!(parse_name("eth0:xdp_lb()@fentry"), entry);
        assert_eq!(parse_name("a@fexit:f@x()@fexit"), ("a@fexit", Some("f@x"), Some(End::Exit)));
        for name in ["eth0", "", "eth0@if2", "eth0@fexit", "eth0:f@fexit", "eth0:f()", "f()@fexit"] {
            assert_eq!(parse_name(name), (name, None, None));
        }
    }

    #[test]
    fn ends_of_a_function_on_a_device_are_at_one_point() {
        let mut interfaces = Interfaces::default();
        let names =
            ["e:f()@fentry", "e:f()@fexit", "e:g()@fexit", "e:f()@fexit", "e:f()@fentry", "e", "e", "?:f()@fexit"];
        for name in names {
            let name = InterfaceDescriptionOption::IfName(name.into());
            interfaces.add(&InterfaceDescriptionBlock {
                linktype: DataLink::ETHERNET,
                snaplen: 0,
                options: vec![name],
            });
        }
        let points: Vec<u32> = interfaces.list.iter().map(|interface| interface.point).collect();
        assert_eq!(points, [0, 0, 1, 2, 2, 3, 4, 5]);
        let entered: Vec<bool> = interfaces.list.iter().map(|one| interfaces.has_entry(one)).collect();
        assert_eq!(entered, [true, true, false, true, true, false, false, false]);
        assert_eq!(interfaces.get(5).unwrap().device.as_deref(), Some("e"));
        assert_eq!(interfaces.get(7).unwrap().device, None);
        assert!(interfaces.get(8).is_none());
    }
}
