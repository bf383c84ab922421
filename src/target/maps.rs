//! The programs that a program can hand a packet on to: entries of the maps that it uses.

use libbpf_rs::{ErrorKind, MapCore, MapFlags, MapHandle, MapType, Result};

/// How a map's programs are entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// By tail call, from a program that uses the map.
    TailCall,
    /// For each packet redirected to a device.
    Devmap,
    /// For each packet redirected to a CPU.
    Cpumap,
}

/// A program in a map, and the entries that hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// How it is entered.
    pub way: Way,
    /// The map's id.
    pub map: u32,
    /// The map's name: at most 15 characters.
    pub map_name: String,
    /// The entries' keys.
    pub keys: Vec<u32>,
    /// The devices that packets are redirected to, by index; of a devmap only.
    pub devices: Vec<u32>,
    /// The program's id.
    pub program: u32,
}

/// Entries of one map that are looked at, at most: each is a system call or two.
const LIMIT: usize = 65_536;

/// What matters of a map here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// It is made for tail calls, whether or not it holds a program now.
    pub tail_calls: bool,
    /// The programs in it, and in maps that it holds.
    pub entries: Vec<Entry>,
}

/// Reads map `id`. One that is gone holds nothing.
///
/// # Errors
/// Not privileged, or no descriptor left.
pub fn read(id: u32) -> Result<Contents> {
    match MapHandle::from_map_id(id) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Contents::default()),
        Err(error) => Err(error),
        Ok(map) => read_open(id, &map),
    }
}

fn read_open(id: u32, map: &MapHandle) -> Result<Contents> {
    let kind = map.map_type();
    if matches!(kind, MapType::ArrayOfMaps | MapType::HashOfMaps) {
        let mut all = Contents::default();
        // The kernel allows no map of maps of maps.
        for inner in values(map).filter_map(|(_, value)| value.first().copied()) {
            let inner = read(inner)?;
            all.tail_calls |= inner.tail_calls;
            all.entries.extend(inner.entries);
        }
        return Ok(all);
    }
    let entries = way(kind).map_or_else(Vec::new, |way| entries(id, map, way));
    Ok(Contents { tail_calls: kind == MapType::ProgArray, entries })
}

fn way(kind: MapType) -> Option<Way> {
    match kind {
        MapType::ProgArray => Some(Way::TailCall),
        MapType::Devmap | MapType::DevmapHash => Some(Way::Devmap),
        MapType::Cpumap => Some(Way::Cpumap),
        _ => None,
    }
}

fn entries(id: u32, map: &MapHandle, way: Way) -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    for (key, value) in values(map) {
        // struct bpf_devmap_val {ifindex, prog_id}, struct bpf_cpumap_val {qsize, prog_id}: the id was added in 5.8 and
        // 5.9, and a map may still be made without.
        let (program, device) = match (way, &value[..]) {
            (Way::TailCall, [program, ..]) => (*program, None),
            (Way::Devmap, [ifindex, program, ..]) => (*program, Some(*ifindex)),
            (Way::Cpumap, [_, program, ..]) => (*program, None),
            _ => continue,
        };
        if program == 0 {
            continue;
        }
        let known = found.iter().position(|entry| entry.program == program);
        let at = known.unwrap_or_else(|| {
            let map_name = map.name().to_string_lossy().into_owned();
            found.push(Entry { way, map: id, map_name, keys: Vec::new(), devices: Vec::new(), program });
            found.len() - 1
        });
        found[at].keys.push(key);
        found[at].devices.extend(device);
    }
    found
}

/// Key and value of each entry, in words of 32 bits: all that these maps consist of, but for
/// the keys of a hash of maps.
fn values(map: &MapHandle) -> impl Iterator<Item = (u32, Vec<u32>)> + '_ {
    map.keys().take(LIMIT).filter_map(|key| {
        // ENOENT: an empty entry of an array. Only what the kernel may tell anew at any time is lost otherwise.
        let value = map.lookup(&key, MapFlags::ANY).ok()??;
        let words = value.chunks_exact(4).filter_map(|word| word.try_into().ok().map(u32::from_ne_bytes)).collect();
        let key = key.get(..4).and_then(|key| key.try_into().ok()).map_or(0, u32::from_ne_bytes);
        Some((key, words))
    })
}
