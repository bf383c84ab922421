//! The bytes of a file or a pipe, as many at a time as a block needs.

use std::io::{self, ErrorKind, Read};

/// Read at once, at least: few enough to stay in a processor's caches until they are looked at.
const CHUNK: usize = 64 << 10;
/// No block is longer; the same limit as Wireshark's.
pub const LONGEST_BLOCK: usize = 16 << 20;

/// A window on what is read, from the first byte that isn't consumed.
#[derive(Debug)]
pub struct Source<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// What was consumed before `start`.
    offset: u64,
}

/// What came of [`Source::fill`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    More,
    Ended,
    /// What is asked for is longer than [`LONGEST_BLOCK`].
    TooLong,
}

impl<R: Read> Source<R> {
    pub fn new(input: R) -> Self {
        Self { input, buffer: vec![0; CHUNK], start: 0, end: 0, offset: 0 }
    }

    /// What has been read, and not been consumed.
    #[inline]
    pub fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Moves on by `length` bytes of [`Source::rest`].
    #[inline]
    pub fn consume(&mut self, length: usize) {
        self.start = self.end.min(self.start.saturating_add(length));
    }

    /// Where in the file [`Source::rest`] begins.
    pub fn position(&self) -> u64 {
        self.offset + self.start as u64
    }

    /// Reads more behind what there is.
    ///
    /// # Errors
    /// Of reading.
    pub fn fill(&mut self) -> io::Result<Filled> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.offset += self.start as u64;
        (self.start, self.end) = (0, self.end - self.start);
        if self.end >= LONGEST_BLOCK {
            return Ok(Filled::TooLong);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) => return Ok(Filled::Ended),
                Ok(length) => {
                    self.end = self.buffer.len().min(self.end + length);
                    return Ok(Filled::More);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_not_consumed_stays() {
        let mut source = Source::new(io::Cursor::new((0..=255).collect::<Vec<u8>>()));
        assert_eq!((source.fill().unwrap(), source.rest().len()), (Filled::More, 256));
        source.consume(250);
        assert_eq!((source.fill().unwrap(), source.rest()), (Filled::Ended, &[250, 251, 252, 253, 254, 255][..]));
        assert_eq!(source.position(), 250);
        source.consume(usize::MAX);
        assert_eq!((source.rest(), source.position()), (&[][..], 256));
    }

    #[test]
    fn the_buffer_has_an_end() {
        let mut source = Source::new(io::repeat(0));
        while source.fill().unwrap() == Filled::More {}
        assert_eq!(source.fill().unwrap(), Filled::TooLong);
        assert!(source.rest().len() <= 2 * LONGEST_BLOCK);
        source.consume(1);
        assert_eq!(source.rest().len(), LONGEST_BLOCK - 1);
        assert_eq!(source.fill().unwrap(), Filled::More);
    }
}
