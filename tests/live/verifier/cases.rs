//! What is loaded: command lines, each with what its probes are aimed at. Together they have each branch of src/bpf taken
//! that a setting leads to.

use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use libbpf_rs::ObjectBuilder;
use xdptrace::passthrough;
use xdptrace::plan::{Plan, Tracing};
use xdptrace::probe::{Aim, Filter, Loaded, Maps, Wanted};
use xdptrace::target::{Function, Place};

use crate::lab::TARGETS;
use crate::loader::CHAINS;

/// One loading.
pub struct Case {
    /// What its rows begin with.
    pub name: &'static str,
    words: Vec<String>,
    aim: At,
    devices: Wanted,
    can_read: bool,
}

/// What probes are aimed at.
#[derive(Clone, Copy)]
enum At {
    /// A program whose context is declared by its type.
    Entry(Place),
    /// One whose context is a `void *`: five numbers are all that the verifier lets probes see.
    Untyped,
    /// A function that takes the context behind another parameter.
    Function,
}

const DEVICE: At = At::Entry(Place::Device);
const ONE: Wanted = Wanted::One { netns: 4_026_531_840, ifindex: 2 };
const EVERY_KEY: [&str; 4] = ["--by", "flow,vlan,length", "--prefix", "24/64"];
/// All that a run can be asked for.
const EVERY_CHOICE: [&str; 11] =
    ["--verdict", "drop,tx", "--changed", "--slower", "2us", "--queue", "1", "--sample", "10", "--rate", "100"];
/// Of packets and their lengths, also behind the bytes that are looked at first.
const FILTER: [&str; 1] = ["len > 60 and (udp port 9 or ip6) or ether[200] = 7"];

/// A large filter; tests/live/filter.rs has one that fills the place for it.
fn large_filter() -> String {
    let ports: Vec<String> = (1..=300).map(|port| format!("udp dst port {port}")).collect();
    ports.join(" or ")
}

fn case(name: &'static str, aim: At, words: &[&[&str]]) -> Case {
    let words = words.concat().iter().map(|word| (*word).to_owned()).collect();
    Case { name, words, aim, devices: ONE, can_read: true }
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let mut cases = told();
    cases.extend(aimed());
    cases.extend(counted());
    cases
}

/// By what is told of runs, and of which.
fn told() -> Vec<Case> {
    let trace = |name, words: &[&str]| case(name, DEVICE, &[&["-i", "lo"], words]);
    vec![
        trace("both", &[]),
        trace("entry", &["--probe", "entry"]),
        trace("exit", &["--probe", "exit"]),
        trace("short", &["-s", "64"]),
        trace("long", &["-s", "1500"]),
        trace("long-exit", &["-s", "1500", "--probe", "exit"]),
        trace("outcome-all", &["--outcome", "all"]),
        trace("only-failed", &["--only-failed"]),
        trace("choice", &EVERY_CHOICE),
        trace("choice-filter", &[&EVERY_CHOICE[..], &FILTER].concat()),
        trace("choice-filter-long", &[&EVERY_CHOICE[..], &["-s", "1500"], &FILTER].concat()),
        trace("filter", &FILTER),
        trace("filter-entry", &["--probe", "entry", "icmp"]),
        trace("filter-exit", &["--filter-at", "exit", FILTER[0]]),
        trace("filter-exit-alone", &["--filter-at", "exit", "--probe", "exit", FILTER[0]]),
        trace("filter-large", &[&large_filter()]),
    ]
}

/// By what probes are aimed at.
fn aimed() -> Vec<Case> {
    let all = [&["-i", "lo", "--outcome", "all"], &EVERY_CHOICE[..], &FILTER].concat();
    let plain = |name, aim| case(name, aim, &[&["-i", "lo"]]);
    let with_all = |name, aim| case(name, aim, &[&all]);
    let stats = ["stats", "-i", "lo"];
    vec![
        plain("untyped", At::Untyped),
        with_all("untyped-all", At::Untyped),
        plain("function", At::Function),
        with_all("function-all", At::Function),
        plain("devmap", At::Entry(Place::Devmap)),
        with_all("devmap-all", At::Entry(Place::Devmap)),
        plain("cpumap", At::Entry(Place::Cpumap)),
        with_all("cpumap-all", At::Entry(Place::Cpumap)),
        Case { devices: Wanted::All, ..plain("devices-any", DEVICE) },
        Case { devices: Wanted::Netns(4_026_531_840), ..plain("devices-netns", DEVICE) },
        Case { devices: Wanted::Listed, ..plain("devices-listed", DEVICE) },
        Case { can_read: false, ..plain("lockdown", DEVICE) },
        Case { can_read: false, ..case("lockdown-stats", DEVICE, &[&stats]) },
    ]
}

/// Where runs are counted instead.
fn counted() -> Vec<Case> {
    let stats = |name, words: &[&str]| case(name, DEVICE, &[&["stats", "-i", "lo"], words]);
    let in_place = |name, aim| case(name, aim, &[&["stats", "-i", "lo"]]);
    let choice = ["--verdict", "drop", "--slower", "2us", "--queue", "1"];
    vec![
        stats("stats", &[]),
        stats("stats-exit", &["--probe", "exit"]),
        stats("stats-choice", &[&choice[..], &FILTER].concat()),
        stats("stats-by", &EVERY_KEY),
        stats("stats-by-both", &[&EVERY_KEY[..], &["--probe", "both"]].concat()),
        stats("stats-by-filter", &[&EVERY_KEY[..], &FILTER].concat()),
        stats("stats-by-choice", &[&EVERY_KEY[..], &["--probe", "both"], &choice, &FILTER].concat()),
        Case { devices: Wanted::All, ..stats("stats-any", &[]) },
        Case { devices: Wanted::All, ..stats("stats-any-by", &EVERY_KEY) },
        in_place("stats-untyped", At::Untyped),
        in_place("stats-function", At::Function),
        in_place("stats-devmap", At::Entry(Place::Devmap)),
        in_place("stats-cpumap", At::Entry(Place::Cpumap)),
        case("top", DEVICE, &[&["top", "-i", "lo"]]),
        case("top-by", DEVICE, &[&["top", "-i", "lo", "--by", "flow"], &FILTER]),
    ]
}

impl Case {
    /// Loads its programs, and lets go of them again.
    pub fn load(&self) -> Result<()> {
        let plan = self.plan()?;
        let filter = Filter::compile(&plan.selection.filter)?;
        let maps = Maps::create(&plan)?;
        let (program, function, place) = self.aim.open()?;
        let aim = Aim {
            number: 0,
            function,
            place,
            probes: plan.selection.attached(),
            devices: self.devices,
            selection: &plan.selection,
            counting: plan.counting.as_ref(),
            root: Some(1),
            filter: filter.as_ref(),
            can_read: self.can_read,
            shown: self.name.into(),
        };
        Loaded::new(&aim, program.as_fd(), &maps).map(drop)
    }

    fn plan(&self) -> Result<Tracing> {
        let words = ["xdptrace"].into_iter().chain(self.words.iter().map(String::as_str));
        Ok(match Plan::new(words.map(Into::into))? {
            Plan::Trace(tracing) => *tracing,
            Plan::Stats(stats) => stats.tracing,
            Plan::Top(top) => top.tracing,
            other => panic!("{}: {other:?}", self.name),
        })
    }
}

impl At {
    /// What it is, open.
    fn open(self) -> Result<(OwnedFd, Function, Place)> {
        let typed = Function { context: Some(0), typed: true, parameters: 1, returns: true, ..Function::default() };
        let named = |name: &str, function: Function| Function { name: name.into(), ..function };
        Ok(match self {
            Self::Entry(place) => (passthrough::load()?, named(passthrough::FUNCTION, typed), place),
            Self::Untyped => {
                let function = Function { context: None, typed: false, ..named("target_untyped", typed) };
                (load(TARGETS, "target_untyped")?, function.as_entry(), Place::Device)
            }
            Self::Function => {
                let function = Function { context: Some(1), parameters: 2, is_static: true, ..typed };
                (load(CHAINS, "functions")?, named("function_static", function), Place::Device)
            }
        })
    }
}

/// Loads one program of an object.
fn load(object: &str, name: &str) -> Result<OwnedFd> {
    let mut open = ObjectBuilder::default().open_file(object)?;
    open.progs_mut().for_each(|mut program| program.set_autoload(program.name() == name));
    let object = open.load()?;
    let program = object.progs().find(|program| program.name() == name).context("no such program")?;
    Ok(program.as_fd().try_clone_to_owned()?)
}
