//! The command line of the built binary, as far as it needs neither privilege nor kernel.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn xdptrace(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xdptrace")).args(words).output().unwrap()
}

#[test]
fn help_and_version_are_data() {
    for (words, part) in [(["--help"], "--passthrough"), (["--version"], env!("CARGO_PKG_VERSION"))] {
        let done = xdptrace(&words);
        assert_eq!(done.status.code(), Some(0));
        assert!(String::from_utf8(done.stdout).unwrap().contains(part), "{words:?}");
        assert!(done.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn wrong_usage_is_one_line_and_status_2() {
    for words in
        [&["--nonsense"][..], &["-i"], &["-i", "lo", "-o", "xml"], &["-i", "lo", "tcp and and"], &["demo"], &["top"]]
    {
        let done = xdptrace(words);
        let stderr = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{words:?}: {stderr}");
        assert!(done.stdout.is_empty(), "{words:?}");
        assert!(stderr.starts_with("xdptrace: ") && stderr.lines().count() == 1, "{words:?}: {stderr}");
    }
}

#[test]
fn without_any_word_the_last_line_says_how_to_go_on() {
    let done = xdptrace(&[]);
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(2), "{stderr}");
    assert!(stderr.lines().last().unwrap().contains("xdptrace -i DEV"), "{stderr}");
}

#[test]
fn help_that_cannot_be_written_is_an_error() {
    let full = std::fs::File::create("/dev/full").unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_xdptrace")).arg("--help").stdout(full).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert_eq!(String::from_utf8(done.stderr).unwrap().lines().count(), 1);
}
