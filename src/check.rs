//! What this kernel and this user can do, with a remedy for each 'no'.

mod capabilities;
mod cost;
mod memory;
mod receiving;

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use self::capabilities::{may_load, remedy};
use crate::failure::Failure;
use crate::kernel::{Kernel, Lockdown, State};
use crate::outlet::written;
use crate::plan::{Checking, Devices, Probes, Scope, Selection};
use crate::privileges;
use crate::probe;
use crate::refusal;
use crate::sink;
use crate::target::{self, Depth, Fixed, Guards, Hazard, Refused, Tree, Watch};

const SCHEMA_VERSION: u32 = 1;

/// How a question was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It is as tracing wants it.
    Yes,
    /// It isn't; the words hold the remedy.
    No,
    /// It cannot be seen from here.
    Unknown,
    /// Nothing that was asked, but to be known before tracing.
    Note,
}

impl Display for Answer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
            Self::Note => "note",
        })
    }
}

/// One question and its answer: a line of `xdptrace check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was asked for.
    pub what: String,
    /// The answer.
    pub answer: Answer,
    /// What it means, and with a 'no' the remedy. One line.
    pub words: String,
    /// The numbers in these words.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<&'static str, u64>,
    /// Whether a 'no' means that tracing will not work.
    #[serde(skip)]
    pub needed: bool,
}

impl Finding {
    /// An answer that tracing depends on.
    pub fn needed(what: impl Into<String>, answer: Answer, words: impl Into<String>) -> Self {
        Self { what: what.into(), answer, words: words.into(), numbers: BTreeMap::new(), needed: true }
    }

    /// An answer that tracing can do without.
    pub fn by_the_way(what: impl Into<String>, answer: Answer, words: impl Into<String>) -> Self {
        Self { needed: false, ..Self::needed(what, answer, words) }
    }

    /// The same, with these numbers.
    fn with(self, numbers: impl IntoIterator<Item = (&'static str, u64)>) -> Self {
        Self { numbers: numbers.into_iter().collect(), ..self }
    }

    fn stops_tracing(&self) -> bool {
        self.needed && self.answer == Answer::No
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.what, self.answer, self.words)
    }
}

/// `xdptrace check`: asks, writes the answers to `out`, and fails where tracing will not work.
///
/// # Errors
/// Tracing will not work, and why; or the output cannot be written.
pub fn run(checking: &Checking, out: &mut dyn Write) -> Result<()> {
    let Checking { scope, cost, json } = checking;
    refusal::capture_messages();
    let named = scope.devices != Devices::Unnamed || !scope.narrowing.is_empty();
    // Who may not open programs is told so. Before anything is loaded for a trial, which is no program of the user's.
    let mut programs = if privileges::check_reading().is_ok() { program_findings(scope) } else { Ok(Vec::new()) };
    let mut findings = kernel_findings();
    if verdict(&findings).is_err() {
        let possible = programs.iter_mut().flatten().filter(|finding| finding.answer == Answer::Yes);
        possible.for_each(|finding| {
            (finding.answer, finding.words) =
                (Answer::No, "not here, for the reasons above; nothing else is against it".into());
        });
    }
    findings.extend(programs.iter().flatten().cloned());
    if *cost {
        findings.extend(cost::judge(&scope.devices, verdict(&findings).is_ok()));
    }
    written(print(&findings, *json, out))?;
    verdict(&findings)?;
    let programs = programs?;
    match programs.iter().find(|finding| finding.answer == Answer::No) {
        Some(no) if named && !programs.iter().any(|finding| finding.answer == Answer::Yes) => {
            Err(Failure::no_target(no.to_string()))
        }
        _ => Ok(()),
    }
}

/// What is to be known of the programs in `scope`: whether each can be traced, and what this kernel's hazards mean for
/// it.
fn program_findings(scope: &Scope) -> Result<Vec<Finding>> {
    target::enter_netns(scope.netns.as_deref())?;
    let guards = Guards::new(&Kernel::running(), &[], &Selection::default())?;
    let mut watch = Watch::new(scope, guards.clone(), Depth::Everything)?;
    let view = watch.look()?.context("the first look shows nothing")?;
    let mut findings = Vec::new();
    for target in &view.selection.targets {
        let probes = match (target.probes, &guards.second_probe) {
            (Probes::Exit, Some(hazard)) => format!("fexit can be attached, fentry is not: {hazard}"),
            _ => "fentry and fexit can be attached".to_owned(),
        };
        findings.push(Finding::by_the_way(target.to_string(), Answer::Yes, probes));
        let mut nodes = view.trees.iter().flat_map(Tree::nodes);
        let tail_calls = nodes.any(|node| node.program.id == target.program && node.tail_calls);
        if let (true, Some(hazard)) = (tail_calls, &guards.subprogram) {
            findings.push(Finding::by_the_way(format!("functions of {target}"), Answer::Note, hazard));
        }
    }
    for Refused { what, why, remedy } in view.missing.into_iter().chain(view.selection.refused) {
        let what = if what.is_empty() { "program".to_owned() } else { what };
        let why = remedy.map_or_else(|| why.clone(), |remedy| format!("{why}: {remedy}"));
        findings.push(Finding::by_the_way(what, Answer::No, why));
    }
    Ok(findings)
}

/// What is to be known of the kernel and of this user, whatever program is traced. Attaches nothing to what others have
/// loaded; loads, where the user may, one program of our own, which no NIC runs, has both probes on it, and lets go of them
/// again.
pub fn kernel_findings() -> Vec<Finding> {
    let state = State::read();
    let tried = may_load(&state).then(|| probe::try_probes().map_err(|error| refusal::reason(&error)));
    let held = tried.as_ref().and_then(|tried| tried.as_ref().ok()).copied();
    let mut findings = judge(&state, tried.map(|tried| tried.map(drop)));
    findings.push(memory::judge(held));
    findings
}

/// Writes the findings: a line each, or one JSON object in one line.
///
/// # Errors
/// Of `out`.
pub fn print(findings: &[Finding], json: bool, out: &mut dyn Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Report<'a> {
        schema_version: u32,
        findings: &'a [Finding],
        works: bool,
    }
    if json {
        let works = !findings.iter().any(Finding::stops_tracing);
        let report = Report { schema_version: SCHEMA_VERSION, findings, works };
        sink::write_json(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        for finding in findings {
            writeln!(out, "{finding}")?;
        }
    }
    out.flush()
}

/// Whether tracing will work, as far as the findings tell.
///
/// # Errors
/// It will not: the first reason in full, further ones by name.
pub fn verdict(findings: &[Finding]) -> Result<()> {
    let mut reasons = findings.iter().filter(|finding| finding.stops_tracing());
    let Some(Finding { what, words, .. }) = reasons.next() else {
        return Ok(());
    };
    let others: Vec<&str> = reasons.map(|finding| finding.what.as_str()).collect();
    let also = if others.is_empty() { String::new() } else { format!(" (also no: {})", others.join(", ")) };
    bail!(Failure::unable(format!("tracing will not work: {what}: {words}{also}")))
}

/// `trampolines`: how the trial load went; None where it could not be tried.
fn judge(state: &State, trampolines: Option<Result<(), String>>) -> Vec<Finding> {
    let mut findings = vec![
        kernel(state),
        btf(state),
        jit(state, &trampolines),
        lockdown(state),
        judge_trampolines(state, trampolines),
    ];
    findings.extend(capabilities::judge(state));
    findings.extend(hazards(state));
    findings
}

fn kernel(state: &State) -> Finding {
    let kernel = &state.kernel;
    let words = match kernel.vendor {
        true => format!("{kernel}, with its distributor's backports, which the version doesn't tell"),
        false => kernel.to_string(),
    };
    let answer = if kernel.version.is_some() { Answer::Yes } else { Answer::Unknown };
    Finding::by_the_way("kernel", answer, words)
}

fn btf(state: &State) -> Finding {
    match state.btf {
        true => Finding::needed("BTF", Answer::Yes, "/sys/kernel/btf/vmlinux"),
        false => Finding::needed(
            "BTF",
            Answer::No,
            "no /sys/kernel/btf/vmlinux: run a kernel built with CONFIG_DEBUG_INFO_BTF=y, with /sys mounted",
        ),
    }
}

fn jit(state: &State, trampolines: &Option<Result<(), String>>) -> Finding {
    let (answer, words) = match state.jit {
        Some(true) => (Answer::Yes, "net.core.bpf_jit_enable is on"),
        Some(false) => (Answer::No, "only compiled programs can be traced: sysctl net.core.bpf_jit_enable=1"),
        // bpf_check_attach_target (kernel/bpf/verifier.c) refuses a target that isn't compiled.
        None if matches!(trampolines, Some(Ok(()))) => (Answer::Yes, "fentry and fexit loaded, which takes it"),
        None => (Answer::Unknown, "net.core.bpf_jit_enable is shown only in the machine's first network namespace"),
    };
    Finding::needed("JIT", answer, words)
}

fn lockdown(state: &State) -> Finding {
    let (answer, words) = match state.lockdown {
        Lockdown::None => (Answer::Yes, "none"),
        Lockdown::Integrity => (Answer::Yes, "integrity, which lets packets be read"),
        // bpf_tracing_func_proto has no helper that reads kernel memory then.
        Lockdown::Confidentiality => (
            Answer::Note,
            "confidentiality: packets are shown as they left, but neither filtered nor compared with how they arrived",
        ),
        Lockdown::Unknown => {
            (Answer::Unknown, "securityfs doesn't tell: mount -t securityfs securityfs /sys/kernel/security")
        }
    };
    Finding::by_the_way("lockdown", answer, words)
}

fn judge_trampolines(state: &State, tried: Option<Result<(), String>>) -> Finding {
    let (answer, words) = match tried {
        Some(Ok(())) => (Answer::Yes, "fentry and fexit can be attached to a program of our own".to_owned()),
        Some(Err(error)) => (Answer::No, error),
        None if state.initial_user_namespace == Some(false) => {
            (Answer::Unknown, format!("not tried in a user namespace: {}", remedy(state)))
        }
        None => (Answer::Unknown, format!("not tried without CAP_SYS_ADMIN: {}", remedy(state))),
    };
    Finding::needed("trampolines", answer, words)
}

fn hazards(state: &State) -> impl Iterator<Item = Finding> {
    Hazard::ALL.into_iter().filter(|hazard| hazard.fixed(&state.kernel) != Fixed::Yes).map(|hazard| {
        Finding::by_the_way(format!("hazard {}", hazard.name()), Answer::Note, hazard.describe(&state.kernel))
    })
}

#[cfg(test)]
mod tests;
