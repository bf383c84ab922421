//! Fixed numbers → tables.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::event::{Counts, Overflow};
use crate::numbers::{Common, Failures, Forward, Keys, Latency, Path, Row, Standing, Tally};
use crate::plan::{Counting, Part, Tracing};
use crate::sink::open_stats;

/// 2023-07-15T06:56:58Z, and a second later.
const TIME_NS: u64 = 1_689_404_218_000_000_000;
const SECOND: Duration = Duration::from_secs(1);

fn port(name: &str, ifindex: u32) -> Port {
    Port { name: Some(name.into()), netns: 4_026_531_840, ifindex, ..Port::default() }
}

fn tally(packets: u64) -> Tally {
    Tally { packets, bytes: packets * 64 }
}

fn action(number: u32) -> Returned {
    Returned::Action(Verdict(number))
}

fn traffic(name: &str, queue: u32, verdicts: &[(Returned, u64)], ns: usize) -> Traffic {
    let mut latency = Latency::default();
    let runs = verdicts.iter().map(|(_, packets)| packets).sum();
    (latency.steps[ns], latency.sum_ns, latency.max_ns) = (runs, runs * 100, 40_000);
    Traffic {
        device: port(name, 2),
        queue: Some(queue),
        verdicts: verdicts.iter().map(|(returned, packets)| (*returned, tally(*packets))).collect(),
        latency: Some(latency),
    }
}

/// So many packets a second.
fn row(source: &str, destination_port: Option<u16>, packets: u64, seconds: u64) -> Row {
    let key = Common { source: source.parse().ok(), destination_port, ..Common::default() };
    Row { key, verdict: action(1), tally: tally(packets * seconds), came: tally(packets) }
}

/// What there was after so many seconds, of two programs.
pub(in crate::sink) fn numbers(seconds: u64) -> Numbers {
    let drops = [(action(1), 1_100_000 * seconds), (action(2), 100_000 * seconds)];
    let subject = |program_id, function: &str| Subject {
        program_id,
        function: function.into(),
        program_name: "xdp_lb".into(),
        devices: vec!["eth0".into()],
    };
    let failures = |verdict, error: Option<&str>, count| Failures {
        device: port("eth0", 2),
        verdict: Returned::Action(Verdict(verdict)),
        error: error.map(str::to_owned),
        count,
    };
    let rows = vec![row("192.0.2.1", Some(53), 900_000, seconds), row("2001:db8::", None, 50_000, seconds)];
    let balancer = Program {
        subject: subject(12, "xdp_lb"),
        behind: None,
        is_traced: true,
        counts: Counts { seen: 1_200_000 * seconds, traced: 1_200_000 * seconds, ..Counts::none() },
        traffic: vec![traffic("eth0", 0, &drops, 24), traffic("eth0", 1, &[(action(2), 3 * seconds)], 40)],
        failures: vec![failures(4, Some("ENETDOWN"), 120 * seconds), failures(0, None, 3 * seconds)],
        keys: Some(Keys {
            rows: rows.into(),
            other: tally(250_003 * seconds),
            others_came: tally(250_003),
            evicted: 7,
        }),
    };
    let idle =
        Program { subject: subject(13, "xdp\x1b[2J"), is_traced: true, counts: Counts::none(), ..Program::default() };
    let path = Path::Redirect { from: port("eth0", 2), to: port("eth1", 3) };
    let forward = Forward { path, sent: 1000 * seconds, dropped: seconds, error: Some("ENXIO".into()) };
    let dequeue = Path::Dequeue { map: 12, cpu: 3 };
    let forwards = vec![forward, Forward { path: dequeue, sent: 5 * seconds, dropped: 0, error: None }];
    let time_ns = TIME_NS + seconds * 1_000_000_000;
    Numbers { time_ns, took: SECOND, is_final: false, programs: vec![balancer, idle], forwards, ..Numbers::default() }
}

pub(in crate::sink) fn by() -> By {
    By { parts: vec![Part::Source, Part::DestinationPort], prefix4: 32, prefix6: 64, rows: 1 }
}

fn shown(per_queue: bool, by: Option<By>, all: &[Numbers]) -> String {
    let counting = Counting { interval: SECOND, at_once: false, times: None, by, drops_a_second: None };
    let tracing = Tracing { counting: Some(counting), ..Tracing::default() };
    let mut out = Vec::new();
    let mut sink = open_stats(&Stats { tracing, per_queue, json: false }, &mut out);
    all.iter().for_each(|numbers| sink.numbers(numbers).unwrap());
    drop(sink);
    let text = String::from_utf8(out).unwrap();
    assert!(text.is_ascii() && text.lines().all(|line| line.len() <= if per_queue { 110 } else { 100 }), "{text}");
    // Hours depend on where this runs.
    regex::Regex::new("(?m)^[0-9]{2}:[0-9]{2}:").unwrap().replace_all(&text, "HH:MM:").into_owned()
}

#[test]
fn rates_are_since_the_reading_before() {
    let expected = "\
HH:MM:59  program          packets/s  bits/s  drop/s  pass/s    p50    p90    p99  p99.9     max
eth0      xdp_lb#12            1.20M    614M   1.10M    100k  159ns  159ns  159ns  159ns  40.0us
eth0      xdp\\u{1b}[2J#13          0       0       0       0      ?      ?      ?      ?       ?
  eth0 xdp_lb#12: XDP_REDIRECT failed with ENETDOWN, 120/s
  eth0 xdp_lb#12: XDP_ABORTED (xdp_exception), 3/s
  eth0 -> eth1: 1.00k/s sent, 1/s dropped (ENXIO)
  cpu map 12[3] ->: 5/s processed, 0/s dropped

";
    let text = shown(false, None, &[numbers(1), numbers(2)]);
    assert_eq!(text.split_inclusive("\n\n").next().unwrap(), expected);
    assert_eq!(text.matches("1.20M").count(), 2);
}

#[test]
fn queues_have_rows_of_their_own_if_asked_for() {
    let text = shown(true, None, &[numbers(1)]);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().take(4).collect()).collect();
    assert_eq!(rows[0], ["HH:MM:59", "program", "queue", "packets/s"]);
    assert_eq!([&rows[1], &rows[2]], [&["eth0", "xdp_lb#12", "0", "1.20M"], &["eth0", "xdp_lb#12", "1", "3"]]);
}

#[test]
fn totals_are_exact() {
    let expected = "\
HH:MM:00 total of 2.0 s
eth0 xdp_lb#12: 2400006 packets, 153600384 bytes
  XDP_DROP  2200000 packets  91.7%  140800000 bytes
  XDP_PASS   200006 packets   8.3%   12800384 bytes
  latency: p50 159ns, p90 159ns, p99 159ns, p99.9 159ns, max 40.0us
  eth0: XDP_REDIRECT failed with ENETDOWN 240 times
  eth0: XDP_ABORTED (xdp_exception) 6 times
xdp\\u{1b}[2J#13: 0 packets
  eth0 -> eth1: 2000 sent, 2 dropped (ENXIO)
  cpu map 12[3] ->: 10 processed, 0 dropped
";
    let last = Numbers { is_final: true, ..numbers(2) };
    assert_eq!(shown(false, None, &[numbers(1), last]).split_once("\n\n").unwrap().1, expected);
}

#[test]
fn rows_that_are_not_shown_are_others() {
    let expected = "\
HH:MM:59 src  dport  program    verdict   packets/s  bits/s  share
192.0.2.1     53     xdp_lb#12  XDP_DROP       900k    461M  75.0%
other                                          300k    154M  25.0%
";
    let text = shown(false, Some(by()), &[numbers(1)]);
    assert!(text.starts_with(expected), "{text}");
    let last = Numbers { is_final: true, ..numbers(2) };
    let expected = "\
src        dport  program    verdict   packets      bytes  share
192.0.2.1  53     xdp_lb#12  XDP_DROP  1800000  115200000  75.0%
other                                   600006   38400384  25.0%
7 keys left the table for others
";
    let text = shown(false, Some(by()), &[last]);
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn what_is_let_go_of_is_shown_once_more_and_in_the_total() {
    let mut gone = numbers(2);
    gone.programs.iter_mut().for_each(|program| program.is_traced = false);
    let later = Numbers { forwards: vec![], ..gone.clone() };
    let last = Numbers { is_final: true, ..later.clone() };
    let text = shown(false, None, &[numbers(1), gone, later, last]);
    assert_eq!(text.matches("xdp_lb#12   ").count(), 2, "{text}");
    assert!(text.contains("2400006 packets"), "{text}");
}

#[test]
fn what_has_gone_has_no_rate_and_is_in_the_total() {
    let first = numbers(1);
    let mut second = numbers(2);
    let gone = |name: Option<&str>, standing| Port { standing, name: name.map(str::to_owned), ..Port::default() };
    let [veth0, before] = [gone(Some("veth0"), Standing::Gone), gone(None, Standing::Forgotten)];
    let program = &mut second.programs[0];
    let traffic = Traffic { device: veth0.clone(), queue: Some(0), ..program.traffic[0].clone() };
    program.traffic.extend([traffic.clone(), Traffic { device: before.clone(), queue: None, ..traffic }]);
    program.failures.push(Failures { device: before.clone(), verdict: Returned::Other, error: None, count: 5 });
    let path = Path::Redirect { from: veth0, to: before };
    second.forwards.push(Forward { path, sent: 3, dropped: 0, error: None });
    second.overflow = Overflow { outcomes: 2, forwards: 7 };
    let last = Numbers { is_final: true, ..second.clone() };
    let text = shown(false, None, &[first, second, last]);
    let (intervals, total) = text.split_once(" total of ").unwrap();
    assert!(!intervals.contains("gone"), "{intervals}");
    for line in [
        "veth0 (gone) xdp_lb#12: 2400000 packets, 153600000 bytes\n",
        "\ndevices gone before xdp_lb#12: 2400000 packets, 153600000 bytes\n",
        "\n  devices gone before: other failed 5 times\n",
        "\n  veth0 (gone) -> devices gone before: 3 sent, 0 dropped\n",
        "\n2 outcomes of verdicts not counted: their table was full\n",
        "\n7 packets sent on not counted: their table was full\n",
    ] {
        assert!(total.contains(line), "{line}: {total}");
    }
}

#[test]
fn programs_that_are_told_of_together_have_no_rate_and_are_in_the_total() {
    let [first, mut second] = [1, 2].map(numbers);
    let over = Program { subject: Subject::default(), is_traced: false, ..first.programs[0].clone() };
    second.programs.insert(0, over);
    let last = Numbers { is_final: true, ..second.clone() };
    let text = shown(false, None, &[first, second, last]);
    let (intervals, total) = text.split_once(" total of ").unwrap();
    assert!(!intervals.contains("gone before"), "{intervals}");
    assert!(total.contains("eth0 programs gone before: 1200003 packets, "), "{total}");
}

#[test]
fn nothing_traced_is_no_table() {
    let nothing = Numbers { programs: vec![], forwards: vec![], ..numbers(1) };
    assert_eq!(shown(false, None, std::slice::from_ref(&nothing)), "");
    assert_eq!(shown(false, Some(by()), &[nothing]), "");
}

#[test]
fn of_nothing_and_in_no_time_nothing_is_known() {
    assert_eq!([share(1, 3), share(0, 0), rate(3, Duration::ZERO)], ["33.3%", "?", "?"]);
}
