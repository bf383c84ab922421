//! tcpdump's letters, walked by its own option string: each means the same here, or is refused with a sentence. That those of
//! the first kind do mean the same is shown by the tests that compare outputs (tests/wording, tests/live).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::process::{Command, Output};

/// What becomes of a letter, given as these words.
enum Meaning {
    /// tcpdump's.
    Same(&'static [&'static str]),
    /// Refused; a word of the reason.
    Refused(&'static [&'static str], &'static str),
    /// tcpdump's: a file is read instead, so -d has nothing to say.
    Reads,
    /// The only exception: -p names programs.
    Programs(&'static [&'static str]),
}
use Meaning::{Programs, Reads, Refused, Same};

const LETTERS: [(char, Meaning); 44] = [
    ('#', Same(&["-#"])),
    ('A', Same(&["-A"])),
    ('B', Same(&["-B", "4096"])),
    ('C', Same(&["-C", "1", "-w", "x.pcapng"])),
    ('D', Same(&["-D"])),
    ('E', Refused(&["-E", "none:x"], "decoded")),
    ('F', Same(&["-F", "/dev/null"])),
    ('G', Same(&["-G", "1", "-w", "x.pcapng"])),
    ('H', Refused(&["-H"], "Ethernet")),
    ('I', Refused(&["-I"], "Ethernet")),
    ('J', Refused(&["-J"], "clock")),
    ('K', Same(&["-K"])),
    ('L', Refused(&["-L"], "EN10MB")),
    ('M', Refused(&["-M", "x"], "digests")),
    ('N', Same(&["-N"])),
    ('O', Same(&["-O"])),
    ('Q', Same(&["-Q", "in"])),
    ('S', Same(&["-S"])),
    ('T', Refused(&["-T", "rtp"], "decoded")),
    ('U', Same(&["-U", "-w", "x.pcapng"])),
    ('V', Refused(&["-V", "x"], "one file")),
    ('W', Same(&["-W", "2", "-C", "1", "-w", "x.pcapng"])),
    ('X', Same(&["-X", "-XX"])),
    ('Z', Same(&["-Z", "nobody"])),
    ('b', Refused(&["-b"], "decoded")),
    ('c', Same(&["-c", "1"])),
    ('d', Same(&["-d"])),
    ('e', Same(&["-e"])),
    ('f', Same(&["-f"])),
    ('h', Same(&["-h"])),
    ('i', Same(&["-i", "eth0"])),
    ('j', Refused(&["-j", "host"], "clock")),
    ('l', Same(&["-l"])),
    ('n', Same(&["-n", "-nn"])),
    ('p', Programs(&["-p", "all"])),
    ('q', Same(&["-q"])),
    ('r', Reads),
    ('s', Same(&["-s", "96"])),
    ('t', Same(&["-t", "-tt", "-ttttt"])),
    ('u', Refused(&["-u"], "decoded")),
    ('v', Same(&["-v", "-vvv"])),
    ('w', Same(&["-w", "x.pcapng"])),
    ('x', Same(&["-x", "-xx"])),
    ('y', Same(&["-y", "EN10MB"])),
];
const MORE: [(char, Meaning); 1] = [('z', Refused(&["-z", "gzip"], "run"))];

/// With -d, which only prints the filter, and takes neither privilege nor kernel; the filter's words stand in front.
fn xdptrace(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xdptrace")).args(["icmp", "-d"]).args(words).output().unwrap()
}

fn all() -> impl Iterator<Item = &'static (char, Meaning)> {
    LETTERS.iter().chain(&MORE)
}

/// `Usage: tcpdump [-AbdDefhHIJKlLnNOpqStuUvxX#] [ -B size ] …`
fn letters_of_tcpdump() -> BTreeSet<char> {
    let help = Command::new("tcpdump").arg("--help").output().expect("no tcpdump: make check-deps installs it");
    let text = String::from_utf8(help.stderr).unwrap() + std::str::from_utf8(&help.stdout).unwrap();
    let usage = text.split_once("Usage:").unwrap_or_else(|| panic!("no usage: {text}")).1;
    let words = usage.split(['[', ']', ' ', '\n', '\t', '|']);
    words.filter_map(|word| word.strip_prefix('-')).filter(|word| !word.starts_with('-')).flat_map(str::chars).collect()
}

#[test]
fn the_table_has_every_letter_of_tcpdump() {
    let ours: BTreeSet<char> = all().map(|(letter, _)| *letter).collect();
    assert_eq!(ours, letters_of_tcpdump());
}

#[test]
fn a_letter_means_the_same_or_is_refused_in_a_sentence() {
    for (letter, meaning) in all() {
        match meaning {
            Same(words) | Programs(words) => {
                let done = xdptrace(words);
                let status = done.status.code().unwrap();
                // -D lists programs, for which privilege may be missing.
                assert!(status == 0 || (*letter == 'D' && status == 3), "-{letter}: {done:?}");
                assert!(['D', 'd', 'h'].contains(letter) || done.stdout.starts_with(b"(000) "), "-{letter}: {done:?}");
            }
            Reads => {
                let done = Command::new(env!("CARGO_BIN_EXE_xdptrace")).args(["-r", "/dev/null"]).output().unwrap();
                assert_eq!(done.status.code(), Some(1), "{done:?}");
            }
            Refused(words, reason) => {
                let done = xdptrace(words);
                let stderr = String::from_utf8(done.stderr).unwrap();
                assert_eq!(done.status.code(), Some(2), "-{letter}: {stderr}");
                assert!(stderr.starts_with(&format!("xdptrace: -{letter} ")) && stderr.contains(reason), "{stderr}");
                assert_eq!(stderr.lines().count(), 1, "{stderr}");
            }
        }
    }
}

/// The last ones are taken, as by getopt; those that are refused are, wherever they stand.
#[test]
fn options_follow_the_filters_words_and_two_dashes_end_them() {
    let expected = xdptrace(&[]).stdout;
    assert!(!expected.is_empty());
    for words in [&["-d", "icmp"][..], &["-nne", "-d", "-i", "lo", "--", "icmp"], &["icmp", "-vd", "-s96"]] {
        let done = Command::new(env!("CARGO_BIN_EXE_xdptrace")).args(words).output().unwrap();
        assert_eq!(done.stdout, expected, "{words:?}: {done:?}");
    }
    assert_eq!(xdptrace(&["-eI"]).status.code(), Some(2));
}
