//! How a run is told of in its course, and in JSON.

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::lab::{Nic, TARGETS, output, wait_for};
use crate::loader::{FIRST_PORT, Mode, PACKETS, Programs, ifindex, send};
use crate::tracer::{Ended, Tracer, XDPTRACE, number_of};

fn passing() -> Nic {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_pass");
    nic
}

/// What `xdptrace schema` prints.
fn validator() -> Validator {
    jsonschema::validator_for(&serde_json::from_str(&output(&[XDPTRACE, "schema"])).unwrap()).unwrap()
}

/// The objects on the standard output, each valid.
fn records(ended: &Ended) -> Vec<Value> {
    let validator = validator();
    let parse = |line: &String| {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(validator.is_valid(&record), "{record}: {:?}", validator.validate(&record).err());
        record
    };
    ended.stdout.iter().map(parse).collect()
}

fn of_type<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["type"] == kind).collect()
}

#[test]
fn json_tells_of_programs_packets_and_where_they_all_went() {
    let nic = Nic::veth();
    let programs = Programs::load(PACKETS, &["rewrites", "drops"]);
    programs.attach(&nic, Mode::Native, "rewrites");
    let known = programs.known("rewrites");
    let mut tracer = Tracer::start(&nic, &["-i", "veth0", "-o", "json", "udp"]);
    send(&nic, [FIRST_PORT]);
    tracer.wait_for_lines(1, "\"packet\"");
    programs.attach(&nic, Mode::Native, "drops");
    tracer.wait_for_lines(1, "\"detached\"");
    let ended = tracer.end("INT");
    let records = records(&ended);
    let names: Vec<(&Value, &Value)> = records.iter().map(|one| (&one["type"], &one["program"]["function"])).collect();
    let (drops, rewrites) = (json!("drops"), json!("rewrites"));
    assert_eq!(names[0], (&json!("attached"), &rewrites), "{ended:?}");
    assert!(names.contains(&(&json!("attached"), &drops)) && names.contains(&(&json!("detached"), &rewrites)));

    let [packet] = of_type(&records, "packet")[..] else { panic!("{ended:?}") };
    assert_eq!(packet["program"], json!({"id": known.id, "name": "rewrites", "function": "rewrites"}));
    assert_eq!((&packet["device"], &packet["ifindex"]), (&json!("veth0"), &json!(ifindex(&nic))));
    assert_eq!((&packet["verdict"], &packet["probe"]), (&json!("XDP_DROP"), &json!("both")));
    assert_eq!((&packet["filtered_at"], &packet["length"]), (&json!("entry"), &json!({"before": 50, "after": 50})));
    let layers: Vec<&Value> = packet["packet"].as_array().unwrap().iter().map(|layer| &layer["layer"]).collect();
    assert_eq!(layers, ["ethernet", "ipv4", "udp"]);
    assert_eq!((&packet["packet"][1]["src"], &packet["packet"][2]["dport"]), (&json!("192.0.2.2"), &json!(FIRST_PORT)));
    let fields = packet["changed"]["fields"].as_array().unwrap();
    let ttl = json!({"layer": "ipv4", "inner": false, "field": "ttl", "before": 64, "after": 7});
    assert!(fields.contains(&ttl) && fields[0]["field"] == "dst_mac" && fields.len() == 2, "{packet}");

    let summary = records.last().unwrap();
    assert_eq!((&summary["type"], &summary["final"], &summary["traced"]), (&json!("summary"), &json!(true), &json!(1)));
    let counts = ended.counts();
    let told = ["seen", "filtered", "skipped", "lost"].map(|name| summary[name].as_u64().unwrap());
    assert_eq!(told, [counts.seen, counts.filtered, counts.skipped, counts.lost]);
    assert_eq!(summary["verdicts"], json!({"XDP_DROP": 1}));
}

#[test]
fn sigusr1_tells_where_the_runs_went_so_far() {
    let nic = passing();
    let mut tracers =
        [Tracer::start(&nic, &["-i", "veth0", "icmp"]), Tracer::start(&nic, &["-i", "veth0", "-o", "json", "icmp"])];
    nic.ping(3);
    for tracer in &mut tracers {
        tracer.send("USR1");
        tracer.wait_until("the summary", |tracer| tracer.stderr.iter().any(|line| line.contains(" seen = ")));
    }
    nic.ping(1);
    let [text, json] = tracers.map(|mut tracer| {
        tracer.wait_for_lines(4, "192.0.2.1");
        tracer.end("INT")
    });
    for ended in [&text, &json] {
        let told: Vec<&String> = ended.stderr.iter().filter(|line| line.contains(" seen = ")).collect();
        let [so_far, last] = told[..] else { panic!("{ended:?}") };
        // Nothing is under way where nothing goes on.
        for (line, number) in [(so_far, 3), (last, 4)] {
            assert!(line.contains(&format!(" + {number} traced + 0 lost; ")), "{line}");
            assert!(line.ends_with("; XDP_PASS 100.0 %") && !line.contains("under way"), "{line}");
        }
    }
    let records = records(&json);
    let summaries = of_type(&records, "summary");
    let told: Vec<(&Value, &Value)> = summaries.iter().map(|one| (&one["final"], &one["traced"])).collect();
    assert_eq!(told, [(&json!(false), &json!(3)), (&json!(true), &json!(4))]);
}

/// In the course of a flood, the sum holds with what is under way.
#[test]
fn sigusr1_under_load_adds_up() {
    let nic = passing();
    let mut tracer = Tracer::start(&nic, &["-i", "veth0", "-w", "/dev/null"]);
    let flood = nic.there_in_background(&["ping", "-n", "-q", "-f", "-l", "50", "192.0.2.1"]);
    // Until the flood has come to it, and some more.
    let mut rounds = 0;
    wait_for("packets of the flood", || {
        rounds += 1;
        tracer.send("USR1");
        tracer.wait_until("the summary", |tracer| summaries(&tracer.stderr).len() == rounds);
        let traced = summaries(&tracer.stderr).last().map(|numbers| numbers[3]).unwrap();
        (traced >= 500).then_some(())
    });
    // While it goes on.
    let ended = tracer.end("INT");
    drop(flood);
    assert!(ended.status.success(), "{ended:?}");
    for numbers in summaries(&ended.stderr) {
        assert_eq!(numbers[0], numbers[1..].iter().sum::<u64>(), "{ended:?}");
    }
    let last = ended.stderr.last().unwrap();
    assert_eq!(number_of("lost for want of room in a ring (-B)", last), 0, "{last}");
}

/// Of each summary, the sum and its parts: seen, filtered, skipped, traced, lost, and what is under way, if anything.
fn summaries(lines: &[String]) -> Vec<Vec<u64>> {
    let numbers = |line: &String| {
        let sum = line.split("; ").next().filter(|sum| sum.contains(" seen = "))?;
        Some(sum.split(' ').filter_map(|word| word.parse().ok()).collect())
    };
    lines.iter().filter_map(numbers).collect()
}

/// Who writes a file from a terminal sees it grow; `script` makes a terminal of the test's pipe.
#[test]
fn a_terminal_shows_how_a_file_grows() {
    let (nic, path) = (passing(), format!("/run/xdptrace-{}-watched", std::process::id()));
    let command = format!("{XDPTRACE} -i veth0 -w {path} icmp");
    let mut tracer = Tracer::spawn_command(&nic.inside(&["script", "-qefc", &command, "/dev/null"]));
    tracer.wait_for_lines(1, "Listening");
    nic.ping(3);
    // A line that is overwritten has no end: it comes with the one that takes its place.
    std::thread::sleep(std::time::Duration::from_secs(2));
    output(&["pkill", "-INT", "-f", &format!("^{command}")]);
    let ended = tracer.wait();
    let all = ended.stdout.join("\n");
    assert!(all.contains("3 packets, ") && all.contains("/s, 0 lost\u{1b}[K\r"), "{all:?}");
    assert!(all.contains(" + 3 traced + 0 lost; ") && all.contains("XDP_PASS 100.0 %\u{1b}[K"), "{all:?}");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_duration_ends_the_run_by_itself() {
    let nic = passing();
    let tracer = Tracer::start(&nic, &["-i", "veth0", "--duration", "2s", "icmp"]);
    let began = std::time::Instant::now();
    nic.ping(2);
    let ended = tracer.wait();
    let took = began.elapsed().as_secs_f64();
    assert_eq!((ended.status.code(), ended.counts().traced), (Some(0), 2), "{ended:?}");
    assert!((1.5..8.0).contains(&took), "{took} s");
}
