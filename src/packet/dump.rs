//! tcpdump's `-x`, `-X` and `-A` (print-ascii.c).

use super::put::{HEX, Put, nibble};

/// In what form a packet's bytes are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dump {
    /// `-x`, `-xx`: 16 bytes a line, in hexadecimal.
    Hex,
    /// `-X`, `-XX`: the same, with the characters beside them.
    HexAscii,
    /// `-A`, `-AA`: characters, with a dot for each that is none.
    Ascii,
}

const A_LINE: usize = 16;

/// Appends the lines that tcpdump puts behind a packet's words, each with a newline in front of it and none behind.
///
/// `bytes` are those of the frame that were captured. `link_header` is what
/// [`Printer::print`](crate::packet::Printer::print) returned for them: so many bytes are left out; 0 for `-xx`, `-XX`
/// and `-AA`.
pub fn dump(out: &mut Vec<u8>, bytes: &[u8], link_header: usize, form: Dump) {
    let bytes = bytes.get(link_header..).unwrap_or_default();
    match form {
        _ if bytes.is_empty() => {}
        Dump::Hex => hex(out, bytes),
        Dump::HexAscii => hex_and_ascii(out, bytes),
        Dump::Ascii => ascii(out, bytes),
    }
}

fn offset(out: &mut Vec<u8>, line: usize, indent: &str) {
    // Beyond 64 KiB the offset has more than four digits, as printf's %04x has.
    let offset = (line * A_LINE) as u32;
    out.text(indent).text("0x").hex_padded(offset >> 16, (32 - (offset >> 16).leading_zeros()).div_ceil(4));
    out.hex_padded(offset, 4).text(": ");
}

/// Two bytes, blanks in front of each two; how many characters that took.
fn pairs(out: &mut Vec<u8>, bytes: &[u8]) -> usize {
    let before = out.len();
    for (n, byte) in bytes.iter().enumerate() {
        if n % 2 == 0 {
            out.push(b' ');
        }
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(nibble(u32::from(*byte)));
    }
    out.len() - before
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    hex_after(out, "\n\t", bytes);
}

/// In hexadecimal, each line behind `indent`.
pub(super) fn hex_after(out: &mut Vec<u8>, indent: &str, bytes: &[u8]) {
    for (line, bytes) in bytes.chunks(A_LINE).enumerate() {
        offset(out, line, indent);
        pairs(out, bytes);
    }
}

pub(super) fn hex_and_ascii(out: &mut Vec<u8>, bytes: &[u8]) {
    for (line, bytes) in bytes.chunks(A_LINE).enumerate() {
        offset(out, line, "\n\t");
        let width = pairs(out, bytes);
        out.extend(std::iter::repeat_n(b' ', 42 - width));
        out.extend(bytes.iter().map(|byte| if byte.is_ascii_graphic() { *byte } else { b'.' }));
    }
}

/// A carriage return is dropped in front of a newline and at the end, as a terminal would take it for a command.
fn ascii(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'\n');
    for (n, byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' => {
                let behind = bytes.get(n + 1..).unwrap_or_default();
                if behind.len() > 1 && behind.first() != Some(&b'\n') {
                    out.push(b'.');
                }
            }
            b'\t' | b' ' | b'\n' => out.push(*byte),
            _ if byte.is_ascii_graphic() => out.push(*byte),
            _ => out.push(b'.'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8], form: Dump) -> String {
        let mut out = Vec::new();
        dump(&mut out, bytes, 0, form);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn sixteen_bytes_a_line() {
        let bytes: Vec<u8> = (0x41..0x52).collect();
        assert_eq!(shown(&bytes, Dump::Hex), "\n\t0x0000:  4142 4344 4546 4748 494a 4b4c 4d4e 4f50\n\t0x0010:  51");
        assert_eq!(
            shown(&bytes, Dump::HexAscii),
            "\n\t0x0000:  4142 4344 4546 4748 494a 4b4c 4d4e 4f50  ABCDEFGHIJKLMNOP\n\
             \t0x0010:  51                                       Q"
        );
    }

    #[test]
    fn what_is_no_character_is_a_dot() {
        assert_eq!(shown(b"a\r\nb\rc\x1b[2J\xff\t\r", Dump::Ascii), "\na\nb.c.[2J.\t");
    }

    #[test]
    fn nothing_behind_the_link_layer_header() {
        let mut out = Vec::new();
        dump(&mut out, &[0; 14], 14, Dump::Ascii);
        assert!(out.is_empty());
    }
}
