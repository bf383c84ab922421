//! What packaging/ holds for those who run many exporters: checked by Prometheus' own tool, by schemas of the parts of others'
//! models that are used, and by what the exporter says that it exposes.

#![allow(clippy::unwrap_used, clippy::panic)]

mod installed;
mod prometheus;
mod scraped;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use prometheus::{check_metrics, checked};
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use xdptrace::plan::{Devices, Plan};
use xdptrace::sink;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Fails with all that a schema doesn't allow.
fn assert_valid(schema: &str, instance: &Value) {
    let schema: Value = serde_json::from_str(&read(schema)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

fn documents(name: &str) -> Vec<Value> {
    let text = read(name);
    serde_norway::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// Metrics that are named somewhere in a text.
fn named(text: &str) -> BTreeSet<String> {
    let metric = Regex::new(r"\bxdptrace_[a-z0-9_]+").unwrap();
    metric.find_iter(text).map(|name| name.as_str().to_owned()).collect()
}

#[test]
fn promtool_finds_nothing_wrong_with_what_is_exposed() {
    check_metrics(&read("src/sink/prometheus/expected.txt"));
}

#[test]
fn alerts_fire_when_they_should() {
    checked(&["check", "config", "packaging/prometheus/prometheus.yml"], "");
    checked(&["check", "rules", "packaging/prometheus/xdptrace.rules.yml"], "");
    checked(&["test", "rules", "tests/packaging/rules.test.yml"], "");
    let alerts = Regex::new("alert: ([A-Za-z]+)").unwrap();
    let (rules, tests) = (read("packaging/prometheus/xdptrace.rules.yml"), read("tests/packaging/rules.test.yml"));
    for alert in alerts.captures_iter(&rules) {
        let fires = Regex::new(&format!(r"alertname: {}\n +exp_alerts:", &alert[1])).unwrap();
        assert!(fires.is_match(&tests), "{}", &alert[1]);
    }
}

#[test]
fn what_is_asked_for_is_what_is_exposed() {
    let exposed: BTreeSet<String> = sink::metrics().into_iter().collect();
    for name in
        ["packaging/prometheus/xdptrace.rules.yml", "tests/packaging/rules.test.yml", "packaging/grafana/xdptrace.json"]
    {
        let named = named(&read(name));
        let unknown: Vec<&String> = named.difference(&exposed).collect();
        assert!(named.len() > 4 && unknown.is_empty(), "{name}: {unknown:?}");
    }
    // The README names all of it, and the exporter exposes all of it.
    let parts = Regex::new("_(bucket|sum|count)$").unwrap();
    let whole: BTreeSet<String> = exposed.iter().map(|name| parts.replace(name, "").into_owned()).collect();
    assert_eq!(named(&read("README.md")), whole);
    let text = read("src/sink/prometheus/expected.txt");
    let samples = text.lines().filter(|line| !line.starts_with('#')).flat_map(named).collect::<BTreeSet<_>>();
    assert_eq!(samples, exposed);
}

#[test]
fn the_dashboard_is_one() {
    let dashboard: Value = serde_json::from_str(&read("packaging/grafana/xdptrace.json")).unwrap();
    assert_valid("tests/packaging/dashboard.schema.json", &dashboard);
    let panels = dashboard["panels"].as_array().unwrap();
    let mut cells = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "{}", panel["title"]);
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{}", panel["title"]);
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{} lies over another", panel["title"]);
        }
    }
}

#[test]
fn promtool_understands_what_the_dashboard_asks() {
    let dashboard: Value = serde_json::from_str(&read("packaging/grafana/xdptrace.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let expressions: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    let rules: String = expressions
        .iter()
        .enumerate()
        .map(|(number, expression)| {
            let expression = expression.replace("$__rate_interval", "1m");
            format!("  - record: query{number}\n    expr: {}\n", Value::from(expression))
        })
        .collect();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard.rules.yml");
    fs::write(&file, format!("groups:\n- name: dashboard\n  rules:\n{rules}")).unwrap();
    let said = checked(&["check", "rules", file.to_str().unwrap()], "");
    assert!(said.contains(&format!("SUCCESS: {} rules found", expressions.len())), "{said}");
    // Variables that are used are there.
    let text = dashboard.to_string();
    for variable in Regex::new(r"\$\{?([a-z_]+)").unwrap().captures_iter(&text) {
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let is_known = variables.iter().any(|known| known["name"] == variable[1]);
        assert!(is_known || &variable[1] == "__rate_interval" || &variable[1] == "__all", "{}", &variable[1]);
    }
}

#[test]
fn manifests_are_of_their_kinds_and_ask_for_no_more_than_it_takes() {
    let manifests = documents("packaging/kubernetes/xdptrace.yaml");
    let monitors = documents("packaging/kubernetes/podmonitor.yaml");
    assert_eq!((manifests.len(), monitors.len()), (2, 1));
    for manifest in manifests.iter().chain(&monitors) {
        assert_valid("tests/packaging/kubernetes.schema.json", manifest);
    }
    let (set, monitor) = (&manifests[1]["spec"], &monitors[0]["spec"]);
    assert_eq!(set["selector"]["matchLabels"], set["template"]["metadata"]["labels"]);
    assert_eq!(set["selector"]["matchLabels"], monitor["selector"]["matchLabels"]);
    let exporter = &set["template"]["spec"]["containers"][0];
    let capabilities = &exporter["securityContext"]["capabilities"];
    assert_eq!(capabilities["add"], serde_json::json!(["SYS_ADMIN", "BPF", "PERFMON"]));
    assert_eq!(exporter["ports"][0]["name"], monitor["podMetricsEndpoints"][0]["port"]);
    assert_eq!(exporter["image"], format!("xdptrace:{}", env!("CARGO_PKG_VERSION")));
}

/// Where it stands: see CONTRIBUTING.md.
#[test]
fn versions_are_one() {
    let version = env!("CARGO_PKG_VERSION");
    for (name, words) in [
        ("packaging/rpm/xdptrace.spec", format!("\nVersion:        {version}\n")),
        ("packaging/rpm/xdptrace.spec", format!("> - {version}-1\n")),
        ("CHANGELOG.md", format!("\n## {version} ")),
    ] {
        assert!(read(name).contains(&words), "{name} says nothing of {version}");
    }
    assert!(read("packaging/debian/changelog").starts_with(&format!("xdptrace ({version}) ")));
    let libbpf = Regex::new(r#"name = "libbpf-sys"\nversion = "[^+]+\+v([0-9.]+)""#).unwrap();
    let bundled = format!("bundled(libbpf) = {}\n", &libbpf.captures(&read("Cargo.lock")).unwrap()[1]);
    assert!(read("packaging/rpm/xdptrace.spec").contains(&bundled), "{bundled}");
}

#[test]
fn the_exporter_understands_the_manifest() {
    let manifest = documents("packaging/kubernetes/xdptrace.yaml").swap_remove(1);
    let exporter = &manifest["spec"]["template"]["spec"]["containers"][0];
    let words = ["command", "args"].into_iter().flat_map(|part| exporter[part].as_array().unwrap());
    for address in ["192.0.2.1", "[2001:db8::1]"] {
        let words = words.clone().map(|word| word.as_str().unwrap().replace("$(HOST_IP)", address).into());
        let Plan::Export(export) = Plan::new(words).unwrap() else { panic!("no export") };
        assert_eq!(export.listen, format!("{address}:9494").parse().unwrap());
        assert_eq!(export.tracing.scope.devices, Devices::Any);
        assert!(export.tracing.wait && export.tracing.follow);
    }
    assert_eq!(exporter["ports"][0]["containerPort"], 9494);
}
