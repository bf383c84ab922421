//! All connections, in one thread.

use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Board;
use super::connection::Connection;

/// Connections, at most. When there is one more, the oldest one goes: who is at it in earnest is done within milliseconds.
const MOST_CONNECTIONS: usize = 32;
/// How long no connection is taken after one could not be, as where no descriptor is left: it still waits there, and would
/// be tried again and again.
const PAUSE: Duration = Duration::from_millis(200);

/// Answers until `end` has no other end any more.
pub fn run(socket: &TcpListener, end: &UnixStream, board: &Board) {
    let mut connections: Vec<Connection> = Vec::new();
    let mut paused: Option<Instant> = None;
    loop {
        paused = paused.filter(|until| *until > Instant::now());
        let Some(ready) = wait(socket, end, &connections, paused) else { return };
        let mut ready = ready.into_iter().skip(2);
        connections.retain_mut(|connection| {
            let is_ready = ready.next().unwrap_or_default();
            (!is_ready || connection.go_on(board)) && connection.ends() > Instant::now()
        });
        if paused.is_none() && !take_in(socket, board, &mut connections) {
            paused = Some(Instant::now() + PAUSE);
        }
    }
}

/// Waits until something happens: to what, in the order of `end`, `socket`, `connections`. None: it is to end.
fn wait(
    socket: &TcpListener,
    mut end: &UnixStream,
    connections: &[Connection],
    paused: Option<Instant>,
) -> Option<Vec<bool>> {
    let listens = if paused.is_none() { PollFlags::POLLIN } else { PollFlags::empty() };
    let mut fds = vec![PollFd::new(end.as_fd(), PollFlags::POLLIN), PollFd::new(socket.as_fd(), listens)];
    fds.extend(connections.iter().map(|connection| PollFd::new(connection.stream.as_fd(), connection.awaits())));
    let next = connections.iter().map(Connection::ends).chain(paused).min();
    if let Err(error) = poll(&mut fds, next.map_or(PollTimeout::NONE, until)) {
        if error != Errno::EINTR {
            // No memory for it, say; that may pass.
            thread::sleep(PAUSE);
        }
    }
    let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or_default()).collect();
    let is_over = ready.first() == Some(&true) && end.read(&mut [0]).is_ok();
    (!is_over).then_some(ready)
}

/// In whole milliseconds, and not before.
fn until(time: Instant) -> PollTimeout {
    let left = time.saturating_duration_since(Instant::now()).as_millis() + 1;
    PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
}

/// Takes in those that wait; false: that isn't possible now.
fn take_in(socket: &TcpListener, board: &Board, connections: &mut Vec<Connection>) -> bool {
    // Not for ever, even if they never end: those that are in are waiting.
    for _ in 0..MOST_CONNECTIONS {
        match socket.accept().and_then(|(stream, _)| Connection::new(stream)) {
            // Its request is most likely there already.
            Ok(mut connection) => connections.extend(connection.go_on(board).then_some(connection)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            // It has gone before it was taken in.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
            Err(_) => return false,
        }
        if connections.len() > MOST_CONNECTIONS {
            connections.remove(0);
        }
    }
    true
}
