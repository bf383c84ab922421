//! JSON that commands no terminal: serde_json escapes the control characters that JSON forbids, and leaves those behind
//! ASCII, which terminals obey as well (ECMA-48's C1: U+009B is CSI), and DEL.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// Writes a value, in one line without an end.
///
/// # Errors
/// Those of `out`.
pub fn write(out: impl Write, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    Ok(value.serialize(&mut Serializer::with_formatter(out, Escaped))?)
}

struct Escaped;

impl Formatter for Escaped {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(char::is_control) {
            let (before, behind) = rest.split_at(at);
            CompactFormatter.write_string_fragment(out, before)?;
            let mut letters = behind.chars();
            letters.next().map_or(Ok(()), |control| write!(out, "\\u{:04x}", u32::from(control)))?;
            rest = letters.as_str();
        }
        CompactFormatter.write_string_fragment(out, rest)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_control_character_is_left_and_each_is_read_again() {
        let name = "a\u{1b}[31m\u{7f}\u{9b}2J\u{85}\n\"\\é\u{0}";
        let mut out = Vec::new();
        write(&mut out, &[name, "", "eth0"]).unwrap();
        let shown = String::from_utf8(out).unwrap();
        assert_eq!(shown, r#"["a\u001b[31m\u007f\u009b2J\u0085\n\"\\é\u0000","","eth0"]"#);
        assert_eq!(serde_json::from_str::<[String; 3]>(&shown).unwrap()[0], name);
    }
}
