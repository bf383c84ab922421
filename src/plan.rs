//! The command line, once checked: what later rooms work from. None of them sees clap.

use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::{self, Check, Cli, Command, Demo, List, RestoreFeatures, Trace};
use crate::failure::Failure;

/// What a run of the program is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    /// Trace packets.
    Trace(Tracing),
    /// List programs.
    List(Listing),
    /// Say what works.
    Check {
        /// Which programs on which NICs.
        scope: Scope,
        /// As JSON.
        json: bool,
    },
    /// No words at all: list programs, then say how to go on.
    Bare,
    /// Put a device's features back when the standard input ends.
    RestoreFeatures {
        /// NIC, by its index.
        ifindex: u32,
        /// Feature bits as the kernel numbers them, 32 a word.
        features: Vec<u32>,
    },
    /// Print this text: the help, or the version.
    Print(String),
}

/// Which programs on which NICs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// NICs.
    pub devices: Devices,
    /// Of the programs on their path, only these; if empty, the NIC's own.
    pub narrowing: Vec<Narrowing>,
    /// Network namespace, by name or path; None: this process's.
    pub netns: Option<String>,
}

/// NICs, by what was said of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Devices {
    /// Nothing.
    #[default]
    Unnamed,
    /// `any`: each that has an XDP program.
    Any,
    /// These, by name.
    Named(Vec<String>),
}

/// A program, and perhaps a function in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowing {
    /// Which program.
    pub program: Selector,
    /// A function in it; None: its entry function.
    pub function: Option<String>,
}

/// Which program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Each.
    All,
    /// By its id.
    Id(u32),
    /// By the name of its entry function, or the kernel's for it.
    Name(String),
    /// By both.
    NameAtId(String, u32),
    /// By the digest of its instructions.
    Tag([u8; 8]),
    /// By where it is pinned in a BPF file system.
    Pin(PathBuf),
}

/// What to list, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Which programs on which NICs.
    pub scope: Scope,
    /// Every BPF program on the machine instead.
    pub all: bool,
    /// The functions in each as well.
    pub functions: bool,
    /// As JSON.
    pub json: bool,
}

/// What to trace, and how to show it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tracing {
    /// Which programs on which NICs.
    pub scope: Scope,
    /// Wait for a program where there is none.
    pub wait: bool,
    /// Go on with what replaces a program.
    pub follow: bool,
    /// fexit alone.
    pub exit_only: bool,
    /// Names of hazards to trace in spite of.
    pub allowed_hazards: Vec<String>,
    /// Whether and how to attach a program where the NIC has none.
    pub passthrough: Option<Passthrough>,
    /// How events are written.
    pub output: Output,
    /// Which packets are shown.
    pub filter: Filter,
}

/// How events are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Output {
    /// One line a packet.
    #[default]
    Text,
    /// The article's lines: one at fentry, one at fexit.
    Classic,
}

/// How a pass-through program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passthrough {
    /// As the kernel chooses: native where the driver has XDP, else generic.
    Auto,
    /// In the network stack, with any driver.
    Generic,
    /// In the driver.
    Native,
}

/// Which packets are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Filter {
    /// All of them.
    #[default]
    All,
    /// IPv4 packets that carry ICMP.
    Icmp,
}

impl Plan {
    /// Makes a plan of the words on the command line, the program's name first.
    ///
    /// # Errors
    /// The words mean nothing, in one line.
    pub fn new(words: impl IntoIterator<Item = OsString>) -> Result<Self> {
        let words: Vec<OsString> = words.into_iter().collect();
        if words.len() < 2 {
            return Ok(Self::Bare);
        }
        match Cli::try_parse_from(words) {
            Ok(cli) => Self::from_cli(cli),
            Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
                Ok(Self::Print(error.to_string()))
            }
            Err(error) => Err(Failure::usage(first_sentence(&error.to_string()))),
        }
    }

    fn from_cli(cli: Cli) -> Result<Self> {
        match cli.command {
            None => Self::trace(cli.trace),
            Some(Command::Trace(trace)) => Self::trace(trace),
            Some(Command::Demo(Demo { device })) => Ok(Self::Trace(Tracing {
                scope: Scope { devices: Devices::Named(vec![device]), ..Scope::default() },
                follow: true,
                passthrough: Some(Passthrough::Auto),
                output: Output::Classic,
                filter: Filter::Icmp,
                ..Tracing::default()
            })),
            Some(Command::List(List { place, all, verbose, json })) => {
                Ok(Self::List(Listing { scope: Scope::from(place), all, functions: verbose, json }))
            }
            Some(Command::Check(Check { scope, json })) => Ok(Self::Check { scope: Scope::new(scope)?, json }),
            Some(Command::RestoreFeatures(restore)) => Self::restore_features(restore),
        }
    }

    fn trace(trace: Trace) -> Result<Self> {
        let Trace { list, scope, wait, no_follow, probe, allow_hazard, passthrough, output, filter } = trace;
        let scope = Scope::new(scope)?;
        if list {
            let scope = Scope { narrowing: Vec::new(), ..scope };
            return Ok(Self::List(Listing { scope, ..Listing::default() }));
        }
        if scope.devices == Devices::Unnamed && scope.narrowing.is_empty() {
            return Err(Failure::usage("no device given: name the NIC with -i DEV (xdptrace --help tells more)"));
        }
        if passthrough.is_some() && !matches!(scope.devices, Devices::Named(_)) {
            return Err(Failure::usage("--passthrough is for NICs named by -i: nothing is attached to any other"));
        }
        let passthrough = passthrough.map(|mode| match mode {
            cli::Passthrough::Auto => Passthrough::Auto,
            cli::Passthrough::Generic => Passthrough::Generic,
            cli::Passthrough::Native => Passthrough::Native,
        });
        let output = match output {
            cli::Output::Text => Output::Text,
            cli::Output::Classic => Output::Classic,
        };
        Ok(Self::Trace(Tracing {
            scope,
            wait,
            follow: !no_follow,
            exit_only: probe == cli::Probe::Exit,
            allowed_hazards: allow_hazard,
            passthrough,
            output,
            filter: parse_filter(&filter)?,
        }))
    }

    fn restore_features(RestoreFeatures { ifindex, features }: RestoreFeatures) -> Result<Self> {
        let features: Result<Vec<u32>, _> = features.split(',').map(|word| u32::from_str_radix(word, 16)).collect();
        match features {
            Ok(features) => Ok(Self::RestoreFeatures { ifindex, features }),
            Err(_) => Err(Failure::usage("restore-features is for xdptrace's own use")),
        }
    }
}

impl From<cli::Place> for Scope {
    fn from(cli::Place { device, netns }: cli::Place) -> Self {
        let devices = match device.is_empty() {
            true => Devices::Unnamed,
            false if device.iter().any(|name| name == "any") => Devices::Any,
            false => Devices::Named(device),
        };
        Self { devices, narrowing: Vec::new(), netns }
    }
}

impl Scope {
    fn new(cli::Scope { place, prog }: cli::Scope) -> Result<Self> {
        let narrowing = prog.iter().map(|words| Narrowing::parse(words)).collect::<Result<_>>()?;
        Ok(Self { narrowing, ..Self::from(place) })
    }
}

impl Narrowing {
    /// Reads `12`, `xdp_lb`, `xdp_lb@12`, `tag:90f686eb86991928`, `/sys/fs/bpf/lb` or `all`, and `:FUNC` behind it.
    fn parse(words: &str) -> Result<Self> {
        let (program, function) = match words.strip_prefix("tag:") {
            Some(tag) => split_function(tag),
            None => split_function(words),
        };
        let selector = match (words.starts_with("tag:"), program) {
            (true, tag) => parse_tag(tag).map(Selector::Tag),
            (false, "all") => Some(Selector::All),
            (false, path) if path.contains('/') => Some(Selector::Pin(path.into())),
            (false, name) => parse_name(name),
        };
        match selector {
            Some(program) if function != Some("") => Ok(Self { program, function: function.map(str::to_owned) }),
            _ => Err(Failure::usage(format!(
                "program '{}' is not known: name it by ID, NAME, NAME@ID, tag:HEX, the path of a pin, or all (xdptrace --help \
                 tells more)",
                words.escape_default()
            ))),
        }
    }
}

impl Display for Narrowing {
    /// As on the command line, such that it cannot command a terminal.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.program {
            Selector::All => f.write_str("all"),
            Selector::Id(id) => write!(f, "{id}"),
            Selector::Name(name) => write!(f, "{}", name.escape_default()),
            Selector::NameAtId(name, id) => write!(f, "{}@{id}", name.escape_default()),
            Selector::Tag(tag) => write!(f, "tag:{}", hex(tag)),
            Selector::Pin(path) => write!(f, "{}", path.to_string_lossy().escape_default()),
        }?;
        self.function.as_ref().map_or(Ok(()), |function| write!(f, ":{}", function.escape_default()))
    }
}

/// `90f686eb86991928`
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn split_function(words: &str) -> (&str, Option<&str>) {
    words.rsplit_once(':').map_or((words, None), |(program, function)| (program, Some(function)))
}

fn parse_tag(digits: &str) -> Option<[u8; 8]> {
    let valid = digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    valid.then(|| u64::from_str_radix(digits, 16).ok())?.map(u64::to_be_bytes)
}

fn parse_name(name: &str) -> Option<Selector> {
    let id = |digits: &str| digits.parse().ok().filter(|id| *id > 0);
    match name.split_once('@') {
        _ if name.is_empty() => None,
        Some((name, digits)) => id(digits).map(|id| Selector::NameAtId(name.to_owned(), id)),
        None if name.bytes().all(|digit| digit.is_ascii_digit()) => id(name).map(Selector::Id),
        None => Some(Selector::Name(name.to_owned())),
    }
}

fn parse_filter(words: &[String]) -> Result<Filter> {
    let filter = words.join(" ");
    match filter.trim() {
        "" => Ok(Filter::All),
        "icmp" => Ok(Filter::Icmp),
        other => Err(Failure::usage(format!(
            "filter '{}' is not known: this version filters by 'icmp' or not at all",
            other.escape_default()
        ))),
    }
}

/// One line of what clap says in several: everything before its usage and its tips, without the `error: `.
fn first_sentence(message: &str) -> String {
    let lines = message
        .lines()
        .map(str::trim)
        .take_while(|line| !["Usage:", "tip:", "For more"].iter().any(|end| line.starts_with(end)));
    let words: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let sentence = words.join(" ");
    format!("{} (xdptrace --help tells more)", sentence.strip_prefix("error: ").unwrap_or(&sentence))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn plan(words: &str) -> Result<Plan> {
        Plan::new(["xdptrace"].into_iter().chain(words.split_whitespace()).map(OsString::from))
    }

    fn tracing(words: &str) -> Tracing {
        match plan(words).unwrap() {
            Plan::Trace(tracing) => tracing,
            other => panic!("{words}: {other:?}"),
        }
    }

    #[test]
    fn trace_is_the_default_command_and_device_has_three_spellings() {
        let scope = Scope { devices: Devices::Named(vec!["eth0".into()]), ..Scope::default() };
        let expected = Tracing { scope, follow: true, ..Tracing::default() };
        for words in ["-i eth0", "--device eth0", "--interface eth0", "--device=eth0", "trace -i eth0"] {
            assert_eq!(tracing(words), expected, "{words}");
        }
    }

    #[test]
    fn programs_are_narrowed_by_commas_or_repeated() {
        let narrowing =
            tracing("-p 12,xdp_lb -p xdp_lb@13:parse,tag:90f686eb86991928,/sys/fs/bpf/lb:f,all").scope.narrowing;
        let program = |program, function: Option<&str>| Narrowing { program, function: function.map(str::to_owned) };
        let expected = [
            program(Selector::Id(12), None),
            program(Selector::Name("xdp_lb".into()), None),
            program(Selector::NameAtId("xdp_lb".into(), 13), Some("parse")),
            program(Selector::Tag([0x90, 0xf6, 0x86, 0xeb, 0x86, 0x99, 0x19, 0x28]), None),
            program(Selector::Pin("/sys/fs/bpf/lb".into()), Some("f")),
            program(Selector::All, None),
        ];
        assert_eq!(narrowing, expected);
        let shown: Vec<String> = narrowing.iter().map(Narrowing::to_string).collect();
        assert_eq!(shown.join(","), "12,xdp_lb,xdp_lb@13:parse,tag:90f686eb86991928,/sys/fs/bpf/lb:f,all");
    }

    #[test]
    fn devices_are_several_or_any() {
        let devices = |words| tracing(words).scope.devices;
        assert_eq!(devices("-i eth0 -i eth1"), Devices::Named(vec!["eth0".into(), "eth1".into()]));
        assert_eq!(devices("-i any"), Devices::Any);
        assert_eq!(devices("-p 12"), Devices::Unnamed);
        assert_eq!(plan("").unwrap(), Plan::Bare);
    }

    #[test]
    fn demo_is_short_for_passthrough_classic_icmp() {
        assert_eq!(tracing("demo --device eth0"), tracing("--passthrough --output classic -i eth0 icmp"));
    }

    #[test]
    fn options_may_follow_the_filter() {
        assert_eq!(tracing("-i eth0 icmp -o classic"), tracing("-o classic -i eth0 icmp"));
    }

    #[test]
    fn passthrough_takes_its_mode_after_an_equals_sign_only() {
        assert_eq!(tracing("-i eth0 --passthrough icmp").filter, Filter::Icmp);
        assert_eq!(tracing("-i eth0 --passthrough=generic").passthrough, Some(Passthrough::Generic));
        assert_eq!(tracing("-i eth0 --passthrough=native").passthrough, Some(Passthrough::Native));
    }

    #[test]
    fn every_wrong_word_is_refused_in_one_line() {
        for words in [
            "-o text",
            "-p ,",
            "-p 0",
            "-p 99999999999",
            "-p tag:12",
            "-p tag:+0f686eb86991928",
            "-p xdp_lb@x",
            "-p xdp_lb:",
            "-i any --passthrough",
            "-p 12 --passthrough",
            "-i",
            "--nonsense",
            "-i eth0 udp",
            "-i eth0 -o xml",
            "demo",
            "-i eth0 --passthrough=fast",
            "restore-features 1 x",
        ] {
            let error = plan(words).unwrap_err();
            assert_eq!(crate::failure::status(&error), crate::failure::Status::Usage, "{words}");
            assert!(!format!("{error:#}").contains('\n'), "{words}: {error:#}");
        }
    }
}
