//! The command line, once checked: what later rooms work from. None of them sees clap.

use std::ffi::OsString;

use anyhow::{Result, bail};
use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::{self, Cli, Command, Demo, RestoreFeatures, Trace};
use crate::failure::Failure;

/// What a run of the program is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    /// Trace packets.
    Trace(Tracing),
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

/// What to trace, and how to show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracing {
    /// NIC.
    pub device: String,
    /// Whether and how to attach a program where the NIC has none.
    pub passthrough: Option<Passthrough>,
    /// How events are written.
    pub output: Output,
    /// Which packets are shown.
    pub filter: Filter,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// One line a packet.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// All of them.
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
                device,
                passthrough: Some(Passthrough::Auto),
                output: Output::Classic,
                filter: Filter::Icmp,
            })),
            Some(Command::RestoreFeatures(restore)) => Self::restore_features(restore),
        }
    }

    fn trace(Trace { device, passthrough, output, filter }: Trace) -> Result<Self> {
        let Some(device) = device else {
            bail!(Failure::usage("no device given: name the NIC with -i DEV (xdptrace --help tells more)"));
        };
        let passthrough = passthrough.map(|mode| match mode {
            cli::Passthrough::Auto => Passthrough::Auto,
            cli::Passthrough::Generic => Passthrough::Generic,
            cli::Passthrough::Native => Passthrough::Native,
        });
        let output = match output {
            cli::Output::Text => Output::Text,
            cli::Output::Classic => Output::Classic,
        };
        Ok(Self::Trace(Tracing { device, passthrough, output, filter: parse_filter(&filter)? }))
    }

    fn restore_features(RestoreFeatures { ifindex, features }: RestoreFeatures) -> Result<Self> {
        let features: Result<Vec<u32>, _> = features.split(',').map(|word| u32::from_str_radix(word, 16)).collect();
        match features {
            Ok(features) => Ok(Self::RestoreFeatures { ifindex, features }),
            Err(_) => Err(Failure::usage("restore-features is for xdptrace's own use")),
        }
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
        let expected = Tracing { device: "eth0".into(), passthrough: None, output: Output::Text, filter: Filter::All };
        for words in ["-i eth0", "--device eth0", "--interface eth0", "--device=eth0", "trace -i eth0"] {
            assert_eq!(tracing(words), expected, "{words}");
        }
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
            "",
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
