//! One connection: a request, its answer, the end.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use nix::poll::PollFlags;

use super::Board;
use super::answer::{Answer, LONGEST_HEAD};

/// How long a connection lasts at most: as long as Prometheus waits by default.
const LASTS: Duration = Duration::from_secs(10);
/// How long the client has for its request.
const REQUEST_LASTS: Duration = Duration::from_secs(3);
/// How long it has to take notice of the end.
const END_LASTS: Duration = Duration::from_secs(1);

/// A connection that doesn't block.
#[derive(Debug)]
pub struct Connection {
    pub stream: TcpStream,
    state: State,
    ends: Instant,
}

#[derive(Debug)]
enum State {
    /// So much of the request has come.
    Reading(Vec<u8>),
    /// So many bytes of the answer have gone.
    Writing(Answer, usize),
    /// All is said. What still comes is read and forgotten: to close before that would take the answer back.
    Ending,
}

impl Connection {
    /// Begins to read the request.
    ///
    /// # Errors
    /// It cannot be made one that doesn't wait.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, state: State::Reading(Vec::new()), ends: Instant::now() + REQUEST_LASTS })
    }

    /// What it waits for.
    pub fn awaits(&self) -> PollFlags {
        match self.state {
            State::Writing(..) => PollFlags::POLLOUT,
            State::Reading(_) | State::Ending => PollFlags::POLLIN,
        }
    }

    /// When it has lasted long enough.
    pub fn ends(&self) -> Instant {
        self.ends
    }

    /// Goes on as far as it can without waiting; false: it is over.
    pub fn go_on(&mut self, board: &Board) -> bool {
        match self.step(board) {
            Ok(is_over) => !is_over,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    /// Whether it is over; an error also if it has to wait.
    fn step(&mut self, board: &Board) -> io::Result<bool> {
        loop {
            self.state = match &mut self.state {
                State::Reading(request) => {
                    let mut bytes = [0; 2048];
                    let room = bytes.len().min(LONGEST_HEAD - request.len());
                    let count = self.stream.read(&mut bytes[..room])?;
                    if count == 0 {
                        return Ok(true);
                    }
                    request.extend(&bytes[..count]);
                    let Some(answer) = Answer::new(request, board) else { continue };
                    self.ends = Instant::now() + LASTS - REQUEST_LASTS;
                    State::Writing(answer, 0)
                }
                State::Writing(answer, written) => {
                    let body = written.saturating_sub(answer.head.len());
                    let head = &answer.head.as_bytes()[answer.head.len().min(*written)..];
                    let rest = &answer.body.as_bytes()[body..];
                    if head.is_empty() && rest.is_empty() {
                        self.stream.shutdown(Shutdown::Write)?;
                        self.ends = Instant::now() + END_LASTS;
                        State::Ending
                    } else {
                        *written += self.stream.write_vectored(&[IoSlice::new(head), IoSlice::new(rest)])?;
                        continue;
                    }
                }
                // Not for ever, even if it never ends: the others are waiting.
                State::Ending => return Ok(self.stream.read(&mut [0; 4096])? == 0),
            }
        }
    }
}
