//! The files that -w writes.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Look;
use crate::cli::{Files, Trace};
use crate::failure::Failure;

/// Where packets are written, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// A file, or, with `-`, the standard output.
    pub path: PathBuf,
    /// What the file consists of.
    pub format: Format,
    /// When the next file begins.
    pub rotation: Rotation,
    /// Each packet is written by itself.
    pub packet_buffered: bool,
    /// SIGHUP means that the file was moved away.
    pub reopens: bool,
    /// Events are shown in lines as well.
    pub prints: bool,
}

/// What files consist of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Packets with what is known of them.
    Pcapng,
    /// Packets and their times, to the microsecond, as xdpdump has it, or, with `--nano`, to the nanosecond.
    Pcap {
        /// To the nanosecond.
        nanoseconds: bool,
    },
}

/// When the next file begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rotation {
    /// When this one has more bytes.
    pub bytes: Option<u64>,
    /// When it is as old.
    pub seconds: Option<u64>,
    /// So many of a size, and then the first one again; or, where only their time counts, so many at all.
    pub count: Option<u32>,
}

impl Capture {
    /// What the command line says of it.
    ///
    /// # Errors
    /// Something makes no sense without something else, or with it.
    pub fn of(trace: &Trace) -> Result<Option<Self>> {
        let Files { packet_buffered, reopen_on_hup, use_pcap, print, .. } = trace.files;
        let rotation = Rotation::of(&trace.files)?;
        let Some(path) = &trace.write else {
            let words = [
                ("-C", rotation.bytes.is_some()),
                ("-G", rotation.seconds.is_some()),
                ("--reopen-on-hup", reopen_on_hup),
                ("--use-pcap", use_pcap),
            ];
            return match words.iter().find(|(_, is_given)| *is_given) {
                Some((word, _)) => Err(Failure::usage(format!("{word} is for files: name one with -w"))),
                None => Ok(None),
            };
        };
        let nanoseconds = Look::new(&trace.shown.show).nanoseconds;
        let format = if use_pcap { Format::Pcap { nanoseconds } } else { Format::Pcapng };
        let capture =
            Self { path: path.clone(), format, rotation, packet_buffered, reopens: reopen_on_hup, prints: print };
        capture.check().map(|()| Some(capture))
    }

    fn check(&self) -> Result<()> {
        let Rotation { bytes, seconds, .. } = self.rotation;
        let is_one = bytes.is_none() && seconds.is_none() && !self.reopens;
        let why = match self.is_stdout() {
            _ if self.path.as_os_str().is_empty() => "-w wants the name of a file, or -",
            true if self.prints => "-w - and --print would both write to the standard output: name a file",
            true if !is_one => "-C, -G and --reopen-on-hup are for files, and -w - is the standard output: name a file",
            _ if self.reopens && self.format != Format::Pcapng => "--reopen-on-hup writes pcapng: leave --use-pcap out",
            _ => return Ok(()),
        };
        Err(Failure::usage(why))
    }

    /// The folders beneath which files are opened once the first one `is_open`, or also that one; and the one they are in, which
    /// need not be there yet: where -G writes the date into the name, folders may be called by it.
    pub fn folders(&self, is_open: bool) -> Vec<PathBuf> {
        let Rotation { bytes, seconds, .. } = self.rotation;
        if self.is_stdout() || (is_open && bytes.is_none() && seconds.is_none() && !self.reopens) {
            return Vec::new();
        }
        let is_called_by_date = |path: &&Path| seconds.is_some() && path.as_os_str().as_bytes().contains(&b'%');
        let named = self.path.ancestors().skip(1).find(|path| !is_called_by_date(path));
        // A link leads to where the file is.
        let file = fs::canonicalize(&self.path).ok();
        let linked = file.as_deref().and_then(Path::parent);
        let own = |folder: &Path| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() };
        let mut folders: Vec<PathBuf> = linked.into_iter().chain(named).chain(self.path.parent()).map(own).collect();
        folders.dedup();
        folders
    }

    /// Whether it is the standard output.
    pub fn is_stdout(&self) -> bool {
        self.path == Path::new("-")
    }
}

impl Rotation {
    fn of(files: &Files) -> Result<Self> {
        let bytes = files.file_size.as_deref().map(|words| {
            parse_size(words).ok_or_else(|| {
                Failure::usage(format!(
                    "-C '{}' is no size: so many millions of bytes, or with k, M or G behind it KiB, MiB or GiB",
                    words.escape_default()
                ))
            })
        });
        let rotation = Self { bytes: bytes.transpose()?, seconds: files.rotate_seconds, count: files.file_count };
        if rotation.count.is_some() && rotation.bytes.is_none() && rotation.seconds.is_none() {
            return Err(Failure::usage("-W counts files: say with -C or -G when the next one begins"));
        }
        Ok(rotation)
    }
}

/// tcpdump's units; those behind the number came with tcpdump 4.99.5.
fn parse_size(words: &str) -> Option<u64> {
    let units = [('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30)];
    let unit = units.into_iter().find(|(letter, _)| words.ends_with([*letter, letter.to_ascii_uppercase()]));
    let (digits, factor) = match unit {
        Some((_, factor)) => (&words[..words.len() - 1], factor),
        None => (words, 1_000_000),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_needed_for_files_that_are_still_to_be_opened() {
        let capture = |path: &str, bytes, seconds, reopens| Capture {
            path: path.into(),
            format: Format::Pcapng,
            rotation: Rotation { bytes, seconds, count: None },
            packet_buffered: false,
            reopens,
            prints: false,
        };
        let table = [
            (capture("/nowhere/f", None, None, false), false, vec!["/nowhere"]),
            (capture("/nowhere/f", None, None, false), true, vec![]),
            (capture("/nowhere/f", Some(1), None, false), true, vec!["/nowhere"]),
            (capture("f", None, None, true), true, vec!["."]),
            (capture("/nowhere/%Y/%m/%d", None, Some(1), false), true, vec!["/nowhere", "/nowhere/%Y/%m"]),
            (capture("/nowhere/%Y/f", Some(1), None, false), true, vec!["/nowhere/%Y"]),
            (capture("%Y/f", None, Some(1), false), true, vec![".", "%Y"]),
            (capture("-", None, None, false), false, vec![]),
        ];
        for (capture, is_open, folders) in table {
            assert_eq!(capture.folders(is_open), folders.iter().map(PathBuf::from).collect::<Vec<_>>(), "{capture:?}");
        }
    }

    #[test]
    fn sizes_are_millions_of_bytes_or_as_their_letter_says() {
        let table = [
            ("5", Some(5_000_000)),
            ("5k", Some(5 << 10)),
            ("5M", Some(5 << 20)),
            ("1g", Some(1 << 30)),
            ("0", None),
            ("", None),
            ("k", None),
            ("-1", None),
            ("1x", None),
            ("1\u{fc}", None),
            ("99999999999999G", None),
        ];
        for (words, bytes) in table {
            assert_eq!(parse_size(words), bytes, "{words}");
        }
    }
}
