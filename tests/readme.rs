//! What the README promises to work as written, does.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use regex::Regex;

const README: &str = include_str!("../README.md");

fn recorded() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read"))
}

/// Lines of code blocks, without their indentation; an empty one between blocks.
fn code() -> Vec<&'static str> {
    README.lines().map(|line| line.strip_prefix("    ").unwrap_or("")).collect()
}

/// In the folder of the recorded files, with the built binary in front of the path, in UTC.
fn shell(command: &str) -> String {
    let ours = Path::new(env!("CARGO_BIN_EXE_xdptrace")).parent().unwrap();
    let path = format!("{}:{}", ours.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-o", "pipefail", "-c", command]).current_dir(recorded()).env("PATH", path).env("TZ", "UTC");
    let done = bash.stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && stderr.is_empty(), "{command}: {stderr} (make check-deps installs jq)");
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn one_liners_print_what_stands_below_them() {
    let code = code();
    let commands = code.iter().enumerate().filter_map(|(at, line)| Some((at, line.strip_prefix("$ ")?)));
    let ours: Vec<(usize, &str)> = commands.filter(|(_, command)| command.starts_with("xdptrace read ")).collect();
    assert!(ours.len() >= 3, "{ours:?}");
    for (at, command) in ours {
        let below = code[at + 1..].iter().take_while(|line| !line.is_empty() && !line.starts_with("$ "));
        let expected: String = below.map(|line| format!("{line}\n")).collect();
        assert_eq!(shell(command), expected, "{command}");
    }
}

#[test]
fn the_regular_expression_takes_every_line_apart() {
    let expression = code().into_iter().find(|line| line.starts_with("^(")).unwrap();
    let regex = Regex::new(expression).unwrap();
    let part = |line: &str, number: usize| {
        let parts = regex.captures(line).unwrap_or_else(|| panic!("not taken apart: {line}"));
        parts.get(number).map(|part| part.as_str().to_owned())
    };
    for file in ["xdptrace.txt", "xdpdump.txt", "xdpdump.pcap.txt"] {
        let lines = fs::read_to_string(recorded().join(file)).unwrap();
        assert!(lines.lines().count() > 3);
        for line in lines.lines() {
            let packet = part(line, 8).unwrap();
            assert!(["IP ", "IP6 ", "ARP, "].iter().any(|start| packet.starts_with(start)), "{line}");
            assert!(part(line, 2).is_some() && !packet.ends_with(']'), "{line}");
        }
    }
    let line = "06:56:58.123456 eth0 xdp_lb#12 XDP_TX 412ns IP 10.0.0.1.1 > 10.0.0.2.2: Flags [S], seq 1, win 1, \
                options [mss 1460], length 0 [pushed 20: IP 10.0.0.3 > 10.0.0.4: IPIP, ttl 64->63]";
    let parts = [1, 2, 3, 4, 5, 7, 9].map(|number| part(line, number).unwrap());
    let expected = ["06:56:58.123456", "eth0", "xdp_lb", "12", "XDP_TX", "412ns"];
    assert_eq!(parts[..6], expected);
    assert_eq!(parts[6], "pushed 20: IP 10.0.0.3 > 10.0.0.4: IPIP, ttl 64->63");
    assert!(part(line, 6).is_none() && part(line, 8).unwrap().ends_with("options [mss 1460], length 0"));
    assert_eq!(part("00:00:00.000000 ? ? ? ? ?", 5).unwrap(), "?");
    let outcomes = [
        "-> eth1",
        "-> 5ns",
        "-> ?",
        "-> ifindex 9",
        "-> xsk map 12[3]",
        "-> failed",
        "-> failed: ENETDOWN (eth1)",
        "-> failed: EINVAL (ifindex 9)",
        "-> failed: ENOMEM (xsk map 12[3])",
        "-> failed: ENOTSUPP",
        "-> failed: 9999 (e(1)",
        "-> redirected by bond0",
        "-> redirected by ?",
        "(xdp_exception)",
    ];
    for (outcome, latency) in outcomes.into_iter().flat_map(|outcome| [(outcome, "412ns"), (outcome, "?")]) {
        let line = format!(
            "06:56:58.123456 eth0 xdp_lb#12 XDP_TX {outcome} {latency} IP 10.0.0.1 > 10.0.0.2: (5ns) [ttl 64->63]"
        );
        let parts = [5, 6, 7, 8, 9].map(|number| part(&line, number).unwrap());
        assert_eq!(parts, ["XDP_TX", outcome, latency, "IP 10.0.0.1 > 10.0.0.2: (5ns)", "ttl 64->63"]);
    }
}
