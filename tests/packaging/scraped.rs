//! Numbers that were made up, as the real Prometheus has them when it scrapes them.

use std::collections::BTreeMap;
use std::time::Duration;

use xdptrace::event::{Counts, Subject, Verdict};
use xdptrace::export::Listener;
use xdptrace::numbers::{Latency, Numbers, Port, Program, Returned, Tally, Traffic};
use xdptrace::sink::{Prometheus as Exporter, Sink};

use crate::prometheus::{Prometheus, check_metrics, get};

/// A name that says what isn't so.
const NASTY: &str = "x\"} 1\n\\";
/// … and as a label has it: the formats could hold the control character, but not everybody's terminal.
const SHOWN: &str = "x\"} 1\\u{a}\\";

/// One program, called by this name, that has dropped so many packets; a quarter of them in each of 1, 2, 4 and 8 us.
fn program(function: &str, program_id: u32, drops: u64) -> Program {
    let mut latency = Latency { sum_ns: drops * 3750, max_ns: 8000, ..Latency::default() };
    for ns in [1000, 2000, 4000, 8000] {
        let is_in = |step: &usize| (Latency::bounds(*step).0..Latency::bounds(*step).1).contains(&ns);
        latency.steps[(0..Latency::STEPS).find(is_in).unwrap()] = drops / 4;
    }
    let dropped = Tally { packets: drops, bytes: drops * 60 };
    Program {
        subject: Subject { program_id, function: function.into(), ..Subject::default() },
        is_traced: true,
        counts: Counts { seen: drops, traced: drops, ..Counts::none() },
        traffic: vec![Traffic {
            device: Port { name: Some("eth0".into()), netns: 1, ifindex: 2, ..Port::default() },
            queue: Some(0),
            verdicts: BTreeMap::from([(Returned::Action(Verdict(1)), dropped)]),
            latency: Some(latency),
        }],
        ..Program::default()
    }
}

#[test]
fn by_the_real_prometheus() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address();
    let mut exporter = Exporter::new(listener, Duration::from_secs(60), false);
    let first = program("xdp_lb", 1, 400);
    exporter.numbers(&Numbers { programs: vec![first.clone(), program(NASTY, 2, 4)], ..Numbers::default() }).unwrap();
    let text = get(address, "/metrics", "");
    assert!(text.head.contains("version=0.0.4"), "{}", text.head);
    check_metrics(&text.body);
    let prometheus = Prometheus::start(address);
    let drops = "xdptrace_packets_total{verdict=\"drop\"}";
    prometheus.wait_for("program", drops, &[("xdp_lb", 400.0), (SHOWN, 4.0)]);
    let median = "histogram_quantile(0.5, xdptrace_latency_seconds_bucket{program=\"xdp_lb\"})";
    prometheus.wait_for("program", median, &[("xdp_lb", 2.048e-6)]);
    let info = "xdptrace_program_info * on (program) group_left xdptrace_runs_total";
    prometheus.wait_for("id", info, &[("1", 400.0), ("2", 4.0)]);
    // A machine's clock that stands at 1970 is a metric, too.
    prometheus.wait_for("job", "xdptrace_last_reading_timestamp_seconds", &[("xdptrace", 0.0)]);

    // It is replaced: what it has counted, and what the next one counts, is one series.
    let replaced = Program { is_traced: false, ..first };
    exporter.numbers(&Numbers { programs: vec![replaced, program("xdp_lb", 3, 40)], ..Numbers::default() }).unwrap();
    prometheus.wait_for("program", drops, &[("xdp_lb", 440.0)]);
    prometheus.wait_for(
        "program",
        "resets(xdptrace_packets_total{verdict=\"drop\",program=\"xdp_lb\"}[5m])",
        &[("xdp_lb", 0.0)],
    );
    prometheus.wait_for("id", "xdptrace_program_info", &[("3", 1.0)]);
}
