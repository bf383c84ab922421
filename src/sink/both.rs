//! A file and lines: -w with --print.

use std::io;

use super::capture::{Capture, Format};
use super::{Notice, Sink};
use crate::event::Event;
use crate::outlet::Ended;

/// Writes each event to a file, and a line of it as well. What was handed on is what is in the file.
#[allow(missing_debug_implementations)]
pub struct Both<'out, F> {
    file: Capture<'out, F>,
    lines: Box<dyn Sink + 'out>,
}

impl<'out, F: Format> Both<'out, F> {
    /// Writes to both of them.
    pub fn new(file: Capture<'out, F>, lines: Box<dyn Sink + 'out>) -> Self {
        Self { file, lines }
    }
}

impl<F: Format> Sink for Both<'_, F> {
    fn packet(&mut self, event: &Event<'_>) -> io::Result<()> {
        // Both, whatever comes of the first: only so is it known what the file lacks.
        let filed = self.file.packet(event);
        self.lines.packet(event).and(filed)
    }

    fn end_event(&mut self, event: Ended) -> bool {
        self.file.end_event(event)
    }

    fn flush(&mut self) -> io::Result<()> {
        let filed = self.file.flush();
        self.lines.flush().and(filed)
    }

    fn settle(&mut self, until_ns: u64) -> io::Result<()> {
        self.file.settle(until_ns)
    }

    fn tick(&mut self) -> io::Result<()> {
        self.file.tick()
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file.reopen()
    }

    fn is_over(&self) -> bool {
        self.file.is_over()
    }

    fn late(&self) -> u64 {
        self.file.late()
    }

    fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        let filed = self.file.note(notice);
        self.lines.notice(notice).and(filed)
    }
}
