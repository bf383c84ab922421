//! xdptrace as its user runs it: a process, its lines, its end.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Instant, SystemTime};

use crate::lab::{LIMIT, Nic, wait_for};

/// The binary under test.
pub const XDPTRACE: &str = env!("CARGO_BIN_EXE_xdptrace");

/// Ways to end a tracer, by the signal's name.
pub const ENDINGS: [&str; 3] = ["INT", "TERM", "KILL"];

/// A running xdptrace.
pub struct Tracer {
    child: Child,
    lines: Receiver<(Stream, String, SystemTime)>,
    /// Lines of its standard output so far.
    pub stdout: Vec<String>,
    /// When each of those came.
    pub came: Vec<SystemTime>,
    /// Lines of its standard error so far.
    pub stderr: Vec<String>,
}

#[derive(Clone, Copy)]
enum Stream {
    Out,
    Err,
}

impl Tracer {
    /// Starts xdptrace in the NIC's namespace and waits until it listens.
    pub fn start(nic: &Nic, words: &[&str]) -> Self {
        Self::start_command(&nic.inside(&[&[XDPTRACE], words].concat()))
    }

    /// Starts a command that ends in xdptrace and waits until that listens.
    pub fn start_command(words: &[String]) -> Self {
        let mut tracer = Self::spawn_command(words);
        tracer.wait_until_it_listens();
        tracer
    }

    /// Waits for the line that says so.
    pub fn wait_until_it_listens(&mut self) {
        self.wait_until("'Listening events...'", |tracer| {
            let mut lines = tracer.stdout.iter().chain(&tracer.stderr);
            lines.any(|line| line.ends_with("Listening events..."))
        });
    }

    /// Starts xdptrace in the NIC's namespace.
    pub fn spawn(nic: &Nic, words: &[&str]) -> Self {
        Self::spawn_command(&nic.inside(&[&[XDPTRACE], words].concat()))
    }

    /// Starts a command that ends in xdptrace.
    pub fn spawn_command(words: &[String]) -> Self {
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let streams: [(Stream, Box<dyn Read + Send>); 2] = [
            (Stream::Out, Box::new(child.stdout.take().unwrap())),
            (Stream::Err, Box::new(child.stderr.take().unwrap())),
        ];
        for (stream, from) in streams {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(from).lines().map_while(Result::ok) {
                    let _ = sender.send((stream, line, SystemTime::now()));
                }
            });
        }
        Self { child, lines, stdout: Vec::new(), came: Vec::new(), stderr: Vec::new() }
    }

    /// Waits until `so_far` holds of the lines printed.
    pub fn wait_until(&mut self, what: &str, so_far: impl Fn(&Self) -> bool) {
        let limit = Instant::now() + LIMIT;
        while !so_far(self) {
            match self.lines.recv_timeout(limit.saturating_duration_since(Instant::now())) {
                Ok(line) => self.keep(line),
                Err(_) => panic!("no {what}; stdout: {:#?}, stderr: {:#?}", self.stdout, self.stderr),
            }
        }
    }

    /// Waits until `count` lines of the standard output hold `words`.
    pub fn wait_for_lines(&mut self, count: usize, words: &str) {
        self.wait_until(&format!("{count} lines with '{words}'"), |tracer| tracer.lines_with(words).len() >= count);
    }

    /// The lines of the standard output that hold `words`.
    pub fn lines_with(&self, words: &str) -> Vec<&str> {
        self.stdout.iter().map(String::as_str).filter(|line| line.contains(words)).collect()
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal and waits for the end.
    pub fn end(self, signal: &str) -> Ended {
        self.send(signal);
        self.wait()
    }

    /// Sends a signal.
    pub fn send(&self, signal: &str) {
        let number = match signal {
            "CONT" => libc::SIGCONT,
            "HUP" => libc::SIGHUP,
            "INT" => libc::SIGINT,
            "STOP" => libc::SIGSTOP,
            "TERM" => libc::SIGTERM,
            "USR1" => libc::SIGUSR1,
            "USR2" => libc::SIGUSR2,
            "KILL" => libc::SIGKILL,
            _ => panic!("no such signal: {signal}"),
        };
        // SAFETY: kill(2) takes no pointer, and the child has not been waited for, so the id is its own.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, number) }, 0);
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Ended {
        let status = wait_for("end of xdptrace", || self.child.try_wait().unwrap());
        // Both pipes are at their end now, so this doesn't wait.
        while let Ok(line) = self.lines.recv() {
            self.keep(line);
        }
        Ended { status, stdout: std::mem::take(&mut self.stdout), stderr: std::mem::take(&mut self.stderr) }
    }

    fn keep(&mut self, (stream, line, came): (Stream, String, SystemTime)) {
        match stream {
            Stream::Out => {
                self.stdout.push(line);
                self.came.push(came);
            }
            Stream::Err => self.stderr.push(line),
        }
    }
}

impl Drop for Tracer {
    /// A test that failed leaves no tracer behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An xdptrace that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// Lines of its standard output.
    pub stdout: Vec<String>,
    /// Lines of its standard error.
    pub stderr: Vec<String>,
}

impl Ended {
    /// What became of the runs seen, by the last words, which must add up.
    pub fn counts(&self) -> Counts {
        Counts::of(self.stderr.last().expect("no summary"))
    }

    /// … by another line than the last one.
    pub fn counts_of_line(&self, line: &str) -> Counts {
        Counts::of(line)
    }

    /// What became of each program's runs, by the lines that begin with this; they must add up.
    pub fn counts_of(&self, start: &str) -> Vec<Counts> {
        let lines = self.stderr.iter().filter_map(|line| line.strip_prefix(start)?.strip_prefix(": "));
        lines.filter(|line| line.contains(" seen = ")).map(Counts::of).collect()
    }
}

/// The numbers of `S seen = F filtered + K skipped + T traced + L lost`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub seen: u64,
    pub filtered: u64,
    pub skipped: u64,
    pub traced: u64,
    pub lost: u64,
}

impl Counts {
    fn of(line: &str) -> Self {
        let numbers: Vec<u64> =
            line.split(' ').filter_map(|word| word.trim_end_matches(';').parse().ok()).take(5).collect();
        let [seen, filtered, skipped, traced, lost] = numbers[..] else { panic!("no summary: {line}") };
        assert_eq!(seen, filtered + skipped + traced + lost, "{line}");
        Self { seen, filtered, skipped, traced, lost }
    }
}

/// The number in front of these words in a line; 0 without them.
pub fn number_of(words: &str, line: &str) -> u64 {
    let number =
        line.split("; ").find_map(|part| part.strip_suffix(words)?.trim_end().rsplit(' ').next()?.parse().ok());
    number.unwrap_or(0)
}
