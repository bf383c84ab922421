//! What the tests of targets take for granted, without a tracer: that each set-up runs the programs that it is said to.

use crate::lab::{Nic, kernel, output};
use crate::loader::{
    CHAINS, COMPONENTS, Dispatcher, FIRST_PORT, Known, Mode, Programs, detach, exists, program_on, send,
    wait_until_gone,
};

/// Ten datagrams' ports.
fn ten() -> Vec<u16> {
    (FIRST_PORT..FIRST_PORT + 10).collect()
}

#[test]
fn netlink_and_a_link_attach_replace_and_detach() {
    let nic = Nic::veth();
    let [one, two] = ["component_one", "component_two"].map(|name| (Programs::load(COMPONENTS, &[name]), name));
    one.0.attach(&nic, Mode::Native, one.1);
    assert_eq!(u64::from(program_on(&nic)), nic.program_id());
    assert_eq!(program_on(&nic), one.0.id(one.1));
    send(&nic, ten());
    one.0.ports().wait_for(&ten());
    two.0.attach(&nic, Mode::Native, two.1);
    assert_eq!(program_on(&nic), two.0.id(two.1));
    let gone = one.0.id(one.1);
    drop(one);
    wait_until_gone(gone);
    detach(&nic, Mode::Native);
    assert_eq!(program_on(&nic), 0);

    let three = Programs::load(COMPONENTS, &["component_three"]);
    let link = two.0.link(&nic, Mode::Native, two.1);
    assert_eq!(program_on(&nic), two.0.id(two.1));
    // Whoever holds the NIC by a link is not replaced by netlink.
    assert_eq!(three.try_to_attach(&nic, Mode::Native, "component_three"), -libc::EBUSY);
    link.update(&three, "component_three");
    assert_eq!(program_on(&nic), three.id("component_three"));
    send(&nic, ten());
    three.ports().wait_for(&ten());
    drop(link);
    assert_eq!(program_on(&nic), 0);
}

#[test]
fn a_dispatcher_runs_its_components() {
    let nic = Nic::veth();
    let dispatcher = Dispatcher::load(&nic, &["component_one", "component_three"]);
    send(&nic, ten());
    let components = dispatcher.components();
    let names: Vec<&str> = components.iter().map(|component| component.name.as_str()).collect();
    assert_eq!(names, ["component_one", "component_three"]);
    components.iter().for_each(|component| component.ports().wait_for(&ten()));
    drop(dispatcher);
    assert_eq!(program_on(&nic), 0);
    components.iter().for_each(|component| wait_until_gone(component.id));
}

#[test]
fn tail_calls_go_two_deep() {
    let nic = Nic::veth();
    let programs = Programs::load(CHAINS, &["tail_entry", "tail_first", "tail_second"]);
    programs.jump(0, "tail_first");
    programs.jump(1, "tail_second");
    programs.attach(&nic, Mode::Native, "tail_entry");
    // Had one of the jumps failed, the packet would have been lost.
    assert!(nic.there(&["ping", "-n", "-q", "-c", "1", "-W", "10", "192.0.2.1"]).status.success());
    send(&nic, ten());
    programs.ports().wait_for(&ten());
}

#[test]
fn devmap_and_cpumap_programs_run() {
    let nic = Nic::veth();
    let out = nic.another("veth2");
    let pass = Programs::load(COMPONENTS, &["component_one"]);
    pass.attach(&out.other_end("veth2-peer"), Mode::Native, "component_one");
    let programs = Programs::load(CHAINS, &["to_device", "at_device"]);
    programs.redirect_to_device(&out, 1, "at_device");
    programs.attach(&nic, Mode::Native, "to_device");
    send(&nic, ten());
    programs.ports().wait_for(&ten());
    let programs = Programs::load(CHAINS, &["to_cpu", "at_cpu"]);
    programs.redirect_to_cpu(0, "at_cpu");
    programs.attach(&nic, Mode::Native, "to_cpu");
    // What the CPU's program passes on goes its way.
    assert!(nic.there(&["ping", "-n", "-q", "-c", "1", "-W", "10", "192.0.2.1"]).status.success());
    send(&nic, ten());
    programs.ports().wait_for(&ten());
}

#[test]
fn functions_and_programs_of_other_types_load() {
    let functions = Programs::load(CHAINS, &["functions"]);
    let nic = Nic::veth();
    functions.attach(&nic, Mode::Generic, "functions");
    assert!(nic.there(&["ping", "-n", "-q", "-c", "1", "-W", "10", "192.0.2.1"]).status.success());
    let others = Programs::trace(&functions, "functions", "functions");
    let id = others.id("others_fentry");
    assert!(exists(id) && id != functions.id("functions"));
    let tc = Programs::load(CHAINS, &["at_tc"]);
    let pin = tc.pin("at_tc", "xdptrace-setups");
    let shown = output(&["bpftool", "prog", "show", "pinned", pin.path().to_str().unwrap()]);
    assert!(shown.contains("sched_cls  name at_tc"), "{shown}");
    let jumping = Programs::load(CHAINS, &["tail_subprogram"]);
    jumping.attach(&nic, Mode::Generic, "tail_subprogram");
    send(&nic, ten());
    jumping.ports().wait_for(&ten());
    assert_eq!(Known::on(&nic).name, "tail_subprogram");
}

/// 5.10 knows no native XDP on a bond; later kernels run the program on the bond's member, which is the device that the
/// program sees.
#[test]
fn a_bond_runs_a_program() {
    let nic = Nic::veth();
    let bond = nic.bond("veth2");
    let programs = Programs::load(COMPONENTS, &["component_one"]);
    let native = programs.try_to_attach(&bond, Mode::Native, "component_one");
    if kernel() < (5, 15) {
        assert_eq!(native, -libc::EOPNOTSUPP);
        programs.attach(&bond, Mode::Generic, "component_one");
    } else {
        assert_eq!(native, 0);
    }
    send(&bond, ten());
    programs.ports().wait_for(&ten());
}
