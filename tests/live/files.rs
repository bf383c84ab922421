//! The files of -w, as other tools read them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use crate::capture;
use crate::lab::{Nic, TARGETS, output, run, wait_for};
use crate::tracer::{ENDINGS, Tracer, XDPTRACE, number_of};

/// A folder of this test's, which goes with it.
pub struct Folder(String);

impl Folder {
    pub fn new(name: &str) -> Self {
        let folder = format!("/run/xdptrace-{}-{name}", std::process::id());
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub fn path(&self) -> &str {
        &self.0
    }

    pub fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn passing() -> Nic {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_pass");
    nic
}

fn words(done: &Output) -> String {
    String::from_utf8_lossy(&[&done.stdout[..], &done.stderr[..]].concat()).into_owned()
}

/// tcpdump's lines of a file, which it reads to its end without complaint.
pub fn tcpdump(path: &str) -> Vec<String> {
    let done = run(&["tcpdump", "-nn", "-r", path]);
    let complaints = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && complaints.lines().count() == 1, "{complaints}");
    String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn tshark_shows_what_was_sent() {
    let (nic, folder) = (passing(), Folder::new("tshark"));
    nic.use_second_queue();
    let path = folder.file("f");
    let tracer = Tracer::start(&nic, &["-i", "veth0", "-w", &path, "icmp"]);
    nic.ping(2);
    let ended = tracer.end("INT");
    assert_eq!((ended.status.code(), ended.counts().traced), (Some(0), 2), "{ended:?}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let fields = ["interface_name", "packet_id", "interface_queue", "verdict.ebpf_xdp", "comment"];
    let fields = fields.map(|field| format!("-eframe.{field}"));
    let mut command = vec!["tshark", "-n", "-r", &path, "-Tfields"];
    command.extend(fields.iter().map(String::as_str));
    let done = run(&command);
    let shown = words(&done);
    assert!(done.status.success(), "{shown}");
    let rows: Vec<Vec<&str>> =
        shown.lines().filter(|line| line.contains('\t')).map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 4, "{shown}");
    for (row, id) in rows.iter().zip(["1", "1", "2", "2"]) {
        let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
        assert_eq!((number(row[1]), row[2]), (number(id), "1"), "{shown}");
        assert!(
            row[4].starts_with("latency ") && row[4].contains(&format!(" ns, program {}, cpu ", nic.program_id())),
            "{shown}"
        );
    }
    let ends = ["fentry", "fexit", "fentry", "fexit"].map(|end| format!("veth0:target_pass()@{end}"));
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), ends, "{shown}");
    let verdicts: Vec<&str> = rows.iter().map(|row| row[3]).collect();
    assert!(verdicts.iter().zip(["", "2", "", "2"]).all(|(shown, sent)| shown == &sent), "{shown}");
}

#[test]
fn what_is_left_after_every_end_can_be_read() {
    let (nic, folder) = (passing(), Folder::new("endings"));
    let path = folder.file("f");
    for signal in ENDINGS {
        let mut tracer = Tracer::start(&nic, &["-i", "veth0", "-w", &path, "--print", "icmp"]);
        nic.ping(1);
        tracer.wait_for_lines(1, "ICMP");
        // What is printed stands in the file as soon as nothing earlier can come.
        wait_for("packets in the file", || (run(&["tcpdump", "-r", &path]).stdout.len() > 100).then_some(()));
        let ended = tracer.end(signal);
        assert_eq!(ended.stdout.len(), 1, "{ended:?}");
        assert_eq!(tcpdump(&path).len(), 2, "{signal}");
        let done = run(&["capinfos", "-I", &path]);
        let told = words(&done);
        assert!(done.status.success() && done.stderr.is_empty(), "{signal}: {told}");
        let statistics = if signal == "KILL" { 0 } else { 1 };
        assert_eq!(told.matches("Number of stat entries = 1").count(), 2 * statistics, "{signal}: {told}");
    }
}

#[test]
fn a_full_disk_ends_the_run_and_leaves_a_file_that_can_be_read() {
    let (nic, folder) = (passing(), Folder::new("full"));
    output(&["mount", "-t", "tmpfs", "-o", "size=64k", "none", &folder.0]);
    let path = folder.file("f");
    let tracer = Tracer::start(&nic, &["-i", "veth0", "-w", &path, "icmp"]);
    nic.there(&["ping", "-n", "-q", "-f", "-l", "20", "-c", "600", "-W", "1", "192.0.2.1"]);
    let ended = tracer.wait();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let reason = format!(
        "xdptrace: failed to write {path}: No space left on device (os error 28): make room, or write elsewhere"
    );
    assert_eq!(ended.stderr.last(), Some(&reason));
    let packets = tcpdump(&path).len() as u64;
    let summary = &ended.stderr[ended.stderr.len() - 2];
    output(&["umount", &folder.0]);
    // What could not be written is lost, and that is all: but for an event whose first packet alone is in the file.
    let (traced, unwritten) =
        (number_of(" lost", summary), number_of(" lost because they could not be written", summary));
    assert!(unwritten > 0 && unwritten <= traced, "{summary}");
    let numbers: Vec<u64> = summary.split(' ').filter_map(|word| word.parse().ok()).take(5).collect();
    assert_eq!(numbers[0], numbers[1..].iter().sum::<u64>(), "{summary}");
    assert!((2 * numbers[3]..2 * numbers[3] + 100).contains(&packets), "{packets}: {summary}");
}

#[test]
fn a_closed_pipe_is_success() {
    let nic = passing();
    let script = format!("{XDPTRACE} -i veth0 -w - | head -c 100 >/dev/null; exit ${{PIPESTATUS[0]}}");
    let tracer = Tracer::start_command(&nic.inside(&["bash", "-c", &script]));
    nic.ping(2);
    let ended = tracer.wait();
    assert_eq!((ended.status.code(), ended.stderr.len()), (Some(0), 2), "{ended:?}");
    ended.counts();
}

/// … when the tracer has long ended.
#[test]
fn a_reader_that_stopped_reading_finds_whole_blocks() {
    let (nic, folder) = (passing(), Folder::new("stopped"));
    let (told, path) = (folder.file("told"), folder.file("f"));
    let script =
        format!("{XDPTRACE} -i veth0 -w - icmp 2>{told} | (while [ ! -e {path}.go ]; do sleep 0.2; done; cat >{path})");
    let tracer = Tracer::spawn_command(&nic.inside(&["setsid", "bash", "-c", &script]));
    let read = || fs::read_to_string(&told).unwrap_or_default();
    wait_for("'Listening events...'", || read().contains("Listening").then_some(()));
    nic.there(&["ping", "-n", "-q", "-f", "-l", "50", "-c", "1500", "-W", "1", "192.0.2.1"]);
    output(&["bash", "-c", &format!("pkill -INT -f '^{XDPTRACE} -i veth0 -w - icmp'")]);
    wait_for("the summary", || read().contains(" seen = ").then_some(()));
    fs::write(format!("{path}.go"), "").unwrap();
    assert!(tracer.wait().status.success());
    let summary = read();
    let unwritten = number_of(" lost because they could not be written", summary.lines().last().unwrap());
    assert!(unwritten > 0, "{summary}");
    // It is the reason of all that is lost.
    assert_eq!(unwritten, number_of(" lost", summary.lines().last().unwrap()), "{summary}");
    assert!(tcpdump(&path).len() > 100);
}

#[test]
fn a_reader_of_lines_that_stopped_reading_costs_the_file_nothing() {
    let (nic, folder) = (passing(), Folder::new("lines"));
    let (told, path) = (folder.file("told"), folder.file("f"));
    let tracer = format!("{XDPTRACE} -i veth0 -w {path} --print icmp");
    let script = format!("{tracer} 2>{told} | (while [ ! -e {path}.go ]; do sleep 0.2; done; cat >/dev/null)");
    let tracing = Tracer::spawn_command(&nic.inside(&["setsid", "bash", "-c", &script]));
    let read = || fs::read_to_string(&told).unwrap_or_default();
    wait_for("'Listening events...'", || read().contains("Listening").then_some(()));
    nic.there(&["ping", "-n", "-q", "-f", "-l", "50", "-c", "3000", "-W", "1", "192.0.2.1"]);
    output(&["bash", "-c", &format!("pkill -INT -f '^{tracer}'")]);
    wait_for("the summary", || read().contains(" seen = ").then_some(()));
    let summary = read();
    let words: Vec<&str> = summary.lines().last().unwrap().split(' ').collect();
    let traced = words.windows(2).find(|pair| pair[1] == "traced").and_then(|pair| pair[0].parse().ok()).unwrap_or(0);
    assert!(summary.contains(" + 0 lost") && traced >= 2900, "{summary}");
    assert_eq!(tcpdump(&path).len(), 2 * traced, "{summary}");
    fs::write(format!("{path}.go"), "").unwrap();
    assert!(tracing.wait().status.success());
}

#[test]
fn files_are_rotated_by_size_and_by_time() {
    let (nic, folder) = (passing(), Folder::new("rotated"));
    let path = folder.file("size");
    let tracer = Tracer::start(&nic, &["-i", "veth0", "-w", &path, "-C", "10k", "-W", "11", "icmp"]);
    nic.there(&["ping", "-n", "-q", "-f", "-c", "100", "-W", "1", "192.0.2.1"]);
    assert_eq!(tracer.end("INT").counts().traced, 100);
    assert_eq!(folder.names()[..2], ["size00", "size01"]);
    let packets: usize = folder.names().iter().map(|name| tcpdump(&folder.file(name)).len()).sum();
    assert_eq!(packets, 200);
    // Without any packet, and to its end.
    let tracer = Tracer::start(&nic, &["-i", "veth0", "-w", &folder.file("time-%s"), "-G", "1", "-W", "2", "udp"]);
    let ended = tracer.wait();
    assert_eq!((ended.status.code(), ended.stderr.len()), (Some(0), 2), "{ended:?}");
    let times: Vec<u64> = folder.names().iter().filter_map(|name| name.strip_prefix("time-")?.parse().ok()).collect();
    assert!(times.len() == 2 && times[0] < times[1], "{times:?}");
    assert!(times.iter().all(|time| tcpdump(&folder.file(&format!("time-{time}"))).is_empty()));
}

#[test]
fn what_was_moved_away_is_opened_anew_and_flushed_when_asked() {
    let (nic, folder) = (passing(), Folder::new("moved"));
    let (path, moved) = (folder.file("f"), folder.file("f.1"));
    let tracer = Tracer::start(&nic, &["-i", "veth0", "-w", &path, "--reopen-on-hup", "icmp"]);
    nic.ping(2);
    tracer.send("USR2");
    wait_for("packets in the file", || (run(&["tcpdump", "-r", &path]).stdout.len() > 100).then_some(()));
    fs::rename(&path, &moved).unwrap();
    tracer.send("HUP");
    wait_for("the new file", || Path::new(&path).exists().then_some(()));
    nic.ping(1);
    assert_eq!(tracer.end("TERM").counts().traced, 3);
    assert_eq!([&moved, &path].map(|path| tcpdump(path).len()), [4, 2]);
}

#[test]
fn packets_of_several_cpus_are_in_the_order_of_time() {
    let (nic, folder) = (passing(), Folder::new("order"));
    let path = folder.file("f");
    let tracer = Tracer::start(&nic, &["-i", "veth0", "-w", &path, "icmp"]);
    let flood = |cpu| ["taskset", "-c", cpu, "ping", "-n", "-q", "-f", "-w", "3", "192.0.2.1"];
    let other = nic.there_in_background(&flood("1"));
    nic.there(&flood("0"));
    drop(other);
    let ended = tracer.end("INT");
    let packets = capture::take(&path);
    assert_eq!(packets.len() as u64, 2 * ended.counts().traced, "{ended:?}");
    let (mut late, mut last) = (0, 0);
    for packet in &packets {
        late += u64::from(packet.time_ns < last);
        last = last.max(packet.time_ns);
    }
    println!("{} packets: {}", packets.len(), ended.stderr.last().unwrap());
    assert_eq!(late, number_of(" late in the file", ended.stderr.last().unwrap()), "{ended:?}");
    // A run that was interrupted for as long as packets wait for each other is told of too late; it is rare.
    assert!(late * 1000 <= packets.len() as u64, "{late} of {}", packets.len());
}

#[test]
fn legacy_pcap_is_xdpdumps() {
    let (nic, folder) = (passing(), Folder::new("legacy"));
    let (ours, theirs) = (folder.file("ours"), folder.file("theirs"));
    let tracer = Tracer::start(&nic, &["-i", "veth0", "-w", &ours, "--use-pcap", "-s", "0", "icmp"]);
    nic.ping(1);
    assert_eq!(tracer.end("INT").counts().traced, 1);
    assert_eq!(tcpdump(&ours).len(), 2);
    let xdpdump = nic.inside(&["timeout", "-s", "INT", "5", "xdpdump", "-i", "veth0", "-w", &theirs, "--use-pcap"]);
    run(&xdpdump.iter().map(String::as_str).collect::<Vec<_>>());
    let [ours, theirs] = [ours, theirs].map(|path| fs::read(path).unwrap());
    // Magic number, version, and link type; the snapshot length between them may differ.
    assert_eq!((&ours[..16], &ours[20..24]), (&theirs[..16], &theirs[20..24]));
}
