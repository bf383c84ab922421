//! Each BPF program of src/bpf passes the verifier, however it is set and whatever it is aimed at, and takes no more of it
//! than is known (tests/live/verifier/known).
//!
//! `make verifier` shows the figures, by each clang, and tells how to note new ones.

mod cases;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::mem;
use std::sync::Mutex;

use libbpf_rs::PrintLevel;

use crate::lab::kernel;
use cases::{Case, cases};

/// How many instructions the verifier may look at for a program: of a million, so that there is room for kernels to come.
const MOST: u32 = 20_000;
/// … and how many times as many as are known.
const MOST_TIMES: u32 = 2;

/// The figures of this clang (Debian 12's default) on each kernel line; another one's may be some times as many.
const KNOWN: &str = include_str!("verifier/known");
const KNOWN_CLANG: &str = "14";
const LINES: [&str; 4] = ["5.10", "6.1", "6.12", "7"];

/// Programs that are loaded once a run or for a device, whatever the probes are: their figure is the greatest of all.
const SHARED: [&str; 6] =
    ["flush", "xdptrace_pass", "on_devmap_xmit", "on_bulk_tx", "on_cpumap_enqueue", "on_cpumap_kthread"];

/// Libbpf's words since they were taken last: the verifier's are among them.
static WORDS: Mutex<String> = Mutex::new(String::new());

/// What a program took.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Figure {
    /// Instructions that the verifier looked at.
    processed: u32,
    /// Bytes of stack: its own, and those of its functions.
    stack: String,
}

impl Figure {
    /// As it stands in the file.
    fn shown(&self) -> String {
        format!("{}:{}", self.processed, self.stack)
    }
}

/// `prog 'flush': -- BEGIN PROG LOAD LOG --`, and then, among others, `stack depth 16+8` and `processed 34 insns (…) …`.
fn figures(words: &str) -> BTreeMap<String, Figure> {
    let programs = words.split("prog '").filter_map(|rest| rest.split_once("': -- BEGIN PROG LOAD LOG --"));
    let figure = |(name, log): (&str, &str)| {
        let log = log.split("-- END PROG LOAD LOG --").next()?;
        let behind = |words: &str| log.split(words).nth(1)?.lines().next();
        let processed = behind("processed ")?.split(' ').next()?.parse().ok()?;
        Some((name.to_owned(), Figure { processed, stack: behind("stack depth ")?.trim().replace(' ', "_") }))
    };
    programs.filter_map(figure).collect()
}

/// What each of a case's programs took, or the verifier's words against one.
fn load(case: &Case) -> Result<BTreeMap<String, Figure>, String> {
    mem::take(&mut *WORDS.lock().unwrap());
    xdptrace::bpf::ask_verifier(true);
    let loaded = case.load();
    xdptrace::bpf::ask_verifier(false);
    match loaded {
        Ok(()) => Ok(figures(&WORDS.lock().unwrap())),
        Err(error) => {
            // Once more, for it says either what a program took or why it is refused.
            mem::take(&mut *WORDS.lock().unwrap());
            drop(case.load());
            let words = WORDS.lock().unwrap();
            let log = words.split("-- BEGIN PROG LOAD LOG --").last().unwrap();
            let last: Vec<&str> = log.lines().rev().take(40).collect();
            Err(format!("{}: {error:#}\n{}", case.name, last.into_iter().rev().collect::<Vec<_>>().join("\n")))
        }
    }
}

fn note(found: &mut BTreeMap<String, Figure>, case: &Case, program: &str, figure: Figure) {
    let of = if SHARED.contains(&program) { "any" } else { case.name };
    let known = found.entry(format!("{of}/{program}")).or_insert_with(|| figure.clone());
    *known = figure.max(known.clone());
}

/// The column of the file that is about this kernel; None: of a line that isn't known.
fn column() -> Option<usize> {
    let (major, minor) = kernel();
    LINES.iter().position(|line| *line == format!("{major}.{minor}") || *line == major.to_string())
}

/// The figures of the file's column: `CASE/PROGRAM 34:16+8 …`, `-` where it has no such program.
fn known(column: usize) -> BTreeMap<&'static str, &'static str> {
    let rows = KNOWN.lines().filter(|line| !line.starts_with('#'));
    let cells = rows.map(|row| row.split_whitespace().collect::<Vec<_>>());
    cells.map(|cells| (cells[0], cells[column + 1])).filter(|(_, figure)| *figure != "-").collect()
}

/// What is wrong with a row; None: nothing. `known` is what the file says of it, where that is about this kernel at all.
fn objection(row: &str, figure: Option<&Figure>, known: Option<Option<&str>>) -> Option<String> {
    let Some(figure) = figure else { return Some(format!("{row}: known, and not loaded any more")) };
    let Figure { processed, .. } = *figure;
    if processed > MOST {
        return Some(format!("{row}: {processed} instructions looked at, and {MOST} at most may be"));
    }
    let known = match known {
        None => return None,
        Some(None) => return Some(format!("{row}: loaded, and not known")),
        Some(Some(_)) if env!("XDPTRACE_CLANG") != KNOWN_CLANG => return None,
        Some(Some(known)) => known.split(':').next()?.parse::<u32>().ok()?,
    };
    let is_more = processed > MOST_TIMES * known;
    is_more
        .then(|| format!("{row}: {processed} instructions looked at, more than {MOST_TIMES} times the {known} known"))
}

#[test]
fn programs_take_no_more_of_the_verifier_than_is_known() {
    libbpf_rs::set_print(Some((PrintLevel::Debug, |_, words| WORDS.lock().unwrap().push_str(&words))));
    let (mut found, mut wrong) = (BTreeMap::new(), Vec::new());
    for case in cases() {
        match load(&case) {
            Ok(figures) if figures.is_empty() => wrong.push(format!("{}: nothing was loaded", case.name)),
            Ok(figures) => figures.into_iter().for_each(|(name, figure)| note(&mut found, &case, &name, figure)),
            Err(error) => wrong.push(error),
        }
    }
    libbpf_rs::set_print(None);
    let known = column().map(known);
    let mut table = String::new();
    for (row, figure) in &found {
        writeln!(table, "verifier: {row} {}", figure.shown()).unwrap();
        let known = known.as_ref().map(|known| known.get(row.as_str()).copied());
        wrong.extend(objection(row, Some(figure), known));
    }
    let gone = known.iter().flatten().filter(|(row, _)| !found.contains_key(**row));
    wrong.extend(gone.filter_map(|(row, _)| objection(row, None, None)));
    print!("\n{table}");
    println!("{} programs loaded on {:?}", found.len(), kernel());
    assert!(wrong.is_empty(), "{}\n`make verifier` tells how to note what is right", wrong.join("\n"));
}

#[test]
fn what_the_verifier_says_is_read() {
    let words = "libbpf: x\nprog 'one': -- BEGIN PROG LOAD LOG --\nverification time 90 usec\nstack depth 16+8\n\
                 processed 34 insns (limit 1000000) max_states_per_insn 0\n-- END PROG LOAD LOG --\n\
                 prog 'two': -- BEGIN PROG LOAD LOG --\nprocessed 2 insns\nstack depth 0\n-- END PROG LOAD LOG --\n";
    let shown: Vec<_> = figures(words).iter().map(|(name, one)| (name.clone(), one.shown())).collect();
    assert_eq!(shown, [("one".into(), "34:16+8".to_owned()), ("two".into(), "2:0".to_owned())]);
}

#[test]
fn a_figure_that_has_doubled_is_objected_to() {
    let figure = |processed| Figure { processed, stack: "8".into() };
    let objects = |processed, known| objection("row", Some(&figure(processed)), known).is_some();
    let is_known = env!("XDPTRACE_CLANG") == KNOWN_CLANG;
    assert!(!objects(100, Some(Some("50:8"))) && objects(101, Some(Some("50:8"))) == is_known);
    assert!(!objects(MOST, None) && objects(MOST + 1, None) && objects(MOST + 1, Some(Some("20000:8"))));
    assert!(objects(1, Some(None)) && objection("row", None, None).is_some());
}
