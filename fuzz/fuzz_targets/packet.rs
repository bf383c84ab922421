//! Bytes of any kind through the walk through the headers and the printer: `make fuzz`.
//!
//! The first two bytes of an input choose how it is told and how long it claims to be; the rest is the frame.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xdptrace::packet::{Dump, Layers, Printer, Style, Value, describe, dump};

fn style(choice: u8) -> Style {
    Style {
        verbosity: choice & 3,
        quiet: choice & 4 != 0,
        link_level: choice & 8 != 0,
        absolute_sequence: choice & 16 != 0,
        unchecked_sums: choice & 32 != 0,
        no_payload: choice & 64 != 0,
    }
}

fn walk(frame: &[u8]) -> usize {
    let mut end = 0;
    for layer in Layers::new(frame) {
        assert_eq!(layer.offset, end);
        end += layer.header.len();
        assert_eq!(frame.get(layer.offset..end), Some(layer.header));
        layer.fields(&mut |field| {
            if let Value::Bytes(bytes) = field.value {
                assert!(bytes.len() < layer.header.len());
            }
        });
    }
    Layers::new(frame).count()
}

fuzz_target!(|input: &[u8]| {
    let [choice, more, frame @ ..] = input else { return };
    let layers = walk(frame);
    let mut out = Vec::new();
    let length = frame.len() as u32 + u32::from(*more) * 7;
    let mut printer = Printer::new(style(*choice));
    let header = printer.print(&mut out, frame, length);
    // The same packet again, as another program saw it.
    printer.print(&mut out, frame, length);
    let form = [Dump::Hex, Dump::HexAscii, Dump::Ascii][usize::from(*choice) % 3];
    dump(&mut out, frame, if choice & 128 != 0 { header } else { 0 }, form);
    for first in 0..layers {
        describe(&mut out, frame, first, 1);
    }
    describe(&mut out, frame, 0, layers);
    assert!(out.iter().all(|byte| matches!(byte, b'\n' | b'\t' | b' '..=b'~')));
});
