//! The interfaces of a section: which probe of which function on which device each of them stands for, and its clock.

use std::borrow::Cow;
use std::collections::HashMap;

use super::block::Block;

/// Which probe saw a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Entry,
    Exit,
}

/// Where packets were captured.
#[derive(Debug)]
pub struct Interface {
    /// DEV of its name, `DEV:FUNC()@fentry` or `@fexit`; of any other name all of it.
    pub device: Option<String>,
    /// FUNC of it.
    pub function: Option<String>,
    /// None where it wasn't a probe.
    pub end: Option<End>,
    /// The same for both ends of a function on a device.
    pub point: u32,
    clock: Clock,
    link_type: u32,
}

/// What a block tells of an interface.
#[derive(Debug, Default)]
pub struct Description<'a> {
    /// LINKTYPE_ number; Ethernet is 1.
    pub link_type: u32,
    /// `if_name`; empty where there is none.
    pub name: Cow<'a, str>,
    /// What its packets' times are counted in.
    pub clock: Clock,
}

/// Only its packets can be read.
pub const ETHERNET: u32 = 1;

/// Those of a section, by their numbers there.
#[derive(Debug, Default)]
pub struct Interfaces {
    list: Vec<Interface>,
    names: HashMap<String, Points>,
    /// For each point, whether its entry and its exit have been described.
    described: Vec<[bool; 2]>,
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
    pub fn unnamed(link_type: u32) -> Self {
        let mut interfaces = Self::default();
        interfaces.add(&Description { link_type, ..Description::default() });
        interfaces
    }

    /// Takes in the next one.
    pub fn add(&mut self, description: &Description<'_>) {
        let name = &*description.name;
        let (device, function, end) = parse_name(name);
        let key = function.and(name.rsplit_once('@')).map_or("", |(key, _)| key);
        let point = self.point(key, end);
        let known = |name: &str| Some(name).filter(|name| !["", "?"].contains(name)).map(str::to_owned);
        self.list.push(Interface {
            device: known(device),
            function: function.and_then(known),
            end,
            point,
            clock: description.clock,
            link_type: description.link_type,
        });
    }

    pub fn get(&self, number: u32) -> Option<&Interface> {
        self.list.get(number as usize)
    }

    /// Whether entries, or exits, come from the same point as this one's packets, as far as is known yet.
    pub fn has(&self, end: End, interface: &Interface) -> bool {
        self.described.get(interface.point as usize).is_some_and(|described| described[end as usize])
    }

    fn point(&mut self, key: &str, end: Option<End>) -> u32 {
        let next = self.described.len() as u32;
        let Some(end) = end else {
            self.described.push([false; 2]);
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
            self.described.push([false; 2]);
        }
        if let Some(described) = self.described.get_mut(point as usize) {
            described[end as usize] = true;
        }
        point
    }
}

impl Interface {
    /// What link type it has, if packets of it can't be read: only Ethernet can.
    pub fn foreign_link_type(&self) -> Option<u32> {
        (self.link_type != ETHERNET).then_some(self.link_type)
    }

    /// Nanoseconds since the Unix epoch.
    pub fn time_ns(&self, ticks: u64) -> u64 {
        self.clock.time_ns(ticks)
    }

    /// Whether its times are good for differences of nanoseconds.
    pub fn tells_nanoseconds(&self) -> bool {
        self.clock.is_fine()
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

impl<'a> Description<'a> {
    /// What the block says that can be read; None where that isn't even a link type.
    pub fn new(block: &Block<'a>) -> Option<Self> {
        const NAME: u16 = 2;
        const RESOLUTION: u16 = 9;
        const OFFSET: u16 = 14;
        let link_type = block.order.u16(block.body)?.into();
        let mut description = Self { link_type, ..Self::default() };
        for (code, value) in block.interface_options() {
            match (code, value) {
                (NAME, name) if description.name.is_empty() => description.name = String::from_utf8_lossy(name),
                (RESOLUTION, &[resolution]) => description.clock.resolution = resolution,
                (OFFSET, offset) if offset.len() == 8 => {
                    description.clock.offset = block.order.u64(offset, 0).unwrap_or_default() as i64;
                }
                _ => {}
            }
        }
        Some(description)
    }
}

/// What a tick of an interface's clock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// if_tsresol: a tick is 10⁻ⁿ s, or 2⁻ⁿ s where the uppermost bit is set.
    resolution: u8,
    /// if_tsoffset: seconds to add.
    offset: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { resolution: 6, offset: 0 }
    }
}

impl Clock {
    pub const NANOSECONDS: Self = Self { resolution: 9, offset: 0 };
    const SECOND: i128 = 1_000_000_000;

    /// Whether a tick is no more than a nanosecond.
    fn is_fine(self) -> bool {
        let exponent = self.resolution & 0x7f;
        if self.resolution & 0x80 == 0 { exponent >= 9 } else { exponent >= 30 }
    }

    /// What lies outside of a u64 of nanoseconds, before 1970 or from 2554 on, becomes its nearest end.
    fn time_ns(self, ticks: u64) -> u64 {
        if self == Self::NANOSECONDS {
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
    fn a_clock_of_nanoseconds_is_fine() {
        let fine =
            [0, 6, 8, 9, 12, 127, 0x80, 0x80 | 29, 0x80 | 30, 0xff].map(|resolution| Clock { resolution, offset: 0 });
        let expected = [false, false, false, true, true, true, false, false, true, true];
        assert_eq!(fine.map(Clock::is_fine), expected);
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
            interfaces.add(&Description { name: name.into(), link_type: ETHERNET, ..Description::default() });
        }
        let points: Vec<u32> = interfaces.list.iter().map(|interface| interface.point).collect();
        assert_eq!(points, [0, 0, 1, 2, 2, 3, 4, 5]);
        let has = |end| interfaces.list.iter().map(|one| interfaces.has(end, one)).collect::<Vec<bool>>();
        assert_eq!(has(End::Entry), [true, true, false, true, true, false, false, false]);
        assert_eq!(has(End::Exit), [true, true, true, true, true, false, false, true]);
        assert_eq!(interfaces.get(5).unwrap().device.as_deref(), Some("e"));
        assert_eq!(interfaces.get(7).unwrap().device, None);
        assert!(interfaces.get(8).is_none());
    }
}
