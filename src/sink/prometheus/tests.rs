//! Expositions, worked out by hand.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use nix::time::{ClockId, clock_gettime};

use super::*;
use crate::event::{Subject, Verdict};
use crate::numbers::{Failures, Forward, KEPT, Latency, Path, Port, Program, Returned, Standing, Tally, Traffic};

fn port(name: Option<&str>, ifindex: u32) -> Port {
    Port { name: name.map(str::to_owned), netns: 1, ifindex, ..Port::default() }
}

fn tally(packets: u64, bytes: u64) -> Tally {
    Tally { packets, bytes }
}

fn subject(program_id: u32, devices: &[&str]) -> Subject {
    let devices = devices.iter().map(|&device| device.into()).collect();
    Subject { program_id, program_name: "xdp_lb_kernel".into(), function: "xdp_lb".into(), devices }
}

/// 3 runs of 7, 8 and 5,000,000,000 ns.
fn latency() -> Latency {
    let mut latency = Latency { sum_ns: 5_000_000_015, max_ns: 5_000_000_000, ..Latency::default() };
    for step in [7, 8, 124] {
        latency.steps[step] = 1;
    }
    latency
}

/// A program of this id, of which 2 packets were dropped, 1 passed, on two queues.
fn program(program_id: u32, is_traced: bool) -> Program {
    let (drop, pass) = (Returned::Action(Verdict(1)), Returned::Action(Verdict(2)));
    let traffic = |queue, verdicts: &[(Returned, Tally)], latency| Traffic {
        device: port(Some("eth0"), 2),
        queue: Some(queue),
        verdicts: verdicts.iter().copied().collect::<BTreeMap<_, _>>(),
        latency,
    };
    Program {
        subject: subject(program_id, &["eth0"]),
        behind: None,
        is_traced,
        counts: Counts { seen: 5, filtered: 1, traced: 3, lost: 1, unpaired: 2, ..Counts::none() },
        traffic: vec![
            traffic(0, &[(drop, tally(1, 60)), (pass, tally(1, 98))], Some(latency())),
            traffic(1, &[(drop, tally(1, 64))], None),
        ],
        failures: vec![
            Failures { device: port(Some("eth0"), 2), verdict: Returned::Action(Verdict(0)), error: None, count: 4 },
            Failures {
                device: port(None, 9),
                verdict: Returned::Action(Verdict(4)),
                error: Some("ENETDOWN".into()),
                count: 5,
            },
        ],
        keys: None,
    }
}

fn exposed(numbers: &Numbers, per_queue: bool) -> Exposition {
    exposed_by(&mut Ledger::default(), numbers, per_queue)
}

/// What is exposed behind what the ledger has; no two samples have the same name and labels.
fn exposed_by(ledger: &mut Ledger, numbers: &Numbers, per_queue: bool) -> Exposition {
    let exposition = expose(numbers, ledger.read(numbers, per_queue), Duration::from_micros(1500));
    let text = exposition.text();
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    let mut series: Vec<&str> = lines.map(|(series, _)| series).collect();
    series.sort_unstable();
    let twice: Vec<&str> = series.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    assert!(twice.is_empty(), "{twice:#?}");
    exposition
}

/// The samples of metrics whose name begins with this.
fn samples(exposition: &Exposition, start: &str) -> Vec<String> {
    exposition.text().lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
}

#[test]
fn everything_is_there_in_both_formats() {
    let forward =
        |path, sent, dropped, error: Option<&str>| Forward { path, sent, dropped, error: error.map(str::to_owned) };
    let path = || Path::Redirect { from: port(Some("eth0"), 2), to: port(Some("eth1"), 3) };
    let forwards = vec![
        forward(path(), 10, 0, None),
        forward(path(), 0, 2, Some("ENOSPC")),
        forward(Path::Tx(port(Some("eth0"), 2)), 3, 1, None),
        forward(Path::Enqueue { map: 7, cpu: 1 }, 4, 0, None),
        forward(Path::Enqueue { map: 8, cpu: 1 }, 4, 1, None),
    ];
    let counted = Numbers { programs: vec![program(12, true)], ..Numbers::default() };
    let numbers = Numbers { time_ns: 1_700_000_000_000_000_042, forwards, ..counted };
    let exposition = exposed(&numbers, false);
    let version = |text: &str| text.replace(concat!("\"", env!("CARGO_PKG_VERSION"), "\""), "\"VERSION\"");
    assert_eq!(version(&exposition.text()), include_str!("expected.txt"));
    assert_eq!(version(&exposition.open_metrics()), include_str!("expected.openmetrics"));
}

#[test]
fn how_things_stand_is_said_in_words() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut sink = Prometheus::new(listener, Duration::from_secs(1), false);
    let [none, one] = [vec![], vec![program(12, true)]].map(|programs| Numbers { programs, ..Numbers::default() });
    assert_eq!([sink.state(&none), sink.state(&one)], ["waiting for an XDP program", "1 function traced"]);
    sink.notice(&Notice::NotTraced("xdp_lb#12 on eth0: no BTF".into())).unwrap();
    assert_eq!(sink.state(&none), "waiting for an XDP program; not traced: xdp_lb#12 on eth0: no BTF");
    sink.notice(&Notice::Detached(subject(12, &[]))).unwrap();
    assert_eq!(sink.state(&none), "waiting for an XDP program");
}

#[test]
fn a_replaced_program_goes_on_counting_under_its_name() {
    let before = Numbers { programs: vec![program(12, true)], ..Numbers::default() };
    let after = Numbers { programs: vec![program(12, false), program(13, true)], ..Numbers::default() };
    let [before, after] = [before, after].map(|numbers| exposed(&numbers, false));
    let dropped = r#"xdptrace_packets_total{device="eth0",program="xdp_lb",verdict="drop"}"#;
    assert_eq!(samples(&before, dropped), [format!("{dropped} 2")]);
    assert_eq!(samples(&after, dropped), [format!("{dropped} 4")]);
    assert_eq!(samples(&after, "xdptrace_runs_total"), [r#"xdptrace_runs_total{program="xdp_lb"} 10"#]);
    assert_eq!(
        samples(&after, "xdptrace_latency_seconds_count"),
        [r#"xdptrace_latency_seconds_count{device="eth0",program="xdp_lb"} 6"#]
    );
    // The id stands here only, and only as long as it is traced.
    assert_eq!(
        samples(&after, "xdptrace_program_info"),
        [r#"xdptrace_program_info{program="xdp_lb",id="13",name="xdp_lb_kernel",device="eth0"} 1"#]
    );
    assert_eq!(samples(&after, "xdptrace_programs"), ["xdptrace_programs 1"]);
}

/// A device's index and name, and how many of its packets were dropped.
type Dropped<'a> = (u32, &'a str, u64);

/// What a program has done that dropped these, and failed to redirect as many.
fn dropping(devices: &[Dropped<'_>]) -> Numbers {
    let of = |&(ifindex, name, count): &Dropped<'_>| {
        let device = port(Some(name), ifindex);
        let latency = Latency { sum_ns: 7 * count, max_ns: 7, ..Latency::default() };
        let mut latency = Some(latency);
        latency.iter_mut().for_each(|latency| latency.steps[7] = count);
        let verdicts = [(Returned::Action(Verdict(1)), tally(count, 60 * count))].into_iter().collect();
        let failures = Failures { device: device.clone(), verdict: Returned::Action(Verdict(4)), error: None, count };
        (Traffic { device, queue: Some(0), verdicts, latency }, failures)
    };
    let (traffic, failures) = devices.iter().map(of).unzip();
    let names: Vec<&str> = devices.iter().map(|(_, name, _)| *name).collect();
    let program = Program { subject: subject(12, &names), is_traced: true, traffic, failures, ..Program::default() };
    let sent = |&(ifindex, name, count): &Dropped<'_>| {
        let path = Path::Redirect { from: port(Some(name), ifindex), to: port(Some(name), ifindex) };
        Forward { path, sent: count, dropped: count, error: Some("ENXIO".into()) }
    };
    Numbers { programs: vec![program], forwards: devices.iter().map(sent).collect(), ..Numbers::default() }
}

/// Dropped packets by device; all else that is counted by device is as many.
fn drops(exposition: &Exposition) -> Vec<(String, u64)> {
    let counts = |start: &str, with: &str| -> Vec<(String, u64)> {
        let lines = samples(exposition, start).into_iter().filter(|line| line.contains(with));
        let parsed = lines.map(|line| {
            let (_, rest) = line.split_once("device=\"").unwrap();
            (rest.split_once('"').unwrap().0.to_owned(), line.rsplit_once(' ').unwrap().1.parse().unwrap())
        });
        // By name, not as they rank.
        parsed.collect::<BTreeMap<_, _>>().into_iter().collect()
    };
    let drops = counts("xdptrace_packets_total", "verdict=\"drop\"");
    for name in ["latency_seconds_count", "outcome_errors_total", "forwarded_packets_total", "forward_drops_total"] {
        assert_eq!(counts(&format!("xdptrace_{name}"), ""), drops, "{name}");
    }
    let bytes = counts("xdptrace_bytes_total", "verdict=\"drop\"");
    assert_eq!(bytes, drops.iter().map(|(device, count)| (device.clone(), 60 * count)).collect::<Vec<_>>());
    drops
}

#[test]
fn what_was_counted_under_a_name_stays_there_and_no_packet_is_counted_twice() {
    let mut ledger = Ledger::default();
    let steps: [(&[Dropped<'_>], &str); 5] = [
        (&[(2, "eth0", 5), (3, "eth1", 100)], "eth0 5, eth1 100"),
        // A new name.
        (&[(2, "wan0", 7), (3, "eth1", 100)], "eth0 5, eth1 100, wan0 2"),
        // One that another device has had.
        (&[(2, "wan0", 7), (3, "eth0", 101)], "eth0 6, eth1 100, wan0 2"),
        // Two that have changed theirs.
        (&[(2, "eth0", 8), (3, "wan0", 103)], "eth0 7, eth1 100, wan0 4"),
        // One that has gone is known by its name, and that is another one's now.
        (&[(2, "eth0", 8), (3, "wan0", 104), (4, "wan0", 10)], "eth0 7, eth1 100, wan0 15"),
    ];
    for (devices, expected) in steps {
        let drops = drops(&exposed_by(&mut ledger, &dropping(devices), false));
        let shown: Vec<String> = drops.iter().map(|(device, count)| format!("{device} {count}")).collect();
        assert_eq!(shown.join(", "), expected);
        let counted: u64 = devices.iter().map(|(.., count)| count).sum();
        assert_eq!(drops.iter().map(|(_, count)| count).sum::<u64>(), counted);
    }
}

#[test]
fn names_that_look_alike_are_one() {
    let devices = [(2, "\x1b", 5), (3, "\\u{1b}", 2)];
    for per_queue in [false, true] {
        assert_eq!(drops(&exposed(&dropping(&devices), per_queue)), [("\\\\u{1b}".to_owned(), 7)]);
    }
}

#[test]
fn programs_without_a_name_have_no_series_but_what_was_lost_of_them_stays_counted() {
    let nameless = Program { subject: Subject::default(), ..program(13, false) };
    let numbers = Numbers { programs: vec![nameless, program(12, true)], ..Numbers::default() };
    let exposition = exposed(&numbers, false);
    assert_eq!(samples(&exposition, "xdptrace_runs_total"), [r#"xdptrace_runs_total{program="xdp_lb"} 5"#]);
    assert!(samples(&exposition, "xdptrace_packets_total").iter().all(|line| line.contains("program=\"xdp_lb\"")));
    assert!(samples(&exposition, "xdptrace_lost_events_total")[0].ends_with("{reason=\"uncounted\"} 2"));
}

#[test]
fn queues_have_series_when_asked_for() {
    let numbers = Numbers { programs: vec![program(12, true)], ..Numbers::default() };
    let dropped = |queue: u32| {
        format!(r#"xdptrace_packets_total{{device="eth0",program="xdp_lb",queue="{queue}",verdict="drop"}} 1"#)
    };
    let lines = samples(&exposed(&numbers, true), "xdptrace_packets_total");
    let lines: Vec<&String> = lines.iter().filter(|line| line.ends_with("\"drop\"} 1")).collect();
    assert_eq!(lines, [&dropped(0), &dropped(1)]);
}

#[test]
fn a_verdict_that_did_not_come_yet_is_0() {
    let idle = Program { subject: subject(12, &["eth0"]), is_traced: true, ..Program::default() };
    let exposition = exposed(&Numbers { programs: vec![idle], ..Numbers::default() }, false);
    let lines = samples(&exposition, "xdptrace_packets_total");
    assert_eq!(lines[0], r#"xdptrace_packets_total{device="eth0",program="xdp_lb",verdict="aborted"} 0"#);
    assert_eq!(lines.len(), ALWAYS);
    assert!(samples(&exposition, "xdptrace_latency_seconds").is_empty());
    // Not told, as before Linux 5.12.
    assert!(samples(&exposition, "xdptrace_recursion_misses_total").is_empty());
}

#[test]
fn whatever_is_no_action_has_a_verdict_of_its_own() {
    let mut odd = program(12, true);
    let verdicts = [(Returned::Other, tally(1, 0)), (Returned::Nothing, tally(2, 0))];
    odd.traffic[0].verdicts = verdicts.into_iter().collect();
    odd.failures[0].verdict = Returned::Other;
    let exposition = exposed(&Numbers { programs: vec![odd], ..Numbers::default() }, false);
    let lines = samples(&exposition, "xdptrace_packets_total");
    assert!(lines[5].ends_with(r#"verdict="other"} 1"#) && lines[6].ends_with(r#"verdict="none"} 2"#), "{lines:#?}");
    assert_eq!(
        samples(&exposition, "xdptrace_outcome_errors_total"),
        [
            r#"xdptrace_outcome_errors_total{program="xdp_lb",verdict="redirect",reason="ENETDOWN"} 5"#,
            r#"xdptrace_outcome_errors_total{device="eth0",program="xdp_lb",verdict="other",reason="xdp_exception"} 4"#,
        ]
    );
}

/// So many devices, with 12 series of packets and bytes and 33 of latencies each.
fn devices(count: u32) -> Numbers {
    let mut traced = program(12, true);
    (traced.subject.devices, traced.failures) = (Vec::new(), Vec::new());
    let traffic = Traffic { queue: Some(0), ..traced.traffic[0].clone() };
    traced.traffic = (0..count)
        .map(|number| Traffic { device: port(Some(&format!("eth{number}")), number + 1), ..traffic.clone() })
        .collect();
    Numbers { programs: vec![traced], ..Numbers::default() }
}

/// Numbers of devices that have gone: as if `numbers`' were many's of one name, or of no name, or forgotten.
fn gone(numbers: &Numbers, standing: Standing, name: Option<&str>) -> Numbers {
    let port = Port { standing, name: name.map(str::to_owned), ..Port::default() };
    let mut gone = numbers.clone();
    let program = &mut gone.programs[0];
    program.traffic.iter_mut().for_each(|traffic| traffic.device = port.clone());
    program.failures.iter_mut().for_each(|failures| failures.device = port.clone());
    for forward in &mut gone.forwards {
        forward.path = forward.path.clone().map(|_| port.clone());
    }
    gone
}

#[test]
fn what_has_gone_was_counted_while_it_was_there() {
    let numbers = dropping(&[(2, "eth0", 5)]);
    let mut ledger = Ledger::default();
    for numbers in [
        numbers.clone(),
        gone(&numbers, Standing::Gone, Some("eth0")),
        gone(&numbers, Standing::Gone, None),
        gone(&numbers, Standing::Forgotten, None),
    ] {
        assert_eq!(drops(&exposed_by(&mut ledger, &numbers, false)), [("eth0".to_owned(), 5)]);
    }
}

#[test]
fn series_end_of_names_that_have_been_no_devices_for_longest() {
    let mut ledger = Ledger::default();
    let name = |ifindex: u32| format!("veth{ifindex:03}");
    for ifindex in 1..=100 {
        let drops = drops(&exposed_by(&mut ledger, &dropping(&[(ifindex, &name(ifindex), ifindex.into())]), false));
        let kept: Vec<(String, u64)> =
            (1.max(ifindex.saturating_sub(KEPT as u32))..=ifindex).map(|kept| (name(kept), kept.into())).collect();
        assert_eq!(drops, kept);
    }
    // A name is a device's once more: of one that was kept, and of one that was not.
    let back = [(101, "veth040", 1), (102, "veth001", 2)];
    let drops = drops(&exposed_by(&mut ledger, &dropping(&back), false));
    let of = |name: &str| drops.iter().find(|(device, _)| device == name).map(|(_, count)| *count);
    assert_eq!((of("veth040"), of("veth001"), of("veth036"), drops.len()), (Some(41), Some(2), Some(36), 66));
}

#[test]
fn series_are_bounded_and_what_is_left_out_is_counted() {
    let text = exposed(&devices(5000), false);
    let lines = text.text().lines().filter(|line| !line.starts_with('#')).count();
    let left_out = samples(&text, "xdptrace_series_left_out");
    assert!(lines <= 10_002, "{lines}");
    assert_eq!(left_out, [format!("xdptrace_series_left_out {}", 5000 * (12 + 33) + 12 - (lines - 2))]);
    assert_eq!(samples(&text, "xdptrace_series "), [format!("xdptrace_series {}", lines - 2)]);
}

#[test]
fn devices_that_are_there_have_room_before_those_that_have_gone() {
    let mut ledger = Ledger::default();
    exposed_by(&mut ledger, &devices(60), false);
    let mut there = devices(215);
    for (number, traffic) in there.programs[0].traffic.iter_mut().enumerate() {
        traffic.device = port(Some(&format!("veth{number}")), 1000 + number as u32);
    }
    let exposition = exposed_by(&mut ledger, &there, false);
    // Of each that is there, and of as many of the former ones as there was room for.
    for (family, parts) in [("packets_total", ALWAYS), ("bytes_total", ALWAYS), ("latency_seconds_count", 1)] {
        let lines = samples(&exposition, &format!("xdptrace_{family}"));
        assert_eq!(lines.iter().filter(|line| line.contains("device=\"veth")).count(), 215 * parts, "{family}");
    }
    let text = exposition.text();
    let former = text.lines().filter(|line| line.contains("device=\"eth")).count();
    let all = text.lines().filter(|line| !line.starts_with('#')).count() - 2;
    assert!((1..60 * 45).contains(&former) && all > 9_900, "{former} of {all}");
    assert_eq!(exposition.left_out(), 60 * 45 - former);
}

#[test]
fn a_thousand_series_take_no_time() {
    let numbers = devices(23);
    // Its own time, and not that of who else is on this CPU.
    let now = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
    let begun = now();
    let exposition = exposed(&numbers, false);
    let (text, _) = (exposition.text(), exposition.open_metrics());
    let took = now() - begun;
    assert!((1000..1100).contains(&exposition.series()), "{}", exposition.series());
    assert!(text.len() > 50_000);
    assert!(took < Duration::from_millis(20), "{took:?}");
}

#[test]
fn every_family_is_named_once_and_as_prometheus_wants_it() {
    let mut names: Vec<&str> = families::ALL.iter().map(|family| family.name).collect();
    for family in families::ALL {
        assert!(family.name.ends_with(family.unit) && family.name.starts_with("xdptrace_"), "{}", family.name);
        assert!(!family.help.contains(['\\', '\n', '"']), "{}", family.help);
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), families::ALL.len());
}
