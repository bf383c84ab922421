//! What a program changed, in brackets behind the packet.

use crate::bpf::HEAD_LEN;
use crate::packet::{Change, Difference, describe, write_value};
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

/// Fields that follow from others: of a header in which another one differs, or in whose place one was pushed, they are
/// not worth a word.
const CONSEQUENCES: [&str; 5] = ["checksum", "length", "header_length", "ethertype", "next_header"];

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
    parts.fields(change, !parts.is_first);
    match change.payload_at {
        Some(at) if parts.is_first => parts.sized("data at ", at),
        None if parts.is_first => {
            parts.sized("changed in the first ", HEAD_LEN as u32);
            parts.line.extend(b" bytes");
        }
        _ => {}
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

    fn fields(&mut self, change: &Change<'_>, is_moved: bool) {
        let is_consequence = |field: &&Difference<'_>| CONSEQUENCES.contains(&field.name);
        let has_causes =
            is_moved || change.payload_at.is_some() || !change.fields.iter().all(|field| is_consequence(&field));
        for field in change.fields.iter().filter(|field| !(has_causes && is_consequence(field))) {
            self.begin();
            difference(self.line, field);
        }
    }
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
    write_value(line, &difference.before);
    line.extend(b"->");
    write_value(line, &difference.after);
}
