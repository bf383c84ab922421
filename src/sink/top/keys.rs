//! What a terminal sends for keys.

/// A key, as far as one is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
    Enter,
    Tab,
    Escape,
    /// Ctrl-C, Ctrl-D, or Ctrl-\.
    Interrupt,
    /// Ctrl-Z.
    Suspend,
    /// Ctrl-L.
    Redraw,
    /// What prints.
    Char(char),
}

/// Sequences behind an ESC (ECMA-48, and xterm's for the application's mode).
const SEQUENCES: [(&[u8], Key); 18] = [
    (b"[A", Key::Up),
    (b"OA", Key::Up),
    (b"[B", Key::Down),
    (b"OB", Key::Down),
    (b"[C", Key::Right),
    (b"OC", Key::Right),
    (b"[D", Key::Left),
    (b"OD", Key::Left),
    (b"[H", Key::Home),
    (b"OH", Key::Home),
    (b"[1~", Key::Home),
    (b"[7~", Key::Home),
    (b"[F", Key::End),
    (b"OF", Key::End),
    (b"[4~", Key::End),
    (b"[8~", Key::End),
    (b"[5~", Key::PageUp),
    (b"[6~", Key::PageDown),
];

/// The keys in what was read at once. An ESC at its end is the key; in front of others, the beginning of a sequence.
pub fn keys(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        let (key, length) = match first {
            0x1b => sequence(rest),
            byte => (plain(*byte), 0),
        };
        keys.extend(key);
        bytes = rest.get(length..).unwrap_or_default();
    }
    keys
}

fn plain(byte: u8) -> Option<Key> {
    match byte {
        b'\r' | b'\n' => Some(Key::Enter),
        b'\t' => Some(Key::Tab),
        0x03 | 0x04 | 0x1c => Some(Key::Interrupt),
        0x1a => Some(Key::Suspend),
        0x0c => Some(Key::Redraw),
        b' '..=b'~' => Some(Key::Char(byte.into())),
        _ => None,
    }
}

/// The key that the sequence at the beginning is, if it is a known one, and its length.
fn sequence(bytes: &[u8]) -> (Option<Key>, usize) {
    if let Some((sequence, key)) = SEQUENCES.iter().find(|(sequence, _)| bytes.starts_with(sequence)) {
        return (Some(*key), sequence.len());
    }
    match bytes {
        [b'[', parameters @ ..] => {
            let end = parameters.iter().position(|byte| (0x40..=0x7e).contains(byte));
            (None, end.map_or(bytes.len(), |end| end + 2))
        }
        [b'O', _, ..] => (None, 2),
        [] | [0x1b, ..] => (Some(Key::Escape), 0),
        // Alt and a key.
        _ => (None, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_keys_and_an_escape_alone_is_one() {
        assert_eq!(keys(b"\x1b[A\x1bOBq"), [Key::Up, Key::Down, Key::Char('q')]);
        assert_eq!(keys(b"\x1b[6~\r\x1b"), [Key::PageDown, Key::Enter, Key::Escape]);
        assert_eq!(keys(b"\x1b\x1b"), [Key::Escape, Key::Escape]);
        assert_eq!(keys(b"\x03\x1a\x0c"), [Key::Interrupt, Key::Suspend, Key::Redraw]);
    }

    #[test]
    fn what_is_not_known_is_passed_over_whole() {
        assert_eq!(keys(b"\x1b[1;5Cx\x1bOPy\x1bqz"), ['x', 'y', 'z'].map(Key::Char));
        assert_eq!(keys(b"\x1b[1;5"), []);
        assert_eq!(keys("ä\0a".as_bytes()), [Key::Char('a')]);
        assert_eq!(keys(b"\x1bO"), []);
    }
}
