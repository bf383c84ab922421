//! The command line, once checked: what later rooms work from. None of them sees clap.

use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::{self, Cli, Command, Demo, List, Shown, Trace};
use crate::failure::Failure;

mod capture;
mod checking;
mod counting;
mod export;
mod letters;
mod look;
mod passthrough;
mod reading;
mod selection;
mod stats;
mod top;

pub use capture::{Capture, Format, Rotation};
pub use checking::Checking;
pub use counting::{By, Counting, Part};
pub use export::Export;
use letters::{refuse_commands, refuse_letters};
pub use look::{Dump, Look, Times};
pub use passthrough::Passthrough;
pub use reading::Reading;
use selection::parse_duration;
pub use selection::{Filter, Outcomes, Probes, Selection, Side};
pub use stats::Stats;
pub use top::{Palette, Top};

/// What a run of the program is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    /// Trace packets.
    Trace(Box<Tracing>),
    /// Show numbers on the terminal.
    Top(Box<Top>),
    /// Read packets of a file.
    Read(Reading),
    /// Show numbers.
    Stats(Box<Stats>),
    /// Show numbers to Prometheus.
    Export(Box<Export>),
    /// List programs.
    List(Listing),
    /// Say what works.
    Check(Checking),
    /// No words at all: list programs, then say how to go on.
    Bare,
    /// Put a device's features back when the standard input ends.
    RestoreFeatures {
        /// NIC, by its index.
        ifindex: u32,
        /// Feature bits as the kernel numbers them, 32 a word: wanted, and on, by turns.
        features: Vec<u32>,
    },
    /// Print the JSON schema of what `--output json` prints.
    Schema,
    /// Print a filter.
    Dump {
        /// The filter.
        filter: Filter,
        /// How often -d was said: 1 to 3.
        form: u8,
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
    /// Become this user, and then follow nothing.
    pub user: Option<String>,
    /// Give up nothing once everything is attached: for a process that does more than to trace.
    pub keeps_privileges: bool,
    /// Names of hazards to trace in spite of.
    pub allowed_hazards: Vec<String>,
    /// Whether and how to attach a program where the NIC has none.
    pub passthrough: Option<Passthrough>,
    /// Have NICs take frames for others as well.
    pub promiscuous: bool,
    /// Which runs, and what of them.
    pub selection: Selection,
    /// Stop after so many.
    pub count: Option<u64>,
    /// Stop after this time.
    pub duration: Option<Duration>,
    /// How events are shown in lines.
    pub output: Output,
    /// The files that packets are written to, if they are.
    pub capture: Option<Capture>,
    /// Memory of the rings in all, in KiB; None: the default.
    pub ring_kib: Option<u64>,
    /// However much of the available memory that is.
    pub force: bool,
    /// A loss is a failure.
    pub fail_on_loss: bool,
    /// Numbers instead of events.
    pub counting: Option<Counting>,
}

/// How events are shown in lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// One line a packet.
    Text(Look),
    /// One JSON object a packet.
    Json,
    /// The article's lines: one at fentry, one at fexit.
    Classic,
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
            Some(Command::Trace(trace)) => Self::trace(*trace),
            Some(Command::Read(read)) => Reading::new(read.file, &read.shown).map(Self::Read),
            Some(Command::Demo(Demo { device })) => Ok(Self::Trace(Box::new(Tracing {
                scope: Scope { devices: Devices::Named(vec![device]), ..Scope::default() },
                follow: true,
                passthrough: Some(Passthrough::Auto),
                output: Output::Classic,
                selection: Selection { filter: "icmp".into(), ..Selection::default() },
                ..Tracing::default()
            }))),
            Some(Command::Export(export)) => Export::new(*export).map(Box::new).map(Self::Export),
            Some(Command::List(List { place, all, verbose, json })) => {
                Ok(Self::List(Listing { scope: Scope::of_place(place)?, all, functions: verbose, json }))
            }
            Some(Command::Check(check)) => Checking::new(check).map(Self::Check),
            Some(Command::Stats(stats)) => Stats::new(*stats).map(Box::new).map(Self::Stats),
            Some(Command::Top(top)) => Top::new(*top).map(Box::new).map(Self::Top),
            Some(Command::Schema) => Ok(Self::Schema),
            Some(Command::RestoreFeatures(restore)) => Self::restore_features(restore),
        }
    }

    fn trace(trace: Trace) -> Result<Self> {
        if let Some(file) = trace.read {
            return Reading::new(file, &trace.shown).map(Self::Read);
        }
        refuse_letters(&trace.shown.packets)?;
        refuse_commands(&trace.shown.packets)?;
        let scope = Scope::new(trace.targets.scope.clone())?;
        if trace.list {
            let scope = Scope { narrowing: Vec::new(), ..scope };
            return Ok(Self::List(Listing { scope, ..Listing::default() }));
        }
        if trace.dump > 0 {
            return Ok(Self::Dump { filter: Filter::new(&trace.shown.packets)?, form: trace.dump.min(3) });
        }
        scope.check()?;
        if trace.passthrough.is_some() && !matches!(scope.devices, Devices::Named(_)) {
            return Err(Failure::usage("--passthrough is for NICs named by -i: nothing is attached to any other"));
        }
        Ok(Self::Trace(Box::new(Tracing {
            scope,
            wait: trace.targets.wait,
            follow: trace.targets.follows(),
            passthrough: Passthrough::of(&trace)?,
            promiscuous: trace.promiscuous_mode,
            output: Output::of(&trace.shown),
            capture: Capture::of(&trace)?,
            selection: Selection::new(&trace)?,
            count: trace.shown.count,
            duration: trace.duration.as_deref().map(|words| parse_duration("--duration", words)).transpose()?,
            ring_kib: trace.buffer_size,
            force: trace.force,
            fail_on_loss: trace.fail_on_loss,
            user: trace.targets.relinquish_privileges,
            keeps_privileges: false,
            allowed_hazards: trace.targets.allow_hazard,
            counting: None,
        })))
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::Text(Look::default())
    }
}

impl Output {
    fn of(shown: &Shown) -> Self {
        match shown.show.output {
            cli::Output::Text => Self::Text(Look::new(&shown.show)),
            cli::Output::Json => Self::Json,
            cli::Output::Classic => Self::Classic,
        }
    }
}

impl Scope {
    fn new(cli::Scope { place, prog }: cli::Scope) -> Result<Self> {
        let narrowing = prog.iter().map(|words| Narrowing::parse(words.trim())).collect::<Result<_>>()?;
        Ok(Self { narrowing, ..Self::of_place(place)? })
    }

    /// Whether it says anything.
    fn check(&self) -> Result<()> {
        match self.devices == Devices::Unnamed && self.narrowing.is_empty() {
            true => Err(Failure::usage("no device given: name the NIC with -i DEV (xdptrace --help tells more)")),
            false => Ok(()),
        }
    }

    fn of_place(cli::Place { device, netns }: cli::Place) -> Result<Self> {
        if device.iter().chain(&netns).any(String::is_empty) {
            return Err(Failure::usage("an empty name is no device's and no network namespace's"));
        }
        let devices = match &device[..] {
            [] => Devices::Unnamed,
            names if names.iter().all(|name| name == "any") => Devices::Any,
            names if names.iter().any(|name| name == "any") => {
                return Err(Failure::usage("-i any is every NIC that has an XDP program: name no other beside it"));
            }
            _ => Devices::Named(device),
        };
        Ok(Self { devices, narrowing: Vec::new(), netns })
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
mod tests;
