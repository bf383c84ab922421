//! What a program changed, in brackets behind the packet.

use crate::bpf::HEAD_LEN;
use crate::packet::{Change, Difference, Value, describe, write_value};
use crate::sink::bytes::digits;

/// Fields whose name says all by itself; another's has that of its protocol in front.
const PLAIN: [&str; 19] = [
    "dst_mac",
    "src_mac",
    "ethertype",
    "vlan",
    "priority",
    "src",
    "dst",
    "ttl",
    "tos",
    "hop_limit",
    "traffic_class",
    "flow_label",
    "sport",
    "dport",
    "seq",
    "ack",
    "window",
    "vni",
    "label",
];

/// Sums, which follow from what they are of: of a header in which something else differs, of addresses, or of what became
/// longer or shorter. They are not worth a word then.
const SUMS: [&str; 3] = ["checksum", "length", "header_length"];
/// What stands inside, which follows from a header that was pushed or popped.
const KINDS: [&str; 3] = ["ethertype", "next_header", "protocol"];

/// Appends ` [pushed 20: IP 10.0.0.1 > 10.0.0.2: IPIP, ttl 64->63]`, of which there is at least one part.
pub fn write(line: &mut Vec<u8>, change: &Change<'_>, before: &[u8], after: &[u8]) {
    let mut parts = Parts { is_first: true, line };
    parts.moved("pushed ", change.pushed, |line| {
        describe(line, after, change.pushed_at, change.pushed_layers.len());
    });
    parts.moved("popped ", change.popped, |line| {
        describe(line, before, change.popped_at, change.popped_layers.len());
    });
    parts.sized("cut ", change.cut);
    parts.sized("grown ", change.grown);
    parts.sized("metadata pushed ", change.metadata_pushed);
    parts.sized("metadata popped ", change.metadata_popped);
    parts.longer(change.longer);
    parts.fields(change);
    if let Some(at) = change.payload_at {
        parts.sized("bytes from ", at);
    }
    if parts.is_first {
        parts.sized("changed in the first ", HEAD_LEN as u32);
        parts.line.extend(b" bytes");
    }
    parts.line.push(b']');
}

/// The parts that have been written.
struct Parts<'line> {
    is_first: bool,
    line: &'line mut Vec<u8>,
}

impl Parts<'_> {
    fn begin(&mut self) {
        self.line.extend(if std::mem::take(&mut self.is_first) { b" [" } else { b", " });
    }

    /// A word and a number, unless that is 0.
    fn sized(&mut self, word: &str, number: u32) {
        if number > 0 {
            self.begin();
            self.line.extend(word.as_bytes());
            digits(self.line, number.into());
        }
    }

    /// Where it isn't known at which end.
    fn longer(&mut self, by: i64) {
        if by != 0 {
            self.begin();
            digits(self.line, by.unsigned_abs());
            self.line.extend(if by > 0 { &b" longer"[..] } else { b" shorter" });
        }
    }

    /// … and which headers they are, if that is known.
    fn moved(&mut self, word: &str, number: u32, describe: impl FnOnce(&mut Vec<u8>)) {
        self.sized(word, number);
        if number > 0 {
            let end = self.line.len();
            self.line.extend(b": ");
            describe(self.line);
            if self.line.len() == end + 2 {
                self.line.truncate(end);
            }
        }
    }

    fn fields(&mut self, change: &Change<'_>) {
        for field in change.fields.iter().filter(|field| !is_consequence(field, change)) {
            self.begin();
            difference(self.line, field);
        }
    }
}

fn is_consequence(field: &Difference<'_>, change: &Change<'_>) -> bool {
    if KINDS.contains(&field.name) {
        return !change.pushed_layers.is_empty() || !change.popped_layers.is_empty();
    }
    let is_resized = [change.pushed, change.popped, change.cut, change.grown].iter().any(|bytes| *bytes > 0);
    let is_cause = |other: &&Difference<'_>| {
        let is_own = (other.protocol, other.is_inner) == (field.protocol, field.is_inner);
        !SUMS.contains(&other.name) && (is_own || ["src", "dst"].contains(&other.name))
    };
    SUMS.contains(&field.name)
        && (is_resized || change.payload_at.is_some() || change.fields.iter().any(|other| is_cause(&other)))
}

/// `ttl 64->63`, `inner ttl 64->63`, `ipv4 id 0->1`
fn difference(line: &mut Vec<u8>, difference: &Difference<'_>) {
    let words = |line: &mut Vec<u8>, name: &str| {
        line.extend(name.bytes().map(|byte| if byte == b'_' { b' ' } else { byte }));
        line.push(b' ');
    };
    if difference.is_inner {
        line.extend(b"inner ");
    }
    if !PLAIN.contains(&difference.name) {
        words(line, difference.protocol.name());
    }
    words(line, difference.name);
    write_number(line, difference.name, &difference.before);
    line.extend(b"->");
    write_number(line, difference.name, &difference.after);
}

/// As people write it: what has a name by its number is hexadecimal.
fn write_number(line: &mut Vec<u8>, name: &str, value: &Value<'_>) {
    match value {
        Value::Number(number) if ["ethertype", "checksum"].contains(&name) => {
            line.extend(b"0x");
            write_value(line, &Value::Bytes(&(*number as u16).to_be_bytes()));
        }
        value => write_value(line, value),
    }
}
