//! What this user may, and what a run keeps of it.

use caps::Capability;

use super::{Answer, Finding};
use crate::kernel::{Capabilities, State};
use crate::privileges;

/// Whether this user may what tracing takes, what it keeps of that, and what is narrowed besides.
pub(super) fn judge(state: &State) -> [Finding; 10] {
    use Capability::{CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW, CAP_PERFMON};
    [
        user_namespace(state),
        sys_admin(state),
        split_off(state, CAP_BPF, "load BPF programs"),
        split_off(state, CAP_PERFMON, "load fentry and fexit, which read the kernel"),
        for_an_option(state, CAP_NET_ADMIN, "to attach programs", "--passthrough"),
        for_an_option(state, CAP_NET_RAW, "to hold NICs promiscuous", "-P"),
        perf_event_paranoid(state),
        kept(state),
        landlock(state),
        seccomp(state, privileges::KNOWS_SYSTEM_CALLS),
    ]
}

/// The trial load needs the capabilities itself: without them its 'no' would say nothing about the kernel.
pub(super) fn may_load(state: &State) -> bool {
    use Capability::{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN};
    state.initial_user_namespace != Some(false)
        // CAP_NET_ADMIN because the program of our own is an XDP program (is_net_admin_prog_type).
        && (has(state, CAP_SYS_ADMIN) || [CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN].into_iter().all(|capability| has(state, capability)))
}

fn has(state: &State, capability: Capability) -> bool {
    state.capabilities.is_some_and(|capabilities| capabilities.has(capability))
}

/// Those that count: another user namespace's don't.
fn capabilities(state: &State) -> Option<Capabilities> {
    if state.initial_user_namespace == Some(false) { Some([].into()) } else { state.capabilities }
}

/// Where capabilities are to be had.
pub(super) fn remedy(state: &State) -> &'static str {
    match state.initial_user_namespace {
        Some(false) => "run xdptrace outside of the user namespace, as root",
        _ => "run xdptrace with sudo",
    }
}

fn user_namespace(state: &State) -> Finding {
    let (answer, words) = match state.initial_user_namespace {
        Some(true) => (Answer::Yes, "the machine's own: capabilities are what they seem"),
        Some(false) => (
            Answer::No,
            "capabilities are a user namespace's, and BPF needs the machine's: run xdptrace outside of it, as root",
        ),
        None => (Answer::Unknown, "/proc doesn't tell: mount -t proc proc /proc"),
    };
    Finding::needed("user namespace", answer, words)
}

fn sys_admin(state: &State) -> Finding {
    const WHAT: Capability = Capability::CAP_SYS_ADMIN;
    const FOR: &str = "to open programs by their id";
    match capabilities(state) {
        None => unseen_capability(WHAT, FOR),
        Some(set) if set.has(WHAT) => Finding::needed(WHAT.to_string(), Answer::Yes, FOR),
        Some(_) => Finding::needed(WHAT.to_string(), Answer::No, format!("needed {FOR}: {}", remedy(state))),
    }
}

/// CAP_BPF and CAP_PERFMON, which Linux 5.8 split off CAP_SYS_ADMIN (commits a17b53c4a4b5 and 980737282232).
fn split_off(state: &State, capability: Capability, purpose: &str) -> Finding {
    let Some(set) = capabilities(state) else {
        return unseen_capability(capability, &format!("to {purpose}"));
    };
    let stood_for = set.has(Capability::CAP_SYS_ADMIN);
    let (answer, words) = match state.splits_sys_admin {
        Some(false) if stood_for => (Answer::Yes, format!("not before Linux 5.8: CAP_SYS_ADMIN is used to {purpose}")),
        Some(false) => {
            (Answer::No, format!("not before Linux 5.8: CAP_SYS_ADMIN is needed to {purpose}: {}", remedy(state)))
        }
        _ if set.has(capability) => (Answer::Yes, format!("to {purpose}")),
        _ if stood_for => (Answer::Yes, format!("CAP_SYS_ADMIN stands for it, to {purpose}")),
        _ => (Answer::No, format!("needed to {purpose}: {}", remedy(state))),
    };
    Finding::needed(capability.to_string(), answer, words)
}

fn for_an_option(state: &State, capability: Capability, purpose: &str, option: &str) -> Finding {
    let used = format!("{purpose}, for {option} only");
    match capabilities(state) {
        None => Finding { needed: false, ..unseen_capability(capability, &used) },
        Some(set) if set.has(capability) => Finding::by_the_way(capability.to_string(), Answer::Yes, used),
        Some(_) => {
            let words = format!("only {option} needs it, {purpose}: {} for that", remedy(state));
            Finding::by_the_way(capability.to_string(), Answer::No, words)
        }
    }
}

fn unseen_capability(capability: Capability, purpose: &str) -> Finding {
    Finding::needed(
        capability.to_string(),
        Answer::Unknown,
        format!("{purpose}; /proc doesn't tell: mount -t proc proc /proc"),
    )
}

/// The ring is made of perf events of every CPU, which perf_allow_cpu in kernel/events/core.c refuses above 0 to
/// whoever has neither CAP_PERFMON nor CAP_SYS_ADMIN.
fn perf_event_paranoid(state: &State) -> Finding {
    let privileged = capabilities(state).is_some_and(overrules_paranoia);
    let (answer, words) = match state.perf_event_paranoid {
        Some(level) if privileged => (Answer::Yes, format!("{level}, no matter with these capabilities")),
        Some(level) if level <= 0 => (Answer::Yes, format!("{level}, which lets everyone read events")),
        Some(level) => (Answer::No, format!("{level} refuses the ring that events are read from: {}", remedy(state))),
        None if privileged => (Answer::Yes, "not shown, and no matter with these capabilities".to_owned()),
        None => (Answer::Unknown, "/proc doesn't tell: run xdptrace with sudo, then it is no matter".to_owned()),
    };
    Finding::by_the_way("perf_event_paranoid", answer, words)
}

fn overrules_paranoia(capabilities: Capabilities) -> bool {
    capabilities.has(Capability::CAP_SYS_ADMIN) || capabilities.has(Capability::CAP_PERFMON)
}

/// What a run keeps once everything is attached.
fn kept(state: &State) -> Finding {
    const FINDING: &str = "CAP_SYS_ADMIN, to find and open the program that comes next (with -P CAP_NET_RAW, too)";
    let words = match state.privileged_bpf {
        Some(false) => format!("{FINDING}; none with --no-follow or -Z"),
        // __sys_bpf (kernel/bpf/syscall.c).
        Some(true) => format!(
            "{FINDING}; CAP_BPF, and with --no-follow or -Z that alone: before Linux 5.19 whoever hasn't it may not even \
             read counters"
        ),
        None => format!("{FINDING}; with --no-follow or -Z CAP_BPF at most"),
    };
    Finding::by_the_way("kept while tracing", Answer::Yes, words)
}

fn landlock(state: &State) -> Finding {
    let (answer, words) = match state.landlock {
        true => (Answer::Yes, "while tracing, files are written in the folder of -w alone"),
        false => (
            Answer::No,
            "this kernel doesn't narrow which files are written: run one that has it switched on (Linux 5.13, \
             CONFIG_SECURITY_LANDLOCK) for that",
        ),
    };
    Finding::by_the_way("Landlock", answer, words)
}

/// `known`: whether this build has a list of system calls for its architecture.
fn seccomp(state: &State, known: bool) -> Finding {
    let (answer, words) = match (state.seccomp, known) {
        (true, true) => (Answer::Yes, "while tracing, system calls that are of no use to it are refused"),
        (false, _) => (
            Answer::No,
            "this kernel doesn't narrow which system calls are made: run one that has it (CONFIG_SECCOMP_FILTER) for that",
        ),
        (true, false) => (
            Answer::No,
            "which system calls are made is not narrowed on this architecture: run xdptrace on x86-64 or arm64 for that",
        ),
    };
    Finding::by_the_way("seccomp", answer, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_whose_system_calls_are_unknown_is_told_so_with_a_remedy() {
        let state = State { seccomp: true, ..State::read() };
        let told = seccomp(&state, false);
        assert_eq!((told.answer, told.needed), (Answer::No, false));
        assert!(told.words.contains(": run xdptrace on x86-64 or arm64"), "{told}");
        assert_eq!(seccomp(&state, true).answer, Answer::Yes);
        assert!(seccomp(&State { seccomp: false, ..state }, true).words.contains("CONFIG_SECCOMP_FILTER"));
    }
}
