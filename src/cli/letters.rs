//! tcpdump's letters and words that mean nothing to a tracer of XDP programs: each is refused with a sentence, for none may mean
//! something else here.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

/// An option of tcpdump's that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letter {
    short: Option<char>,
    long: &'static str,
    has_value: bool,
    why: &'static str,
}

impl Letter {
    const fn new(short: char, long: &'static str, has_value: bool, why: &'static str) -> Self {
        Self { short: Some(short), long, has_value, why }
    }

    const fn word(long: &'static str, why: &'static str) -> Self {
        Self { short: None, long, has_value: false, why }
    }

    /// `-I`, or `--count`.
    pub fn name(&self) -> String {
        self.short.map_or_else(|| format!("--{}", self.long), |letter| format!("-{letter}"))
    }

    /// Why it isn't here, and what is instead.
    pub fn why(&self) -> &'static str {
        self.why
    }

    fn arg(&self) -> Arg {
        let arg = Arg::new(self.long).long(self.long).hide(true);
        let arg = match self.has_value {
            true => arg.num_args(1).action(ArgAction::Append).allow_hyphen_values(true),
            false => arg.action(ArgAction::Count),
        };
        self.short.map_or(arg.clone(), |letter| arg.short(letter))
    }
}

const NO_PAYLOADS: &str =
    "application payloads are not decoded: write a file with -w and read that with tcpdump or tshark";

/// All of them; some are called by a long name that tcpdump hasn't, because each must have one.
const LETTERS: [Letter; 18] = [
    Letter::new('b', "as-dot", false, NO_PAYLOADS),
    Letter::new('E', "esp-secret", true, NO_PAYLOADS),
    Letter::new('H', "mesh", false, "XDP programs see Ethernet frames, no 802.11s ones"),
    Letter::new('I', "monitor-mode", false, "XDP programs see Ethernet frames, no 802.11 ones"),
    Letter::new('j', "time-stamp-type", true, "times are by the kernel's clock, as the program began"),
    Letter::new('J', "list-time-stamp-types", false, "times are by the kernel's clock, as the program began"),
    Letter::new('L', "list-data-link-types", false, "XDP programs see Ethernet frames (EN10MB) only"),
    Letter::new('m', "mib-module", true, NO_PAYLOADS),
    Letter::new('M', "tcp-md5-secret", true, "TCP-MD5 digests are not checked"),
    Letter::new('T', "packet-type", true, NO_PAYLOADS),
    Letter::new('u', "undecoded-nfs-handles", false, NO_PAYLOADS),
    Letter::new('V', "files-from", true, "one file is read at a time: xdptrace read FILE"),
    Letter::new('z', "postrotate-command", true, "nothing is run from here: have whatever watches the folder do that"),
    Letter::word("count", "the last line on stderr counts what was seen"),
    Letter::word("immediate-mode", "what is seen is printed within 100 ms: there is nothing to switch on"),
    Letter::word("no-promiscuous-mode", "the NIC is left as it is unless -P asks for more"),
    Letter::word("lengths", "-e prints each packet's length"),
    Letter::new('a', "attempt-names", false, "names are never resolved"),
];

/// Those that were given.
#[derive(Debug, Clone, Default)]
pub struct Letters(Vec<Letter>);

impl Letters {
    /// One of them.
    pub fn first(&self) -> Option<&Letter> {
        self.0.first()
    }
}

impl Args for Letters {
    fn augment_args(command: Command) -> Command {
        command.args(LETTERS.iter().map(Letter::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Letters {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let is_given =
            |letter: &&Letter| matches.value_source(letter.long) == Some(clap::parser::ValueSource::CommandLine);
        Ok(Self(LETTERS.iter().filter(is_given).copied().collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
