//! What a comment tells of what became of a verdict.

use std::str;

use crate::event::{Outcome, Reason, Status, Way};

/// `failed ENETDOWN eth1`, of a comment that may tell more: up to a comma and a blank, as names may have commas, but no blanks.
#[cold]
pub fn words(comment: &[u8]) -> &[u8] {
    let mut from = 0;
    for part in comment.split(|byte| *byte == b',') {
        if part.trim_ascii_start().starts_with(b"outcome ") {
            let words = &comment[from..].trim_ascii_start()[b"outcome ".len()..];
            let end = words.windows(2).position(|pair| pair == b", ").unwrap_or(words.len());
            return words[..end].trim_ascii();
        }
        from += part.len() + 1;
    }
    &[]
}

/// What they say; None: nothing, or they were written by others.
#[cold]
pub fn parse(words: &[u8]) -> Option<Outcome<'_>> {
    let (word, rest) = first(str::from_utf8(words).ok()?);
    let (status, _) = *Status::ALL.iter().find(|(_, one)| *one == word)?;
    let (error, to) = match status {
        Status::Failed => {
            let (word, to) = first(rest);
            (reason(word)?, to)
        }
        _ => (None, rest),
    };
    Some(Outcome { status, to: (!to.is_empty()).then_some(Way::Words(to)), error })
}

/// The first word, and those behind it.
fn first(words: &str) -> (&str, &str) {
    words.split_once(' ').unwrap_or((words, ""))
}

/// An errno's word, `?`, or nothing; None: anything else.
fn reason(word: &str) -> Option<Option<Reason<'_>>> {
    let is_errnos = word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    match word {
        "" | "?" => Some(None),
        _ => is_errnos.then_some(Some(Reason::Word(word))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::event::{Device, Verdict};
    use crate::sink::outcome::{write_behind, write_comment};

    const STATUSES: [Status; 4] = [Status::Accepted, Status::Failed, Status::Exception, Status::Redirected];

    /// What a line says of it.
    fn shown(outcome: &Outcome<'_>) -> String {
        let mut line = Vec::new();
        write_behind(&mut line, Verdict::REDIRECT, outcome);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let device = |name| Some(Way::Device(Device { netns: 1, ifindex: 9, name }));
        let named = ["eth1", "e,1", "e,", "cpu,7", "?", "failed", "a b", "e\u{1b}[2J", "e\\1", "\"e\'", "br\u{fc}cke"];
        let map = |kind| Some(Way::Map { kind, id: 12, index: 3 });
        let ways = [None, device(None), map("xsk"), map("cpu"), map("dev")];
        for to in ways.into_iter().chain(named.map(|name| device(Some(name)))) {
            for status in STATUSES {
                let errors: &[i32] = if status == Status::Failed { &[0, 100, 524, 9999] } else { &[0] };
                for error in errors.iter().map(|error| (*error != 0).then_some(Reason::Errno(*error))) {
                    let outcome = Outcome { status, to, error };
                    let mut comment = Vec::new();
                    write_comment(&mut comment, &outcome);
                    for behind in ["", ", ", ", my own"] {
                        let comment = [&comment[1..], behind.as_bytes()].concat();
                        let read = parse(words(&comment)).unwrap();
                        assert_eq!((read.status, shown(&read)), (status, shown(&outcome)));
                        assert_eq!((read.to.is_some(), read.error.is_some()), (to.is_some(), error.is_some()));
                        // And once more.
                        let mut again = Vec::new();
                        write_comment(&mut again, &read);
                        assert_eq!(parse(words(&again[1..])), Some(read));
                    }
                }
            }
        }
    }

    #[test]
    fn what_others_wrote_tells_nothing() {
        for comment in
            ["outcome", "outcome ", "outcome good", "outcome failed at once", "outcome Failed", "outcome failed:"]
        {
            assert_eq!(parse(words(comment.as_bytes())), None, "{comment}");
        }
        assert_eq!(parse(b"accepted \xff"), None);
    }

    #[test]
    fn a_file_commands_no_terminal() {
        for words in ["accepted \u{1b}[2J\u{9b}m\n", "failed ENETDOWN \u{1b}", "redirected \u{85}"] {
            let line = shown(&parse(words.as_bytes()).unwrap());
            assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
        }
        assert_eq!(parse("failed E\u{1b} eth1".as_bytes()), None);
    }
}
