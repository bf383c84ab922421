//! What a program changed in a packet: its frame before and after, header by header.

use super::fields::{Field, Value};
use super::layers::{Layer, Layers, Protocol};
use crate::event::{Event, Frame};

/// What differs between a packet as it arrived and as it left. Compared are its lengths, the offsets of data and
/// metadata, and the first bytes of both frames, as far as both are told.
#[derive(Debug, Default)]
pub struct Change<'a> {
    /// Bytes pushed in front of it.
    pub pushed: u32,
    /// … the headers that they are, if they are whole ones,
    pub pushed_layers: Vec<Layer<'a>>,
    /// and how many there are in front of them.
    pub pushed_at: usize,
    /// Bytes popped off its front.
    pub popped: u32,
    /// … the headers that they were, if they were whole ones,
    pub popped_layers: Vec<Layer<'a>>,
    /// and how many there were in front of them.
    pub popped_at: usize,
    /// Bytes cut from its tail.
    pub cut: u32,
    /// Bytes grown at its tail.
    pub grown: u32,
    /// Bytes that it is longer by, or, if negative, shorter, where it is not known at which end.
    pub longer: i64,
    /// Bytes of metadata pushed in front of it.
    pub metadata_pushed: u32,
    /// Bytes of metadata popped off.
    pub metadata_popped: u32,
    /// Fields of headers that it had before and after.
    pub fields: Vec<Difference<'a>>,
    /// Where in the packet as it arrived, in bytes from its beginning, it differs first outside those headers.
    pub payload_at: Option<u32>,
}

/// A field that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference<'a> {
    /// Whose field it is.
    pub protocol: Protocol,
    /// Its header stands inside another one of the same protocol.
    pub is_inner: bool,
    /// The field's name.
    pub name: &'static str,
    /// What it was.
    pub before: Value<'a>,
    /// What it is.
    pub after: Value<'a>,
}

impl<'a> Change<'a> {
    /// What was changed in the event's packet; None where nothing was, or it is not known whether.
    pub fn of(event: &Event<'a>) -> Option<Self> {
        match (event.changed, event.before, event.after) {
            (Some(true), Some(before), Some(after)) => Some(Self::new(before, after, event.moved)),
            _ => None,
        }
    }

    /// `moved` is by how many bytes the packet's beginning was moved: forward if positive. Where it isn't told and lengths
    /// differ, nothing else can be compared.
    fn new(before: Frame<'a>, after: Frame<'a>, moved: Option<i32>) -> Self {
        let lengths = before.length.zip(after.length);
        let shorter = lengths.map_or(0, |(before, after)| i64::from(before) - i64::from(after));
        if moved.is_none() && shorter != 0 {
            return Self { longer: -shorter, ..Self::default() };
        }
        let moved = moved.unwrap_or(0);
        let cut = if lengths.is_some() { shorter - i64::from(moved) } else { 0 };
        let marked = i32::from(after.metadata) - i32::from(before.metadata);
        let (pushed, popped) = parts(-i64::from(moved));
        let (grown, cut) = parts(-cut);
        let (metadata_pushed, metadata_popped) = parts(marked.into());
        let mut change = Self { pushed, popped, cut, grown, metadata_pushed, metadata_popped, ..Self::default() };
        change.compare(before.bytes, after.bytes, moved);
        change
    }

    fn compare(&mut self, before: &'a [u8], after: &'a [u8], moved: i32) {
        let (mut there, mut here) = (Stack::new(before), Stack::new(after));
        if self.pushed > 0 {
            (self.pushed_at, self.pushed_layers) = here.take_extra(&there, self.pushed as usize);
        } else if self.popped > 0 {
            (self.popped_at, self.popped_layers) = there.take_extra(&here, self.popped as usize);
        }
        let (befores, afters) = (there.layers, here.layers);
        let is_aligned = moved == 0 || !self.pushed_layers.is_empty() || !self.popped_layers.is_empty();
        if !is_aligned {
            return;
        }
        let same = befores.iter().zip(&afters).take_while(|(one, two)| one.protocol == two.protocol).count();
        for (at, (before, after)) in befores.iter().zip(&afters).take(same).enumerate() {
            let is_inner = befores.iter().take(at).any(|outer| outer.protocol == before.protocol)
                && before.protocol != Protocol::Vlan
                && before.protocol != Protocol::Mpls;
            self.compare_layer(*before, *after, is_inner);
        }
        let start = befores.get(..same).and_then(<[_]>::last).map_or(0, |last| last.offset + last.header.len());
        self.payload_at = first_difference(before, after, start, moved);
    }

    fn compare_layer(&mut self, before: Layer<'a>, after: Layer<'a>, is_inner: bool) {
        if before.header == after.header {
            return;
        }
        let protocol = before.protocol;
        let [mut befores, mut afters] = [Vec::new(), Vec::new()];
        before.fields(&mut |field| befores.push(field));
        after.fields(&mut |field| afters.push(field));
        for Field { name, value } in befores {
            let other = afters.iter().find(|field| field.name == name).map(|field| field.value);
            if let Some(after) = other.filter(|other| *other != value) {
                self.fields.push(Difference { protocol, is_inner, name, before: value, after });
            }
        }
    }
}

/// What a difference is, upwards and downwards.
fn parts(difference: i64) -> (u32, u32) {
    let up = u32::try_from(difference.max(0)).unwrap_or(u32::MAX);
    let down = u32::try_from(difference.min(0).unsigned_abs()).unwrap_or(u32::MAX);
    (up, down)
}

/// A packet's headers, and how many of its bytes there are.
struct Stack<'a> {
    layers: Vec<Layer<'a>>,
    captured: usize,
}

impl<'a> Stack<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { layers: Layers::new(bytes).collect(), captured: bytes.len() }
    }

    /// Takes out the headers that it has beside those of `shorter`: the outermost run of `bytes` bytes without which both
    /// have the same protocols; and where it began. Nothing where there is no such run.
    fn take_extra(&mut self, shorter: &Self, bytes: usize) -> (usize, Vec<Layer<'a>>) {
        let ends = |start| (start + 1..=self.layers.len()).map(move |end| (start, end));
        let runs = (0..self.layers.len()).flat_map(ends);
        let found = runs.into_iter().find(|(start, end)| self.is_extra(*start, *end, shorter, bytes));
        found.map_or_else(Default::default, |(start, end)| (start, self.layers.drain(start..end).collect()))
    }

    fn is_extra(&self, start: usize, end: usize, shorter: &Self, bytes: usize) -> bool {
        let run = self.layers.get(start..end).unwrap_or_default();
        let length: usize = run.iter().map(|layer| layer.header.len()).sum();
        let rest: Vec<&Layer<'a>> = self.layers.iter().take(start).chain(self.layers.iter().skip(end)).collect();
        // A header that only one of them has must lie where the other one's capture had ended.
        let beyond = |layer: &Layer<'a>, at: Option<usize>, captured: usize| {
            at.is_some_and(|at| at + layer.header.len() > captured)
        };
        let only_here = rest
            .get(shorter.layers.len())
            .is_none_or(|layer| beyond(layer, layer.offset.checked_sub(bytes), shorter.captured));
        let only_there = shorter
            .layers
            .get(rest.len())
            .is_none_or(|layer| beyond(layer, layer.offset.checked_add(bytes), self.captured));
        let is_same = rest.iter().zip(&shorter.layers).all(|(one, two)| one.protocol == two.protocol);
        length == bytes && start <= shorter.layers.len() && is_same && only_here && only_there
    }
}

/// The first byte from `start` on, in the packet as it arrived, that isn't the same as where it stands now.
fn first_difference(before: &[u8], after: &[u8], start: usize, moved: i32) -> Option<u32> {
    let there = usize::try_from(i64::try_from(start).ok()? - i64::from(moved)).ok()?;
    let (before, after) = (before.get(start..)?, after.get(there..)?);
    let at = before.iter().zip(after).position(|(one, two)| one != two)?;
    u32::try_from(start + at).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ETHERNET: [u8; 14] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    const IP: [u8; 20] = [0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 168, 1, 12, 192, 168, 1, 138];
    const UDP: [u8; 8] = [0x9c, 0x40, 0x4e, 0x20, 0, 8, 0, 0];

    fn frame(bytes: &[u8], length: usize) -> Frame<'_> {
        Frame { length: Some(length as u32), metadata: 0, bytes }
    }

    fn names(change: &Change<'_>) -> Vec<String> {
        let inner = |difference: &Difference<'_>| if difference.is_inner { "inner " } else { "" };
        change.fields.iter().map(|one| format!("{}{}.{}", inner(one), one.protocol.name(), one.name)).collect()
    }

    #[test]
    fn fields_that_differ_are_named_with_both_values() {
        let before = [&ETHERNET[..], &IP, &UDP].concat();
        let mut after = before.clone();
        (after[5], after[22]) = (9, 63);
        let change = Change::new(frame(&before, 42), frame(&after, 42), Some(0));
        assert_eq!(names(&change), ["ethernet.dst_mac", "ipv4.ttl"]);
        assert_eq!((change.fields[1].before, change.fields[1].after), (Value::Number(64), Value::Number(63)));
        assert_eq!((change.pushed, change.popped, change.cut, change.grown, change.payload_at), (0, 0, 0, 0, None));
    }

    #[test]
    fn a_tunnels_header_that_was_pushed_is_told_from_what_is_inside() {
        let before = [&ETHERNET[..], &IP, &UDP].concat();
        let mut outer = IP;
        (outer[3], outer[9], outer[15]) = (48, 4, 99);
        let mut after = [&ETHERNET[..], &outer, &IP, &UDP].concat();
        after[42] = 1;
        let change = Change::new(frame(&before, 42), frame(&after, 62), Some(-20));
        let pushed: Vec<&[u8]> = change.pushed_layers.iter().map(|layer| layer.header).collect();
        assert_eq!((change.pushed, &pushed[..]), (20, &[&outer[..]][..]));
        assert_eq!(names(&change), ["ipv4.ttl"]);
        // And popped again.
        let change = Change::new(frame(&after, 62), frame(&before, 42), Some(20));
        assert_eq!((change.popped, change.popped_layers.len()), (20, 1));
        assert_eq!(names(&change), ["ipv4.ttl"]);
    }

    #[test]
    fn a_tag_is_a_header_as_well_and_the_ethertype_moves() {
        let before = [&ETHERNET[..], &IP, &UDP].concat();
        let after = [&ETHERNET[..12], &[0x81, 0, 0, 5, 8, 0], &IP[..], &UDP].concat();
        let change = Change::new(frame(&before, 42), frame(&after, 46), Some(-4));
        assert_eq!(change.pushed_layers.iter().map(|layer| layer.protocol).collect::<Vec<_>>(), [Protocol::Vlan]);
        assert_eq!(names(&change), ["ethernet.ethertype"]);
    }

    /// As of a packet into whose header options were put, or behind which a shim was: its own headers aren't new ones.
    #[test]
    fn a_packets_own_headers_are_not_taken_for_pushed_ones() {
        let before = [&ETHERNET[..], &IP, &UDP].concat();
        let mut with_options = IP.to_vec();
        (with_options[0], with_options[3]) = (0x47, 36);
        let after = [&ETHERNET[..], &with_options, &[1; 8], &UDP].concat();
        let change = Change::new(frame(&before, 42), frame(&after, 50), Some(-8));
        assert_eq!((change.pushed, change.pushed_layers.len(), change.fields.len()), (8, 0, 0));
        let change = Change::new(frame(&after, 50), frame(&before, 42), Some(8));
        assert_eq!((change.popped, change.popped_layers.len()), (8, 0));
        let mut foreign = IP.to_vec();
        (foreign[3], foreign[9]) = (48, 253);
        let after = [&ETHERNET[..], &foreign, &[0; 20], &UDP].concat();
        let change = Change::new(frame(&before, 42), frame(&after, 62), Some(-20));
        assert_eq!((change.pushed, change.pushed_layers.len()), (20, 0));
    }

    /// What was kept of the longer one doesn't reach as far into it.
    #[test]
    fn a_tunnels_header_is_told_from_a_capture_that_ends_early() {
        let before = [&ETHERNET[..], &IP, &UDP].concat();
        let mut outer = IP;
        (outer[3], outer[9]) = (48, 4);
        let after = [&ETHERNET[..], &outer, &IP, &UDP].concat();
        for kept in [54, 58] {
            let change = Change::new(frame(&before, 42), frame(&after[..kept], 62), Some(-20));
            assert_eq!((change.pushed_layers.len(), change.grown, change.cut), (1, 0, 0), "{kept}");
        }
    }

    #[test]
    fn bytes_that_are_no_header_are_only_counted() {
        let before = [&ETHERNET[..], &IP, &UDP].concat();
        let after = [&[0xaa; 3][..], &before].concat();
        let change = Change::new(frame(&before, 42), frame(&after, 45), Some(-3));
        assert_eq!((change.pushed, change.pushed_layers.len(), change.fields.len()), (3, 0, 0));
    }

    #[test]
    fn a_payload_is_compared_where_the_headers_end_and_a_tail_by_its_length() {
        let before = [&ETHERNET[..], &IP, &UDP, &[1, 2, 3, 4]].concat();
        let mut after = before.clone();
        after[44] = 9;
        let change = Change::new(frame(&before, 46), frame(&after[..45], 45), Some(0));
        assert_eq!((change.cut, change.payload_at, change.fields.len()), (1, Some(44), 0));
    }

    #[test]
    fn metadata_is_none_of_the_packet() {
        let before = [&ETHERNET[..], &IP].concat();
        let marked = Frame { metadata: 8, ..frame(&before, 34) };
        let change = Change::new(frame(&before, 34), marked, Some(0));
        assert_eq!((change.metadata_pushed, change.metadata_popped, change.grown, change.cut), (8, 0, 0, 0));
    }
}
