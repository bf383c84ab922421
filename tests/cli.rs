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

/// Whether it ended with this status, or one of these, and one line that commands no terminal.
fn says_one_line(words: &[&str], statuses: &[i32]) {
    let done = xdptrace(words);
    let stderr = String::from_utf8(done.stderr).unwrap();
    let shown = words.concat();
    let shown = &shown[..shown.len().min(200)];
    assert!(done.status.code().is_some_and(|code| statuses.contains(&code)), "{shown:?}: {}: {stderr}", done.status);
    let line = stderr.strip_suffix('\n').unwrap();
    assert!(
        line.starts_with("xdptrace: ") && line.len() < 1000 && !line.contains(char::is_control),
        "{shown:?}: {stderr:?}"
    );
    assert!(done.stdout.is_empty(), "{shown:?}");
}

/// Where the words mean something, it depends on the machine what is said: not privileged, no such kernel, no program.
const ANYTHING: [i32; 3] = [1, 3, 4];

/// Options that take a value, whatever it may be.
const VALUED: [&str; 24] = [
    "-i",
    "-p",
    "-w",
    "-r",
    "-F",
    "-o",
    "-s",
    "-B",
    "-c",
    "-C",
    "-G",
    "-W",
    "--netns",
    "--verdict",
    "--slower",
    "--queue",
    "--sample",
    "--rate",
    "--duration",
    "--outcome",
    "--probe",
    "--filter-at",
    "--allow-hazard",
    "--color",
];

#[test]
fn an_empty_word_is_one_line() {
    for option in VALUED {
        says_one_line(&["-i", "lo", option, ""], &[1, 2, 3, 4]);
    }
    for words in [&["read", ""][..], &["stats", "-i", "lo", "--by", ""], &["export", "--listen", ""], &["", ""]] {
        says_one_line(words, &[1, 2, 3, 4]);
    }
    says_one_line(&["-i", "lo", ""], &ANYTHING);
}

#[test]
fn control_characters_are_shown_and_not_obeyed() {
    const HOSTILE: &str = "\u{1b}]0;x\u{7}\n\u{9b}31m\r\u{7f}";
    for option in VALUED {
        says_one_line(&["-i", "lo", option, HOSTILE], &[1, 2, 3, 4]);
    }
    let path = format!("/nosuch{HOSTILE}/x");
    for words in [
        &["-i", "lo", HOSTILE][..],
        &["-d", HOSTILE],
        &[HOSTILE, HOSTILE],
        &["-i", "lo", &format!("--{HOSTILE}")],
        &["-i", "lo", "-p", &path],
        &["-i", "lo", "-w", &path],
        &["--netns", &path, "-i", "lo"],
        &["-F", &path, "-i", "lo"],
        &["read", &path],
        &["read", HOSTILE],
        &["list", "-i", HOSTILE],
        &["check", "--json", HOSTILE],
        &["stats", "-i", "lo", "--by", HOSTILE],
        &["export", "--listen", HOSTILE],
        &["demo", "--device", HOSTILE],
    ] {
        says_one_line(words, &[1, 2, 3, 4]);
    }
}

#[test]
fn much_of_something_is_one_line() {
    let ports = |count: u32| (1..=count).map(|port| format!("port {port}")).collect::<Vec<_>>().join(" or ");
    let filter = ports(360);
    assert!(filter.len() > 4096);
    says_one_line(&["-i", "lo", "-O", &filter], &[2]);
    says_one_line(&["-i", "lo", &format!("{filter} and and")], &[2]);
    says_one_line(&["-i", "lo", &ports(9000)], &[2]);
    let programs: Vec<String> = (1..=1000).map(|number| format!("-pnosuch{number}")).collect();
    let words: Vec<&str> = ["-i", "lo"].into_iter().chain(programs.iter().map(String::as_str)).collect();
    says_one_line(&words, &ANYTHING);
    says_one_line(&["-i", "lo", "-p", &"x".repeat(4096)], &ANYTHING);
    says_one_line(&["-i", &"x".repeat(4096)], &ANYTHING);
}

#[test]
fn a_directory_is_no_file_to_write_or_read() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    says_one_line(&["-i", "lo", "-w", folder], &[1]);
    says_one_line(&["read", folder], &[1]);
    says_one_line(&["-i", "lo", "-F", folder], &[1]);
}

/// A pcapng block.
fn block(kind: u32, body: &[u8], options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = body.to_vec();
    for (code, value) in options {
        bytes.extend([code.to_le_bytes(), (value.len() as u16).to_le_bytes()].concat());
        bytes.extend(*value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let length = (bytes.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &length, &bytes, &length].concat()
}

#[test]
fn a_foreign_file_commands_no_terminal() {
    const HOSTILE: &[u8] = b"\x1b]0;x\x07\n\xc2\x9b31m\r\x7f\xff\\\"";
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let names = [HOSTILE, &[HOSTILE, b":", HOSTILE, b"()@fexit"].concat(), b"e:f()@fentry\n"];
    let mut file = block(0x0a0d_0d0a, &section, &[(1, HOSTILE), (2, HOSTILE), (3, HOSTILE), (4, HOSTILE)]);
    for name in names {
        file.extend(block(1, &[1, 0, 0, 0, 0, 0, 0, 0], &[(2, name), (3, HOSTILE), (12, HOSTILE), (15, HOSTILE)]));
    }
    let outcome = [b"program 7, outcome accepted ", HOSTILE].concat();
    for interface in 0..3_u32 {
        let head = [interface, 0, 0, 16, 16].map(u32::to_le_bytes).concat();
        let packet = [&head[..], &HOSTILE[..16]].concat();
        let verdict = [2, 4, 0, 0, 0, 0, 0, 0, 0];
        file.extend(block(6, &packet, &[(1, HOSTILE), (1, &outcome), (7, &verdict), (0x7000, HOSTILE)]));
    }
    let path = format!("{}/hostile.pcapng", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&path, file).unwrap();
    for words in [&["-o", "text"][..], &["-v", "-e", "-XX"], &["-o", "json"], &["-o", "classic"], &["-q", "-A"]] {
        let done = xdptrace(&[&["read", &path], words].concat());
        let (stdout, stderr) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
        assert_eq!((done.status.code(), stderr.as_str()), (Some(0), ""), "{words:?}");
        let is_plain = |line: &str| !line.trim_start_matches('\t').contains(char::is_control);
        assert!(stdout.lines().count() >= 3 && stdout.lines().all(is_plain), "{words:?}: {stdout:?}");
        let shown = if words.contains(&"json") {
            r"\u001b]0;x\u0007\n\u009b31m\r\u007f"
        } else {
            r"\u{1b}]0;x\u{7}\n\u{9b}31m\r\u{7f}"
        };
        assert!(words.contains(&"classic") || stdout.contains(shown), "{words:?}: {stdout}");
    }
}
