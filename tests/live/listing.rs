//! `xdptrace list`: what is on a NIC's path, by what the kernel and whoever loaded it say.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::lab::{NOBTF, Nic, TARGETS, kernel, output};
use crate::loader::{CHAINS, COMPONENTS, Dispatcher, Known, Mode, Programs, ifindex};
use crate::tracer::XDPTRACE;

/// `xdptrace list --json` with these options in the NIC's namespace. With XDPTRACE_SHOW set and --nocapture, shows what a
/// user sees of each set-up.
fn list(nic: &Nic, words: &[&str]) -> Value {
    if std::env::var_os("XDPTRACE_SHOW").is_some() {
        println!("\n$ xdptrace list {}\n{}", words.join(" "), nic.output(&[&[XDPTRACE, "list"], words].concat()));
        let check = nic.inside(&[XDPTRACE, "check", "-i", "any", "-p", "all"]);
        let check = crate::lab::run(&check.iter().map(String::as_str).collect::<Vec<_>>());
        println!("$ xdptrace check -i any -p all\n{}", String::from_utf8_lossy(&check.stdout));
    }
    let printed = nic.output(&[&[XDPTRACE, "list", "--json"], words].concat());
    let value: Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    assert_eq!(value["schema_version"], 1);
    value
}

/// The device's program in `xdptrace list --json -i DEV`.
fn on_device(nic: &Nic) -> Value {
    let list = list(nic, &["-i", &nic.name]);
    let devices = list["devices"].as_array().unwrap();
    assert_eq!(devices.len(), 1, "{list:#}");
    let netns = fs::metadata(format!("/run/netns/{}", nic.netns.as_ref().unwrap())).unwrap().ino();
    holds(&devices[0], &json!({"device": nic.name, "ifindex": ifindex(nic), "netns": netns}));
    let programs = devices[0]["programs"].as_array().unwrap();
    assert_eq!(programs.len(), 1, "{list:#}");
    programs[0].clone()
}

/// Whether everything in `expected` is in `found`: there may be more members of an object, not more of an array.
fn is_in(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            expected.iter().all(|(name, value)| found.get(name).is_some_and(|found| is_in(found, value)))
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(found, expected)| is_in(found, expected))
        }
        _ => found == expected,
    }
}

fn holds(found: &Value, expected: &Value) {
    assert!(is_in(found, expected), "not in\n{found:#}\nthis:\n{expected:#}");
}

/// What the tree says of any program.
fn node(role: &str, known: &Known, function: &str) -> Value {
    json!({"role": role, "id": known.id, "name": known.name, "function": function, "tag": known.tag})
}

/// The same with what else is expected.
fn with(mut node: Value, more: &Value) -> Value {
    node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    node
}

#[test]
fn a_program_and_when_it_was_loaded() {
    let nic = Nic::veth();
    for (mode, name) in [("xdpdrv", "native"), ("xdpgeneric", "generic")] {
        nic.attach(mode, TARGETS, "target_drop_with_a_long_name");
        let known = Known::on(&nic);
        let program = on_device(&nic);
        let expected = with(
            node("device", &known, "target_drop_with_a_long_name"),
            &json!({"mode": name, "traceable": true, "name": "target_drop_wit"}),
        );
        holds(&program, &expected);
        assert!(program.get("reason").is_none(), "{program:#}");
        // By date(1), which reads what we print, and bpftool, which prints the seconds.
        let loaded = program["loaded"].as_str().unwrap();
        assert!(loaded.len() >= 20 && loaded.as_bytes()[10] == b'T', "{loaded}");
        let id = known.id.to_string();
        let seconds = output(&["date", "-d", loaded, "+%s"]).trim().parse::<i64>().unwrap();
        let theirs = crate::lab::json(&["bpftool", "-j", "prog", "show", "id", &id])["loaded_at"].as_i64().unwrap();
        assert!((seconds - theirs).abs() <= 1, "{loaded}: {seconds}, {theirs}");
        nic.ip(&["link", "set", "dev", "veth0", mode, "off"]);
    }
}

#[test]
fn without_btf() {
    let nic = Nic::veth();
    nic.attach("xdpgeneric", NOBTF, "nobtf");
    let program = on_device(&nic);
    let reason = "has no BTF: rebuild it with clang -g";
    holds(
        &program,
        &json!({"role": "device", "name": "nobtf", "function": null, "traceable": false, "reason": reason}),
    );
}

#[test]
fn a_dispatcher_of_one_and_of_two() {
    let nic = Nic::veth();
    let dispatcher = Dispatcher::load(&nic, &["component_one"]);
    let one = dispatcher.components()[0].clone();
    let reason = format!("xdp_dispatcher is held by EXT program {}", one.id);
    let first = with(
        node("component", &one, "component_one"),
        &json!({"position": 0, "chain_actions": ["XDP_PASS"], "traceable": true}),
    );
    let expected = with(
        node("device", &dispatcher.known(), "xdp_dispatcher"),
        &json!({"traceable": false, "reason": reason, "programs": [first]}),
    );
    holds(&on_device(&nic), &expected);

    dispatcher.add("component_three", 60, "XDP_DROP,XDP_TX", 1);
    let components = dispatcher.components();
    let mut tree = on_device(&nic);
    // In no particular order.
    for component in tree["programs"].as_array_mut().unwrap() {
        component["chain_actions"].as_array_mut().unwrap().sort_by_key(|action| action.to_string());
    }
    let three = with(
        node("component", &components[1], "component_three"),
        &json!({"position": 1, "chain_actions": ["XDP_DROP", "XDP_TX"], "traceable": true}),
    );
    let expected = with(
        node("device", &dispatcher.known(), "xdp_dispatcher"),
        &json!({"mode": "native", "traceable": true, "programs": [first, three]}),
    );
    holds(&tree, &expected);
    table(&nic, &dispatcher.known(), &components);
    without_bpffs(&nic, &dispatcher.known(), &components);
}

/// The same as a table for people.
fn table(nic: &Nic, dispatcher: &Known, components: &[Known]) {
    let printed = nic.output(&[XDPTRACE, "list", "-i", "veth0"]);
    let mut lines = printed.lines();
    let title: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(title, ["WHERE", "PROGRAM", "NAME", "TAG", "LOADED", "CHAIN", "TRACEABLE"]);
    let row = |known: &Known, function: &str, indented: bool, parts: &[&str]| {
        let called = known.called(function);
        let line = printed.lines().find(|line| line.split_whitespace().any(|word| word == called));
        let line = line.unwrap_or_else(|| panic!("no {called} in\n{printed}"));
        assert_eq!(line.starts_with("  "), indented, "{line}");
        assert!(line.trim_end().ends_with(" yes"), "{line}");
        for part in parts.iter().chain([&known.tag.as_str(), &known.name.as_str()]) {
            assert!(line.contains(part), "no {part} in {line}");
        }
    };
    row(dispatcher, "xdp_dispatcher", false, &["veth0", "native"]);
    row(&components[0], "component_one", true, &["XDP_PASS"]);
    row(&components[1], "component_three", true, &["XDP_DROP", "XDP_TX"]);
    assert_eq!(printed, nic.output(&[XDPTRACE, "-D", "-i", "veth0"]));
}

/// From 5.13 on the kernel itself knows a component's target; 5.10 has only libxdp's pins.
fn without_bpffs(nic: &Nic, dispatcher: &Known, components: &[Known]) {
    let script = format!("umount /sys/fs/bpf; exec {XDPTRACE} list --json -i veth0");
    let printed = nic.output(&["unshare", "--mount", "bash", "-c", &script]);
    let list: Value = serde_json::from_str(&printed).unwrap();
    let tree = &list["devices"][0]["programs"][0];
    holds(tree, &json!({"id": dispatcher.id, "name": "xdp_dispatcher"}));
    if kernel() < (5, 13) {
        assert_eq!(tree["note"], "components unknown: this kernel doesn't tell", "{tree:#}");
        assert!(tree["programs"].as_array().is_none_or(Vec::is_empty), "{tree:#}");
    } else {
        let found = tree["programs"].as_array().unwrap().iter().map(|program| program["id"].as_u64().unwrap());
        let mut found: Vec<u64> = found.collect();
        found.sort_unstable();
        assert_eq!(found, components.iter().map(|component| component.id.into()).collect::<Vec<u64>>());
    }
}

#[test]
fn tail_calls() {
    let nic = Nic::veth();
    let programs = Programs::load(CHAINS, &["tail_entry", "tail_first", "tail_second"]);
    programs.jump(0, "tail_first");
    programs.jump(3, "tail_second");
    programs.attach(&nic, Mode::Native, "tail_entry");
    let [entry, first, second] = ["tail_entry", "tail_first", "tail_second"].map(|name| programs.known(name));
    let reason = "entered only by tail call: its entry never fires; the verdict is seen at ";
    let reason = format!("{reason}{}", entry.called("tail_entry"));
    let map = json!({"id": programs.map_id("jumps"), "name": "jumps"});
    let called = |known: &Known, function: &str, key: u32| {
        with(node("tail-call", known, function), &json!({"map": map, "key": key, "traceable": false, "reason": reason}))
    };
    let children = [called(&first, "tail_first", 0), called(&second, "tail_second", 3)];
    let expected = with(node("device", &entry, "tail_entry"), &json!({"traceable": true, "programs": children}));
    holds(&on_device(&nic), &expected);
}

#[test]
fn devmap_and_cpumap() {
    let nic = Nic::veth();
    let out = nic.another("veth2");
    let devices = Programs::load(CHAINS, &["to_device", "at_device"]);
    devices.redirect_to_device(&out, 2, "at_device");
    devices.attach(&nic, Mode::Native, "to_device");
    let [to, at] = ["to_device", "at_device"].map(|name| devices.known(name));
    let map = json!({"id": devices.map_id("devices"), "name": "devices"});
    let target = json!({"map": map, "key": 2, "to": "veth2", "traceable": true});
    let children = [with(node("devmap", &at, "at_device"), &target)];
    let expected = with(node("device", &to, "to_device"), &json!({"traceable": true, "programs": children}));
    holds(&on_device(&nic), &expected);

    let cpus = Programs::load(CHAINS, &["to_cpu", "at_cpu"]);
    cpus.redirect_to_cpu(1, "at_cpu");
    cpus.attach(&nic, Mode::Native, "to_cpu");
    let [to, at] = ["to_cpu", "at_cpu"].map(|name| cpus.known(name));
    let map = json!({"id": cpus.map_id("cpus"), "name": "cpus"});
    let children = [with(node("cpumap", &at, "at_cpu"), &json!({"map": map, "key": 1, "traceable": true}))];
    let expected = with(node("device", &to, "to_cpu"), &json!({"traceable": true, "programs": children}));
    holds(&on_device(&nic), &expected);
}

#[test]
fn functions_with_v() {
    let nic = Nic::veth();
    let programs = Programs::load(CHAINS, &["functions"]);
    programs.attach(&nic, Mode::Native, "functions");
    let list = list(&nic, &["-i", "veth0", "-v"]);
    let functions = &list["devices"][0]["programs"][0]["functions"];
    let function = |name: &str| {
        let mut all = functions.as_array().unwrap_or_else(|| panic!("no functions in {list:#}")).iter();
        all.find(|function| function["name"] == name)
    };
    for name in ["function_global", "function_static"] {
        assert_eq!(function(name).unwrap_or_else(|| panic!("no {name} in {list:#}"))["traceable"], true, "{list:#}");
    }
    let shifted = function("function_shifted").unwrap();
    assert_eq!(shifted["traceable"], false, "{list:#}");
    assert!(shifted["reason"].as_str().unwrap().contains("static"), "{list:#}");
    let without = function("function_without_context").unwrap();
    assert_eq!(without["traceable"], false, "{list:#}");
    assert!(without["reason"].as_str().unwrap().contains("context"), "{list:#}");
    // Inlined: of the object's BTF, but not of the program.
    assert!(function("count_port").is_none(), "{list:#}");
    // Without -v they aren't looked for.
    assert!(on_device(&nic).get("functions").is_none());
}

#[test]
fn two_devices_and_another_namespace() {
    let nic = Nic::veth();
    let other = nic.another("veth2");
    let programs = Programs::load(COMPONENTS, &["component_one"]);
    programs.attach(&nic, Mode::Native, "component_one");
    let link = programs.link(&other, Mode::Generic, "component_one");
    let known = programs.known("component_one");
    let inside = list(&nic, &[]);
    let devices = inside["devices"].as_array().unwrap();
    let with_programs: Vec<&Value> =
        devices.iter().filter(|device| device["programs"].as_array().is_some_and(|all| !all.is_empty())).collect();
    let program = |mode: &str| with(node("device", &known, "component_one"), &json!({"mode": mode}));
    let [first, second] = with_programs[..] else { panic!("{inside:#}") };
    holds(first, &json!({"device": "veth0", "programs": [program("native")]}));
    holds(second, &json!({"device": "veth2", "programs": [program("generic")]}));
    let name = nic.netns.as_deref().unwrap();
    let from_outside = output(&[XDPTRACE, "list", "--json", "--netns", name]);
    assert_eq!(serde_json::from_str::<Value>(&from_outside).unwrap(), inside);
    drop(link);
    assert!(list(&nic, &["-i", "veth2"])["devices"][0]["programs"].as_array().unwrap().is_empty());
}

#[test]
fn all_programs_of_whatever_type() {
    let xdp = Programs::load(COMPONENTS, &["same_fifteen_characters_pass"]);
    let tc = Programs::load(CHAINS, &["at_tc"]);
    let fentry = Programs::trace(&xdp, "same_fifteen_characters_pass", "same_fifteen_characters_pass");
    let printed = output(&[XDPTRACE, "list", "--all", "--json"]);
    let list: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(list["schema_version"], 1);
    let program = |id: u32| {
        let mut all = list["programs"].as_array().unwrap().iter();
        all.find(|program| program["id"] == id).unwrap_or_else(|| panic!("no {id} in {list:#}"))
    };
    let function = "same_fifteen_characters_pass";
    let expected = json!({"type": "xdp", "name": "same_fifteen_ch", "function": function,
        "fentry_fexit": {"traceable": true}, "xdptrace": {"traceable": true}});
    holds(program(xdp.id(function)), &expected);
    let expected = json!({"type": "sched_cls", "name": "at_tc", "function": "at_tc",
        "fentry_fexit": {"traceable": true}, "xdptrace": {"traceable": false, "reason": "not yet: tc"}});
    holds(program(tc.id("at_tc")), &expected);
    // From 6.8 on a tracing program may be traced, once.
    let expected = json!({"type": "tracing", "name": "others_fentry", "function": "others_fentry",
        "fentry_fexit": {"traceable": kernel() >= (6, 8)}, "xdptrace": {"traceable": false}});
    holds(program(fentry.id("others_fentry")), &expected);
    // All that there are, each once.
    let theirs = crate::lab::json(&["bpftool", "-j", "prog", "show"]);
    let mut ids = [&list["programs"], &theirs].map(|programs| {
        let ids = programs.as_array().unwrap().iter().map(|program| program["id"].as_u64().unwrap());
        ids.collect::<Vec<u64>>()
    });
    ids.iter_mut().for_each(|ids| ids.sort_unstable());
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn an_unknown_device() {
    let nic = Nic::veth();
    crate::refusals::is_refused(&nic, &[XDPTRACE, "list", "-i", "nosuch"], 4, &["no device nosuch"]);
    crate::refusals::is_refused(&nic, &[XDPTRACE, "list", "--netns", "nosuch"], 4, &["nosuch"]);
}
