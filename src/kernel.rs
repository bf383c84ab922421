//! What the running kernel is, and what it and this process say of themselves: plain data, read once, judged elsewhere.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::ptr;
use std::time::Duration;

use anyhow::{Context, Result};
use caps::{CapSet, Capability};
use libbpf_rs::libbpf_sys;
use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

/// Major, minor and patch of a stable release: what kernel.org calls 5.10.262.
pub type Version = (u32, u32, u32);

/// PROC_USER_INIT_INO of include/linux/proc_ns.h, in every kernel the same.
const INITIAL_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// Where the kernel describes its own types.
pub const BTF: &str = "/sys/kernel/btf/vmlinux";

/// What to say where it doesn't, with the remedy.
pub const NO_BTF: &str = "the kernel has no BTF at /sys/kernel/btf/vmlinux: it needs CONFIG_DEBUG_INFO_BTF=y";

/// Which kernel this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// `uname -r`, empty where it cannot be read.
    pub release: String,
    /// The stable version that it is made from; None where it doesn't tell.
    pub version: Option<Version>,
    /// Whether a distributor keeps a version and changes what is behind it, so that the version can't tell what was
    /// backported. Debian's kernels and plain stable ones are not that.
    pub vendor: bool,
}

impl Kernel {
    /// The running kernel's.
    ///
    /// Source: /proc/sys/kernel/osrelease and version, which are `uname -r` and `uname -v`, and Ubuntu's
    /// /proc/version_signature.
    pub fn running() -> Self {
        let read = |name| fs::read_to_string(name).unwrap_or_default();
        let signature = fs::read_to_string("/proc/version_signature").ok();
        Self::parse(&read("/proc/sys/kernel/osrelease"), &read("/proc/sys/kernel/version"), signature.as_deref())
    }

    /// Works the version out as libbpf's get_kernel_version does: Ubuntu's signature (`Ubuntu 5.4.0-12.15-generic
    /// 5.4.8`), else what Debian writes into `uname -v` (`… Debian 5.10.262-1 …`), else `uname -r`.
    ///
    /// Unlike libbpf, it takes `6.7-rc3` for 6.7.0: 0 is the lowest patch there is, so nothing counts as fixed by it.
    pub fn parse(release: &str, uname_version: &str, signature: Option<&str>) -> Self {
        let release = release.trim();
        let told = signature
            .and_then(|signature| signature.split_whitespace().nth(2))
            .or_else(|| uname_version.split_once("Debian ").map(|(_, rest)| rest))
            .and_then(parse_version);
        Self {
            release: release.to_owned(),
            version: told.or_else(|| parse_version(release)),
            vendor: told.is_none() && is_vendors(release),
        }
    }
}

impl Display for Kernel {
    /// `Linux 5.10.262 (5.10.0-46-amd64)`
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.version {
            Some((major, minor, patch)) => write!(f, "Linux {major}.{minor}.{patch}")?,
            None => write!(f, "Linux of unknown version")?,
        }
        if self.release.is_empty() { Ok(()) } else { write!(f, " ({})", self.release.escape_default()) }
    }
}

/// `5.10.262-1` → (5, 10, 262); `1:6.6.51`, an epoch in front, is nothing, as for libbpf.
fn parse_version(text: &str) -> Option<Version> {
    let (major, rest) = leading_number(text)?;
    let (minor, rest) = leading_number(rest.strip_prefix('.')?)?;
    let patch = rest.strip_prefix('.').and_then(leading_number).map_or(0, |(patch, _)| patch);
    Some((major, minor, patch))
}

fn leading_number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// Whether `release` has the mark of a distributor who backports to a version of his own choice.
fn is_vendors(release: &str) -> bool {
    // Ubuntu's flavours, where no signature told the version; Proxmox, SUSE, WSL, NVIDIA's and Android's boards, Google.
    const WORDS: &str = "generic lowlatency realtime azure aws gcp gke gkeop oracle oem ibm kvm raspi \
                         pve default WSL2 nvidia tegra android cos uek";
    // With a number behind: Red Hat and its rebuilds (el9, el9uek), Amazon, Oracle, Alibaba, openEuler, Tencent, Azure.
    const NUMBERED: [&str; 9] = ["el", "amzn", "uek", "an", "al", "oe", "tl", "azl", "cm"];
    let numbered = |word: &str| {
        let behind = NUMBERED.iter().filter_map(|mark| word.strip_prefix(mark)).find_map(|rest| rest.chars().next());
        behind.is_some_and(|c| c.is_ascii_digit())
    };
    let marks = |word: &str| WORDS.split_whitespace().any(|mark| mark == word) || numbered(word);
    // A `+` at the end is the kernel build's own mark of a tree that isn't the tagged one: Google's COS has it.
    release.ends_with('+') || release.split(['.', '-', '_', '+']).any(marks)
}

/// How far the kernel is locked against its own root user, kernel_lockdown(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lockdown {
    /// Not at all, or the kernel has no lockdown.
    None,
    /// Root may not change the kernel; reading is free.
    Integrity,
    /// Nor may root read the kernel's memory.
    Confidentiality,
    /// It cannot be seen from here.
    Unknown,
}

impl Lockdown {
    /// Source: /sys/kernel/security/lockdown, `none [integrity] confidentiality`. No such file, though securityfs is
    /// mounted, is a kernel without lockdown; an unmounted securityfs tells nothing.
    pub fn read() -> Self {
        match fs::read_to_string("/sys/kernel/security/lockdown") {
            Ok(text) => Self::parse(&text),
            Err(_) if Path::new("/sys/kernel/security/lsm").exists() => Self::None,
            Err(_) => Self::Unknown,
        }
    }

    fn parse(text: &str) -> Self {
        match text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(word, _)| word) {
            Some("none") => Self::None,
            Some("integrity") => Self::Integrity,
            Some("confidentiality") => Self::Confidentiality,
            _ => Self::Unknown,
        }
    }
}

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// Those that this thread has in effect.
    ///
    /// Source: CapEff of /proc/thread-self/status.
    ///
    /// # Errors
    /// /proc is not there.
    pub fn effective() -> Result<Self> {
        let status =
            fs::read_to_string("/proc/thread-self/status").context("failed to read /proc/thread-self/status")?;
        Self::parse(&status).context("no CapEff in /proc/thread-self/status")
    }

    /// Whether `capability` is among them.
    pub fn has(self, capability: Capability) -> bool {
        self.0 & capability.bitmask() != 0
    }

    fn parse(status: &str) -> Option<Self> {
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(line.trim(), 16).ok().map(Self)
    }
}

impl<const N: usize> From<[Capability; N]> for Capabilities {
    fn from(capabilities: [Capability; N]) -> Self {
        Self(capabilities.into_iter().fold(0, |bits, capability| bits | capability.bitmask()))
    }
}

/// Does it without `capabilities` in effect for this thread.
///
/// # Errors
/// The kernel refuses to change them.
pub fn without<T>(capabilities: &[Capability], act: impl FnOnce() -> T) -> Result<T> {
    const FAILED: &str = "failed to change the capabilities in effect";
    let before = caps::read(None, CapSet::Effective).context(FAILED)?;
    let fewer = before.iter().copied().filter(|one| !capabilities.contains(one)).collect();
    caps::set(None, CapSet::Effective, &fewer).context(FAILED)?;
    let done = act();
    caps::set(None, CapSet::Effective, &before).context(FAILED)?;
    Ok(done)
}

/// Whether bpf(2) is refused to whoever has neither CAP_BPF nor CAP_SYS_ADMIN, whatever is asked for. So it is before Linux
/// 5.19 (commit c8644cd0efe7), unless kernel.unprivileged_bpf_disabled is 0; since then only where something is made.
///
/// # Errors
/// It cannot be tried.
pub fn is_bpf_privileged() -> Result<bool> {
    without(&[Capability::CAP_SYS_ADMIN, Capability::CAP_BPF], || {
        // SAFETY: of a descriptor that cannot be one the kernel asks nothing, and writes nothing.
        let refused = unsafe { libbpf_sys::bpf_obj_get_info_by_fd(-1, ptr::null_mut(), &mut 0) };
        refused == -libc::EPERM
    })
}

/// Whether this kernel has Landlock, switched on: since Linux 5.13.
pub fn has_landlock() -> bool {
    const VERSION: libc::c_ulong = 1;
    // SAFETY: landlock_create_ruleset(2) follows no pointer where only its version is asked for.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<libc::c_void>(), 0_usize, VERSION) };
    Errno::result(version).is_ok()
}

/// Whether this process is in the user namespace that the machine began with: capabilities of another are not the
/// machine's, and BPF asks for the machine's.
///
/// # Errors
/// /proc is not there.
pub fn in_initial_user_namespace() -> Result<bool> {
    let users = fs::metadata("/proc/thread-self/ns/user").context("failed to read /proc/thread-self/ns/user")?;
    Ok(users.ino() == INITIAL_USER_NAMESPACE)
}

/// Whether the kernel describes its own types, which fentry needs.
pub fn has_btf() -> bool {
    Path::new(BTF).exists()
}

/// Memory that is available without pushing anything out, in KiB. Source: MemAvailable in /proc/meminfo.
pub fn available_kib() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// CPUs that are online: at least 1.
pub fn online_cpus() -> u64 {
    // SAFETY: sysconf(3) takes no pointer.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).unwrap_or(1).max(1)
}

/// CLOCK_BOOTTIME, by which the kernel dates when programs were loaded.
pub fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// When the kernel was booted, in nanoseconds since the Unix epoch: what to add to CLOCK_BOOTTIME for the time of day.
///
/// # Errors
/// The kernel has no such clock.
pub fn boot_time_ns() -> nix::Result<u64> {
    let ns = |clock| Ok(Duration::from(clock_gettime(clock)?).as_nanos() as u64);
    Ok(ns(ClockId::CLOCK_REALTIME)?.saturating_sub(ns(ClockId::CLOCK_BOOTTIME)?))
}

/// What can be known without trying; None is what can't be seen from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Which kernel.
    pub kernel: Kernel,
    /// Whether it has BTF.
    pub btf: bool,
    /// Whether the BPF JIT is on. Source: net.core.bpf_jit_enable, which only the first network namespace shows.
    pub jit: Option<bool>,
    /// How far it is locked down.
    pub lockdown: Lockdown,
    /// kernel.perf_event_paranoid: -1 to 2, with distributors' patches up to 4.
    pub perf_event_paranoid: Option<i32>,
    /// Whether it has CAP_BPF and CAP_PERFMON. Source: kernel.cap_last_cap.
    pub splits_sys_admin: Option<bool>,
    /// What this thread may.
    pub capabilities: Option<Capabilities>,
    /// Whether bpf(2) takes a capability whatever it is asked for.
    pub privileged_bpf: Option<bool>,
    /// Whether it has Landlock, and that is on.
    pub landlock: bool,
    /// Whether it has seccomp's filters.
    pub seccomp: bool,
    /// Whether that is meant for the whole machine.
    pub initial_user_namespace: Option<bool>,
}

impl State {
    /// Reads all of it. Needs no privilege and changes nothing.
    pub fn read() -> Self {
        Self {
            kernel: Kernel::running(),
            btf: has_btf(),
            jit: read_number("/proc/sys/net/core/bpf_jit_enable").map(|value| value != 0),
            lockdown: Lockdown::read(),
            perf_event_paranoid: read_number("/proc/sys/kernel/perf_event_paranoid"),
            splits_sys_admin: read_number("/proc/sys/kernel/cap_last_cap")
                .map(|last| last >= i32::from(Capability::CAP_BPF.index())),
            capabilities: Capabilities::effective().ok(),
            privileged_bpf: is_bpf_privileged().ok(),
            landlock: has_landlock(),
            // kernel/seccomp.c has it with CONFIG_SECCOMP_FILTER only (Linux 4.14).
            seccomp: Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
            initial_user_namespace: in_initial_user_namespace().ok(),
        }
    }
}

fn read_number(path: &str) -> Option<i32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_that_libbpf_finds() {
        const DEBIAN_11: &str = "#1 SMP Debian 5.10.262-1 (2026-09-20)";
        const DEBIAN_12: &str = "#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1~deb12u1 (2026-09-11)";
        const DEBIAN_13: &str = "#1 SMP PREEMPT_DYNAMIC Debian 7.3.4-1~bpo13+1 (2026-11-02)";
        const DEBIAN_RC: &str = "#1 SMP PREEMPT_DYNAMIC Debian 7.3~rc2-1~exp1 (2026-10-05)";
        const RASPBERRY_PI: &str = "#1 SMP PREEMPT Debian 1:6.6.51-1+rpt3 (2024-10-08)";
        const PLAIN: &str = "#1 SMP PREEMPT_DYNAMIC Mon, 07 Oct 2024 10:00:00 +0000";
        const UBUNTU: Option<&str> = Some("Ubuntu 5.15.0-125.135-generic 5.15.167\n");
        let table = [
            ("5.10.0-46-amd64", DEBIAN_11, None, Some((5, 10, 262)), false),
            ("6.12.117+deb12-amd64", DEBIAN_12, None, Some((6, 12, 117)), false),
            ("7.3.4+deb13-amd64", DEBIAN_13, None, Some((7, 3, 4)), false),
            ("7.3-rc2-amd64", DEBIAN_RC, None, Some((7, 3, 0)), false),
            ("6.6.51+rpt-rpi-v8", RASPBERRY_PI, None, Some((6, 6, 51)), false),
            ("5.15.0-125-generic", "#135-Ubuntu SMP Fri Sep 27", UBUNTU, Some((5, 15, 167)), false),
            ("5.15.0-125-generic", "#135-Ubuntu SMP Fri Sep 27", None, Some((5, 15, 0)), true),
            ("6.8.0-1017-azure", "#20-Ubuntu SMP", None, Some((6, 8, 0)), true),
            ("4.18.0-553.el8_10.x86_64", PLAIN, None, Some((4, 18, 0)), true),
            ("5.14.0-427.42.1.el9_4.x86_64", PLAIN, None, Some((5, 14, 0)), true),
            ("5.14.0-503.el9.aarch64", PLAIN, None, Some((5, 14, 0)), true),
            ("6.12.0-124.8.1.el10_1.x86_64", PLAIN, None, Some((6, 12, 0)), true),
            ("6.1.112-122.189.amzn2023.x86_64", PLAIN, None, Some((6, 1, 112)), true),
            ("5.10.226-214.880.amzn2.x86_64", PLAIN, None, Some((5, 10, 226)), true),
            ("5.15.0-302.167.6.el9uek.x86_64", PLAIN, None, Some((5, 15, 0)), true),
            ("6.4.0-150600.23.25-default", PLAIN, None, Some((6, 4, 0)), true),
            ("6.8.12-4-pve", "#1 SMP PREEMPT_DYNAMIC PMX 6.8.12-4", None, Some((6, 8, 12)), true),
            ("6.6.87+", PLAIN, None, Some((6, 6, 87)), true),
            ("5.15.153.1-microsoft-standard-WSL2", PLAIN, None, Some((5, 15, 153)), true),
            ("6.11.5-arch1-1", PLAIN, None, Some((6, 11, 5)), false),
            ("6.11.4-301.fc41.x86_64", PLAIN, None, Some((6, 11, 4)), false),
            ("6.6.58-0-lts", "#1-Alpine SMP PREEMPT_DYNAMIC", None, Some((6, 6, 58)), false),
            ("6.18.0", PLAIN, None, Some((6, 18, 0)), false),
            ("6.18.44-fc-v595\n", PLAIN, None, Some((6, 18, 44)), false),
            ("7.3.0-rc2", PLAIN, None, Some((7, 3, 0)), false),
            ("6.7-rc3", PLAIN, None, Some((6, 7, 0)), false),
            ("6.1.90-cloudflare-2024.5.1", PLAIN, None, Some((6, 1, 90)), false),
            ("", "", None, None, false),
            ("mine", "", Some("mine"), None, false),
        ];
        for (release, uname_version, signature, version, vendor) in table {
            let kernel = Kernel::parse(release, uname_version, signature);
            assert_eq!((kernel.version, kernel.vendor), (version, vendor), "{release} {uname_version}");
        }
    }

    #[test]
    fn a_kernel_is_shown_by_both_its_versions() {
        let debian = Kernel::parse("5.10.0-46-amd64", "#1 SMP Debian 5.10.262-1 (2026-09-20)", None);
        assert_eq!(debian.to_string(), "Linux 5.10.262 (5.10.0-46-amd64)");
        assert_eq!(Kernel::parse("", "", None).to_string(), "Linux of unknown version");
    }

    #[test]
    fn lockdown_is_the_word_in_brackets() {
        assert_eq!(Lockdown::parse("[none] integrity confidentiality\n"), Lockdown::None);
        assert_eq!(Lockdown::parse("none [integrity] confidentiality\n"), Lockdown::Integrity);
        assert_eq!(Lockdown::parse("none integrity [confidentiality]\n"), Lockdown::Confidentiality);
        assert_eq!(Lockdown::parse(""), Lockdown::Unknown);
    }

    #[test]
    fn capabilities_are_read_as_hexadecimal() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000000c000201000\n";
        let all = [Capability::CAP_NET_ADMIN, Capability::CAP_SYS_ADMIN, Capability::CAP_PERFMON, Capability::CAP_BPF];
        assert_eq!(Capabilities::parse(status), Some(all.into()));
        assert_eq!(Capabilities::parse("Name:\tx\n"), None);
        assert!(!Capabilities::from([Capability::CAP_NET_ADMIN]).has(Capability::CAP_SYS_ADMIN));
    }
}
