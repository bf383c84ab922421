//! BTF → BTF of some of its types, and of what they hold.
//!
//! The format is that of Documentation/bpf/btf.rst. It is read here as bytes, not by libbpf, because libbpf takes several
//! times as long for a whole kernel's.

use std::collections::HashMap;

const MAGIC: u16 = 0xEB9F;
/// Bytes of the header that is written here.
const HEADER_LENGTH: u32 = 24;

/// The types in `btf` whose name `is_wanted`, with all that they hold, but not what they point to: a relocation ends at a
/// pointer, and every pointer is one to void here. None where `btf` is no BTF, or has a kind of types that is not known.
pub(super) fn extract(btf: &[u8], is_wanted: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let whole = Whole::parse(btf)?;
    let mut part = Part::of(&whole);
    for id in 1..whole.starts.len() as u32 {
        if whole.name_of(id)?.is_some_and(&is_wanted) {
            part.copy(id)?;
        }
    }
    Some(part.encode())
}

/// What a 32-bit word of a type's description stands for.
#[derive(Clone, Copy)]
enum Meaning {
    /// An offset in the strings.
    Name,
    /// The id of a type that is a part of this one.
    Type,
    /// The id of a type that is none.
    Pointee,
    /// Itself.
    Plain,
}

/// The words of a kind of types, behind its name and its `info`.
struct Shape {
    first: Meaning,
    rest: &'static [Meaning],
    /// Whether the rest comes as often as `info` says, as for the members of a struct.
    repeats: bool,
}

impl Shape {
    /// By BTF_KIND_*, include/uapi/linux/btf.h.
    fn of(kind: u32) -> Option<Self> {
        use Meaning::{Name, Plain, Pointee, Type};
        let (first, rest, repeats): (_, &[_], _) = match kind {
            1 => (Plain, &[Plain], false),                // INT
            2 => (Pointee, &[], false),                   // PTR
            3 => (Plain, &[Type, Type, Plain], false),    // ARRAY
            4 | 5 => (Plain, &[Name, Type, Plain], true), // STRUCT, UNION
            6 => (Plain, &[Name, Plain], true),           // ENUM
            7 | 16 => (Plain, &[], false),                // FWD, FLOAT
            8..=12 | 18 => (Type, &[], false),            // TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, TYPE_TAG
            13 => (Type, &[Name, Type], true),            // FUNC_PROTO
            14 | 17 => (Type, &[Plain], false),           // VAR, DECL_TAG
            15 => (Plain, &[Type, Plain, Plain], true),   // DATASEC
            19 => (Plain, &[Name, Plain, Plain], true),   // ENUM64
            _ => return None,
        };
        Some(Self { first, rest, repeats })
    }

    fn words(&self, info: u32) -> usize {
        3 + self.rest.len() * self.times(info)
    }

    fn times(&self, info: u32) -> usize {
        if self.repeats { info as usize & 0xffff } else { 1 }
    }
}

/// BTF, with the place of each type.
struct Whole<'btf> {
    types: &'btf [u8],
    strings: &'btf [u8],
    /// Where in `types` each begins, by its id; 0 is void, which isn't there.
    starts: Vec<usize>,
}

impl<'btf> Whole<'btf> {
    fn parse(btf: &'btf [u8]) -> Option<Self> {
        if btf.first_chunk().copied().map(u16::from_ne_bytes) != Some(MAGIC) {
            return None;
        }
        let header_length = word(btf, 4)?;
        let section = |at| {
            let start = header_length as usize + word(btf, at)? as usize;
            btf.get(start..start + word(btf, at + 4)? as usize)
        };
        let (types, strings) = (section(8)?, section(16)?);
        let (mut starts, mut at) = (vec![0], 0);
        while at < types.len() {
            starts.push(at);
            let info = word(types, at + 4)?;
            at += 4 * Shape::of(kind(info))?.words(info);
        }
        Some(Self { types, strings, starts })
    }

    /// Of a type that C names; else, and where it has no name, Some(None).
    fn name_of(&self, id: u32) -> Option<Option<&'btf [u8]>> {
        let start = *self.starts.get(id as usize)?;
        match (word(self.types, start)?, kind(word(self.types, start + 4)?)) {
            // STRUCT, UNION, ENUM, TYPEDEF, ENUM64
            (name, 4..=6 | 8 | 19) if name != 0 => self.string(name).map(Some),
            _ => Some(None),
        }
    }

    fn string(&self, offset: u32) -> Option<&'btf [u8]> {
        self.strings.get(offset as usize..)?.split(|byte| *byte == 0).next()
    }

    /// What describes type `id`.
    fn words_of(&self, id: u32) -> Option<impl Iterator<Item = (Meaning, u32)>> {
        let start = *self.starts.get(id as usize)?;
        let info = word(self.types, start + 4)?;
        let shape = Shape::of(kind(info))?;
        let bytes = self.types.get(start..start + 4 * shape.words(info))?;
        let meanings = [Meaning::Name, Meaning::Plain, shape.first].into_iter();
        let meanings = meanings.chain(shape.rest.iter().copied().cycle());
        Some(meanings.zip(bytes.chunks_exact(4).filter_map(|bytes| word(bytes, 0))))
    }
}

/// BTF that is being made of some types of another.
struct Part<'btf> {
    whole: &'btf Whole<'btf>,
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
    /// Ids here by ids in the whole.
    ids: HashMap<u32, u32>,
    /// Offsets in `strings` by those in the whole's.
    names: HashMap<u32, u32>,
}

impl<'btf> Part<'btf> {
    fn of(whole: &'btf Whole<'btf>) -> Self {
        let ids = HashMap::from([(0, 0)]);
        let names = HashMap::from([(0, 0)]);
        Self { whole, types: Vec::new(), strings: vec![0], count: 0, ids, names }
    }

    /// Its id here.
    fn copy(&mut self, id: u32) -> Option<u32> {
        if let Some(known) = self.ids.get(&id) {
            return Some(*known);
        }
        // No type is a part of itself; what says so would have no end.
        self.ids.insert(id, 0);
        let mut copied = Vec::new();
        for (meaning, word) in self.whole.words_of(id)? {
            copied.push(match meaning {
                Meaning::Name => self.copy_name(word)?,
                Meaning::Type => self.copy(word)?,
                Meaning::Pointee => 0,
                Meaning::Plain => word,
            });
        }
        self.types.extend(copied.into_iter().flat_map(u32::to_ne_bytes));
        self.count += 1;
        self.ids.insert(id, self.count);
        Some(self.count)
    }

    fn copy_name(&mut self, offset: u32) -> Option<u32> {
        if let Some(known) = self.names.get(&offset) {
            return Some(*known);
        }
        let copied = self.strings.len() as u32;
        self.strings.extend(self.whole.string(offset)?);
        self.strings.push(0);
        self.names.insert(offset, copied);
        Some(copied)
    }

    fn encode(self) -> Vec<u8> {
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let mut btf = MAGIC.to_ne_bytes().to_vec();
        btf.extend([1, 0]); // version, flags
        btf.extend([HEADER_LENGTH, 0, types, types, strings].into_iter().flat_map(u32::to_ne_bytes));
        btf.extend(self.types);
        btf.extend(self.strings);
        btf
    }
}

fn kind(info: u32) -> u32 {
    info >> 24 & 0x7f
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}
