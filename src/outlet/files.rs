//! The files of -w: one, or one after the other by size and time, called as tcpdump calls them.

use std::ffi::{CString, OsString};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Seek, SeekFrom, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use nix::unistd::{AccessFlags, eaccess};

use super::{Ended, GATHERED, Outlet};
use crate::failure::{Failure, Status};
use crate::plan::{Capture, Rotation};
use crate::stop::Signals;

/// How often to look whether somebody reads a FIFO.
const FIFO_EVERY: Duration = Duration::from_millis(100);

/// The outlet of a capture. A file is neither created nor truncated yet, for there may be nothing to write. A
/// FIFO waits for its reader, until `signals` say to stop.
///
/// # Errors
/// It can't be, it is a terminal, or nobody reads it.
pub fn open(capture: &Capture, signals: &Signals) -> Result<Outlet> {
    if capture.is_stdout() {
        if io::stdout().is_terminal() {
            return Err(Failure::usage("-w - would write binary to the terminal: redirect it or name a file"));
        }
        return Ok(Outlet::new(io::stdout().as_fd())?);
    }
    let path = name(&capture.path, &capture.rotation, 0, now());
    let shown = shown(&path);
    let outlet = Outlet::unopened(shown.clone(), if capture.packet_buffered { 0 } else { GATHERED });
    match path.metadata().and_then(|found| check(&path, &found)) {
        Ok(false) => {}
        // What is no file has nothing to lose.
        Ok(true) => outlet.switch(open_special(&path, &shown, signals)?)?,
        Err(error) if error.kind() == ErrorKind::NotFound => check_folder(&path, &shown)?,
        Err(error) => return Err(Failure::with(Status::Failed, format!("cannot write {shown}: {error}"))),
    }
    if outlet.file().is_some_and(|file| file.is_terminal()) {
        return Err(Failure::usage(format!("-w {shown} would write binary to a terminal: name a file")));
    }
    Ok(outlet)
}

fn open_special(path: &Path, shown: &str, signals: &Signals) -> Result<File> {
    let failed = |reason: &str| Failure::with(Status::Failed, format!("cannot write {shown}: {reason}"));
    let opened = match path.metadata().is_ok_and(|found| found.file_type().is_fifo()) {
        true => open_fifo(path, shown, signals),
        false => OpenOptions::new().write(true).open(path).map(Some),
    };
    opened.map_err(|error| failed(&error.to_string()))?.ok_or_else(|| failed("nobody reads this FIFO"))
}

/// open(2) would wait where no signal ends it. None: there is no reader, and we are to stop.
fn open_fifo(path: &Path, shown: &str, signals: &Signals) -> io::Result<Option<File>> {
    let mut has_said = false;
    while !signals.stop() {
        match OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {}
            opened => return opened.map(Some),
        }
        if !std::mem::replace(&mut has_said, true) {
            // Whoever closed stderr doesn't want to know.
            let _ = writeln!(io::stderr(), "waiting for somebody to read {shown}");
        }
        sleep(FIFO_EVERY);
    }
    Ok(None)
}

/// Whether what is there is something else than a file.
fn check(path: &Path, found: &Metadata) -> io::Result<bool> {
    if found.is_dir() {
        return Err(io::Error::other("it is a directory: name a file in it"));
    }
    eaccess(path, AccessFlags::W_OK)?;
    Ok(!found.is_file())
}

fn check_folder(path: &Path, shown: &str) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    eaccess(folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|error| {
        let folder = folder.to_string_lossy();
        Failure::with(Status::Failed, format!("cannot create {shown}: {}: {}", folder.escape_default(), error.desc()))
    })
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_default().to_string()
}

/// Whether it is time for the next file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// No.
    No,
    /// Yes.
    Next,
    /// Yes, but it would be one too many.
    Over,
}

/// The files, as one thing to write to.
#[derive(Debug)]
pub struct Files<'out> {
    outlet: &'out Outlet,
    capture: &'out Capture,
    is_open: bool,
    /// Bytes in the present file, how many were before it at its time, and at how many other times.
    size: u64,
    number: u32,
    times: u32,
    /// When its time began, in seconds since the Unix epoch.
    began: u64,
}

impl<'out> Files<'out> {
    /// Those of `capture`, which [`open`] has made `outlet` of.
    pub fn new(outlet: &'out Outlet, capture: &'out Capture) -> Self {
        Self { outlet, capture, is_open: false, size: 0, number: 0, times: 0, began: 0 }
    }

    /// Whether the first one has been opened.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Where they go.
    pub fn outlet(&self) -> &'out Outlet {
        self.outlet
    }

    /// Whether the present file is as long as one may be, with so many bytes more. tcpdump looks before it writes a packet,
    /// too.
    pub fn is_long(&self, more: usize) -> bool {
        self.capture.rotation.bytes.is_some_and(|bytes| self.size + more as u64 > bytes)
    }

    /// Whether the time of the present file is over.
    pub fn due(&self, now: u64) -> Due {
        let Rotation { bytes, seconds, count } = self.capture.rotation;
        match seconds {
            Some(seconds) if self.is_open && now.saturating_sub(self.began) >= seconds => {
                let is_last = bytes.is_none() && count.is_some_and(|count| self.times + 1 >= count);
                if is_last { Due::Over } else { Due::Next }
            }
            _ => Due::No,
        }
    }

    /// Opens the first file, or the next one: what was written is in the one before.
    ///
    /// # Errors
    /// It can't be created, or the one before can't be written.
    pub fn open_next(&mut self) -> io::Result<()> {
        let now = now();
        if !self.is_open {
            (self.is_open, self.began) = (true, now);
            // It is there already where it is no file.
            return if self.outlet.file().is_some() { Ok(()) } else { self.switch(true) };
        }
        if self.due(now) == Due::Next {
            (self.began, self.number) = (now, 0);
            self.times += 1;
        } else {
            self.number = self.capture.rotation.next_number(self.number);
        }
        self.switch(true)
    }

    /// Opens the present file by its name again: somebody has moved it away. If nobody has, this goes on behind what is
    /// there: a further section.
    ///
    /// # Errors
    /// As [`Files::open_next`].
    pub fn reopen(&mut self) -> io::Result<()> {
        self.switch(false)
    }

    fn switch(&mut self, truncate: bool) -> io::Result<()> {
        self.outlet.push_all()?;
        let path = name(&self.capture.path, &self.capture.rotation, self.number, self.began);
        let file = create(&path, truncate).map_err(|error| {
            // The one before has been ended: nothing may come behind that.
            self.outlet.give_up();
            io::Error::new(error.kind(), format!("failed to create {}: {error}", shown(&path)))
        })?;
        self.size = file.metadata()?.len();
        self.outlet.switch(file)
    }

    /// Writes blocks that lie one behind the other: for each, its length and the event that ends with it.
    ///
    /// # Errors
    /// Of writing.
    pub fn write_blocks(
        &mut self,
        bytes: &[u8],
        blocks: impl Iterator<Item = (usize, Option<Ended>)>,
    ) -> io::Result<()> {
        self.size += bytes.len() as u64;
        self.outlet.write_parts(bytes, blocks)
    }

    /// Writes what was gathered.
    ///
    /// # Errors
    /// Of writing.
    pub fn flush(&mut self) -> io::Result<()> {
        self.outlet.push()
    }
}

/// What went by on a network is for its owner's eyes. Not to append, in the sense of open(2): nobody else writes it, so a
/// half part at its end is ours to cut off.
fn create(path: &Path, truncate: bool) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(truncate).mode(0o600).open(path)?;
    file.seek(SeekFrom::End(0))?;
    Ok(file)
}

/// Seconds since the Unix epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

impl Rotation {
    /// The number of the file behind the one with this number.
    fn next_number(&self, number: u32) -> u32 {
        let next = number.wrapping_add(1);
        if self.count.is_some_and(|count| next >= count) { 0 } else { next }
    }

    /// Digits of a number, at least: as many as the last of the files takes.
    fn digits(&self) -> usize {
        let last = self.count.map_or(0, |count| count - 1);
        last.checked_ilog10().map_or(0, |log| log as usize + 1)
    }
}

/// The name of a file, as tcpdump makes it: with -G, its time is put into it by strftime(3); with -C, its number behind it,
/// but for the first one's where nothing says how many digits there are.
fn name(pattern: &Path, rotation: &Rotation, number: u32, time: u64) -> PathBuf {
    let mut name = match rotation.seconds {
        Some(_) => strftime(pattern, time).unwrap_or_else(|| pattern.as_os_str().to_owned()),
        None => pattern.as_os_str().to_owned(),
    };
    let digits = rotation.digits();
    if rotation.bytes.is_some() && (number > 0 || digits > 0) {
        name.push(format!("{number:0digits$}"));
    }
    name.into()
}

/// None where the C library can't tell the date, or the name would be empty or longer than one can be.
fn strftime(pattern: &Path, time: u64) -> Option<OsString> {
    let pattern = CString::new(pattern.as_os_str().as_bytes()).ok()?;
    let time = libc::time_t::try_from(time).ok()?;
    let (mut parts, mut name) = (MaybeUninit::<libc::tm>::uninit(), vec![0_u8; libc::PATH_MAX as usize]);
    // SAFETY: all pointers outlive the calls; localtime_r(3) fills `parts` unless it returns null, and strftime(3) writes
    // no more than the length it is given.
    let length = unsafe {
        if libc::localtime_r(&time, parts.as_mut_ptr()).is_null() {
            return None;
        }
        libc::strftime(name.as_mut_ptr().cast(), name.len(), pattern.as_ptr(), parts.as_ptr())
    };
    name.truncate(length);
    (length > 0).then(|| OsString::from_vec(name))
}

#[cfg(test)]
mod tests;
