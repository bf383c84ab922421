//! Bytes of any kind as a file of packets, from where they are read to the lines that tell of them: `make fuzz`.
//!
//! The first byte of an input chooses how they are told and which packets; the rest is the file.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use xdptrace::plan::{Look, Output, Reading, Selection, Side};
use xdptrace::recorded::Recording;
use xdptrace::sink;
use xdptrace::stop::Signals;
use xdptrace_fuzz::{Scratch, check, ways};

thread_local! {
    static FILE: RefCell<Scratch> = RefCell::new(Scratch::new());
}

fn selection(choice: u8) -> Selection {
    let filter = if choice & 2 != 0 { "ip or len > 60" } else { "" };
    Selection {
        filter: filter.into(),
        filter_at: if choice & 4 != 0 { Side::Exit } else { Side::Entry },
        verdicts: (choice & 8 != 0).then_some(0b100110),
        changed: choice & 0x30 == 0x30,
        ..Selection::default()
    }
}

fn told(output: Output, choice: u8) -> (Vec<u8>, Option<String>) {
    let file = FILE.with_borrow(Scratch::path);
    let reading = Reading { file, selection: selection(choice), count: None, output };
    let mut lines = Vec::new();
    let mut sink = sink::open(&reading.output, reading.selection.filtered_at(), &mut lines);
    let recording = Recording::open(&reading).expect("a file that is there");
    let shown = recording.show(sink.as_mut(), &Signals::default());
    drop(sink);
    check(&reading.output, &lines);
    (lines, shown.err().map(|error| format!("{error:#}")))
}

fuzz_target!(|input: &[u8]| {
    let [choice, bytes @ ..] = input else { return };
    FILE.with_borrow_mut(|file| file.fill(bytes));
    let [(_, error), others @ ..] = ways(*choice).map(|output| told(output, *choice));
    assert!(error.iter().flat_map(|error| error.chars()).all(|c| !c.is_control()), "{error:?}");
    others.iter().for_each(|(_, other)| assert_eq!(error, *other));
    // With neither -v nor a dump, a packet is a line, however that looks.
    let [lines, objects] = [Output::Text(Look::default()), Output::Json].map(|output| told(output, *choice).0);
    let count = |lines: &[u8]| lines.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(count(&lines), count(&objects));
});
