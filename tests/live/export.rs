//! `xdptrace export`: what it says over HTTP, and what the real Prometheus makes of that.
//!
//! The exporter runs in the test's own network namespace and traces in another one.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::lab::{Nic, TARGETS, assert_nothing_is_left, wait_for};
use crate::loader::{Mode, Programs, detach, send_frame};
use crate::prometheus::{Answer, Prometheus, check_metrics, get};
use crate::tracer::{Ended, Tracer, XDPTRACE};

/// A program that sends back ICMP and TCP, drops UDP, and passes everything else.
const BALANCER: &str = concat!(env!("OUT_DIR"), "/balancer.bpf.o");
const TX: u8 = 1;
const DROP: u8 = 17;
const PASS: u8 = 47;

/// An exporter on a port of its own.
pub struct Exporter {
    tracer: Tracer,
    address: SocketAddr,
}

impl Exporter {
    /// Starts it, behind the words of `wrapper`.
    pub fn start(nic: &Nic, wrapper: &[&str], words: &[&str]) -> Self {
        Self::start_reading(nic, "200ms", wrapper, words)
    }

    /// It answers as soon as it says that it listens, however seldom it reads.
    fn start_reading(nic: &Nic, interval: &str, wrapper: &[&str], words: &[&str]) -> Self {
        let netns = nic.netns.as_deref().unwrap();
        let own = [XDPTRACE, "export", "--listen", "127.0.0.1:0", "--netns", netns, "--interval", interval];
        let words: Vec<String> = [wrapper, &own, words].concat().into_iter().map(str::to_owned).collect();
        let mut tracer = Tracer::spawn_command(&words);
        tracer.wait_until("'listening on'", |tracer| address(&tracer.stderr).is_some());
        let exporter = Self { address: address(&tracer.stderr).unwrap(), tracer };
        assert_eq!(["/healthz", "/metrics"].map(|path| exporter.get(path, "").status), [200, 200]);
        exporter
    }

    pub fn get(&self, path: &str, accept: &str) -> Answer {
        get(self.address, path, accept)
    }

    /// The samples of a metric by the value of one label, of those of our program; of several with that value their sum.
    fn samples(&self, metric: &str, label: &str) -> BTreeMap<String, f64> {
        let text = self.get("/metrics", "").body;
        let ours = text.lines().filter(|line| line.starts_with(&format!("{metric}{{")) && line.contains("xdp_lb"));
        let sample = |line: &str| {
            let (_, rest) = line.split_once(&format!("{label}=\""))?;
            Some((rest.split_once('"')?.0.to_owned(), line.rsplit_once(' ')?.1.parse::<f64>().ok()?))
        };
        let mut sums = BTreeMap::new();
        ours.filter_map(sample).for_each(|(value, count)| *sums.entry(value).or_default() += count);
        sums
    }

    /// Waits until so many packets have been counted, of any verdict.
    fn wait_for_packets(&self, count: f64) {
        wait_for(&format!("{count} packets"), || {
            let packets: f64 = self.samples("xdptrace_packets_total", "verdict").values().sum();
            (packets >= count).then_some(())
        });
    }

    pub fn end(self) -> Ended {
        self.tracer.end("TERM")
    }
}

fn address(stderr: &[String]) -> Option<SocketAddr> {
    stderr.iter().find_map(|line| line.strip_prefix("listening on ")?.parse().ok())
}

/// Sends frames of 60 bytes of an IP protocol to veth0, from a source that nobody else has.
fn send(nic: &Nic, protocol: u8, count: usize) {
    send_by(&nic.other_end("veth1"), protocol, count);
}

fn send_by(other_end: &Nic, protocol: u8, count: usize) {
    let mut frame = [0; 60];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0x99, 8, 0]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 46, 0, 0, 0, 0, 64, protocol]);
    (0..count).for_each(|_| send_frame(other_end, &frame));
}

/// What `send` sends.
const FILTER: &str = "ether src 02:00:00:00:00:99";

fn attach(nic: &Nic) -> Programs {
    let programs = Programs::load(BALANCER, &["xdp_lb"]);
    programs.attach(nic, Mode::Native, "xdp_lb");
    programs
}

#[test]
fn prometheus_counts_what_was_sent_and_nothing_goes_down_when_the_program_is_replaced() {
    let nic = Nic::veth();
    let first = attach(&nic);
    let exporter = Exporter::start(&nic, &[], &["-i", "veth0", FILTER]);
    send(&nic, DROP, 5);
    send(&nic, PASS, 2);
    send(&nic, TX, 1);
    let prometheus = Prometheus::start(exporter.address);
    let packets = "sum by (verdict) (xdptrace_packets_total{device=\"veth0\",program=\"xdp_lb\"})";
    let by_verdict = |drop: f64, pass: f64, tx: f64| {
        [("aborted", 0.0), ("drop", drop), ("other", 0.0), ("pass", pass), ("redirect", 0.0), ("tx", tx)]
    };
    prometheus.wait_for("verdict", packets, &by_verdict(5.0, 2.0, 1.0));
    prometheus.wait_for("verdict", "xdptrace_bytes_total{verdict=\"drop\"}", &[("drop", 300.0)]);
    prometheus.wait_for("program", "xdptrace_latency_seconds_count", &[("xdp_lb", 8.0)]);
    prometheus.wait_for("program", "xdptrace_latency_seconds_bucket{le=\"+Inf\"}", &[("xdp_lb", 8.0)]);
    prometheus.wait_for("name", "xdptrace_program_info", &[("xdp_lb", 1.0)]);

    // The same program anew: another id, under the same name.
    let (ids, id) = (first.id("xdp_lb").to_string(), "xdptrace_program_info");
    prometheus.wait_for("id", id, &[(&ids, 1.0)]);
    let second = attach(&nic);
    drop(first);
    let ids = second.id("xdp_lb").to_string();
    wait_for("the new program", || exporter.samples(id, "id").contains_key(&ids).then_some(()));
    send(&nic, DROP, 7);
    prometheus.wait_for("verdict", packets, &by_verdict(12.0, 2.0, 1.0));
    prometheus.wait_for("id", id, &[(&ids, 1.0)]);
    for counter in ["packets_total", "bytes_total", "runs_total", "filtered_runs_total", "latency_seconds_bucket"] {
        let resets = prometheus.query(&format!("max(resets(xdptrace_{counter}[10m]))"));
        assert_eq!(resets.first().map(|(_, resets)| *resets), Some(0.0), "{counter}");
    }
    // It has taken OpenMetrics.
    assert_eq!(prometheus.query_by("job", "min_over_time(up[10m])").get("xdptrace"), Some(&1.0));
    drop(prometheus);
    assert!(exporter.end().status.success());
    assert_nothing_is_left();
}

#[test]
fn prometheus_counts_no_packet_twice_when_a_device_takes_the_name_of_another() {
    let nic = Nic::veth();
    let other = nic.another("veth2");
    let program = attach(&nic);
    program.attach(&other, Mode::Native, "xdp_lb");
    let exporter = Exporter::start(&nic, &[], &[FILTER]);
    send(&nic, DROP, 5);
    send_by(&other.other_end("veth2-peer"), DROP, 4);
    let prometheus = Prometheus::start(exporter.address);
    let drops = "xdptrace_packets_total{verdict=\"drop\"}";
    prometheus.wait_for("device", drops, &[("veth0", 5.0), ("veth2", 4.0)]);

    nic.ip(&["link", "delete", "veth0"]);
    nic.ip(&["link", "set", "veth2", "down"]);
    nic.ip(&["link", "set", "veth2", "name", "veth0", "up"]);
    let info = || exporter.samples("xdptrace_program_info", "device").into_keys().collect::<Vec<_>>();
    wait_for("the new name", || (info() == ["veth0"]).then_some(()));
    send_by(&other.other_end("veth2-peer"), DROP, 3);
    prometheus.wait_for("device", drops, &[("veth0", 8.0), ("veth2", 4.0)]);
    check_metrics(&exporter.get("/metrics", "").body);
    assert_eq!(prometheus.query_by("job", "min_over_time(up[10m])").get("xdptrace"), Some(&1.0));
    assert_eq!(prometheus.query("max(resets(xdptrace_packets_total[10m]))")[0].1, 0.0);
    drop(prometheus);
    assert!(exporter.end().status.success());
}

#[test]
fn a_scrape_is_answered_from_the_start_on() {
    let nic = Nic::veth();
    let _program = attach(&nic);
    let exporter = Exporter::start_reading(&nic, "24h", &[], &["-i", "veth0", FILTER]);
    assert_eq!(exporter.get("/healthz", "").body, "1 function traced\n");
    assert_eq!(exporter.samples("xdptrace_packets_total", "verdict")["drop"], 0.0);
    assert!(exporter.end().status.success());
}

#[test]
fn promtool_finds_nothing_wrong_and_formats_are_negotiated() {
    let nic = Nic::veth();
    let _program = attach(&nic);
    let exporter = Exporter::start(&nic, &[], &["-i", "veth0", "--outcome", "all", "--per-queue"]);
    send(&nic, DROP, 3);
    send(&nic, TX, 3);
    exporter.wait_for_packets(6.0);
    let text = exporter.get("/metrics", "");
    assert!(text.head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"), "{}", text.head);
    check_metrics(&text.body);
    let open_metrics = exporter.get("/metrics", "application/openmetrics-text; version=1.0.0, text/plain;q=0.5");
    assert!(open_metrics.head.contains("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(open_metrics.body.ends_with("\n# EOF\n"), "{}", open_metrics.body);
    assert!(exporter.end().status.success());
}

#[test]
fn it_waits_for_a_program_and_is_well() {
    let nic = Nic::veth();
    let exporter = Exporter::start(&nic, &[], &[]);
    let health = exporter.get("/healthz", "");
    assert_eq!((health.status, &*health.body), (200, "waiting for an XDP program\n"));
    let program = attach(&nic);
    wait_for("program", || (exporter.get("/healthz", "").body == "1 function traced\n").then_some(()));
    send(&nic, DROP, 3);
    wait_for("drops", || (exporter.samples("xdptrace_packets_total", "verdict")["drop"] == 3.0).then_some(()));
    detach(&nic, Mode::Native);
    drop(program);
    wait_for("its end", || exporter.get("/healthz", "").body.starts_with("waiting for an XDP program").then_some(()));
    // What was counted stays.
    assert_eq!(exporter.samples("xdptrace_packets_total", "verdict")["drop"], 3.0);
    assert!(exporter.samples("xdptrace_program_info", "id").is_empty());
    assert!(exporter.end().status.success());
    assert_nothing_is_left();
}

#[test]
fn a_scrape_is_quick_and_who_does_not_read_it_keeps_nobody_waiting() {
    let nic = Nic::veth();
    let _program = attach(&nic);
    let exporter = Exporter::start(&nic, &[], &["-i", "veth0", FILTER]);
    let mut unread = TcpStream::connect(exporter.address).unwrap();
    unread.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let _silent = TcpStream::connect(exporter.address).unwrap();
    let mut took: Vec<Duration> = (0..21)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(exporter.get("/metrics", "").status, 200);
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    // An emulated machine's.
    assert!(took[10] < Duration::from_millis(200), "{took:?}");
    send(&nic, DROP, 3);
    exporter.wait_for_packets(3.0);
    assert!(exporter.end().status.success());
}

#[test]
fn what_comes_to_nothing_is_counted_by_its_reason() {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_abort");
    let exporter = Exporter::start(&nic, &[], &["-i", "veth0", FILTER]);
    send(&nic, DROP, 3);
    for (metric, reason) in [("packets", ""), ("outcome_errors", ",reason=\"xdp_exception\"")] {
        let labels = format!("device=\"veth0\",program=\"target_abort\",verdict=\"aborted\"{reason}");
        let expected = format!("\nxdptrace_{metric}_total{{{labels}}} 3\n");
        wait_for(&expected, || exporter.get("/metrics", "").body.contains(&expected).then_some(()));
    }
    assert!(exporter.end().status.success());
}

/// With the capabilities that packaging/kubernetes gives it, and no others.
#[test]
fn the_daemon_sets_capabilities_are_enough() {
    let manifest = include_str!("../../packaging/kubernetes/xdptrace.yaml");
    let added = manifest.split_once("add:\n").unwrap().1.lines().map_while(|line| line.trim().strip_prefix("- "));
    let names: Vec<String> = added.map(|line| line.split(' ').next().unwrap().to_lowercase()).collect();
    assert!(names.len() == 3, "{names:?}");
    let set = names.iter().map(|name| format!(",+{name}")).collect::<String>();
    let nic = Nic::veth();
    let _program = attach(&nic);
    let bounding = format!("--bounding-set=-all{set}");
    let least = ["setpriv", &bounding, "--inh-caps=-all", "--no-new-privs"];
    let exporter = Exporter::start(&nic, &least, &["-i", "veth0", FILTER]);
    let status = fs::read_to_string(format!("/proc/{}/status", exporter.tracer.id())).unwrap();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
    assert_eq!(u64::from_str_radix(bounding, 16).unwrap().count_ones(), 3, "{status}");
    send(&nic, DROP, 3);
    exporter.wait_for_packets(3.0);
    assert!(exporter.end().status.success());
}

#[test]
fn an_address_in_use_is_said_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = [XDPTRACE, "export", "--listen", &address].map(str::to_owned);
    let ended = Tracer::spawn_command(&words).wait();
    assert_eq!(ended.status.code(), Some(1));
    let [line] = &ended.stderr[..] else { panic!("{:#?}", ended.stderr) };
    assert!(line.starts_with(&format!("xdptrace: failed to listen on {address}: ")), "{line}");
    assert!(line.ends_with("choose another port with --listen"), "{line}");
}
