//! What a kernel's 'no' means: errno and libbpf's messages → a sentence with the remedy.

use std::sync::Mutex;

use anyhow::{Error, anyhow};
use libbpf_rs::PrintLevel;

use crate::failure::Failure;

/// Why a descriptor could not be doubled, and the remedy.
pub const NO_DESCRIPTOR: &str = "no file descriptor is left: raise it by `ulimit -n`";

/// What the verifier says where libbpf, of whom a descriptor for a map was refused, has gone on without.
const NO_MAP: &str = "is not pointing to valid bpf_map";

/// What libbpf and the verifier said since [`capture_messages`]. Only ever read to explain a failure.
static MESSAGES: Mutex<String> = Mutex::new(String::new());

/// Keeps libbpf's warnings, which hold the verifier's words, off stderr and for [`explain`].
pub fn capture_messages() {
    libbpf_rs::set_print(Some((PrintLevel::Warn, |_, message| {
        if let Ok(mut messages) = MESSAGES.lock() {
            messages.push_str(&message);
        }
    })));
}

/// Says why the kernel refused to `action` (a verb phrase) `object`.
pub fn explain(error: &libbpf_rs::Error, action: &str, object: &str) -> Error {
    let messages = MESSAGES.lock().map(|messages| messages.clone()).unwrap_or_default();
    let failed = format!("failed to {action} {object}");
    match errno(error) {
        Some(libc::EPERM) => Failure::unable(format!("{failed}: {}", forbidden(&messages))),
        Some(libc::EMFILE) => anyhow!("{failed}: {NO_DESCRIPTOR}"),
        Some(libc::EINVAL) if messages.contains(NO_MAP) => anyhow!("{failed}: {NO_DESCRIPTOR}"),
        Some(errno) => match meaning(action, errno, &messages) {
            Some(Meaning::Kernel(sentence)) => Failure::unable(format!("{failed}: {sentence}")),
            Some(Meaning::Program(sentence)) => Failure::no_target(format!("{failed}: {sentence}")),
            None => anyhow!("{failed}: {error:#}{}", last_words(&messages)),
        },
        None => anyhow!("{failed}: {error:#}{}", last_words(&messages)),
    }
}

/// Does it, and says of a failure what [`explain`] says, from no earlier one's messages.
///
/// # Errors
/// The kernel refused.
pub fn try_to<T>(act: impl FnOnce() -> libbpf_rs::Result<T>, action: &str, object: &str) -> Result<T, Error> {
    forget_messages();
    act().map_err(|error| explain(&error, action, object))
}

/// What [`explain`] says behind what failed on what.
pub fn reason(error: &Error) -> String {
    let shown = format!("{error:#}");
    shown.split_once(": ").map_or(shown.clone(), |(_, reason)| reason.to_owned())
}

/// Forgets what was said so far, so that it explains nothing that fails later.
pub fn forget_messages() {
    if let Ok(mut messages) = MESSAGES.lock() {
        messages.clear();
    }
}

/// Whose fault it is, and what it is.
#[derive(Debug, PartialEq)]
enum Meaning {
    Kernel(&'static str),
    Program(&'static str),
}

/// With lockdown=confidentiality, helpers that read kernel memory don't exist (bpf_tracing_func_proto), and libbpf, who
/// finds bpf_probe_read_kernel missing, tries bpf_probe_read instead.
const LOCKDOWN: &str =
    "kernel lockdown (confidentiality) forbids reading packets: boot with lockdown=integrity or none";

/// A context that the verifier takes for a number: it vouches for a static function's arguments only where each call
/// passes what the BTF declares (btf_check_subprog_call), which clang need not keep to.
const UNRELIABLE: &str =
    "the verifier doesn't vouch for what this static function is passed: make it a global function (no static)";

/// What arch_prepare_bpf_trampoline (kernel/bpf/trampoline.c) says where the architecture has none of its own. arm64's came
/// with commit efc9909fdce0 "bpf, arm64: Add bpf trampoline for arm64".
const NO_TRAMPOLINES: &str = "this architecture's kernel has no BPF trampolines, by which fentry and fexit are called: run Linux \
                              6.0 or newer on arm64, or x86-64";

/// ENOTSUPP, which the kernel lets slip to user space though it is in no user-space header.
const ENOTSUPP: i32 = 524;

/// The kernel's errors in kernel/bpf/verifier.c (bpf_check_attach_target) and kernel/bpf/trampoline.c, and libbpf's, by
/// the verb of what was tried.
fn meaning(action: &str, errno: i32, messages: &str) -> Option<Meaning> {
    use Meaning::{Kernel, Program};
    const TABLE: [(&str, i32, &str, Meaning); 12] = [
        (
            "attach",
            libc::EBUSY,
            "",
            Program("an EXT (freplace) program already sits on that function: trace that one instead"),
        ),
        ("attach", libc::E2BIG, "", Program("38 tracing programs are on that function already: end one of them")),
        ("attach", ENOTSUPP, "", Kernel(NO_TRAMPOLINES)),
        ("aim", libc::ESRCH, "", Program("its BTF doesn't have that function: rebuild it with clang -g")),
        ("aim", libc::ENOENT, "", Program("its BTF doesn't have that function: rebuild it with clang -g")),
        ("load", libc::EINVAL, "unknown func bpf_probe_read", Kernel(LOCKDOWN)),
        ("load", libc::EINVAL, "cannot use helper bpf_probe_read", Kernel(LOCKDOWN)),
        ("load", libc::EINVAL, "annotated with BTF", Program("it has no BTF: rebuild it with clang -g")),
        ("load", libc::EINVAL, "only JITed progs", Kernel("the BPF JIT is off: sysctl net.core.bpf_jit_enable=1")),
        (
            "load",
            libc::EINVAL,
            "Cannot recursively attach",
            Program("it is itself a tracing program, which this kernel doesn't let be traced"),
        ),
        ("load", libc::EACCES, "invalid mem access", Program(UNRELIABLE)),
        ("load", libc::EACCES, "-th argument", Program("that function doesn't take the packet's context")),
    ];
    TABLE
        .into_iter()
        .find(|(verb, number, words, _)| action.starts_with(verb) && *number == errno && messages.contains(words))
        .map(|(.., meaning)| meaning)
}

/// EPERM although the capabilities are there.
fn forbidden(messages: &str) -> &'static str {
    // libbpf's words where a map could not be made.
    if messages.contains("failed to create") {
        "too little memory may be locked (before Linux 5.11 maps count): raise it by `ulimit -l unlimited`"
    } else {
        "this kernel refuses fentry and fexit (BPF trampolines): run xdptrace on another kernel, or in a VM"
    }
}

/// libbpf-rs keeps errno inside, but shows it as std::io does: `… (os error 16)`.
fn errno(error: &libbpf_rs::Error) -> Option<i32> {
    let shown = format!("{error:#}");
    shown.rsplit_once("(os error ")?.1.strip_suffix(')')?.parse().ok()
}

/// The last line of the verifier's log, else nothing.
fn last_words(messages: &str) -> String {
    let log = messages
        .split("-- BEGIN PROG LOAD LOG --")
        .nth(1)
        .and_then(|rest| rest.split("-- END PROG LOAD LOG --").next());
    let line = log.and_then(|log| log.lines().rfind(|line| !line.trim().is_empty() && !line.starts_with("processed ")));
    line.map(|line| format!(" (the verifier says: {})", line.trim())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_is_found_below_any_context() {
        use libbpf_rs::ErrorExt;
        let error = libbpf_rs::Error::from_raw_os_error(libc::EBUSY).context("failed to attach");
        assert_eq!(errno(&error), Some(libc::EBUSY));
    }

    #[test]
    fn einval_is_explained_by_the_verifiers_words_only() {
        assert!(meaning("load", libc::EINVAL, "prog 'x': Cannot recursively attach\n").is_some());
        assert_eq!(meaning("load", libc::EINVAL, "something else"), None);
    }

    #[test]
    fn lockdown_is_known_by_the_helper_that_is_missing() {
        for words in
            ["unknown func bpf_probe_read#4", "program of this type cannot use helper bpf_probe_read_kernel#113"]
        {
            assert_eq!(meaning("load", libc::EINVAL, words), Some(Meaning::Kernel(LOCKDOWN)));
        }
    }

    #[test]
    fn an_architecture_without_trampolines_is_the_kernels_lack_with_a_remedy() {
        for action in ["attach fexit to", "attach fentry to"] {
            assert_eq!(meaning(action, ENOTSUPP, ""), Some(Meaning::Kernel(NO_TRAMPOLINES)));
        }
        assert!(NO_TRAMPOLINES.contains(": run "));
    }

    #[test]
    fn the_verifiers_last_line_is_quoted_without_its_statistics() {
        let log = "x\n-- BEGIN PROG LOAD LOG --\n0: R1=ctx\nR2 min value is negative\nprocessed 9 insns\n-- END PROG LOAD LOG --\n";
        assert_eq!(last_words(log), " (the verifier says: R2 min value is negative)");
        assert_eq!(last_words(""), "");
    }
}
