//! What happens to what is traced: replaced, detached, attached, rebuilt, gone and back. Each datagram that a program
//! ran on while it was traced is shown, with that program; those before are within a span of time that was named.

mod account;
mod others;
mod times;

use std::time::{Duration, Instant};

use crate::lab::{Nic, TARGETS, output, wait_for};
use crate::loader::{
    COMPONENTS, Dispatcher, Known, Mode, Ports, Programs, Traffic, detach, exists, ifindex, program_on, shown,
    wait_until_gone,
};
use crate::tracer::{Tracer, XDPTRACE};
use account::{Account, gap};
use others::{churn, programs_of_components, rounds};
pub use times::{between, microseconds, printed};

/// How soon a change is noticed.
const NOTICED: Duration = Duration::from_millis(200);
/// How soon a replaced program is released.
const RELEASED: Duration = Duration::from_secs(1);

/// Waits for a line of the standard error; how long that took.
pub fn wait_for_line(tracer: &mut Tracer, start: &str) -> Duration {
    let begun = Instant::now();
    tracer.wait_until(&format!("'{start}'"), |tracer| tracer.stderr.iter().any(|line| line.starts_with(start)));
    begun.elapsed()
}

/// Waits until the tracer has shown a datagram of this program.
fn wait_for_datagram(tracer: &mut Tracer, called: &str) {
    tracer.wait_until(&format!("datagram of {called}"), |tracer| {
        tracer.stdout.iter().any(|line| line.contains(&format!(" {called} ")) && line.ends_with(": UDP, length 8"))
    });
}

fn assert_within(what: &str, took: Duration, limit: Duration) {
    assert!(took <= limit, "{what} took {took:?}, more than {limit:?}");
}

/// A program that was loaded for this test alone, and `FUNC#ID`.
fn program(name: &str) -> (Programs, String) {
    let programs = Programs::load(COMPONENTS, &[name]);
    let called = programs.known(name).called(name);
    (programs, called)
}

/// Lets go of our hold on a program that was replaced: only a tracer may hold it now, and not for long.
fn is_released(programs: Programs, name: &str) {
    let id = programs.id(name);
    drop(programs);
    let begun = Instant::now();
    wait_until_gone(id);
    assert_within(&format!("release of {name}"), begun.elapsed(), RELEASED);
}

#[test]
fn replaced_and_detached_by_netlink() {
    let nic = Nic::veth();
    let (one, first) = program("component_one");
    let (two, second) = program("component_two");
    let (three, third) = program("component_three");
    let ports = [&one, &two, &three].map(Programs::ports);
    one.attach(&nic, Mode::Native, "component_one");
    let begun = Instant::now();
    let mut tracer = Tracer::start(&nic, &["-i", "veth0"]);
    let startup = begun.elapsed();
    let traffic = Traffic::start(&nic);
    wait_for_datagram(&mut tracer, &first);

    two.attach(&nic, Mode::Native, "component_two");
    wait_for_line(&mut tracer, &format!("attached to {second} on veth0: "));
    wait_for_line(&mut tracer, &format!("detached from {first} on veth0"));
    is_released(one, "component_one");
    wait_for_datagram(&mut tracer, &second);

    detach(&nic, Mode::Native);
    let took = wait_for_line(&mut tracer, &format!("detached from {second} on veth0"));
    assert_within("to notice that the program was detached", took, NOTICED);
    is_released(two, "component_two");

    // A generic program in the place of a native one.
    three.attach(&nic, Mode::Generic, "component_three");
    wait_for_line(&mut tracer, &format!("attached to {third} on veth0: "));
    wait_for_datagram(&mut tracer, &third);
    each_is_accounted_for(tracer, traffic, [&first, &second, &third], &ports, startup);
}

/// Ends traffic and tracer, and accounts for the runs of three programs of which each replaced the one before.
fn each_is_accounted_for(tracer: Tracer, traffic: Traffic, called: [&str; 3], ports: &[Ports; 3], startup: Duration) {
    let sent = traffic.stop();
    ports[2].wait_for(&[sent.last().unwrap().0]);
    let ended = tracer.end("INT");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let account = Account { ended: &ended, sent: &sent };
    account.all(called[0], &ports[0]);
    for (called, ports) in called.iter().zip(ports).skip(1) {
        // To attach to one more program takes no longer than to start, however slow the machine is.
        assert_within(called, account.all_but_the_gap(called, "veth0", ports), NOTICED + startup);
    }
    account.nothing_else(&called);
}

/// Of which the kernel sends no message.
#[test]
fn replaced_and_detached_by_a_link() {
    let nic = Nic::veth();
    let (one, first) = program("component_one");
    let (two, second) = program("component_two");
    let (three, third) = program("component_three");
    let ports = [&one, &two, &three].map(Programs::ports);
    let link = one.link(&nic, Mode::Native, "component_one");
    let begun = Instant::now();
    let mut tracer = Tracer::start(&nic, &["-i", "veth0"]);
    let startup = begun.elapsed();
    let traffic = Traffic::start(&nic);
    wait_for_datagram(&mut tracer, &first);

    link.update(&two, "component_two");
    wait_for_line(&mut tracer, &format!("attached to {second} on veth0: "));
    wait_for_line(&mut tracer, &format!("detached from {first} on veth0"));
    is_released(one, "component_one");
    wait_for_datagram(&mut tracer, &second);

    drop(link);
    let took = wait_for_line(&mut tracer, &format!("detached from {second} on veth0"));
    assert_within("to notice that the link was closed", took, NOTICED);
    is_released(two, "component_two");

    let link = three.link(&nic, Mode::Native, "component_three");
    wait_for_line(&mut tracer, &format!("attached to {third} on veth0: "));
    wait_for_datagram(&mut tracer, &third);
    each_is_accounted_for(tracer, traffic, [&first, &second, &third], &ports, startup);
    drop(link);
}

/// libxdp builds a new dispatcher for every change; the components that stay are the same programs.
#[test]
fn a_dispatcher_is_rebuilt() {
    let nic = Nic::veth();
    let dispatcher = Dispatcher::load(&nic, &["component_one", "component_two"]);
    let before = dispatcher.known();
    let stays = dispatcher.components();
    let mut tracer = Tracer::start(&nic, &["-i", "veth0", "-p", "all"]);
    let traffic = Traffic::start(&nic);
    let called: Vec<String> = stays.iter().map(|component| component.called(&component.name)).collect();
    let ports: Vec<Ports> = stays.iter().map(|component| component.ports()).collect();
    wait_for_datagram(&mut tracer, &called[1]);

    dispatcher.add("component_three", 60, "XDP_PASS", 1);
    let after = dispatcher.known();
    let third = dispatcher.components()[2].clone();
    assert_eq!(dispatcher.components()[..2], stays);
    let third_ports = third.ports();
    let third = third.called("component_three");
    let dispatchers = [&before, &after].map(|known| known.called("xdp_dispatcher"));
    wait_for_line(&mut tracer, &format!("detached from {} on veth0", dispatchers[0]));
    let begun = Instant::now();
    wait_until_gone(before.id);
    assert_within("release of the dispatcher", begun.elapsed(), RELEASED);
    wait_for_line(&mut tracer, &format!("attached to {} on veth0: ", dispatchers[1]));
    wait_for_line(&mut tracer, &format!("attached to {third} on veth0: "));
    wait_for_datagram(&mut tracer, &third);
    wait_for_datagram(&mut tracer, &dispatchers[1]);

    drop(dispatcher);
    let gone = [after.id, stays[0].id, stays[1].id];
    let begun = Instant::now();
    gone.into_iter().for_each(wait_until_gone);
    assert_within("release of the dispatcher and its components", begun.elapsed(), RELEASED);
    let sent = traffic.stop();
    let ended = tracer.end("INT");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let account = Account { ended: &ended, sent: &sent };
    // They were traced all the time, whatever called them.
    account.all(&called[0], &ports[0]);
    account.all(&called[1], &ports[1]);
    account.all_but_the_gap(&third, "veth0", &third_ports);
    gap(&ended.stderr, &dispatchers[1], "veth0");
    account.nothing_else(&[&called[0], &called[1], &third, &dispatchers[0], &dispatchers[1]]);
}

/// From one component, which is traced in the dispatcher's place, to two.
#[test]
fn a_dispatcher_of_one_becomes_one_of_two() {
    let nic = Nic::veth();
    let dispatcher = Dispatcher::load(&nic, &["component_one"]);
    let first = dispatcher.components()[0].clone();
    let mut tracer = Tracer::start(&nic, &["-i", "veth0"]);
    let traffic = Traffic::start(&nic);
    wait_for_datagram(&mut tracer, &first.called("component_one"));
    dispatcher.add("component_three", 60, "XDP_PASS", 1);
    let whole = dispatcher.known().called("xdp_dispatcher");
    wait_for_line(&mut tracer, &format!("attached to {whole} on veth0: "));
    wait_for_datagram(&mut tracer, &whole);
    traffic.stop();
    let ended = tracer.end("INT");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let verdicts = shown(&ended.stdout).into_iter().filter(|shown| shown.program == whole);
    assert!(verdicts.map(|shown| shown.verdict).all(|verdict| verdict == "XDP_DROP"));
}

#[test]
fn waiting_for_the_first_program() {
    let nic = Nic::veth();
    let mut tracer = Tracer::spawn(&nic, &["-i", "veth0", "--wait"]);
    wait_for_line(&mut tracer, "waiting for an XDP program on veth0");
    let traffic = Traffic::start(&nic);
    let (one, first) = program("component_one");
    one.attach(&nic, Mode::Native, "component_one");
    wait_for_line(&mut tracer, &format!("attached to {first} on veth0"));
    tracer.wait_until_it_listens();
    wait_for_datagram(&mut tracer, &first);
    let sent = traffic.stop();
    one.ports().wait_for(&[sent.last().unwrap().0]);
    let ended = tracer.end("INT");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(ended.stderr.iter().filter(|line| *line == "Listening events...").count(), 1, "{ended:?}");
    let account = Account { ended: &ended, sent: &sent };
    account.all_but_the_gap(&first, "veth0", &one.ports());
    account.nothing_else(&[&first]);
}

#[test]
fn waiting_for_the_device_which_goes_and_comes_back() {
    let nic = Nic::veth();
    let mut tracer = Tracer::spawn(&nic, &["-i", "veth2", "--wait"]);
    wait_for_line(&mut tracer, "waiting for an XDP program on veth2");
    for (round, name) in ["component_one", "component_three"].into_iter().enumerate() {
        let device = nic.another("veth2");
        let (programs, called) = program(name);
        programs.attach(&device, Mode::Native, name);
        wait_for_line(&mut tracer, &format!("attached to {called} on veth2"));
        tracer.wait_until_it_listens();
        let traffic = Traffic::start(&device);
        wait_for_datagram(&mut tracer, &called);
        traffic.stop();
        nic.ip(&["link", "delete", "veth2"]);
        let took = wait_for_line(&mut tracer, &format!("detached from {called} on veth2"));
        assert_within(&format!("to notice that the device was gone ({round})"), took, NOTICED);
        is_released(programs, name);
    }
    let ended = tracer.end("INT");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(shown(&ended.stdout).iter().all(|shown| shown.device == "veth2"), "{:?}", ended.stdout);
    assert_eq!(ended.stderr.iter().filter(|line| *line == "Listening events...").count(), 1, "{ended:?}");
}

#[test]
fn a_signal_ends_the_waiting() {
    let nic = Nic::veth();
    let mut tracer = Tracer::spawn(&nic, &["-i", "veth0", "--wait"]);
    wait_for_line(&mut tracer, "waiting for an XDP program on veth0");
    let ended = tracer.end("INT");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(!ended.stderr.iter().any(|line| line == "Listening events..."), "{ended:?}");
}

/// Released, summed up, exit status 4.
#[test]
fn without_following_a_replaced_program_is_released() {
    let nic = Nic::veth();
    let (one, first) = program("component_one");
    let (two, second) = program("component_two");
    let ports = one.ports();
    let link = one.link(&nic, Mode::Native, "component_one");
    let mut tracer = Tracer::start(&nic, &["-i", "veth0", "--no-follow"]);
    let traffic = Traffic::start(&nic);
    wait_for_datagram(&mut tracer, &first);
    link.update(&two, "component_two");
    is_released(one, "component_one");
    let ended = tracer.wait();
    assert_eq!(ended.status.code(), Some(4), "{ended:?}");
    let line = format!("detached from {first} on veth0");
    assert!(ended.stderr.iter().any(|found| found.starts_with(&line)), "{ended:?}");
    assert!(ended.stderr.iter().any(|line| line.contains(" seen = ")), "{ended:?}");
    let sent = traffic.stop();
    let account = Account { ended: &ended, sent: &sent };
    account.all(&first, &ports);
    assert!(account.shown_of(&second).is_empty());
    assert_eq!(program_on(&nic), two.id("component_two"));
    drop(link);
}

#[test]
fn without_following_one_of_two_devices_goes_on() {
    let nic = Nic::veth();
    let other = nic.another("veth2");
    let (one, first) = program("component_one");
    let (two, second) = program("component_two");
    one.attach(&nic, Mode::Native, "component_one");
    two.attach(&other, Mode::Native, "component_two");
    let mut tracer = Tracer::start(&nic, &["-i", "veth0", "-i", "veth2", "--no-follow"]);
    detach(&nic, Mode::Native);
    wait_for_line(&mut tracer, &format!("detached from {first} on veth0"));
    is_released(one, "component_one");
    let traffic = Traffic::start(&other);
    wait_for_datagram(&mut tracer, &second);
    traffic.stop();
    detach(&other, Mode::Native);
    let ended = tracer.wait();
    assert_eq!(ended.status.code(), Some(4), "{ended:?}");
    assert!(ended.stderr.iter().any(|line| line.contains(" seen = ")), "{ended:?}");
}

/// Nobody else's operation fails or hangs because of a tracer.
#[test]
fn others_tools_work_as_without_a_tracer() {
    let nic = Nic::veth();
    let (ours, _) = program("same_fifteen_characters_pass");
    let id = ours.id("same_fifteen_characters_pass");
    // With the same traffic.
    let flood = nic.there_in_background(&["ping", "-n", "-q", "-i", "0.01", "192.0.2.1"]);
    let without = churn(&nic, 1, id);
    assert!(without.iter().all(|line| line.starts_with("0 ")), "{without:#?}");
    let before = programs_of_components();
    let tracer = Tracer::spawn(&nic, &["-i", "veth0", "-p", "all", "--wait"]);
    let with = churn(&nic, rounds(), id);
    assert_eq!(with.len(), without.len() * rounds() as usize);
    for (number, line) in with.iter().enumerate() {
        let expected = &without[number % without.len()];
        assert_eq!(line.split(' ').next(), expected.split(' ').next(), "command {number}: {line}");
    }
    // All that was replaced is gone, while the tracer still runs.
    let begun = Instant::now();
    wait_for("end of the replaced programs", || (programs_of_components() == before).then_some(()));
    assert_within("release of the replaced programs", begun.elapsed(), RELEASED);
    drop(flood);
    let ended = tracer.end("INT");
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.stderr);
    ended.counts();
    assert!(exists(id));
}

/// The kernel gives an index again, on demand at once.
#[test]
fn a_device_with_the_index_of_a_deleted_one_is_another() {
    let nic = Nic::veth();
    nic.attach("xdpgeneric", TARGETS, "target_pass");
    let mut tracer = Tracer::start(&nic, &["-i", "veth0"]);
    let index = ifindex(&nic);
    nic.ip(&["link", "delete", "veth0"]);
    nic.ip(&["link", "add", "another", "index", &index.to_string(), "type", "dummy"]);
    nic.ip(&["link", "set", "dev", "another", "xdpgeneric", "object", TARGETS, "program", "target_pass"]);
    tracer.wait_until("'detached'", |tracer| {
        tracer.stderr.iter().any(|line| line.starts_with("detached from target_pass#"))
    });
    nic.ip(&["link", "add", "veth0", "type", "dummy"]);
    nic.attach("xdpgeneric", TARGETS, "target_pass");
    let attached = format!("attached to {} on veth0: not traced from ", Known::on(&nic).called("target_pass"));
    tracer.wait_until(&attached, |tracer| tracer.stderr.iter().any(|line| line.starts_with(&attached)));
    let ended = tracer.end("INT");
    assert!(ended.stderr.iter().all(|line| !line.contains(" on another")), "{ended:#?}");
}

/// The tracer is in it, and would hold its devices.
#[test]
fn a_network_namespace_that_is_deleted_ends_the_run() {
    let name = format!("xdptrace-{}-deleted", std::process::id());
    output(&["ip", "netns", "add", &name]);
    output(&["ip", "-n", &name, "link", "add", "gone", "type", "dummy"]);
    let attach = format!("ip -n {name} link set dev gone xdpgeneric object {TARGETS} program target_pass");
    output(&attach.split(' ').collect::<Vec<_>>());
    let words = [XDPTRACE, "-i", "gone", "--netns", &name].map(str::to_owned);
    let tracer = Tracer::start_command(&words);
    output(&["ip", "netns", "delete", &name]);
    let ended = tracer.wait();
    assert_eq!(ended.status.code(), Some(4), "{ended:?}");
    assert!(ended.stderr.last().unwrap().contains(&format!("network namespace {name} is gone")), "{ended:?}");
    assert!(ended.stderr.iter().any(|line| line.contains(" seen = ")), "{ended:?}");
}

/// Who asks the kernel of a link holds it for a moment, and the device with it.
#[test]
fn a_link_that_is_closed_leaves_the_device_free_at_once() {
    let nic = Nic::veth();
    let (programs, _) = program("component_one");
    let attach_and_close = || (0..50).for_each(|_| drop(programs.link(&nic, Mode::Native, "component_one")));
    attach_and_close();
    let mut tracer = Tracer::spawn(&nic, &["-i", "veth0", "-p", "all", "--wait"]);
    tracer.wait_until("'waiting'", |tracer| tracer.stderr.iter().any(|line| line.starts_with("waiting for ")));
    attach_and_close();
    let link = programs.link(&nic, Mode::Native, "component_one");
    tracer.wait_until_it_listens();
    assert!(tracer.end("INT").status.success());
    drop(link);
}
