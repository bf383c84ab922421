//! `xdptrace read`, by files that were recorded: the lines, to the byte, and what is said of files that are broken.
//!
//! tests/read/*.pcapng were recorded on Linux 6.1 from one end of a veth pair, with a program that sends datagrams to port 7
//! back, drops those to port 9 and passes what else comes: by xdptrace, by xdpdump 1.3.1 (one CPU's packets behind the
//! other's), and, the first of them, saved anew by tshark 4.0. What is printed of each is in the .txt beside it.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use xdptrace::event::{Device, Event, Frame, Outcome, Reason, Status, Verdict, Way};
use xdptrace::outlet::{self, Files};
use xdptrace::plan::{Capture, Format, Output as Form, Rotation};
use xdptrace::sink;
use xdptrace::stop::Signals;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/read").join(name)
}

fn xdptrace(words: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xdptrace"));
    command.args(words).current_dir(path("")).env("TZ", "UTC");
    let mut reader = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may have ended before it has read all.
    let _ = reader.stdin.take().unwrap().write_all(input);
    reader.wait_with_output().unwrap()
}

/// What it prints, quietly.
fn lines(words: &[&str], input: &[u8]) -> Vec<String> {
    let done = xdptrace(words, input);
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert_eq!((done.status.code(), &*stderr), (Some(0), ""), "{words:?}");
    String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What it says of a file that it can't read to the end, and how many lines it has printed before.
fn complaint(words: &[&str], input: &[u8]) -> (String, usize) {
    let done = xdptrace(words, input);
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert_eq!((done.status.code(), stderr.lines().count()), (Some(1), 1), "{words:?}: {stderr}");
    let words = stderr.strip_prefix("xdptrace: failed to ").unwrap().trim_end().to_owned();
    (words, String::from_utf8(done.stdout).unwrap().lines().count())
}

#[test]
fn files_are_printed_as_if_they_were_live() {
    for (file, text) in [
        ("xdptrace.pcapng", "xdptrace.txt"),
        ("wireshark.pcapng", "xdptrace.txt"),
        ("xdpdump.pcapng", "xdpdump.txt"),
        ("xdpdump.pcap", "xdpdump.pcap.txt"),
    ] {
        let expected = fs::read_to_string(path(text)).unwrap();
        assert_eq!(lines(&["read", file], b"").join("\n") + "\n", expected, "{file}");
        assert_eq!(lines(&["-r", file], b"").join("\n") + "\n", expected, "{file}");
        assert_eq!(lines(&["read", "-"], &fs::read(path(file)).unwrap()).join("\n") + "\n", expected, "{file}");
    }
}

#[test]
fn options_and_filter_choose() {
    let file = "xdptrace.pcapng";
    let table: [(&[&str], usize); 10] = [
        (&[], 13),
        (&["--verdict", "drop"], 9),
        (&["--verdict", "!drop"], 4),
        (&["udp", "port", "9"], 9),
        (&["udp", "and", "not", "port", "9", "--verdict=tx"], 1),
        (&["--changed"], 1),
        (&["--slower", "10us"], 2),
        (&["--queue", "0", "-c", "5"], 5),
        (&["--queue", "1"], 0),
        (&["--filter-at", "exit", "src host 192.168.1.12 and ip[8] = 63"], 1),
    ];
    for (words, number) in table {
        assert_eq!(lines(&[&["read", file], words].concat(), b"").len(), number, "{words:?}");
        assert_eq!(lines(&[words, &["-r", file]].concat(), b"").len(), number, "{words:?}");
    }
}

/// What may become of a verdict, and the field of a line that says so.
fn outcomes() -> Vec<(u32, Option<Outcome<'static>>, &'static str)> {
    let device = |ifindex, name| Some(Way::Device(Device { netns: 1, ifindex, name }));
    let map = |kind| Some(Way::Map { kind, id: 12, index: 3 });
    let outcome =
        |status, to, error: i32| Some(Outcome { status, to, error: (error != 0).then_some(Reason::Errno(error)) });
    vec![
        (2, None, "XDP_PASS"),
        (4, outcome(Status::Accepted, device(9, Some("eth1,2")), 0), "XDP_REDIRECT -> eth1,2"),
        (4, outcome(Status::Accepted, map("xsk"), 0), "XDP_REDIRECT -> xsk map 12[3]"),
        (4, outcome(Status::Accepted, map("dev"), 0), "XDP_REDIRECT -> dev map 12[3]"),
        (4, outcome(Status::Failed, device(9, Some("eth1")), 100), "XDP_REDIRECT -> failed: ENETDOWN (eth1)"),
        (4, outcome(Status::Failed, device(9, None), 22), "XDP_REDIRECT -> failed: EINVAL (ifindex 9)"),
        (4, outcome(Status::Failed, map("xsk"), 12), "XDP_REDIRECT -> failed: ENOMEM (xsk map 12[3])"),
        (4, outcome(Status::Failed, None, 524), "XDP_REDIRECT -> failed: ENOTSUPP"),
        (3, outcome(Status::Exception, None, 0), "XDP_TX -> failed"),
        (3, outcome(Status::Redirected, device(0, Some("bond0")), 0), "XDP_TX -> redirected by bond0"),
        (3, outcome(Status::Redirected, None, 0), "XDP_TX -> redirected by ?"),
        (0, outcome(Status::Exception, None, 0), "XDP_ABORTED (xdp_exception)"),
        (42, outcome(Status::Exception, None, 0), "42 (xdp_exception)"),
    ]
}

/// A run of which a live tracer knows no more than a file tells.
fn event<'a>(id: u64, verdict: u32, outcome: Option<Outcome<'a>>) -> Event<'a> {
    let frame = Some(Frame { length: Some(60), metadata: 0, bytes: &[0; 60] });
    Event {
        time_ns: 1_700_000_000_000_000_000 + id * 1000,
        monotonic_ns: None,
        packet_id: Some(id),
        device: Some(Device { netns: 0, ifindex: 0, name: Some("eth0") }),
        queue: Some(3),
        egress: None,
        cpu: Some(1),
        function: Some("xdp_lb"),
        program_id: Some(12),
        program_name: None,
        verdict: Some(Verdict(verdict)),
        outcome,
        latency_ns: Some(412),
        before: frame,
        after: frame,
        moved: Some(0),
        changed: Some(false),
        metadata: &[],
    }
}

/// What -w writes of these.
fn written(name: &str, events: &[Event<'_>]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.pcapng", std::process::id()));
    let (format, rotation) = (Format::Pcapng, Rotation::default());
    let capture =
        Capture { path: path.clone(), format, rotation, packet_buffered: false, reopens: false, prints: false };
    let outlet = outlet::open(&capture, &Signals::default()).unwrap();
    let mut sink = sink::open_files(&capture, 128, Files::new(&outlet, &capture), None);
    events.iter().for_each(|event| sink.packet(event).unwrap());
    sink.settle(u64::MAX).unwrap();
    sink.flush().unwrap();
    outlet.push_all().unwrap();
    path
}

#[test]
fn what_became_of_a_verdict_is_told_as_it_was_live() {
    let outcomes = outcomes();
    let events: Vec<Event<'_>> =
        (1..).zip(&outcomes).map(|(id, (verdict, outcome, _))| event(id, *verdict, *outcome)).collect();
    let file = written("outcomes", &events);
    let file = file.to_str().unwrap();
    let fields = |words: &[&str]| -> Vec<String> {
        let lines = lines(&[&["read", file], words].concat(), b"");
        let field = |line: &String| Some(line.split_once("xdp_lb#12 ")?.1.split_once(" 412ns ")?.0.to_owned());
        lines.iter().map(|line| field(line).unwrap_or_else(|| panic!("{line}"))).collect()
    };
    let expected = |is_shown: fn(&Outcome<'_>) -> bool| -> Vec<&str> {
        outcomes
            .iter()
            .filter(|(_, outcome, _)| outcome.is_none_or(|it| is_shown(&it)))
            .map(|(_, _, field)| *field)
            .collect()
    };
    assert_eq!(fields(&[]), expected(|_| true));
    assert_eq!(fields(&["--only-failed"]), expected(|outcome| outcome.is_failure())[1..]);
    let mut live = Vec::new();
    let mut sink = sink::open(&Form::Json, None, &mut live);
    events.iter().for_each(|event| sink.packet(event).unwrap());
    sink.flush().unwrap();
    drop(sink);
    assert_eq!(lines(&["read", "-o", "json", file], b"").join("\n") + "\n", String::from_utf8(live).unwrap());
    fs::remove_file(file).unwrap();
}

#[test]
fn the_articles_lines_are_two_a_packet() {
    let lines = lines(&["read", "-o", "classic", "xdpdump.pcapng", "icmp"], b"");
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[1], "2026/11/25 16:47:22 Tracing packet: 192.168.1.12 -> 192.168.1.138 (fexit: XDP_PASS)");
}

#[test]
fn no_probe_is_claimed_of_packets_that_nobody_traced() {
    let probes = |file| {
        let lines = lines(&["read", "-o", "json", file], b"");
        lines.iter().filter(|line| line.contains(r#""probe":""#)).count()
    };
    assert_eq!((probes("xdpdump.pcap"), probes("xdptrace.pcapng")), (0, 13));
}

#[test]
fn what_is_before_a_cut_is_shown() {
    let whole = fs::read(path("xdptrace.pcapng")).unwrap();
    let (said, shown) = complaint(&["read", "-"], &whole[..1000]);
    assert_eq!(said, "read the standard input: truncated at byte 896: what is before it was shown");
    // Of the second one, only the packet as it arrived.
    assert_eq!(shown, 2);
    let mut broken = whole;
    broken[896 + 4] += 1;
    let (said, shown) = complaint(&["read", "-"], &broken);
    assert!(said.starts_with("read the standard input: broken at byte 896, "), "{said}");
    assert_eq!(shown, 2);
}

#[test]
fn what_is_no_file_of_packets_is_said_in_one_line() {
    assert_eq!(complaint(&["read", "xdptrace.txt"], b"").0, "read xdptrace.txt: neither pcapng nor pcap");
    assert_eq!(complaint(&["read", "."], b"").0, "read .: Is a directory (os error 21)");
    assert_eq!(complaint(&["read", "-"], b"").0, "read the standard input: it is empty");
    assert_eq!(
        complaint(&["read", "-"], b"\n\r").0,
        "read the standard input: neither pcapng nor pcap, or cut at its beginning"
    );
    assert_eq!(complaint(&["read", "n\u{1b}o"], b"").0, "open n\\u{1b}o: No such file or directory (os error 2)");
    let claims =
        [&0x0a0d_0d0a_u32.to_be_bytes()[..], &[0xfc, 0xff, 0xff, 0xff], &0x1a2b_3c4d_u32.to_le_bytes()].concat();
    assert!(complaint(&["read", "-"], &claims).0.ends_with("more than 1 MiB on a section and its interfaces"));
}

#[test]
fn wrong_words_are_refused() {
    for words in [
        &["read"][..],
        &["read", "xdptrace.pcapng", "tcp and and"],
        &["read", ""],
        &["-r", "xdptrace.pcapng", "-i", "lo"],
        &["-r", "xdptrace.pcapng", "-w", "x"],
    ] {
        let done = xdptrace(words, b"");
        assert_eq!(done.status.code(), Some(2), "{words:?}");
        assert_eq!(String::from_utf8(done.stderr).unwrap().lines().count(), 1, "{words:?}");
    }
}

#[test]
fn a_closed_pipe_is_success_and_a_full_disk_is_not() {
    let read = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xdptrace"));
        command.arg("read").arg(path("xdptrace.pcapng"));
        command
    };
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    drop(reader);
    let done = read().stdout(writer).output().unwrap();
    assert_eq!((done.status.code(), done.stderr.len()), (Some(0), 0));
    let done = read().stdout(File::create("/dev/full").unwrap()).output().unwrap();
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(stderr.starts_with("xdptrace: failed to write the output: "), "{stderr}");
}

#[test]
fn lines_of_a_pipe_come_at_once_and_a_signal_ends_the_waiting() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xdptrace"));
    let mut reader = command.args(["read", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut pipe = reader.stdin.take().unwrap();
    pipe.write_all(&fs::read(path("xdptrace.pcapng")).unwrap()).unwrap();
    let lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    assert_eq!(lines.take(13).filter(Result::is_ok).count(), 13);
    assert_eq!(end(&mut reader, "-INT").code(), Some(0));
    drop(pipe);
}

/// How it ends on this signal, soon.
fn end(reader: &mut Child, signal: &str) -> ExitStatus {
    let sent = Command::new("kill").args([signal, &reader.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        if let Some(status) = reader.try_wait().unwrap() {
            return status;
        }
        sleep(Duration::from_millis(10));
    }
    reader.kill().unwrap();
    panic!("it doesn't end on {signal}");
}

/// Whether its state becomes that of a process that waits: on a busy machine it takes its time.
fn is_asleep(reader: &Child) -> bool {
    (0..30).any(|_| {
        sleep(Duration::from_millis(300));
        let state = fs::read_to_string(format!("/proc/{}/stat", reader.id())).unwrap();
        state.contains(") S ")
    })
}

#[test]
fn a_signal_ends_the_waiting_for_who_writes_to_a_named_pipe() {
    let pipe = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("read-{}.fifo", std::process::id()));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut reader = Command::new(env!("CARGO_BIN_EXE_xdptrace")).arg("read").arg(&pipe).spawn().unwrap();
    assert!(is_asleep(&reader));
    assert_eq!(end(&mut reader, "-TERM").signal(), Some(15));
    fs::remove_file(pipe).unwrap();
}

#[test]
fn a_signal_ends_the_waiting_for_a_reader() {
    let big = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("read-{}.pcapng", std::process::id()));
    fs::write(&big, fs::read(path("xdptrace.pcapng")).unwrap().repeat(500)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xdptrace"));
    let mut reader = command.arg("read").arg(&big).stdout(Stdio::piped()).spawn().unwrap();
    let unread = reader.stdout.take();
    assert!(is_asleep(&reader));
    assert_eq!(end(&mut reader, "-TERM").code(), Some(0));
    drop(unread);
    // Who reads slowly gets all of it.
    let mut reader = command.arg("-c6000").spawn().unwrap();
    let mut slow = reader.stdout.take().unwrap();
    assert!(is_asleep(&reader));
    let mut text = String::new();
    slow.read_to_string(&mut text).unwrap();
    assert_eq!((text.lines().count(), reader.wait().unwrap().code()), (6000, Some(0)));
    fs::remove_file(big).unwrap();
}

#[test]
fn what_waits_for_its_other_half_is_shown_where_a_pipe_is_silent() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xdptrace"));
    let mut reader = command.args(["read", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut pipe = reader.stdin.take().unwrap();
    // Of the second one, only the packet as it arrived.
    pipe.write_all(&fs::read(path("xdptrace.pcapng")).unwrap()[..896]).unwrap();
    let began = Instant::now();
    let lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    assert_eq!(lines.take(2).filter(Result::is_ok).count(), 2);
    assert!(began.elapsed() < Duration::from_secs(3));
    drop(pipe);
    assert_eq!(reader.wait().unwrap().code(), Some(0));
}

/// `script` makes a terminal of a pipe.
#[test]
fn a_verdict_is_coloured_on_a_terminal_unless_the_user_says_no() {
    let on_a_terminal = |environment: &str, words: &str| {
        let command = format!("{environment} {} read -c 1 {words} xdptrace.pcapng", env!("CARGO_BIN_EXE_xdptrace"));
        let mut script = Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).current_dir(path(".")).env("TERM", "xterm").env_remove("NO_COLOR");
        let done = script.stdin(Stdio::null()).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    let green = " \u{1b}[32mXDP_PASS\u{1b}[0m ";
    assert!(on_a_terminal("", "").contains(green));
    assert!(on_a_terminal("NO_COLOR=", "").contains(green), "an empty NO_COLOR says nothing");
    for (environment, words) in [("NO_COLOR=1", ""), ("TERM=dumb", ""), ("", "--color never"), ("", "-o json")] {
        let shown = on_a_terminal(environment, words);
        assert!(shown.contains("XDP_PASS") && !shown.contains('\u{1b}'), "{environment} {words}: {shown:?}");
    }
    assert!(lines(&["read", "xdptrace.pcapng"], b"").iter().all(|line| !line.contains('\u{1b}')));
    assert!(lines(&["read", "xdptrace.pcapng", "--color=always"], b"")[0].contains(green));
}
