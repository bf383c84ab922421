//! Screens, from fixed numbers that were worked out by hand.

#![allow(clippy::unwrap_used, clippy::panic)]
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::draw::draw;
use super::keys::keys;
use super::model::{Model, View, Wish};
use super::tree::{Live, grow};
use crate::event::{Device, Event, Standing, Subject, Verdict};
use crate::numbers::{Behind, Common, Failures, Keys, Latency, Numbers, Port, Program, Returned, Row, Tally, Traffic};
use crate::plan::{By, Palette, Part};

const SECOND: u64 = 1_000_000_000;
/// When the first reading was.
const START: u64 = 1_700_000_000 * SECOND;
const PLAIN: Palette = Palette { colored: false, unicode: false };

const ABORTED: Returned = Returned::Action(Verdict(0));
const DROP: Returned = Returned::Action(Verdict(1));
const PASS: Returned = Returned::Action(Verdict(2));
const TX: Returned = Returned::Action(Verdict(3));

/// By its last digit, whatever it is called.
fn port(name: &str) -> Port {
    let ifindex = 2 + name.chars().last().and_then(|digit| digit.to_digit(10)).unwrap_or_default();
    Port { name: Some(name.into()), netns: 1, ifindex, ..Port::default() }
}

/// With packets of 100 bytes each.
fn program(id: u32, function: &str, device: &str, verdicts: &[(Returned, u64)]) -> Program {
    let tally = |packets| Tally { packets, bytes: packets * 100 };
    let verdicts: BTreeMap<_, _> = verdicts.iter().map(|(returned, packets)| (*returned, tally(*packets))).collect();
    Program {
        subject: Subject {
            program_id: id,
            program_name: function.chars().take(15).collect(),
            function: function.into(),
            devices: vec![device.into()],
        },
        is_traced: true,
        traffic: vec![Traffic { device: port(device), queue: Some(0), verdicts, latency: None }],
        ..Program::default()
    }
}

/// … and runs of 256 to 320 ns, and some of 1024 to 1280 ns.
fn timed(mut program: Program, short: u64, long: u64) -> Program {
    let mut latency = Latency::default();
    (latency.steps[28], latency.steps[36]) = (short, long);
    latency.max_ns = if long > 0 { 1200 } else { 300 };
    program.traffic[0].latency = Some(latency);
    program
}

fn behind(mut program: Program, id: u32, role: &str) -> Program {
    program.behind = Some(Behind { program_id: id, role: role.into() });
    program
}

fn failing(mut program: Program, count: u64) -> Program {
    let failures =
        Failures { device: port("eth0"), verdict: Returned::Action(Verdict(4)), error: Some("ENETDOWN".into()), count };
    program.failures = vec![failures];
    program
}

/// Of each packets, and of these, those of the last second.
fn keyed(mut program: Program, web: [u64; 2], dns: [u64; 2]) -> Program {
    let row = |source: &str, destination_port, verdict, [packets, came]: [u64; 2]| Row {
        key: Common { source: source.parse().ok(), destination_port, ..Common::default() },
        verdict,
        tally: Tally { packets, bytes: packets * 100 },
        came: Tally { packets: came, bytes: came * 100 },
    };
    let rows = vec![row("192.0.2.7", Some(443), DROP, web), row("2001:db8::1", None, PASS, dns)];
    let (other, others_came) = (Tally { packets: 5, bytes: 500 }, Tally::default());
    program.keys = Some(Keys { rows: rows.into(), other, others_came, evicted: 3 });
    program
}

/// A dispatcher with two components on eth0, and a balancer on eth1.
fn reading(second: u64, dropped: u64) -> Numbers {
    let dispatcher = timed(program(11, "xdp_dispatcher", "eth0", &[(PASS, 750 * second), (DROP, dropped)]), second, 0);
    let first = behind(program(19, "component_one", "eth0", &[(PASS, 1000 * second)]), 11, "component 0");
    let second_one = program(38, "component_two", "eth0", &[(PASS, 750 * second), (DROP, dropped)]);
    let second_one = behind(timed(second_one, 99 * second, second * second), 11, "component 1");
    let balancer = program(7, "xdp_balancer", "eth1", &[(TX, 12_345_678 * second), (ABORTED, second)]);
    Numbers {
        time_ns: START + second * SECOND,
        programs: vec![
            keyed(failing(dispatcher, 3 * second), [dropped, dropped / 2], [750 * second, 750]),
            first,
            second_one,
            timed(balancer, second, 0),
        ],
        ..Numbers::default()
    }
}

/// After 1, 2 and 3 seconds: 250, 250 and 500 were dropped in each.
fn model(palette: Palette) -> Model {
    let parts = vec![Part::Source, Part::DestinationPort];
    let mut model = Model::new(palette, Some(By { parts, prefix4: 32, prefix6: 128, rows: 200 }));
    [(1, 250), (2, 500), (3, 1000)].into_iter().for_each(|(second, dropped)| model.read(&reading(second, dropped)));
    model
}

fn press(model: &mut Model, pressed: &str) {
    keys(pressed.as_bytes()).into_iter().for_each(|key| assert_eq!(model.press(key), Wish::Nothing, "{key:?}"));
}

fn drop_packets(model: &mut Model, count: u64) {
    for number in 0..count {
        let event = Event {
            time_ns: START + 2 * SECOND + number,
            device: Some(Device { netns: 1, ifindex: 2, name: Some("eth0") }),
            function: Some("component_two"),
            program_id: Some(38),
            verdict: Some(Verdict(if number == 0 { 0 } else { 1 })),
            ..Event::NOTHING_KNOWN
        };
        model.dropped(&event, format!("IP 192.0.2.2.{number} > 192.0.2.1.53: UDP, length 9\x1b[2J").as_bytes());
    }
}

fn drawn(model: &Model, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model)).unwrap();
    terminal.backend().buffer().clone()
}

/// Each line ends with a bar, so that its length is seen.
fn text(screen: &Buffer) -> String {
    let lines = screen.content().chunks(screen.area().width.into());
    lines.map(|line| line.iter().map(ratatui::buffer::Cell::symbol).collect::<String>() + "|\n").collect()
}

/// … with the colours and the like, where they change.
fn styled(screen: &Buffer) -> String {
    let mut made = String::new();
    for line in screen.content().chunks(screen.area().width.into()) {
        let mut style = None;
        for cell in line {
            if style.replace((cell.fg, cell.modifier)) != Some((cell.fg, cell.modifier)) {
                made += &format!("<{} {:?}>", cell.fg, cell.modifier);
            }
            made += cell.symbol();
        }
        made += "\n";
    }
    made
}

/// GOLDEN=new writes it anew, to be read before it is committed.
fn compare(name: &str, made: &str) {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/sink/top/snapshots")).join(format!("{name}.txt"));
    if std::env::var_os("GOLDEN").is_some_and(|how| how == "new") {
        fs::write(&path, made).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert!(made == expected, "{name} is now:\n{made}");
}

fn show(name: &str, model: &Model, width: u16, height: u16) {
    compare(name, &text(&drawn(model, width, height)));
}

#[test]
fn the_tree_fits_screens_of_all_sizes() {
    let model = model(PLAIN);
    for (width, height) in [(120, 30), (100, 12), (80, 24), (60, 10), (40, 10), (40, 5), (39, 5), (20, 5), (1, 1)] {
        show(&format!("tree-{width}x{height}"), &model, width, height);
    }
}

#[test]
fn colors_and_blocks_are_used_where_they_can_be() {
    let mut model = model(Palette { colored: true, unicode: true });
    compare("colored", &styled(&drawn(&model, 120, 10)));
    press(&mut model, "jd");
    compare("colored-detail", &styled(&drawn(&model, 80, 20)));
}

#[test]
fn nothing_counted_is_no_numbers() {
    let mut model = Model::new(PLAIN, None);
    show("empty", &model, 80, 8);
    press(&mut model, "d");
    show("empty-detail", &model, 80, 8);
    press(&mut model, "jkGg\x1b[5~\x1b[6~rsb?");
    model.read(&Numbers { time_ns: START, ..Numbers::default() });
    press(&mut model, "?d");
    show("empty-reading", &model, 80, 8);
}

#[test]
fn one_reading_has_no_rates() {
    let mut model = Model::new(PLAIN, None);
    model.read(&Numbers {
        time_ns: START,
        programs: vec![program(12, "xdp_lb", "eth0", &[(PASS, 3)])],
        ..Default::default()
    });
    show("one-program", &model, 80, 8);
    model.read(&Numbers {
        time_ns: START + SECOND / 2,
        programs: vec![program(12, "xdp_lb", "eth0", &[(PASS, 5)])],
        ..Default::default()
    });
    show("one-program-later", &model, 80, 8);
}

#[test]
fn a_program_without_its_dispatcher_leaves_the_device_unknown() {
    let numbers = |second| {
        let mut numbers = reading(second, 0);
        numbers.programs.remove(0);
        numbers.programs[2].is_traced = false;
        numbers
    };
    let mut model = Model::new(PLAIN, None);
    [1, 2].map(numbers).iter().for_each(|numbers| model.read(numbers));
    show("components-alone", &model, 80, 8);
}

#[test]
fn a_program_that_replaces_another_counts_from_nothing() {
    let numbers = |second, is_old_traced, new: &[(Returned, u64)]| {
        let mut old = program(12, "xdp_lb", "eth0", &[(PASS, 1_000_000)]);
        old.is_traced = is_old_traced;
        let new = program(13, "xdp_lb", "eth0", new);
        let programs = if is_old_traced { vec![old] } else { vec![old, new] };
        Numbers { time_ns: START + second * SECOND, programs, ..Numbers::default() }
    };
    let mut model = Model::new(PLAIN, None);
    model.read(&numbers(0, true, &[]));
    model.read(&numbers(1, false, &[(DROP, 10)]));
    show("replaced", &model, 80, 6);
    model.read(&numbers(2, false, &[(DROP, 30)]));
    show("replaced-later", &model, 80, 6);
}

#[test]
fn rates_are_those_of_a_device_whatever_it_was_called_before() {
    let numbers = |second, devices: &[(Port, u64)]| {
        let mut program = program(12, "xdp_lb", "eth0", &[]);
        let of = |(device, packets): &(Port, u64)| {
            let verdicts = [(PASS, Tally { packets: *packets, bytes: 0 })].into_iter().collect();
            Traffic { device: device.clone(), verdicts, ..Traffic::default() }
        };
        program.traffic = devices.iter().map(of).collect();
        Numbers { time_ns: START + second * SECOND, programs: vec![program], ..Numbers::default() }
    };
    let named = |name: &str, ifindex| Port { ifindex, ..port(name) };
    let gone = Port { standing: Standing::Gone, name: Some("eth3".into()), ..Port::default() };
    let before = numbers(0, &[(named("eth0", 2), 1000), (named("eth1", 3), 300), (named("eth3", 5), 50)]);
    // One has got another name, one that name, one is new, and one has gone, whose name another one has got.
    let after =
        [(named("wan0", 2), 1010), (named("eth0", 3), 305), (named("eth2", 4), 7), (named("eth3", 6), 2), (gone, 51)];
    let tree = grow(&numbers(1, &after), Some(&before));
    let rates: Vec<(&str, f64)> =
        tree.iter().map(|row| (&*row.name, row.live.as_ref().map_or(-1.0, Live::packets))).collect();
    assert_eq!(rates, [("eth0", 5.0), ("wan0", 10.0), ("eth2", 7.0), ("eth3", 3.0)]);
}

#[test]
fn the_detail_pane_shows_all_of_a_row() {
    let mut model = model(PLAIN);
    drop_packets(&mut model, 20);
    press(&mut model, "\r");
    show("detail-device", &model, 80, 24);
    press(&mut model, "jjj");
    show("detail-component", &model, 80, 24);
    show("detail-component-120x30", &model, 120, 30);
    show("detail-component-40x10", &model, 40, 10);
    press(&mut model, "j");
    show("detail-not-failing", &model, 80, 16);
    press(&mut model, "\x1b");
    assert_eq!(model.view, View::Tree);
}

#[test]
fn what_is_paused_stands_still() {
    let mut model = model(PLAIN);
    let before = text(&drawn(&model, 80, 10));
    press(&mut model, " ");
    model.read(&reading(10, 2000));
    drop_packets(&mut model, 1);
    show("paused", &model, 80, 10);
    let lines = |screen: &str| screen.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&text(&drawn(&model, 80, 10))), lines(&before));
    press(&mut model, "p");
    assert_ne!(lines(&text(&drawn(&model, 80, 10))), lines(&before));
}

#[test]
fn what_packets_have_in_common_is_a_view_of_its_own() {
    let mut model = model(PLAIN);
    press(&mut model, "b");
    show("by", &model, 80, 12);
    press(&mut model, "jj");
    show("by-nothing", &model, 80, 12);
    press(&mut model, "\t");
    assert_eq!(model.view, View::Tree);
}

#[test]
fn keys_are_explained() {
    let mut model = model(PLAIN);
    press(&mut model, "?");
    show("help", &model, 80, 24);
    press(&mut model, "\x1b");
    assert!(!model.helps);
}

#[test]
fn rows_are_sorted_and_the_selected_one_stays() {
    let mut model = model(PLAIN);
    press(&mut model, "jjjs");
    model.message = Some("detached from xdp_lb#12 on eth0".into());
    show("sorted", &model, 80, 10);
    press(&mut model, "<r");
    show("reversed", &model, 80, 10);
    press(&mut model, "r>>>>>>");
    assert_eq!(model.sort.name(), "name");
}

#[test]
fn the_selected_row_is_on_the_screen() {
    let mut model = model(PLAIN);
    press(&mut model, "G");
    show("scrolled", &model, 40, 5);
}

#[test]
fn keys_that_end_it_end_it() {
    for pressed in ["q", "\x03", "\x1b", "d\x1b\x1b", "?q"] {
        let mut model = model(PLAIN);
        let last = keys(pressed.as_bytes()).into_iter().map(|key| model.press(key)).last();
        assert_eq!(last, Some(Wish::Quit), "{pressed:?}");
    }
}

#[test]
fn any_screen_can_be_drawn_in_any_size() {
    for pressed in ["", "d", "b", "?", "jjjd", "jb", "Gsss"] {
        let mut model = model(PLAIN);
        drop_packets(&mut model, 20);
        model.message = Some("words".into());
        press(&mut model, pressed);
        for width in [1, 2, 9, 39, 40, 41, 50, 58, 67, 81, 90, 150] {
            (1..30).for_each(|height| drop(drawn(&model, width, height)));
        }
    }
}
