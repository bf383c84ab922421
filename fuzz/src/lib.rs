//! What several targets need: the ways in which packets are told in lines, what holds of all such lines, and files.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::PathBuf;

use xdptrace::plan::{Dump, Look, Output, Times};

/// A way of each kind; which one of them, `choice` says.
pub fn ways(choice: u8) -> [Output; 3] {
    const TIMES: [Times; 4] = [Times::Day, Times::Date, Times::SincePrevious, Times::Epoch];
    const DUMPS: [Option<Dump>; 4] =
        [None, Some(Dump::Hex(true)), Some(Dump::HexAscii(false)), Some(Dump::Ascii(true))];
    let look = Look {
        verbosity: choice & 3,
        quiet: choice & 4 != 0,
        link_level: choice & 8 != 0,
        times: TIMES[usize::from(choice >> 4 & 3)],
        nanoseconds: choice & 4 != 0,
        dump: DUMPS[usize::from(choice >> 6)],
        numbered: choice & 1 != 0,
        ..Look::default()
    };
    [Output::Text(look), Output::Json, Output::Classic]
}

/// Panics where lines could command a terminal, or where one isn't what it is to be.
pub fn check(output: &Output, lines: &[u8]) {
    assert!(lines.is_empty() || lines.ends_with(b"\n"));
    for line in lines.split(|byte| *byte == b'\n') {
        let words = std::str::from_utf8(line).expect("UTF-8");
        // tcpdump's dumps are indented by tabs. JSON is read by programs, and only what commands a terminal is escaped.
        let is_plain = |c: char| match output {
            Output::Json => !c.is_control(),
            _ => matches!(c, '\t' | ' '..='~'),
        };
        assert!(words.chars().all(is_plain), "{words:?}");
        if *output == Output::Json && !line.is_empty() {
            let value: serde_json::Value = serde_json::from_slice(line).expect("JSON");
            assert!(value["type"].is_string(), "{value}");
        }
    }
}

/// A file in memory, with a name as any other has.
pub struct Scratch(File);

impl Scratch {
    pub fn new() -> Self {
        // SAFETY: the name ends in 0, and the descriptor that is returned is nobody else's.
        let file = unsafe {
            let fd = libc::memfd_create(c"fuzzed".as_ptr(), libc::MFD_CLOEXEC);
            assert!(fd >= 0, "no file in memory");
            File::from_raw_fd(fd)
        };
        Self(file)
    }

    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }

    /// Has it hold these bytes and no others.
    pub fn fill(&mut self, bytes: &[u8]) {
        self.0.set_len(0).expect("an empty file");
        self.0.seek(SeekFrom::Start(0)).expect("its beginning");
        self.0.write_all(bytes).expect("a full file");
    }
}
