//! Which runs are told of, and what of them.

use crate::lab::{Nic, TARGETS, run};
use crate::tracer::{Counts, Tracer};

/// A NIC with the program that sends IPv4 back with its addresses swapped.
fn nic_that_swaps() -> Nic {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_tx");
    nic
}

/// Sends `count` echo requests, not answered, to tracers with each of these words, all at once; their lines and what became of
/// the runs.
fn trace_all(nic: &Nic, words: &[&[&str]], count: u32) -> Vec<(Vec<String>, Counts)> {
    let start = |words: &&[&str]| Tracer::spawn(nic, &[&["-i", "veth0"], *words].concat());
    let mut tracers: Vec<Tracer> = words.iter().map(start).collect();
    tracers.iter_mut().for_each(Tracer::wait_until_it_listens);
    nic.there(&["ping", "-n", "-q", "-i", "0.05", "-W", "1", "-c", &count.to_string(), "192.0.2.1"]);
    let end = |(tracer, words): (Tracer, &&[&str])| {
        let ended = tracer.end("INT");
        assert!(ended.status.success(), "{words:?}: {ended:?}");
        (ended.stdout.clone(), ended.counts())
    };
    tracers.into_iter().zip(words).map(end).collect()
}

/// The same with one.
fn trace(nic: &Nic, words: &[&str], count: u32) -> (Vec<String>, Counts) {
    trace_all(nic, &[words], count).remove(0)
}

/// Whether a filter on the destination accepts the packet as it arrived (to 192.0.2.1), or as it left (to 192.0.2.2): with
/// each of the three probes.
#[test]
fn the_filter_sees_the_side_that_it_is_told_to() {
    let nic = nic_that_swaps();
    for probe in ["both", "entry", "exit"] {
        let sides = [
            ("entry", "192.0.2.1", true),
            ("entry", "192.0.2.2", false),
            ("exit", "192.0.2.1", false),
            ("exit", "192.0.2.2", true),
        ];
        let words =
            sides.map(|(side, to, _)| ["--probe", probe, "--filter-at", side, "icmp", "and", "dst", "host", to]);
        let traced = trace_all(&nic, &words.each_ref().map(|words| &words[..]), 3);
        for (((lines, counts), (.., accepts)), words) in traced.into_iter().zip(sides).zip(words) {
            let expected = if accepts { 3 } else { 0 };
            assert_eq!(
                (lines.len(), counts.traced, counts.lost),
                (expected, expected as u64, 0),
                "{words:?} {counts:?}"
            );
            assert!(counts.filtered >= 3 - counts.traced, "{words:?} {counts:?}");
            // What the probe saw: as it arrived where fentry tells, as it left where fexit alone does.
            let ends = if probe == "exit" { "192.0.2.1 > 192.0.2.2" } else { "192.0.2.2 > 192.0.2.1" };
            assert!(lines.iter().all(|line| line.contains(ends)), "{words:?} {lines:?}");
        }
    }
}

#[test]
fn verdicts_changes_and_samples_are_selected() {
    let nic = nic_that_swaps();
    nic.use_second_queue();
    let table: [(&[&str], usize); 8] = [
        (&["--verdict", "tx", "icmp"], 4),
        (&["--verdict", "drop,aborted", "icmp"], 0),
        (&["--verdict", "!tx", "icmp"], 0),
        (&["--changed", "icmp"], 4),
        (&["--slower", "1h", "icmp"], 0),
        (&["--queue", "0", "icmp"], 0),
        (&["--queue", "1", "icmp"], 4),
        (&["-c", "2", "icmp"], 2),
    ];
    let traced = trace_all(&nic, &table.map(|(words, _)| words), 4);
    for ((lines, counts), (words, expected)) in traced.into_iter().zip(table) {
        assert_eq!((lines.len(), counts.traced, counts.lost), (expected, expected as u64, 0), "{words:?} {counts:?}");
    }
    // Of everything that comes, every other run on each CPU.
    let (lines, counts) = trace(&nic, &["--sample", "2"], 8);
    assert_eq!(lines.len() as u64, counts.traced);
    assert!(counts.filtered == 0 && counts.lost == 0 && counts.skipped.abs_diff(counts.traced) <= 2, "{counts:?}");
    let (lines, counts) = trace(&nic, &["--rate", "3", "--verdict", "tx"], 8);
    assert!(lines.len() >= 3 && counts.traced <= 6 && counts.skipped >= 2, "{counts:?}");
}

/// Each run once and in order, however the flushes, which come in between all the time, interrupt it.
#[test]
fn a_flood_is_told_whole_and_in_order() {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_drop_with_a_long_name");
    let tracer = Tracer::start(&nic, &["-i", "veth0", "-o", "text", "icmp"]);
    nic.there(&["ping", "-n", "-q", "-i", "0.002", "-l", "100", "-c", "3000", "-W", "1", "192.0.2.1"]);
    let ended = tracer.end("INT");
    let counts = ended.counts();
    assert_eq!((counts.traced, counts.lost), (3000, 0), "{counts:?}");
    assert_eq!(ended.stdout.len(), 3000);
}

#[test]
fn a_file_is_read_by_tcpdump() {
    let nic = nic_that_swaps();
    let file = format!("/run/xdptrace-{}.pcapng", std::process::id());
    // Longer than what a batch holds, so that it leaves by the other way.
    let tracer = Tracer::start(&nic, &["-i", "veth0", "-w", &file, "icmp"]);
    nic.there(&["ping", "-n", "-q", "-s", "1400", "-c", "1", "-W", "1", "192.0.2.1"]);
    nic.there(&["ping", "-n", "-q", "-s", "56", "-c", "1", "-W", "1", "192.0.2.1"]);
    let ended = tracer.end("INT");
    assert_eq!(ended.counts().traced, 2, "{ended:?}");
    let read = run(&["tcpdump", "-nn", "-r", &file]);
    let lines = String::from_utf8(read.stdout).unwrap();
    for (words, times) in [
        ("192.0.2.2 > 192.0.2.1: ICMP echo request", 2),
        ("192.0.2.1 > 192.0.2.2: ICMP echo request", 2),
        ("length 1408", 2),
        ("length 64", 2),
    ] {
        assert_eq!(lines.matches(words).count(), times, "{words}: {lines}");
    }
    std::fs::remove_file(&file).unwrap();
}

/// A filter that looks at more than the packet has, and passes it all the same, leaves the note as the packet was.
#[test]
fn packets_shorter_than_a_filters_look_are_unchanged() {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_drop_with_a_long_name");
    let filter = "icmp or tcp[tcpflags] & tcp-syn != 0";
    let tracer = Tracer::start(&nic, &["-i", "veth0", filter]);
    let pings = "for size in 0 1 2 3 5 7 20; do ping -n -q -s $size -c 1 -W 1 192.0.2.1 & done; wait";
    nic.there(&["bash", "-c", pings]);
    let ended = tracer.end("INT");
    assert_eq!((ended.stdout.len(), ended.counts().traced), (7, 7), "{ended:?}");
    assert!(!ended.stdout.iter().any(|line| line.contains("changed")), "{ended:?}");
}

#[test]
fn the_rate_holds_where_the_end_decides_and_the_beginning_is_told() {
    let nic = nic_that_swaps();
    let words = ["--probe", "entry", "--filter-at", "exit", "--rate", "2", "icmp"];
    let (lines, counts) = trace(&nic, &words, 8);
    assert!((2..=4).contains(&lines.len()) && counts.skipped >= 4, "{counts:?}");
}
