//! Numbers → bytes of a line, without the detour by `core::fmt`, which takes as long as all the rest of a line.

use crate::event::Verdict;

/// Appends a decimal number.
pub fn digits(out: &mut Vec<u8>, number: u64) {
    out.extend(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a decimal number of `width` digits at least.
pub fn padded(out: &mut Vec<u8>, number: u64, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number).as_bytes();
    out.extend(&b"000000000"[..width.saturating_sub(digits.len()).min(9)]);
    out.extend(digits);
}

/// Appends `XDP_PASS`, or the number of what is no action.
pub fn action(out: &mut Vec<u8>, verdict: Verdict) {
    match Verdict::ACTIONS.get(verdict.0 as usize) {
        Some(action) => out.extend(action.as_bytes()),
        None => digits(out, verdict.0.into()),
    }
}

/// Appends a name that may hold anything, such that it cannot command a terminal, and is one word.
pub fn name(out: &mut Vec<u8>, name: &str) {
    match name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'\'' && byte != b'"') {
        true => out.extend(name.as_bytes()),
        false => out.extend(name.escape_default().to_string().replace(' ', "\\u{20}").as_bytes()),
    }
}
