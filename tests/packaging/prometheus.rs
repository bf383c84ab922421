//! The real Prometheus and its promtool; also for the live tests.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take that happens by itself; generous, because an emulated machine is slow.
const LIMIT: Duration = Duration::from_secs(60);

/// A tool of Prometheus': where the Makefile has unpacked it, else on the PATH.
pub fn tool(name: &str) -> Command {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/prometheus/usr/bin").join(name);
    Command::new(if unpacked.exists() { unpacked } else { name.into() })
}

/// What promtool says of this, if it finds nothing wrong.
pub fn checked(words: &[&str], input: &str) -> String {
    let mut promtool = tool("promtool");
    promtool.args(words).current_dir(env!("CARGO_MANIFEST_DIR"));
    promtool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = promtool.spawn().unwrap_or_else(|error| panic!("promtool: {error} (make check-deps has it)"));
    // It need not read it.
    let _ = running.stdin.take().unwrap().write_all(input.as_bytes());
    let done = running.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{words:?}: {said}");
    said.into_owned()
}

/// Fails if promtool finds anything wrong with metrics, or would like them otherwise.
pub fn check_metrics(text: &str) {
    assert_eq!(checked(&["check", "metrics"], text), "");
}

/// An answer by HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// In HTTP 1.0, in which nobody answers in chunks.
pub fn get(address: SocketAddr, path: &str, accept: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let accept = if accept.is_empty() { String::new() } else { format!("Accept: {accept}\r\n") };
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n{accept}\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// A Prometheus that scrapes one exporter every second.
pub struct Prometheus {
    running: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Prometheus {
    pub fn start(target: SocketAddr) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let folder = std::env::temp_dir().join(format!("xdptrace-prometheus-{}", address.port()));
        fs::create_dir_all(&folder).unwrap();
        let configuration = folder.join("prometheus.yml");
        let scraped = "scrape_configs:\n- job_name: xdptrace\n  scrape_interval: 1s\n  scrape_timeout: 1s\n";
        fs::write(&configuration, format!("{scraped}  static_configs:\n  - targets: ['{target}']\n")).unwrap();
        let running = tool("prometheus")
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("prometheus: {error} (make check-deps has it)"));
        let prometheus = Self { running, address, folder };
        prometheus.wait_until_it_scrapes();
        prometheus
    }

    /// The first start of so large a program takes an emulated machine a while.
    fn wait_until_it_scrapes(&self) {
        let limit = Instant::now() + 3 * LIMIT;
        let scrapes = || TcpStream::connect(self.address).is_ok() && !self.query("up == 1").is_empty();
        while !scrapes() {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap();
            assert!(Instant::now() < limit, "Prometheus doesn't scrape: {}", log());
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// What a query returns now: labels and value.
    pub fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let escaped: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer: Value = match get(self.address, &format!("/api/v1/query?query={escaped}"), "") {
            Answer { status: 200, body, .. } => serde_json::from_str(&body).unwrap(),
            // Not yet.
            _ => return Vec::new(),
        };
        let results = answer["data"]["result"].as_array().unwrap().iter();
        results.map(|one| (one["metric"].clone(), one["value"][1].as_str().unwrap().parse().unwrap())).collect()
    }

    /// The same, of which only one label matters.
    pub fn query_by(&self, label: &str, expression: &str) -> BTreeMap<String, f64> {
        let results = self.query(expression).into_iter();
        results.map(|(labels, value)| (labels[label].as_str().unwrap_or("").to_owned(), value)).collect()
    }

    /// Waits until a query returns this.
    pub fn wait_for(&self, label: &str, expression: &str, expected: &[(&str, f64)]) {
        let expected: BTreeMap<String, f64> = expected.iter().map(|(name, value)| ((*name).into(), *value)).collect();
        let limit = Instant::now() + LIMIT;
        loop {
            let got = self.query_by(label, expression);
            if got == expected {
                return;
            }
            assert!(Instant::now() < limit, "{expression}: {got:?}, not {expected:?}");
            thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
