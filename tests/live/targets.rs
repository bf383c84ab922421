//! What is traced where there is more than the one program of one NIC: each selection shows what it names, and no more.

mod selection;

use crate::lab::{NOBTF, Nic, json, kernel, output};
use crate::loader::{CHAINS, COMPONENTS, Dispatcher, FIRST_PORT, Known, Mode, Programs, Shown, send, shown};
use crate::refusals::is_refused;
use crate::tracer::{Tracer, XDPTRACE};
use selection::{each_shows, not_traced, selection};

#[test]
fn a_dispatcher_of_two_by_id_name_name_and_id_and_all() {
    let nic = Nic::veth();
    let dispatcher = Dispatcher::load(&nic, &["component_one", "component_three"]);
    let components = dispatcher.components();
    let (one, three) = (&components[0], &components[1]);
    let called = [dispatcher.known().called("xdp_dispatcher"), one.called(&one.name), three.called(&three.name)];
    let [whole, first, last] = [
        ("veth0", called[0].as_str(), "XDP_DROP"),
        ("veth0", &called[1], "XDP_PASS"),
        ("veth0", &called[2], "XDP_DROP"),
    ];
    let id = one.id.to_string();
    let name_and_id = format!("component_three@{}", three.id);
    let both = format!("{id},component_three");
    let ended = each_shows(
        &[&nic],
        &[
            selection(&["-i", "veth0"], &[whole]),
            selection(&["-i", "veth0", "-p", &id], &[first]),
            selection(&["-i", "veth0", "-p", "component_three"], &[last]),
            selection(&["-i", "veth0", "-p", &name_and_id], &[last]),
            selection(&["-i", "veth0", "-p", "all"], &[whole, first, last]),
            selection(&["-i", "veth0", "-p", &both], &[first, last]),
            // Twice the same is once.
            selection(&["-i", "veth0", "-p", &id, "-p", "component_one"], &[first]),
        ],
    );
    // Of components alone nobody says what their verdicts came to.
    for (ended, components) in ended.iter().zip([0, 1, 1, 1, 0, 2, 1]) {
        let lines = not_traced(ended);
        assert_eq!(lines.len(), components, "{ended:?}");
        let untold = "not traced: what became of verdicts of component_";
        assert!(lines.iter().all(|line| line.starts_with(untold)), "{ended:?}");
    }
    is_refused(
        &nic,
        &[XDPTRACE, "-i", "veth0", "-p", "component_two"],
        4,
        &["no program", "component_two", "component_one", "component_three", "xdp_dispatcher"],
    );
    // The right name of another program.
    let wrong = format!("component_one@{}", three.id);
    is_refused(&nic, &[XDPTRACE, "-i", "veth0", "-p", &wrong], 4, &["no program", &wrong]);
}

/// libxdp attaches a single component in the dispatcher's own place: fentry gets EBUSY there.
#[test]
fn a_dispatcher_of_one_is_traced_at_its_component() {
    let nic = Nic::veth();
    let dispatcher = Dispatcher::load(&nic, &["component_three"]);
    let component = &dispatcher.components()[0];
    let called = component.called("component_three");
    let only = [("veth0", called.as_str(), "XDP_DROP")];
    let ended =
        each_shows(&[&nic], &[selection(&["-i", "veth0"], &only), selection(&["-i", "veth0", "-p", "all"], &only)]);
    let lines = not_traced(&ended[1]);
    let held = dispatcher.known().called("xdp_dispatcher");
    let reason = format!("xdp_dispatcher is held by EXT program {}", component.id);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with(&format!("not traced: {held} on veth0: {reason}")), "{lines:?}");
    let id = dispatcher.known().id.to_string();
    is_refused(&nic, &[XDPTRACE, "-i", "veth0", "-p", &id], 4, &[&reason]);
}

#[test]
fn a_dispatcher_of_ten_and_its_ambiguous_name() {
    let nic = Nic::veth();
    let dispatcher = Dispatcher::load_times(&nic, "component_one", 10);
    let components = dispatcher.components();
    assert_eq!(components.len(), 10);
    let mut called = vec![dispatcher.known().called("xdp_dispatcher")];
    called.extend(components.iter().map(|component| component.called("component_one")));
    let shows: Vec<(&str, &str, &str)> = called.iter().map(|name| ("veth0", name.as_str(), "XDP_PASS")).collect();
    each_shows(&[&nic], &[selection(&["-i", "veth0", "-p", "all"], &shows)]);
    let mut parts = vec!["program name 'component_one' is ambiguous: ".to_owned()];
    parts.extend(components.iter().map(|component| format!("component_one@{}", component.id)));
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    is_refused(&nic, &[XDPTRACE, "-i", "veth0", "-p", "component_one"], 4, &parts);
}

#[test]
fn two_names_that_share_fifteen_characters() {
    let nic = Nic::veth();
    let [pass, drop] = ["same_fifteen_characters_pass", "same_fifteen_characters_drop"];
    let dispatcher = Dispatcher::load(&nic, &[pass, drop]);
    let components = dispatcher.components();
    assert!(components.iter().all(|component| component.name == "same_fifteen_ch"), "{components:?}");
    let called = [components[0].called(pass), components[1].called(drop)];
    each_shows(
        &[&nic],
        &[
            selection(&["-i", "veth0", "-p", pass], &[("veth0", &called[0], "XDP_PASS")]),
            selection(&["-i", "veth0", "-p", drop], &[("veth0", &called[1], "XDP_DROP")]),
        ],
    );
    let whole = [format!("{pass}@{}", components[0].id), format!("{drop}@{}", components[1].id)];
    let ambiguous = "program name 'same_fifteen_ch' is ambiguous: ";
    is_refused(&nic, &[XDPTRACE, "-i", "veth0", "-p", "same_fifteen_ch"], 4, &[ambiguous, &whole[0], &whole[1]]);
    // A beginning of a name is not a name.
    is_refused(&nic, &[XDPTRACE, "-i", "veth0", "-p", "same_fifteen_characters"], 4, &["no program"]);
}

#[test]
fn tail_calls_are_traced_at_their_caller() {
    let nic = Nic::veth();
    let programs = Programs::load(CHAINS, &["tail_entry", "tail_first", "tail_second"]);
    programs.jump(0, "tail_first");
    programs.jump(1, "tail_second");
    programs.attach(&nic, Mode::Native, "tail_entry");
    let [entry, first, second] =
        ["tail_entry", "tail_first", "tail_second"].map(|name| programs.known(name).called(name));
    // The last program's verdict.
    let shows = [("veth0", entry.as_str(), "XDP_DROP")];
    let ended =
        each_shows(&[&nic], &[selection(&["-i", "veth0"], &shows), selection(&["-i", "veth0", "-p", "all"], &shows)]);
    let reason = "entered only by tail call: its entry never fires; the verdict is seen at tail_entry#";
    let lines = not_traced(&ended[1]);
    assert_eq!(lines.len(), 2, "{lines:?}");
    for called in [&first, &second] {
        let start = format!("not traced: {called} on veth0: {reason}");
        assert!(lines.iter().any(|line| line.starts_with(&start)), "no '{start}' in {lines:?}");
    }
    is_refused(&nic, &[XDPTRACE, "-i", "veth0", "-p", "tail_second"], 4, &[reason]);
}

#[test]
fn devmap_and_cpumap_programs() {
    let nic = Nic::veth();
    let out = nic.another("veth2");
    let pass = Programs::load(COMPONENTS, &["component_two"]);
    pass.attach(&out.other_end("veth2-peer"), Mode::Native, "component_two");
    let devices = Programs::load(CHAINS, &["to_device", "at_device"]);
    devices.redirect_to_device(&out, 1, "at_device");
    devices.attach(&nic, Mode::Native, "to_device");
    let [to, at] = ["to_device", "at_device"].map(|name| devices.known(name).called(name));
    let [redirect, target] = [("veth0", to.as_str(), "XDP_REDIRECT"), ("veth0", at.as_str(), "XDP_PASS")];
    each_shows(
        &[&nic],
        &[
            selection(&["-i", "veth0"], &[redirect]),
            selection(&["-i", "veth0", "-p", "at_device"], &[target]),
            selection(&["-i", "veth0", "-p", "all"], &[redirect, target]),
        ],
    );
    let cpus = Programs::load(CHAINS, &["to_cpu", "at_cpu"]);
    cpus.redirect_to_cpu(0, "at_cpu");
    cpus.attach(&nic, Mode::Native, "to_cpu");
    let [to, at] = ["to_cpu", "at_cpu"].map(|name| cpus.known(name).called(name));
    let [redirect, target] = [("veth0", to.as_str(), "XDP_REDIRECT"), ("veth0", at.as_str(), "XDP_PASS")];
    each_shows(
        &[&nic],
        &[
            selection(&["-i", "veth0", "-p", "at_cpu"], &[target]),
            selection(&["-i", "veth0", "-p", "all"], &[redirect, target]),
        ],
    );
}

#[test]
fn one_program_on_two_devices() {
    let nic = Nic::veth();
    let other = nic.another("veth2");
    let programs = Programs::load(COMPONENTS, &["component_one"]);
    programs.attach(&nic, Mode::Native, "component_one");
    programs.attach(&other, Mode::Native, "component_one");
    let called = programs.known("component_one").called("component_one");
    let [first, second] = [("veth0", called.as_str(), "XDP_PASS"), ("veth2", called.as_str(), "XDP_PASS")];
    each_shows(
        &[&nic, &other],
        &[
            selection(&["-i", "veth0", "-i", "veth2"], &[first, second]),
            selection(&["-i", "any"], &[first, second]),
            selection(&["-i", "veth2"], &[second]),
            selection(&["-p", "component_one"], &[first, second]),
        ],
    );
}

#[test]
fn two_programs_on_two_devices() {
    let nic = Nic::veth();
    let other = nic.another("veth2");
    let programs = Programs::load(COMPONENTS, &["component_one", "component_three"]);
    programs.attach(&nic, Mode::Native, "component_one");
    programs.attach(&other, Mode::Generic, "component_three");
    let [one, three] = ["component_one", "component_three"].map(|name| programs.known(name).called(name));
    let [first, second] = [("veth0", one.as_str(), "XDP_PASS"), ("veth2", three.as_str(), "XDP_DROP")];
    each_shows(
        &[&nic, &other],
        &[
            selection(&["-i", "any"], &[first, second]),
            selection(&["-i", "any", "-p", "component_three"], &[second]),
            selection(&["-p", "component_three"], &[second]),
        ],
    );
}

#[test]
fn by_tag_and_by_pin() {
    let nic = Nic::veth();
    let programs = Programs::load(COMPONENTS, &["component_three"]);
    programs.attach(&nic, Mode::Native, "component_three");
    let known = programs.known("component_three");
    let called = known.called("component_three");
    let shows = [("veth0", called.as_str(), "XDP_DROP")];
    let tag = format!("tag:{}", known.tag);
    let pin = programs.pin("component_three", "xdptrace-target");
    let path = pin.path().to_str().unwrap();
    let id = known.id.to_string();
    each_shows(
        &[&nic],
        &[
            selection(&["-i", "veth0", "-p", &tag], &shows),
            selection(&["-i", "veth0", "-p", path], &shows),
            selection(&["-p", path], &shows),
            selection(&["-p", &id], &shows),
        ],
    );
    is_refused(&nic, &[XDPTRACE, "-i", "veth0", "-p", "tag:0123456789abcdef"], 4, &["no program", "0123456789abcdef"]);
    is_refused(&nic, &[XDPTRACE, "-p", "/sys/fs/bpf/nosuch"], 4, &["/sys/fs/bpf/nosuch"]);
    is_refused(&nic, &[XDPTRACE, "-i", "veth0", "-p", "4000000000"], 4, &["no program", "4000000000"]);
    is_refused(&nic, &[XDPTRACE, "-p", "nosuch"], 4, &["no program", "nosuch"]);
}

#[test]
fn functions_of_a_program() {
    let nic = Nic::veth();
    let programs = Programs::load(CHAINS, &["functions"]);
    programs.attach(&nic, Mode::Native, "functions");
    let known = programs.known("functions");
    let [whole, global, fixed] = ["functions", "function_global", "function_static"].map(|name| known.called(name));
    let by_id = format!("{}:function_static", known.id);
    each_shows(
        &[&nic],
        &[
            selection(&["-i", "veth0", "-p", "functions:function_global"], &[("veth0", &global, "XDP_TX")]),
            selection(&["-i", "veth0", "-p", &by_id], &[("veth0", &fixed, "XDP_REDIRECT")]),
            selection(
                &["-i", "veth0", "-p", "functions,functions:function_global"],
                &[("veth0", &whole, "XDP_PASS"), ("veth0", &global, "XDP_TX")],
            ),
        ],
    );
    let refused = |function: &str, parts: &[&str]| {
        let program = format!("functions:{function}");
        is_refused(&nic, &[XDPTRACE, "-i", "veth0", "-p", &program], 4, &[parts, &[function]].concat());
    };
    refused("function_without_context", &["context"]);
    refused("function_shifted", &["static", "global"]);
    refused("nosuch", &[]);
    // In the object and its BTF, but inlined everywhere.
    refused("count_port", &[]);
}

/// Tracing such a subprogram panics 5.10, where it is not even tried here.
#[test]
fn a_subprogram_that_tail_calls() {
    let nic = Nic::veth();
    let programs = Programs::load(CHAINS, &["tail_subprogram"]);
    programs.attach(&nic, Mode::Native, "tail_subprogram");
    let known = programs.known("tail_subprogram");
    let [whole, jump] = ["tail_subprogram", "tail_jump"].map(|name| known.called(name));
    // Nothing is in the map, so the subprogram goes on and gives the verdict itself.
    let entry = selection(&["-i", "veth0"], &[("veth0", &whole, "XDP_ABORTED")]);
    let function = ["-i", "veth0", "-p", "tail_subprogram:tail_jump"];
    if kernel() < (6, 1) {
        each_shows(&[&nic], &[entry]);
        let words = [&[XDPTRACE], &function[..]].concat();
        is_refused(&nic, &words, 4, &["tail_jump", "--allow-hazard", "subprogram-tail-call"]);
    } else {
        each_shows(&[&nic], &[entry, selection(&function, &[("veth0", &jump, "XDP_ABORTED")])]);
    }
}

#[test]
fn in_another_namespace() {
    let nic = Nic::veth();
    let programs = Programs::load(COMPONENTS, &["component_one"]);
    programs.attach(&nic, Mode::Native, "component_one");
    let called = programs.known("component_one").called("component_one");
    let name = nic.netns.clone().unwrap();
    let path = format!("/run/netns/{name}");
    for netns in [&name, &path] {
        let words = [XDPTRACE, "--netns", netns, "-i", "veth0"].map(str::to_owned);
        let mut tracer = Tracer::start_command(&words);
        send(&nic, [FIRST_PORT]);
        tracer.wait_for_lines(1, &format!(" veth0 {called} XDP_PASS "));
        assert!(tracer.end("INT").status.success());
    }
    is_refused(&nic, &[XDPTRACE, "--netns", "nosuch", "-i", "veth0"], 4, &["nosuch"]);
}

/// The program on a bond runs on the bond's member, and sees that; a generic one, all that 5.10 has, on the bond.
#[test]
fn on_a_bond() {
    let nic = Nic::veth();
    let bond = nic.bond("veth2");
    let programs = Programs::load(COMPONENTS, &["component_one"]);
    let (mode, device) = if kernel() < (5, 15) { (Mode::Generic, "bond0") } else { (Mode::Native, "veth2") };
    programs.attach(&bond, mode, "component_one");
    let called = programs.known("component_one").called("component_one");
    each_shows(&[&bond], &[selection(&["-i", "bond0"], &[(device, &called, "XDP_PASS")])]);
}

#[test]
fn a_tracing_program_is_no_target() {
    let nic = Nic::veth();
    let programs = Programs::load(COMPONENTS, &["component_one"]);
    programs.attach(&nic, Mode::Native, "component_one");
    let others = Programs::trace(&programs, "component_one", "component_one");
    let id = others.id("others_fentry").to_string();
    is_refused(&nic, &[XDPTRACE, "-p", &id], 4, &["tracing", &id]);
    is_refused(&nic, &[XDPTRACE, "-i", "veth0", "-p", &id], 4, &[&id]);
}

#[test]
fn a_program_without_btf_beside_one_with() {
    let nic = Nic::veth();
    let other = nic.another("veth2");
    nic.attach("xdpdrv", NOBTF, "nobtf");
    let programs = Programs::load(COMPONENTS, &["component_one"]);
    programs.attach(&other, Mode::Native, "component_one");
    let called = programs.known("component_one").called("component_one");
    let ended = each_shows(&[&nic, &other], &[selection(&["-i", "any"], &[("veth2", &called, "XDP_PASS")])]);
    let lines = not_traced(&ended[0]);
    let start = format!("not traced: {} on veth0: has no BTF", Known::on(&nic).called("nobtf"));
    assert!(lines.len() == 1 && lines[0].starts_with(&start), "no '{start}' in {lines:?}");
    is_refused(&nic, &[XDPTRACE, "-i", "veth0", "-p", "all"], 4, &["has no BTF", "clang -g"]);
}

/// The kernel's tracing programs, by their ids.
fn tracing_programs() -> Vec<u64> {
    let programs = json(&["bpftool", "-j", "prog", "show"]);
    let programs = programs.as_array().unwrap().iter().filter(|program| program["type"] == "tracing");
    programs.map(|program| program["id"].as_u64().unwrap()).collect()
}

#[test]
fn the_exit_probe_alone() {
    let nic = Nic::veth();
    let programs = Programs::load(COMPONENTS, &["component_three"]);
    programs.attach(&nic, Mode::Native, "component_three");
    let before = tracing_programs();
    let mut tracer = Tracer::start(&nic, &["-i", "veth0", "--probe", "exit"]);
    assert_eq!(tracing_programs().len(), before.len() + 1);
    send(&nic, [FIRST_PORT]);
    tracer.wait_until("the datagram", |tracer| !shown(&tracer.stdout).is_empty());
    let ended = tracer.end("INT");
    let called = programs.known("component_three").called("component_three");
    let expected = Shown { device: "veth0".into(), program: called, verdict: "XDP_DROP".into(), port: FIRST_PORT };
    assert_eq!(shown(&ended.stdout), [expected]);
    assert_eq!(ended.counts().lost, 0);
}

#[test]
fn a_wrong_selection() {
    let nic = Nic::veth();
    let programs = Programs::load(COMPONENTS, &["component_one"]);
    programs.attach(&nic, Mode::Native, "component_one");
    for wrong in ["", "component_one@", "tag:xyz", "component_one@x"] {
        is_refused(&nic, &[XDPTRACE, "-i", "veth0", "-p", wrong], 2, &["--help"]);
    }
    is_refused(&nic, &[XDPTRACE, "-i", "veth0", "--allow-hazard", "nosuch"], 2, &["nosuch"]);
    is_refused(&nic, &[XDPTRACE, "-i", "veth0", "--probe", "nosuch"], 2, &["nosuch"]);
    // What a name may hold is shown so that it does nothing to a terminal.
    let words = nic.inside(&[XDPTRACE, "-i", "veth0", "-p", "a\u{1b}[31m"]);
    assert!(!Tracer::spawn_command(&words).wait().stderr.join("\n").contains('\u{1b}'));
    assert!(output(&["bpftool", "prog"]).contains("component_one"));
}
