//! What each line of JSON holds. What is not known is absent.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::numbers::Sent;
use crate::bpf::HEAD_LEN;
use crate::event::{self, Account, Counts, Event, Losses, Subject, Verdict};
use crate::packet::{self, Difference, Layer, Value};
use crate::plan::Probes;
use crate::sink::localtime::UtcTime;

/// Within one, fields are only added.
pub const SCHEMA_VERSION: u32 = 1;

/// Which program, and which function in it.
#[derive(Serialize)]
pub(super) struct Program<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
}

impl<'a> Program<'a> {
    pub(super) fn of(subject: &'a Subject) -> Self {
        let Subject { program_id, program_name, function, .. } = subject;
        let known = |name: &'a String| Some(name.as_str()).filter(|_| subject.is_one());
        Self { id: Some(*program_id).filter(|id| *id > 0), name: known(program_name), function: known(function) }
    }
}

/// What differs, within what was compared.
#[derive(Serialize)]
pub struct Changed<'a> {
    any: bool,
    /// Lengths and offsets are compared, and so many bytes from the packet's beginning on.
    compared_bytes: usize,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    what: Option<What<'a>>,
}

#[derive(Serialize)]
struct What<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed: Option<Moved<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    popped: Option<Moved<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    cut: u32,
    #[serde(skip_serializing_if = "is_zero")]
    grown: u32,
    #[serde(skip_serializing_if = "is_zero")]
    longer: i64,
    #[serde(skip_serializing_if = "is_zero")]
    metadata_pushed: u32,
    #[serde(skip_serializing_if = "is_zero")]
    metadata_popped: u32,
    fields: Fields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_at: Option<u32>,
}

/// serde asks with a reference.
fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

#[derive(Serialize)]
struct Moved<'a> {
    bytes: u32,
    headers: HeaderList<'a>,
}

impl<'a> Changed<'a> {
    pub fn new(event: &Event<'a>, any: bool) -> Self {
        let what = packet::Change::of(event).map(|change| What {
            pushed: (change.pushed > 0)
                .then_some(Moved { bytes: change.pushed, headers: HeaderList(change.pushed_layers) }),
            popped: (change.popped > 0)
                .then_some(Moved { bytes: change.popped, headers: HeaderList(change.popped_layers) }),
            cut: change.cut,
            grown: change.grown,
            longer: change.longer,
            metadata_pushed: change.metadata_pushed,
            metadata_popped: change.metadata_popped,
            fields: Fields(change.fields),
            payload_at: change.payload_at,
        });
        Self { any, compared_bytes: HEAD_LEN, what }
    }
}

struct Fields<'a>(Vec<Difference<'a>>);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct One<'a> {
            layer: &'static str,
            inner: bool,
            field: &'static str,
            before: Shown<'a>,
            after: Shown<'a>,
        }
        serializer.collect_seq(self.0.iter().map(|one| One {
            layer: one.protocol.name(),
            inner: one.is_inner,
            field: one.name,
            before: Shown(one.before),
            after: Shown(one.after),
        }))
    }
}

struct HeaderList<'a>(Vec<Layer<'a>>);

impl Serialize for HeaderList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|layer| Header(*layer)))
    }
}

struct Header<'a>(Layer<'a>);

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("layer", self.0.protocol.name())?;
        let mut written = Ok(());
        self.0.fields(&mut |field| {
            if written.is_ok() {
                written = map.serialize_entry(field.name, &Shown(field.value));
            }
        });
        written?;
        map.end()
    }
}

/// A field's value.
struct Shown<'a>(Value<'a>);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Number(number) => serializer.serialize_u64(number),
            Value::Bool(is_so) => serializer.serialize_bool(is_so),
            Value::Text(text) => serializer.serialize_str(text),
            value => serialize_text(&value, serializer),
        }
    }
}

fn serialize_text<S: Serializer>(value: &Value<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = Vec::with_capacity(48);
    packet::write_value(&mut text, value);
    serializer.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
}

impl Serialize for Verdict {
    /// `XDP_PASS`, or the number as a string.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Records, or what else was to be counted, that were lost since it was told last, for one reason.
#[derive(Serialize)]
pub struct Lost<'a> {
    r#type: &'static str,
    schema_version: u32,
    time: &'a UtcTime,
    reason: &'static str,
    count: u64,
}

impl<'a> Lost<'a> {
    /// One for each reason.
    pub fn of(time: &'a UtcTime, losses: &Losses) -> impl Iterator<Item = Self> {
        let losses = reasons(losses).into_iter().filter(|(_, count)| *count > 0);
        losses.map(move |(reason, count)| Self { r#type: "lost", schema_version: SCHEMA_VERSION, time, reason, count })
    }
}

fn reasons(losses: &Losses) -> [(&'static str, u64); 6] {
    let Losses { full, no_ring, other, unwritten, overflow } = *losses;
    [
        ("ring_full", full),
        ("no_ring", no_ring),
        ("refused", other),
        ("unwritten", unwritten),
        ("outcome_table_full", overflow.outcomes),
        ("forward_table_full", overflow.forwards),
    ]
}

/// The probes are on.
#[derive(Serialize)]
pub struct Attached<'a> {
    r#type: &'static str,
    schema_version: u32,
    time: &'a UtcTime,
    program: Program<'a>,
    devices: &'a [String],
    probe: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_traced: Option<Span<'a>>,
}

#[derive(Serialize)]
struct Span<'a> {
    from: &'a UtcTime,
    to: &'a UtcTime,
}

impl<'a> Attached<'a> {
    pub fn new(
        time: &'a UtcTime,
        subject: &'a Subject,
        probes: Probes,
        missed: Option<&'a (UtcTime, UtcTime)>,
    ) -> Self {
        Self {
            r#type: "attached",
            schema_version: SCHEMA_VERSION,
            time,
            program: Program::of(subject),
            devices: &subject.devices,
            probe: match probes {
                Probes::Both => "both",
                Probes::Entry => "entry",
                Probes::Exit => "exit",
            },
            not_traced: missed.map(|(from, to)| Span { from, to }),
        }
    }
}

/// The probes are off before the run's end, and all records of the program have been read.
#[derive(Serialize)]
pub struct Detached<'a> {
    r#type: &'static str,
    schema_version: u32,
    time: &'a UtcTime,
    program: Program<'a>,
    devices: &'a [String],
    #[serde(flatten)]
    counts: Sums,
}

impl<'a> Detached<'a> {
    pub fn new(time: &'a UtcTime, Account { subject, counts }: &'a Account) -> Self {
        Self {
            r#type: "detached",
            schema_version: SCHEMA_VERSION,
            time,
            program: Program::of(subject),
            devices: &subject.devices,
            counts: Sums::new(counts),
        }
    }
}

/// `seen = filtered + skipped + traced + lost`, and in a run's course what is under way.
#[derive(Serialize)]
pub(super) struct Sums {
    seen: u64,
    filtered: u64,
    skipped: u64,
    traced: u64,
    lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    under_way: Option<u64>,
    unpaired: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    recursion_misses: Option<u64>,
}

impl Sums {
    pub(super) fn new(counts: &Counts) -> Self {
        let Counts { seen, filtered, skipped, traced, lost, under_way, unpaired, recursion_misses } = *counts;
        let under_way = (under_way > 0).then_some(under_way);
        Self { seen, filtered, skipped, traced, lost, under_way, unpaired, recursion_misses }
    }
}

/// Where every run went: at the end, or so far.
#[derive(Serialize)]
pub struct Summary<'a> {
    r#type: &'static str,
    schema_version: u32,
    time: &'a UtcTime,
    r#final: bool,
    #[serde(flatten)]
    total: Sums,
    #[serde(skip_serializing_if = "is_zero")]
    late: u64,
    verdicts: Verdicts<'a>,
    losses: Reasons<'a>,
    programs: Vec<ProgramSums<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forwards: Option<Vec<Sent<'a>>>,
}

#[derive(Serialize)]
struct ProgramSums<'a> {
    program: Program<'a>,
    devices: &'a [String],
    #[serde(flatten)]
    counts: Sums,
}

impl<'a> Summary<'a> {
    pub fn new(time: &'a UtcTime, summary: &'a event::Summary, is_final: bool) -> Self {
        let programs = summary.programs.iter().map(|Account { subject, counts }| ProgramSums {
            program: Program::of(subject),
            devices: &subject.devices,
            counts: Sums::new(counts),
        });
        Self {
            r#type: "summary",
            schema_version: SCHEMA_VERSION,
            time,
            r#final: is_final,
            total: Sums::new(&summary.total),
            late: summary.late,
            verdicts: Verdicts(summary),
            losses: Reasons(&summary.losses),
            programs: programs.collect(),
            forwards: summary.forwards.as_ref().map(|forwards| forwards.iter().map(Sent::new).collect()),
        }
    }
}

struct Verdicts<'a>(&'a event::Summary);

impl Serialize for Verdicts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let verdicts = self.0.verdicts.iter().map(|(verdict, count)| (verdict.to_string(), *count));
        let others = Some(("other".to_owned(), self.0.others)).filter(|(_, count)| *count > 0);
        serializer.collect_map(verdicts.chain(others))
    }
}

struct Reasons<'a>(&'a Losses);

impl Serialize for Reasons<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(reasons(self.0))
    }
}
