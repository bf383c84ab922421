//! What a shell is told that completes the command line: the definition of it, and the names of what there is on this machine.

use std::fs;

use anyhow::Result;
use clap::{Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::CompleteEnv;

use crate::cli::{COMPLETE, Cli};
use crate::plan::Scope;
use crate::privileges;
use crate::refusal;
use crate::target::{self, Depth, Guards, Program, Tree, Watch};

/// Where a shell asks, answers and ends the process; else does nothing.
pub fn answer() {
    CompleteEnv::with_factory(|| with_names(Cli::command())).var(COMPLETE).complete();
}

/// Of the command, and all its subcommands.
fn with_names(command: Command) -> Command {
    let command = command.mut_args(|arg| match arg.get_id().as_str() {
        "device" => arg.add(ArgValueCandidates::new(devices)),
        "prog" => arg.add(ArgValueCandidates::new(programs)),
        "netns" => arg.add(ArgValueCandidates::new(namespaces)),
        _ => arg,
    });
    command.mut_subcommands(with_names)
}

fn devices() -> Vec<CompletionCandidate> {
    candidates(target::device_names().unwrap_or_default())
}

/// Sorted, each once. The kernel lets names hold what commands a terminal or a shell: who has such ones types them.
fn candidates(mut names: Vec<String>) -> Vec<CompletionCandidate> {
    let is_plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || "_.@:-+".contains(c));
    names.retain(is_plain);
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// Those on the path of NICs, by their names, and what they are told by from others of that name.
fn programs() -> Vec<CompletionCandidate> {
    // Who may not read them gets none.
    let trees = read().unwrap_or_default();
    candidates(names(trees.iter().flat_map(Tree::nodes).map(|node| &*node.program)))
}

fn read() -> Result<Vec<Tree>> {
    refusal::capture_messages();
    privileges::check_reading()?;
    let scope = Scope::default();
    let view = Watch::new(&scope, Guards::default(), Depth::Everything)?.look()?;
    Ok(view.map_or_else(Vec::new, |view| view.trees))
}

fn names<'a>(programs: impl Iterator<Item = &'a Program>) -> Vec<String> {
    let both = |program: &Program| [program.full_name().to_owned(), format!("{}@{}", program.full_name(), program.id)];
    programs.flat_map(both).collect()
}

fn namespaces() -> Vec<CompletionCandidate> {
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    candidates(entries.filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Function;

    #[test]
    fn names_that_command_a_shell_or_a_terminal_are_left_out() {
        let names = ["veth1", "eth0.5", "$(reboot)", "\u{1b}[31m", "a`b", "eth0.5", "br-1"].map(str::to_owned);
        let found = candidates(names.into());
        let values: Vec<&str> = found.iter().filter_map(|one| one.get_value().to_str()).collect();
        assert_eq!(values, ["br-1", "eth0.5", "veth1"]);
    }

    #[test]
    fn programs_are_told_by_their_whole_names_and_ids() {
        let entry = Function { name: "same_fifteen_characters".into(), ..Function::default() };
        let whole = Program { id: 12, name: "same_fifteen_ch".into(), functions: vec![entry], ..Program::default() };
        let without_btf = Program { id: 13, name: "xdp_fw".into(), ..Program::default() };
        let expected = ["same_fifteen_characters", "same_fifteen_characters@12", "xdp_fw", "xdp_fw@13"];
        assert_eq!(names([whole, without_btf].iter()), expected);
    }
}
