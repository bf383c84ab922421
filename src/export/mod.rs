//! Text → whoever asks for it by HTTP: one thread, which only ever sees what was posted last, so that whoever asks never
//! keeps the tracer waiting.
//!
//! A server of our own, because of what this one has to withstand on a machine under load: so many connections at most, so
//! many bytes of a request, so much time for both sides, and one thread. tiny_http 0.12 has no way to set a socket's
//! timeouts and a thread for each connection; httparse, which hyper uses, does the reading of requests.

mod accept;
mod answer;
mod connection;
mod serve;

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::failure::{Failure, Status};
use crate::privileges;

/// What there is to be had at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// In Prometheus' text format 0.0.4.
    pub text: Arc<str>,
    /// In OpenMetrics 1.0.
    pub open_metrics: Arc<str>,
    /// How things stand, in words.
    pub state: String,
    /// When the numbers in it were read.
    pub taken: Instant,
}

/// Where the last snapshot hangs.
#[derive(Debug)]
pub struct Board {
    last: Mutex<Option<Arc<Snapshot>>>,
    /// How often there is to be a new one.
    interval: Duration,
}

/// An address at which connections come in, and wait.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// The thread that answers; it ends with this.
#[derive(Debug)]
pub struct Server {
    /// The other end of what the thread waits for.
    end: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Board {
    /// How many intervals old the last snapshot may be.
    const PATIENCE: u32 = 3;

    /// Without a snapshot yet; there is to be a new one every `interval`.
    pub fn new(interval: Duration) -> Self {
        Self { last: Mutex::new(None), interval }
    }

    /// Hangs up a new one.
    pub fn post(&self, snapshot: Snapshot) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(snapshot));
    }

    /// The last one.
    pub fn last(&self) -> Option<Arc<Snapshot>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How things stand, in words; an error if the tracer isn't at work.
    ///
    /// # Errors
    /// The reason.
    pub fn health(&self) -> Result<String, String> {
        let snapshot = self.last().ok_or("nothing has been read yet")?;
        let age = snapshot.taken.elapsed();
        if age > self.interval * Self::PATIENCE {
            return Err(format!("the last reading is {} s old", age.as_secs()));
        }
        Ok(snapshot.state.clone())
    }
}

impl Listener {
    /// Takes the address; port 0 is any that is free.
    ///
    /// # Errors
    /// It cannot be had; with the remedy.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let refused = |error: io::Error| {
            let remedy = match error.kind() {
                ErrorKind::AddrInUse => ": another process listens there: choose another port with --listen",
                ErrorKind::AddrNotAvailable => ": this machine has no such address: choose another one with --listen",
                ErrorKind::PermissionDenied => {
                    ": ports below 1024 take CAP_NET_BIND_SERVICE: choose another one with --listen"
                }
                _ => "",
            };
            Failure::with(Status::Failed, format!("failed to listen on {address}: {error}{remedy}"))
        };
        let socket = TcpListener::bind(address).map_err(refused)?;
        socket.set_nonblocking(true).context("failed to set up the listening socket")?;
        let address = socket.local_addr().context("failed to ask for the listening socket's address")?;
        Ok(Self { socket, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the thread that answers by what is on the board, and may do nothing else.
    ///
    /// # Errors
    /// There can be no other thread.
    pub fn serve(self, board: Arc<Board>) -> io::Result<Server> {
        let (end, theirs) = UnixStream::pair()?;
        let run = move || serve::run(&self.socket, &theirs, &board);
        let thread = privileges::powerless(|| Ok(thread::Builder::new().name("export".into()).spawn(run)?));
        let thread = thread.map_err(io::Error::other)?;
        Ok(Server { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It has said so itself if it has panicked.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
