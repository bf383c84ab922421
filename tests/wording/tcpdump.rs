//! What the real tcpdump says.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::corpus::Packet;

/// Far from any number in the packets' own words, so that a packet's time tells where its words begin.
const FIRST_SECOND: u32 = 1_700_000_000;

/// Writes a capture file; the packets are a second apart.
pub fn write(name: &str, packets: &[Packet]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("wording-{name}.pcap"));
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 262_144, 1] {
        file.extend(word.to_le_bytes());
    }
    for (second, packet) in (FIRST_SECOND..).zip(packets) {
        for word in [second, 0, packet.bytes.len() as u32, packet.length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(&packet.bytes);
    }
    std::fs::File::create(&path).unwrap().write_all(&file).unwrap();
    path
}

fn run(command: &mut Command) -> Output {
    let ran = command.output().unwrap_or_else(|error| {
        panic!("tcpdump is what the words are compared with: {error}: `make check-deps` installs it")
    });
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
    ran
}

/// `tcpdump version 4.99.3` is the one whose words are ours; others have changed some.
pub fn version() -> String {
    let told = run(Command::new("tcpdump").arg("--version"));
    let told = [told.stdout, told.stderr].map(|words| String::from_utf8(words).unwrap()).concat();
    told.lines().next().unwrap_or_default().to_owned()
}

/// The words for each packet, without its time.
pub fn read(path: &Path, flags: &[&str], packets: usize) -> Vec<String> {
    let ran = run(Command::new("tcpdump").args(["-nn", "-tt"]).args(flags).arg("-r").arg(path));
    let told = String::from_utf8(ran.stdout).unwrap();
    let mut rest = told.as_str();
    let mut words = Vec::new();
    for n in 0..packets as u32 {
        let time = format!("{}.000000 ", FIRST_SECOND + n);
        rest = rest.strip_prefix(&time).unwrap_or_else(|| panic!("packet {n} is not where it should be: {rest:.80}"));
        let next = format!("\n{}.000000 ", FIRST_SECOND + n + 1);
        let end = rest.find(&next).unwrap_or(rest.len() - 1);
        words.push(rest[..end].to_owned());
        rest = &rest[end + 1..];
    }
    assert_eq!(rest, "", "behind the last packet");
    words
}
