//! A tracer under measurement: any command that says when it is ready and ends at SIGINT.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How often to look whether a tracer rests, and how often in a row it must; together longer than any delay of its own.
const CHECKS: u32 = 10_000;
const CHECKS_AT_REST: u32 = 5;
/// The words of each tracer that mean that it is attached.
const READY: [&str; 2] = ["Listening events...", "listening on "];

/// A running tracer.
pub struct Tracer {
    child: Child,
    lines: Receiver<String>,
    stderr: Vec<String>,
    /// From its start to its readiness.
    pub start: Duration,
}

impl Tracer {
    /// Starts a command with its standard output going to a file, and waits until it is ready.
    pub fn start(words: &[String], stdout: &str) -> Result<Self> {
        let began = Instant::now();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(File::create(stdout)?)
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {}", words[0]))?;
        let stderr = child.stderr.take().context("no standard error")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut tracer = Self { child, lines, stderr: Vec::new(), start: Duration::ZERO };
        tracer.wait_until_ready()?;
        tracer.start = began.elapsed();
        Ok(tracer)
    }

    // No limits of time in here: an idle guest's clock jumps where it counts instructions. tests/vm/run has one.
    fn wait_until_ready(&mut self) -> Result<()> {
        while let Ok(line) = self.lines.recv() {
            let ready = READY.iter().any(|words| line.contains(words));
            self.stderr.push(line);
            if ready {
                return Ok(());
            }
        }
        bail!("{}", self.first_words())
    }

    /// Waits until it has nothing more to do: all of its threads sleep, and not for the disk, from check to check.
    pub fn rest(&self) -> Result<()> {
        let mut at_rest = 0;
        for _ in 0..CHECKS {
            thread::sleep(Duration::from_millis(100));
            at_rest = if self.sleeps()? { at_rest + 1 } else { 0 };
            if at_rest == CHECKS_AT_REST {
                return Ok(());
            }
        }
        bail!("it never rests")
    }

    fn sleeps(&self) -> Result<bool> {
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let stat = fs::read_to_string(task?.path().join("stat"))?;
            // Behind the name in parentheses, which may hold anything.
            if !stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('S')) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Nanoseconds that its threads have run, in the kernel and in itself.
    pub fn ran_ns(&self) -> Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let stat = fs::read_to_string(task?.path().join("schedstat")).context("no schedstat")?;
            sum += stat.split(' ').next().context("an empty schedstat")?.parse::<u64>()?;
        }
        Ok(sum)
    }

    /// KiB of memory that it holds now beside its rings.
    pub fn resident_kib(&self) -> Result<u64> {
        let smaps = format!("/proc/{}/smaps", self.child.id());
        let smaps = fs::read_to_string(&smaps).with_context(|| format!("failed to read {smaps}"))?;
        resident_beside_rings(&smaps)
    }

    /// What it said, for an error.
    fn first_words(&self) -> &str {
        self.stderr.iter().find(|line| !line.is_empty()).map_or("it ended without a word", String::as_str)
    }

    /// Ends it and returns what it said.
    pub fn end(mut self) -> Result<Summary> {
        // SAFETY: kill(2) takes no pointer, and the child has not been waited for, so the id is its own.
        ensure!(unsafe { libc::kill(self.child.id() as i32, libc::SIGINT) } == 0, "failed to send SIGINT");
        let status = self.child.wait()?;
        // The pipe is at its end now, so this doesn't wait.
        while let Ok(line) = self.lines.recv() {
            self.stderr.push(line);
        }
        ensure!(status.success(), "{status}: {}", self.first_words());
        Ok(Summary(std::mem::take(&mut self.stderr)))
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// KiB that are resident of all mappings but those of perf rings, whose pages some kernels call resident once they have
/// been looked at, and others never.
fn resident_beside_rings(smaps: &str) -> Result<u64> {
    let (mut kib, mut is_ring) = (0, false);
    for line in smaps.lines() {
        match line.split_whitespace().next() {
            Some("Rss:") if !is_ring => {
                let number = line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
                kib += number.with_context(|| format!("not understood: {line}"))?;
            }
            // A mapping's first line: its addresses, and what is mapped.
            Some(word) if !word.ends_with(':') => is_ring = line.ends_with("anon_inode:[perf_event]"),
            _ => {}
        }
    }
    ensure!(kib > 0, "nothing is resident");
    Ok(kib)
}

/// What a tracer said on its standard error.
#[derive(Debug)]
pub struct Summary(pub Vec<String>);

impl Summary {
    /// The number in front of this word, in the last line that has it: `320 seen`, `0 packets captured`.
    pub fn count(&self, words: &str) -> Result<u64> {
        let number = self.0.iter().rev().find_map(|line| {
            let at = line.find(words)?;
            line[..at].trim_end().rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        });
        number.with_context(|| format!("no count of '{words}' in {:?}", self.0))
    }
}
