//! Each line against the schema, and some against what a reader expects to find.

#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::*;
use crate::event::{Account, Counts, Device, Frame, Losses, Overflow, Path, Port, Standing, Subject, Verdict};
use crate::plan::Probes;
use crate::sink::SCHEMA;

/// 192.168.1.12 > 192.168.1.138: ICMP echo request, id 1, seq 2.
const ECHO: [u8; 42] = [
    2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 1, 0xb6, 0xea, 192, 168, 1, 12, 192,
    168, 1, 138, 8, 0, 0xf7, 0xfc, 0, 1, 0, 2,
];

fn frame(bytes: &[u8]) -> Option<Frame<'_>> {
    Some(Frame { length: Some(bytes.len() as u32), metadata: 0, bytes })
}

const EVENT: Event<'_> = Event {
    time_ns: 1_689_404_218_123_456_789,
    monotonic_ns: Some(9_007_199_254_740_993),
    packet_id: Some(u64::MAX),
    device: Some(Device { netns: 4_026_531_840, ifindex: 2, name: Some("eth0") }),
    queue: Some(3),
    cpu: Some(1),
    function: Some("xdp_load_balancer"),
    program_id: Some(12),
    program_name: Some("xdp_load_balanc"),
    verdict: Some(Verdict(3)),
    latency_ns: Some(412),
    moved: Some(0),
    changed: Some(false),
    ..Event::NOTHING_KNOWN
};

const NOTHING_KNOWN: Event<'_> = Event { time_ns: EVENT.time_ns, ..Event::NOTHING_KNOWN };

fn subject() -> Subject {
    Subject {
        program_id: 12,
        program_name: "xdp_load_balanc".into(),
        function: "xdp_load_balancer".into(),
        devices: vec!["eth0".into(), "eth\"1".into()],
    }
}

/// The schema as it is kept here: it lets others' readers meet fields that were added since, but nothing may be in it that
/// it doesn't know.
fn validator() -> Validator {
    fn close(schema: &mut Value) {
        match schema {
            Value::Object(map) => {
                if map.contains_key("properties") && !map.contains_key("additionalProperties") {
                    map.insert("additionalProperties".into(), false.into());
                }
                map.values_mut().for_each(close);
            }
            Value::Array(list) => list.iter_mut().for_each(close),
            _ => {}
        }
    }
    let mut schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    close(&mut schema);
    jsonschema::validator_for(&schema).unwrap()
}

/// What is printed, each line valid.
fn printed(filtered_at: Option<Side>, events: &[Event<'_>], notices: &[Notice]) -> Vec<Value> {
    let validator = validator();
    let mut out = Vec::new();
    let mut sink = Json::new(&mut out, filtered_at);
    events.iter().for_each(|event| sink.packet(event).unwrap());
    notices.iter().for_each(|notice| sink.notice(notice).unwrap());
    let lines = String::from_utf8(out).unwrap();
    assert!(lines.is_ascii() && (lines.is_empty() || lines.ends_with('\n')), "{lines}");
    let records = lines.lines().map(|line| serde_json::from_str(line).unwrap());
    let records: Vec<Value> = records.collect();
    for record in &records {
        let errors: Vec<String> = validator.iter_errors(record).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{record}: {errors:?}");
    }
    records
}

#[test]
fn numbers_are_told_with_what_they_are_of() {
    let last = Numbers { is_final: true, ..crate::sink::stats::tests::numbers(1) };
    let mut out = Vec::new();
    let by = crate::sink::stats::tests::by();
    Json::of_numbers(&mut out, None, Some(by)).numbers(&last).unwrap();
    let record: Value = serde_json::from_slice(&out).unwrap();
    assert!(validator().is_valid(&record), "{record}");
    assert_eq!((&record["final"], &record["interval_ns"]), (&json!(true), &json!(1_000_000_000)));
    let program = &record["programs"][0];
    assert_eq!((&program["seen"], &program["program"]["id"]), (&json!(1_200_000), &json!(12)));
    let queue = &program["traffic"][1];
    let expected = json!({"device": "eth0", "ifindex": 2, "netns": 4_026_531_840_u32, "queue": 1,
        "verdicts": {"XDP_PASS": {"packets": 3, "bytes": 192}},
        "latency": {"count": 3, "sum_ns": 300, "max_ns": 40_000, "p50_ns": 2559, "p90_ns": 2559, "p99_ns": 2559,
            "p99_9_ns": 2559, "steps": [[2048, 2560, 3]]}});
    assert_eq!(*queue, expected);
    let failure = json!({"device": "eth0", "ifindex": 2, "netns": 4_026_531_840_u32, "verdict": "XDP_REDIRECT",
        "error": "ENETDOWN", "count": 120});
    assert_eq!(program["failures"][0], failure);
    let rows = json!([{"key": {"src": "192.0.2.1", "dport": 53}, "verdict": "XDP_DROP", "packets": 900_000,
        "bytes": 57_600_000}]);
    assert_eq!(program["keys"]["rows"], rows);
    assert_eq!(program["keys"]["other"]["packets"], 300_003);
    assert_eq!(record["forwards"][1], json!({"kind": "dequeue", "cpumap": 12, "cpu": 3, "sent": 5, "dropped": 0}));
    assert_eq!(record["losses"], json!({"outcome_table_full": 0, "forward_table_full": 0}));
}

#[test]
fn of_devices_that_have_gone_it_is_told() {
    let mut numbers = crate::sink::stats::tests::numbers(1);
    numbers.overflow = Overflow { outcomes: 2, forwards: 7 };
    let program = &mut numbers.programs[0];
    let gone = Port { standing: Standing::Gone, name: Some("veth0".into()), ..Port::default() };
    program.traffic[0].device = gone.clone();
    program.failures[0].device = Port { standing: Standing::Forgotten, ..Port::default() };
    numbers.forwards[0].path = Path::Tx(gone);
    let mut out = Vec::new();
    Json::of_numbers(&mut out, None, None).numbers(&numbers).unwrap();
    let record: Value = serde_json::from_slice(&out).unwrap();
    assert!(validator().is_valid(&record), "{record}");
    let program = &record["programs"][0];
    let (traffic, failure) = (&program["traffic"][0], &program["failures"][0]);
    assert_eq!(
        (&traffic["device"], &traffic["has_gone"], traffic.get("ifindex")),
        (&json!("veth0"), &json!(true), None)
    );
    assert_eq!(
        (failure.get("device"), &failure["has_gone"], &failure["is_forgotten"], traffic.get("is_forgotten")),
        (None, &json!(true), &json!(true), None)
    );
    assert_eq!(record["forwards"][0]["from"], json!({"device": "veth0", "has_gone": true}));
    assert_eq!(record["losses"], json!({"outcome_table_full": 2, "forward_table_full": 7}));
}

fn packet(event: &Event<'_>) -> Value {
    printed(None, &[*event], &[]).remove(0)
}

#[test]
fn a_packet_is_told_with_its_headers() {
    let expected = json!({
        "type": "packet", "schema_version": 1, "time": "2023-07-15T06:56:58.123456789Z",
        "monotonic_ns": "9007199254740993", "device": "eth0", "ifindex": 2, "netns": 4_026_531_840_u32, "queue": 3, "cpu": 1,
        "program": {"id": 12, "name": "xdp_load_balanc", "function": "xdp_load_balancer"},
        "probe": "both", "packet_id": "18446744073709551615", "verdict": "XDP_TX", "latency_ns": 412,
        "length": {"before": 42, "after": 42},
        "packet": [
            {"layer": "ethernet", "dst_mac": "02:00:00:00:00:02", "src_mac": "02:00:00:00:00:01", "ethertype": 2048},
            {"layer": "ipv4", "header_length": 20, "tos": 0, "length": 28, "id": 0, "flags": 2, "fragment_offset": 0,
             "ttl": 64, "protocol": 1, "checksum": 46826, "src": "192.168.1.12", "dst": "192.168.1.138"},
            {"layer": "icmp", "type": 8, "code": 0, "checksum": 63484, "id": 1, "seq": 2},
        ],
        "changed": {"any": false, "compared_bytes": 128},
    });
    assert_eq!(packet(&Event { before: frame(&ECHO), after: frame(&ECHO), ..EVENT }), expected);
}

#[test]
fn what_is_not_known_is_absent() {
    let expected = json!({
        "type": "packet", "schema_version": 1, "time": "2023-07-15T06:56:58.123456789Z", "program": {},
        "length": {}, "packet": [],
    });
    assert_eq!(packet(&NOTHING_KNOWN), expected);
    let device = Some(Device { netns: 0, ifindex: 0, name: Some("eth0") });
    let of_a_file = packet(&Event { device, ..NOTHING_KNOWN });
    assert_eq!((of_a_file.get("ifindex"), &of_a_file["device"]), (None, &json!("eth0")));
}

#[test]
fn halves_say_which_probe_told_of_them_and_where_the_filter_looked() {
    let entry = Event { before: frame(&ECHO), verdict: None, latency_ns: None, changed: None, ..EVENT };
    let exit = Event { after: frame(&ECHO), ..Event { before: None, ..entry } };
    let records = printed(Some(Side::Exit), &[entry, exit], &[]);
    assert_eq!(records[0]["probe"], "entry");
    assert_eq!(records[0]["length"], json!({"before": 42}));
    assert_eq!(records[1]["probe"], "exit");
    assert_eq!(records[1]["packet"][2]["layer"], "icmp");
    assert!(records.iter().all(|record| record["filtered_at"] == "exit"));
}

#[test]
fn a_devmaps_egress_and_metadata_are_told() {
    let egress = Some(Device { netns: 5, ifindex: 7, name: None });
    let record = packet(&Event { egress, metadata: &[0xab, 1], verdict: Some(Verdict(42)), ..EVENT });
    assert_eq!(record["egress"], json!({"ifindex": 7, "netns": 5}));
    assert_eq!((&record["metadata"], &record["verdict"]), (&json!("ab01"), &json!("42")));
}

#[test]
fn what_a_program_changed_is_told_field_by_field() {
    let mut outer = ECHO[14..34].to_vec();
    (outer[3], outer[9], outer[15]) = (48, 4, 99);
    let mut inner = ECHO;
    inner[22] = 63;
    let after = [&inner[..14], &outer, &inner[14..]].concat();
    let event = Event { before: frame(&ECHO), after: frame(&after), moved: Some(-20), changed: Some(true), ..EVENT };
    let changed = &packet(&event)["changed"];
    assert_eq!(changed["pushed"]["bytes"], 20);
    assert_eq!(changed["pushed"]["headers"][0]["dst"], "192.168.1.138");
    assert_eq!(
        changed["fields"],
        json!([{"layer": "ipv4", "inner": false, "field": "ttl", "before": 64, "after": 63}])
    );
    let cut = Event { before: frame(&ECHO), after: frame(&ECHO[..41]), changed: Some(true), ..EVENT };
    assert_eq!(packet(&cut)["changed"], json!({"any": true, "compared_bytes": 128, "cut": 1, "fields": []}));
}

#[test]
fn every_kind_of_record_is_valid() {
    let counts = Counts { seen: 10, filtered: 1, skipped: 2, traced: 3, lost: 4, ..Counts::none() };
    let under_way = Counts { under_way: 2, lost: 2, recursion_misses: None, ..counts.clone() };
    let losses = Losses { full: 3, other: 1, overflow: Overflow { outcomes: 2, forwards: 7 }, ..Losses::default() };
    let verdicts = BTreeMap::from([(Verdict(1), 2), (Verdict(42), 1)]);
    let summary = |total: &Counts| crate::event::Summary {
        programs: vec![Account { subject: subject(), counts: counts.clone() }],
        total: total.clone(),
        verdicts: verdicts.clone(),
        others: 1,
        losses,
        late: 5,
        forwards: Some(vec![crate::event::Forward {
            path: crate::event::Path::Enqueue { map: 12, cpu: 3 },
            sent: 5,
            dropped: 1,
            error: Some("ENOSPC".into()),
        }]),
    };
    let attached = |missed| Notice::Attached { subject: subject(), probes: Probes::Exit, is_late: true, missed };
    let notices = [
        attached(None),
        attached(Some((1_689_404_218_000_000_000, 1_689_404_219_000_000_000))),
        Notice::Lost(losses),
        Notice::Detached(subject()),
        Notice::Told(Account { subject: subject(), counts: counts.clone() }),
        Notice::Listening,
        Notice::SoFar(summary(&under_way)),
        Notice::Ended(summary(&counts)),
    ];
    let records = printed(None, &[], &notices);
    let types: Vec<&str> = records.iter().map(|record| record["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["attached", "attached", "lost", "lost", "lost", "lost", "detached", "summary", "summary"]);
    assert_eq!(records[0]["devices"], json!(["eth0", "eth\"1"]));
    assert_eq!(records[1]["not_traced"]["to"], "2023-07-15T06:56:59.000000000Z");
    assert_eq!((&records[2]["reason"], &records[2]["count"]), (&json!("ring_full"), &json!(3)));
    assert_eq!(records[3]["reason"], "refused");
    assert_eq!(
        (&records[4]["reason"], &records[5]["reason"]),
        (&json!("outcome_table_full"), &json!("forward_table_full"))
    );
    assert_eq!(records[7]["under_way"], 2);
    assert_eq!((records[7]["final"].as_bool(), records[8]["final"].as_bool()), (Some(false), Some(true)));
    assert_eq!(records[7].get("recursion_misses"), None);
    assert_eq!(records[8]["verdicts"], json!({"XDP_DROP": 2, "42": 1, "other": 1}));
    let sum = |record: &Value, names: &[&str]| names.iter().filter_map(|name| record[name].as_u64()).sum::<u64>();
    for record in &records[6..] {
        assert_eq!(record["seen"], sum(record, &["filtered", "skipped", "traced", "lost", "under_way"]));
    }
}
