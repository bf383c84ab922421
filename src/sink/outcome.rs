//! What became of a verdict, in words.

use std::borrow::Cow;

use super::bytes::{digits, name};
use crate::event::{Outcome, Reason, Status, Verdict, Way, error_name};

/// Appends what stands behind a verdict in a line: ` -> eth1`, ` -> failed: ENETDOWN (eth1)`, ` (xdp_exception)`.
pub fn write_behind(line: &mut Vec<u8>, verdict: Verdict, outcome: &Outcome<'_>) {
    match outcome.status {
        Status::Exception if matches!(verdict, Verdict::TX | Verdict::REDIRECT) => line.extend(b" -> failed"),
        Status::Exception => line.extend(b" (xdp_exception)"),
        Status::Failed => write_failure(line, outcome),
        Status::Accepted => {
            line.extend(b" -> ");
            write_way_or(line, outcome.to, b"?");
        }
        Status::Redirected => {
            line.extend(b" -> redirected by ");
            write_way_or(line, outcome.to, b"?");
        }
    }
}

fn write_failure(line: &mut Vec<u8>, outcome: &Outcome<'_>) {
    line.extend(b" -> failed");
    if let Some(reason) = outcome.error {
        line.extend(b": ");
        line.extend(word(reason).as_bytes());
    }
    if outcome.to.is_some() {
        line.extend(b" (");
        write_way_or(line, outcome.to, b"?");
        line.push(b')');
    }
}

fn write_way_or(line: &mut Vec<u8>, way: Option<Way<'_>>, otherwise: &[u8]) {
    match way {
        Some(way) => write_way(line, way),
        None => line.extend(otherwise),
    }
}

/// Appends `eth1`, `ifindex 9`, `xsk map 12[3]`, such that it cannot command a terminal.
pub fn write_way(out: &mut Vec<u8>, way: Way<'_>) {
    match way {
        Way::Device(device) => match device.name {
            Some(known) => name(out, known),
            None => {
                out.extend(b"ifindex ");
                digits(out, device.ifindex.into());
            }
        },
        Way::Map { kind, id, index } => {
            out.extend(kind.as_bytes());
            out.extend(b" map ");
            digits(out, id.into());
            out.push(b'[');
            digits(out, index.into());
            out.push(b']');
        }
        // They were escaped when they were written, by whoever that was.
        Way::Words(words) => {
            for letter in words.chars() {
                match letter {
                    ' '..='~' => out.push(letter as u8),
                    _ => out.extend(letter.escape_default().to_string().as_bytes()),
                }
            }
        }
    }
}

/// `ENETDOWN`
pub fn word(reason: Reason<'_>) -> Cow<'_, str> {
    match reason {
        Reason::Errno(number) => Cow::Owned(error_name(number)),
        Reason::Word(word) => Cow::Borrowed(word),
    }
}

/// Appends what a file tells of it: `, outcome failed ENETDOWN eth1`. No word in it has a blank, or ends in a comma with
/// one behind it: so it goes up to a comma and a blank, also where a device's name has commas.
pub fn write_comment(out: &mut Vec<u8>, outcome: &Outcome<'_>) {
    out.extend(b", outcome ");
    out.extend(outcome.status.word().as_bytes());
    if outcome.status == Status::Failed {
        out.push(b' ');
        out.extend(outcome.error.map_or(Cow::Borrowed("?"), word).as_bytes());
    }
    if let Some(way) = outcome.to {
        out.push(b' ');
        write_way(out, way);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Device;

    #[test]
    fn what_became_of_a_verdict_stands_behind_it() {
        let device = |name| Way::Device(Device { netns: 1, ifindex: 9, name });
        let map = Way::Map { kind: "xsk", id: 12, index: 3 };
        let outcome =
            |status, to, error: i32| Outcome { status, to, error: (error != 0).then_some(Reason::Errno(error)) };
        let table = [
            (4, outcome(Status::Accepted, Some(device(Some("eth1"))), 0), " -> eth1", "accepted eth1"),
            (4, outcome(Status::Accepted, Some(map), 0), " -> xsk map 12[3]", "accepted xsk map 12[3]"),
            (
                4,
                outcome(Status::Failed, Some(device(None)), 100),
                " -> failed: ENETDOWN (ifindex 9)",
                "failed ENETDOWN ifindex 9",
            ),
            (4, outcome(Status::Failed, None, 524), " -> failed: ENOTSUPP", "failed ENOTSUPP"),
            (3, outcome(Status::Exception, None, 0), " -> failed", "exception"),
            (0, outcome(Status::Exception, None, 0), " (xdp_exception)", "exception"),
            (42, outcome(Status::Exception, None, 0), " (xdp_exception)", "exception"),
            (
                3,
                outcome(Status::Redirected, Some(device(Some("bond0"))), 0),
                " -> redirected by bond0",
                "redirected bond0",
            ),
            (3, outcome(Status::Redirected, None, 0), " -> redirected by ?", "redirected"),
            (
                4,
                outcome(Status::Accepted, Some(device(Some("e\u{1b}[2J"))), 0),
                " -> e\\u{1b}[2J",
                "accepted e\\u{1b}[2J",
            ),
        ];
        for (verdict, outcome, behind, comment) in table {
            let (mut line, mut out) = (Vec::new(), Vec::new());
            write_behind(&mut line, Verdict(verdict), &outcome);
            write_comment(&mut out, &outcome);
            assert_eq!(String::from_utf8_lossy(&line), behind);
            assert_eq!(String::from_utf8_lossy(&out), format!(", outcome {comment}"));
        }
    }
}
