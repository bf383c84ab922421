//! tcpdump's letters that mean nothing here, and words that do only where they come first.

use anyhow::Result;
use clap::CommandFactory;

use crate::cli::{Cli, Direction, Packets};
use crate::failure::Failure;

/// tcpdump's letters mean what they mean there, or nothing.
///
/// # Errors
/// One of them was given: a wrong usage.
pub(super) fn refuse_letters(packets: &Packets) -> Result<()> {
    if let Some(letter) = packets.letters.first() {
        return Err(Failure::usage(format!("{} is not for XDP programs: {}", letter.name(), letter.why())));
    }
    match (packets.direction, packets.linktype.as_deref()) {
        (Some(Direction::Out | Direction::Inout), _) => {
            Err(Failure::usage("-Q: an XDP program sees what comes in, and nothing else: leave it out"))
        }
        (_, Some(name)) if !name.eq_ignore_ascii_case("EN10MB") => {
            Err(Failure::usage("-y: an XDP program sees Ethernet frames (EN10MB), and nothing else: leave it out"))
        }
        _ => Ok(()),
    }
}

/// A command behind options is a filter's first word to clap; to libpcap, a bare word is none.
///
/// # Errors
/// There is one: a wrong usage.
pub(super) fn refuse_commands(packets: &Packets) -> Result<()> {
    let Some(first) = packets.filter.first() else { return Ok(()) };
    if first == "help" {
        return Err(Failure::usage("help is no command: xdptrace --help, or man xdptrace"));
    }
    match Cli::command().get_subcommands().any(|command| command.get_name() == first && !command.is_hide_set()) {
        true => Err(Failure::usage(format!("{first} is a command, and comes before its options: xdptrace {first} …"))),
        false => Ok(()),
    }
}
