//! What becomes of a verdict: what the kernel says of it, by lines of kernels, and that the tracer says the same.

mod said;
mod table;
mod told;

use serde_json::{Value, json};

use crate::kernel_events::KernelEvents;
use crate::lab::{Nic, TARGETS};
use crate::loader::{FIRST_PORT, Mode, ifindex};
use crate::scenes::{Bond, Entry, Lab};
use crate::tracer::Tracer;
use said::{Ours, an_entry_receives_one, bond_takes_it, is_said, members_receive_one_each, should_be_said};
use table::{Expected, played};
use told::{
    Asked, Forwarded, forwarded, play_under, should_be_forwarded, should_be_told, told_in_json, told_in_text, told_of,
};

/// By no code of the tracer's: what all the others here take for granted.
#[test]
fn the_kernel_says_what_the_table_says() {
    let events = KernelEvents::record();
    let lab = Lab::new();
    let (ours, mut before) = (Ours::of(&lab), 0);
    for mode in [Mode::Native, Mode::Generic] {
        lab.attach(mode);
        for (number, scene, expected) in played(mode) {
            lab.play(number, &scene);
            let should_be = should_be_said(&lab, &scene, &expected);
            is_said(&events, &ours, &mut before, &format!("{mode:?} {}", scene.name), should_be);
        }
    }
    drop(lab);
    let bond = Bond::new();
    if bond_takes_it(&bond) {
        members_receive_one_each(&bond, &events);
    }
    drop(events);
    an_entry_receives_one(&Entry::new(), &KernelEvents::record());
}

fn outcomes_are_told(mode: Mode) {
    let lab = Lab::new();
    lab.attach(mode);
    let ended = play_under(
        &lab,
        mode,
        &[
            &["-o", "json", "--outcome", "all"],
            &["-o", "text", "--outcome", "all"],
            &["-o", "json"],
            &["-o", "text", "--only-failed"],
            &["-o", "json", "--outcome", "off"],
        ],
    );
    let json = |asked: Asked| {
        should_be_told(mode, |scene, expected| Some((expected.verdict.to_owned(), expected.json(asked, &lab, scene))))
    };
    let text = |asked: Asked, is_shown: fn(&Expected) -> bool| {
        should_be_told(mode, |scene, expected| is_shown(expected).then(|| expected.text(asked, &lab, scene)))
    };
    assert_eq!(told_in_json(&ended[0].stdout), json(Asked::All));
    assert_eq!(told_in_text(&ended[1].stdout), text(Asked::All, |_| true));
    assert_eq!(told_in_json(&ended[2].stdout), json(Asked::Failed));
    assert_eq!(told_in_text(&ended[3].stdout), text(Asked::Failed, Expected::is_failure));
    assert_eq!(told_in_json(&ended[4].stdout), json(Asked::Off));
    assert_eq!(forwarded(&ended[0].stdout), should_be_forwarded(&lab, mode));
}

#[test]
fn outcomes_of_native_programs() {
    outcomes_are_told(Mode::Native);
}

#[test]
fn outcomes_of_generic_programs() {
    outcomes_are_told(Mode::Generic);
}

#[test]
fn a_bond_redirects_what_its_member_sends_back() {
    let bond = Bond::new();
    if !bond_takes_it(&bond) {
        return;
    }
    let words: [&[&str]; 2] = [&["-o", "json", "--outcome", "all"], &["--outcome", "all"]];
    let mut tracers = words.map(|words| Tracer::spawn(&bond.bond, &[&["-i", "bond0"], words, &["udp"]].concat()));
    tracers.iter_mut().for_each(Tracer::wait_until_it_listens);
    members_receive_one_each(&bond, &KernelEvents::record());
    let [in_json, in_text] = tracers.map(|tracer| tracer.end("INT").stdout);
    let told = |outcome: Value| (FIRST_PORT, ("XDP_TX".to_owned(), outcome));
    let redirected = json!({"status": "redirected", "to": "bond0"});
    // Of two CPUs either may be read first.
    let (mut lines, mut words) = (told_in_json(&in_json), told_in_text(&in_text));
    lines.sort_by_key(|(_, (_, outcome))| outcome.to_string());
    words.sort_unstable();
    assert_eq!(lines, [told(Value::Null), told(redirected)]);
    let told = ["XDP_TX", "XDP_TX -> redirected by bond0"];
    assert_eq!(words, told.map(|verdict| (FIRST_PORT, verdict.to_owned())));
}

/// XDP_TX of a program at a device that is about to send.
#[test]
fn what_cannot_be_sent_back_has_failed() {
    let entry = Entry::new();
    let words: [&[&str]; 2] = [&["-o", "json"], &["-o", "text"]];
    let mut tracers = words
        .map(|words| Tracer::spawn(&entry.nic, &[&["-i", "veth0", "-p", "back_at_exit"], words, &["udp"]].concat()));
    tracers.iter_mut().for_each(Tracer::wait_until_it_listens);
    an_entry_receives_one(&entry, &KernelEvents::record());
    let [in_json, in_text] = tracers.map(|tracer| tracer.end("INT").stdout);
    let exception = json!({"status": "exception"});
    assert_eq!(told_in_json(&in_json), [(FIRST_PORT, ("XDP_TX".to_owned(), exception))]);
    assert_eq!(told_of("back_at_exit", &in_text), [(FIRST_PORT, "XDP_TX -> failed".to_owned())]);
}

/// The driver can, and the kernel says nothing of it.
#[test]
fn virtio_tx_comes_to_nothing_else() {
    let nic = Nic::virtio();
    nic.attach("xdpdrv", TARGETS, "target_tx");
    let events = KernelEvents::record();
    let ours = Ours { programs: vec![nic.program_id() as u32], devices: vec![ifindex(&nic) as u32], cpus: 0 };
    let mut tracer = Tracer::start(&nic, &["-i", "eth0", "-o", "json", "--outcome", "all", "icmp"]);
    nic.ping(1);
    tracer.wait_for_lines(1, "\"XDP_TX\"");
    is_said(&events, &ours, &mut 0, "virtio", Vec::new());
    let ended = tracer.end("INT");
    assert!(ended.stdout.iter().all(|line| !line.contains("\"outcome\"")), "{ended:?}");
    assert_eq!(forwarded(&ended.stdout), Forwarded::new());
}
