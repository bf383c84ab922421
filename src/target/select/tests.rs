//! What is selected of which trees.

#![allow(clippy::unwrap_used)]
use std::rc::Rc;

use super::super::device::Device;
use super::super::links::Mode;
use super::super::maps::{Entry, Way};
use super::*;

fn node(id: u32, function: &str, role: Role) -> Node {
    let entry = Function { name: function.into(), type_id: id, context: Some(0), typed: true, ..Function::default() };
    let helper = Function { name: "parse".into(), type_id: 1000, context: Some(1), ..Function::default() };
    let name = function.chars().take(15).collect();
    let program = Program { id, name, jited: true, functions: vec![entry, helper], ..Program::default() };
    Node {
        role,
        program: Rc::new(program),
        obstacle: None,
        held: vec![],
        tail_calls: false,
        tracers: vec![],
        note: None,
        children: vec![],
    }
}

fn component(id: u32, function: &str, position: u32) -> Node {
    node(id, function, Role::Component { position: Some(position), actions: None })
}

fn tree(device: &str, programs: Vec<Node>) -> Tree {
    let device = Device { name: device.into(), ifindex: 1, netns: 1, members: vec![] };
    Tree { device: Some(device), programs }
}

/// A dispatcher with two components, one of which tail-calls.
fn dispatcher() -> Tree {
    let entry =
        Entry { way: Way::TailCall, map: 9, map_name: "jmp".into(), keys: vec![0], devices: vec![], program: 14 };
    let mut tail = node(14, "parse_tail", Role::Map(entry));
    tail.obstacle = Some(Obstacle::TailCalledOnly { seen_at: "xdp_filter_with_long_name_b#13".into() });
    let mut second = component(13, "xdp_filter_with_long_name_b", 1);
    second.tail_calls = true;
    second.children.push(tail);
    let mut root = node(11, "xdp_dispatcher", Role::Device(Mode::Native));
    root.children = vec![component(12, "xdp_filter_with_long_name_a", 0), second];
    tree("eth0", vec![root])
}

fn select_words(trees: &[Tree], words: &str, guards: &Guards) -> Selection {
    let words = ["xdptrace", "-i", "eth0", "-p", words];
    let plan = crate::plan::Plan::new(words.map(Into::into)).unwrap();
    let crate::plan::Plan::Trace(tracing) = plan else { unreachable!() };
    select(trees, &tracing.scope.narrowing, guards)
}

fn ids(selection: &Selection) -> Vec<u32> {
    selection.targets.iter().map(|target| target.program).collect()
}

#[test]
fn by_default_it_is_the_devices_own_program() {
    assert_eq!(ids(&select(&[dispatcher()], &[], &Guards::default())), [11]);
}

#[test]
fn a_single_component_stands_for_the_dispatcher_that_it_holds() {
    let mut tree = dispatcher();
    tree.programs[0].children.truncate(1);
    tree.programs[0].obstacle = Some(Obstacle::Held { function: "xdp_dispatcher".into(), by: 12 });
    assert_eq!(ids(&select(&[tree.clone()], &[], &Guards::default())), [12]);
    let all = select_words(&[tree], "all", &Guards::default());
    assert_eq!(ids(&all), [12]);
    assert_eq!(all.targets[0].behind, None);
    let expected = "xdp_dispatcher#11 on eth0: xdp_dispatcher is held by EXT program 12";
    assert_eq!(all.refused[0].to_string(), expected);
}

#[test]
fn components_are_behind_their_dispatcher_and_functions_behind_their_program() {
    let behind = |words| {
        let targets = select_words(&[dispatcher()], words, &Guards::default()).targets;
        let behind = targets.into_iter().map(|target| target.behind.map(|it| (it.program_id, it.role)));
        behind.collect::<Vec<_>>()
    };
    let component = |position| Some((11, format!("component {position}")));
    assert_eq!(behind("all"), [None, component(0), component(1)]);
    assert_eq!(behind("12:parse"), [Some((12, "function".into()))]);
}

#[test]
fn all_is_what_can_be_entered_and_why_the_rest_cannot() {
    let all = select_words(&[dispatcher()], "all", &Guards::default());
    assert_eq!(ids(&all), [11, 12, 13]);
    let expected = "parse_tail#14 on eth0: entered only by tail call: its entry never fires; the verdict is seen at \
                    xdp_filter_with_long_name_b#13";
    assert_eq!(all.refused[0].to_string(), expected);
}

#[test]
fn names_are_whole_or_the_kernels_and_one_of_several_is_ambiguous() {
    let trees = [dispatcher()];
    let chosen = |words| select_words(&trees, words, &Guards::default());
    assert_eq!(ids(&chosen("xdp_filter_with_long_name_b")), [13]);
    assert_eq!(ids(&chosen("xdp_filter_with@12,13")), [12, 13]);
    let cut = chosen("xdp_filter_with");
    assert!(cut.targets.is_empty());
    let expected = "program name 'xdp_filter_with' is ambiguous: xdp_filter_with_long_name_a@12, \
                    xdp_filter_with_long_name_b@13 on eth0: name one of these";
    assert_eq!(cut.refused[0].to_string(), expected);
    let mut unknown = chosen("xdp_filter");
    unknown.refuse_missing(&trees);
    assert!(unknown.refused[0].to_string().starts_with("no program xdp_filter on eth0: there are xdp_dispatcher@11, "));
}

#[test]
fn one_program_on_two_devices_is_traced_once() {
    let selection = select(&[dispatcher(), Tree { ..tree("eth1", dispatcher().programs) }], &[], &Guards::default());
    assert_eq!(
        selection.targets.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["xdp_dispatcher#11 on eth0, eth1"]
    );
}

#[test]
fn a_subprogram_of_a_tail_calling_program_is_refused_where_that_is_a_hazard() {
    let guards = Guards { subprogram: Some("panics".into()), ..Guards::default() };
    let chosen = |words: &str, guards: &Guards| select_words(&[dispatcher()], words, guards);
    assert_eq!(
        chosen("13:parse", &guards).refused[0].to_string(),
        "xdp_filter_with_long_name_b#13:parse on eth0: panics"
    );
    assert_eq!(ids(&chosen("13:parse", &Guards::default())), [13]);
    // Its entry function, and the functions of a program that doesn't tail-call, are safe.
    assert_eq!(ids(&chosen("13,12:parse", &guards)), [13, 12]);
    assert!(chosen("13:nosuch", &guards).refused[0].why.contains("no such function"));
}

#[test]
fn a_tail_calling_program_gets_fexit_alone_where_a_second_probe_is_a_hazard() {
    let guards = Guards { second_probe: Some("panics".into()), ..Guards::default() };
    let probes =
        |trees: &[Tree]| select_words(trees, "12,13", &guards).targets.iter().map(|one| one.probes).collect::<Vec<_>>();
    assert_eq!(probes(&[dispatcher()]), [Probes::Both, Probes::Exit]);
    // Somebody else's probe is the first one.
    let mut traced = dispatcher();
    traced.programs[0].children[1].tracers = vec![99];
    assert_eq!(probes(&[traced.clone()]), [Probes::Both]);
    let own = Guards { own: [99].into(), ..guards.clone() };
    assert_eq!(select_words(&[traced], "13", &own).targets[0].probes, Probes::Exit);
}
