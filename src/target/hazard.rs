//! What tracing can crash a kernel by, and which kernels: a decision by version, for there is no harmless way to try.

use crate::kernel::{Kernel, Version};

/// A way in which tracing takes some kernels down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hazard {
    /// fentry or fexit on a subprogram from which a tail call can be reached.
    SubprogramTailCall,
    /// A second fentry or fexit on a function of a program that makes tail calls.
    SecondProbe,
}

/// Whether a kernel is known to be free of a hazard, by a fix or because it never had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fixed {
    /// It is.
    Yes,
    /// It has the hazard.
    No,
    /// Its version doesn't tell. Counts as not fixed.
    Unknown,
}

impl Hazard {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::SubprogramTailCall, Self::SecondProbe];

    /// The name that `--allow-hazard` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::SubprogramTailCall => "subprogram-tail-call",
            Self::SecondProbe => "second-probe",
        }
    }

    /// The hazard of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hazard| hazard.name() == name)
    }

    /// Whether `kernel` is free of it.
    pub fn fixed(self, kernel: &Kernel) -> Fixed {
        let fixed = match self {
            Self::SubprogramTailCall => subprogram_tail_call(kernel),
            Self::SecondProbe => second_probe(kernel),
        };
        as_far_as_known(fixed, cfg!(target_arch = "x86_64"))
    }

    /// One sentence for a user of `kernel`, which is not known to be free of it: the risk, what is done because of it,
    /// and how to do it all the same.
    pub fn describe(self, kernel: &Kernel) -> String {
        let risk = match self {
            Self::SubprogramTailCall => {
                "tracing a subprogram that makes tail calls lets it loop for ever and panics the machine"
            }
            Self::SecondProbe => {
                "a second probe on a program that makes tail calls panics the machine (CVE-2026-92485)"
            }
        };
        let instead = match self {
            Self::SubprogramTailCall => "such subprograms are not traced",
            Self::SecondProbe => "such programs get fexit alone",
        };
        let known = match self.fixed(kernel) {
            Fixed::Unknown => "may have the bug by which",
            Fixed::Yes | Fixed::No => "has the bug by which",
        };
        format!("{kernel} {known} {risk}: {instead} without --allow-hazard {}", self.name())
    }
}

/// Both were reported of x86-64, and run there: each lies in what the architecture has a trampoline do, and what others'
/// kernels do is not known to be harmless.
fn as_far_as_known(fixed: Fixed, run_here: bool) -> Fixed {
    match fixed {
        Fixed::No if !run_here => Fixed::Unknown,
        fixed => fixed,
    }
}

/// A trampoline in front of a subprogram lost the count of tail calls (kept in rax on x86-64) up to Linux 6.7, commit
/// 2b5dcb31a19a "bpf, x64: Fix tailcall infinite loop": the count never reaches its limit, and the loop never ends.
/// Before 5.10 no subprogram could make tail calls; those kernels count as affected nevertheless, unmeasured.
pub fn subprogram_tail_call(kernel: &Kernel) -> Fixed {
    // Where that commit was backported to: the record of CVE-2026-92485, a bug that came with it, names 6.1.72
    // (605c8d8f9966), 6.5.12, 6.6.2 and 6.7; the announcement of 6.5.12 (2023-11-20) and the review of 6.1.72
    // (2024-01-08, patch 60 of 150) list it. Nothing before 6.1 has it. Run: 5.10.262 panics, 6.1.180 doesn't.
    const BACKPORTS: [Version; 3] = [(6, 1, 72), (6, 5, 12), (6, 6, 2)];
    let Some(version) = kernel.version else {
        return Fixed::Unknown;
    };
    let backported = BACKPORTS.into_iter().any(|fix| (fix.0, fix.1) == (version.0, version.1) && fix <= version);
    match version >= (6, 7, 0) || backported {
        true => Fixed::Yes,
        false if kernel.vendor => Fixed::Unknown,
        false => Fixed::No,
    }
}

/// Loading a second probe for a tail-calling program overwrote its trampoline's flags, so that the place where the
/// trampoline is called from was patched wrongly: EBUSY, and a panic once the first probe is gone. CVE-2026-92485,
/// "bpf: Fix WARNING in bpf_tracing_link_release", fixed in 7.2.6 (48a0209d8da0) and 7.3-rc1 (61aaa8782bec), and in
/// no release of 7.0 and 7.1.
pub fn second_probe(kernel: &Kernel) -> Fixed {
    // The CVE's record begins at 6.7, where the flags began to be overwritten. That does harm only since a trampoline
    // may be jumped to as well as called: commit 402e44b31e9d "bpf: implement "jmp" mode for trampoline", 6.19 (so says
    // its thread on bpf@vger.kernel.org, 2026-04-02). Reported to panic: 7.0 and 7.2-rc2; to take both probes: 6.6,
    // 6.12 and 6.18. 6.19 itself is unmeasured.
    const BEGUN: Version = (6, 19, 0);
    const FIXED: Version = (7, 2, 6);
    match kernel.version {
        None => Fixed::Unknown,
        Some(version) if version >= FIXED => Fixed::Yes,
        Some(version) if version < BEGUN => match rebases_bpf(&kernel.release) {
            true => Fixed::Unknown,
            false => Fixed::Yes,
        },
        Some(_) if kernel.vendor => Fixed::Unknown,
        Some(_) => Fixed::No,
    }
}

/// Whether the kernel is Red Hat's 9 or later or a rebuild of it: they take a newer kernel's BPF whole, with its new
/// bugs, and keep the old version. Oracle's `el9uek` is built from a stable release.
fn rebases_bpf(release: &str) -> bool {
    let number = |word: &str| word.strip_prefix("el").and_then(|number| number.parse::<u32>().ok());
    release.split(['.', '-', '_', '+']).filter_map(number).any(|number| number >= 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(table: &[(&str, &str, Fixed)], judge: fn(&Kernel) -> Fixed) {
        for (release, uname_version, expected) in table {
            let kernel = Kernel::parse(release, uname_version, None);
            assert_eq!(judge(&kernel), *expected, "{release} {uname_version}");
        }
    }

    #[test]
    fn subprogram_tail_call_is_fixed_since_6_7_and_where_it_was_backported() {
        check(
            &[
                ("5.10.0-46-amd64", "#1 SMP Debian 5.10.262-1", Fixed::No),
                ("5.15.209", "", Fixed::No),
                ("6.1.71", "", Fixed::No),
                ("6.1.72", "", Fixed::Yes),
                ("6.1.0-51-amd64", "#1 SMP Debian 6.1.180-1", Fixed::Yes),
                ("6.1.0-51-amd64", "", Fixed::No),
                ("6.2.16", "", Fixed::No),
                ("6.4.99", "", Fixed::No),
                ("6.5.11", "", Fixed::No),
                ("6.5.12", "", Fixed::Yes),
                ("6.6.1", "", Fixed::No),
                ("6.6.2", "", Fixed::Yes),
                ("6.7.0-rc1", "", Fixed::Yes),
                ("6.12.117+deb12-amd64", "", Fixed::Yes),
                ("7.3.4+deb13-amd64", "", Fixed::Yes),
                ("4.18.0-553.el8_10.x86_64", "", Fixed::Unknown),
                ("5.14.0-427.42.1.el9_4.x86_64", "", Fixed::Unknown),
                ("5.15.0-125-generic", "", Fixed::Unknown),
                ("6.12.0-124.8.1.el10_1.x86_64", "", Fixed::Yes),
                ("6.1.112-122.189.amzn2023.x86_64", "", Fixed::Yes),
                ("", "", Fixed::Unknown),
            ],
            subprogram_tail_call,
        );
    }

    #[test]
    fn second_probe_crashes_from_6_19_to_7_2_5() {
        check(
            &[
                ("5.10.0-46-amd64", "#1 SMP Debian 5.10.262-1", Fixed::Yes),
                ("6.12.117+deb12-amd64", "", Fixed::Yes),
                ("6.18.44-fc-v595", "", Fixed::Yes),
                ("6.19.0", "", Fixed::No),
                ("7.0.0", "", Fixed::No),
                ("7.1.20", "", Fixed::No),
                ("7.2.0-rc2", "", Fixed::No),
                ("7.2.5", "", Fixed::No),
                ("7.2.6", "", Fixed::Yes),
                ("7.3.0-rc1", "", Fixed::Yes),
                ("7.3.4+deb13-amd64", "", Fixed::Yes),
                ("7.0.0-14-generic", "", Fixed::Unknown),
                ("6.8.0-45-generic", "", Fixed::Yes),
                ("4.18.0-553.el8_10.x86_64", "", Fixed::Yes),
                ("5.14.0-687.el9.x86_64", "", Fixed::Unknown),
                ("6.12.0-124.8.1.el10_1.x86_64", "", Fixed::Unknown),
                ("6.12.0-1.23.3.2.el9uek.x86_64", "", Fixed::Yes),
                ("", "", Fixed::Unknown),
            ],
            second_probe,
        );
    }

    #[test]
    fn names_are_those_of_the_option() {
        for hazard in Hazard::ALL {
            assert_eq!(Hazard::from_name(hazard.name()), Some(hazard));
            let said = hazard.describe(&Kernel::parse("5.15.0-125-generic", "", None));
            assert!(said.ends_with(&format!("--allow-hazard {}", hazard.name())), "{said}");
        }
        assert_eq!(Hazard::from_name("subprogram"), None);
    }

    #[test]
    fn what_is_only_possible_is_said_so() {
        let vendors = Hazard::SubprogramTailCall.describe(&Kernel::parse("5.14.0-427.el9.x86_64", "", None));
        assert!(vendors.starts_with("Linux 5.14.0 (5.14.0-427.el9.x86_64) may have"), "{vendors}");
        let affected = Hazard::SecondProbe.describe(&Kernel::parse("7.1.2", "", None));
        let known = if cfg!(target_arch = "x86_64") { "has" } else { "may have" };
        assert!(affected.starts_with(&format!("Linux 7.1.2 (7.1.2) {known} the bug")), "{affected}");
    }

    #[test]
    fn another_architectures_kernel_is_affected_as_far_as_is_known() {
        let told = [Fixed::Yes, Fixed::No, Fixed::Unknown].map(|fixed| as_far_as_known(fixed, false));
        assert_eq!(told, [Fixed::Yes, Fixed::Unknown, Fixed::Unknown]);
        assert_eq!(as_far_as_known(Fixed::No, true), Fixed::No);
    }
}
