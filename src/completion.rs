//! What a shell is told that completes the command line: the definition of it, and the names of what there is on this machine.

use std::fs;

use clap::{Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::CompleteEnv;
use serde_json::Value;

use crate::cli::{COMPLETE, Cli};
use crate::list;
use crate::plan::Listing;
use crate::target;

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
    let mut listed = Vec::new();
    // Who may not list them gets none.
    let _ = list::run(&Listing { json: true, ..Listing::default() }, &mut listed);
    let mut found = Vec::new();
    names(&serde_json::from_slice(&listed).unwrap_or_default(), &mut found);
    candidates(found)
}

/// Of all programs in what `xdptrace list --json` prints.
fn names(listed: &Value, found: &mut Vec<String>) {
    match listed {
        Value::Array(all) => all.iter().for_each(|one| names(one, found)),
        Value::Object(members) => {
            // What else has a name and an id, as a map, has no tag.
            let member = |name: &str| members.get(name).filter(|_| members.contains_key("tag"));
            if let (Some(Value::String(name)), Some(Value::Number(id))) = (member("name"), member("id")) {
                found.extend([name.clone(), format!("{name}@{id}")]);
            }
            members.values().for_each(|one| names(one, found));
        }
        _ => {}
    }
}

fn namespaces() -> Vec<CompletionCandidate> {
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    candidates(entries.filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_command_a_shell_or_a_terminal_are_left_out() {
        let names = ["veth1", "eth0.5", "$(reboot)", "\u{1b}[31m", "a`b", "eth0.5", "br-1"].map(str::to_owned);
        let found = candidates(names.into());
        let values: Vec<&str> = found.iter().filter_map(|one| one.get_value().to_str()).collect();
        assert_eq!(values, ["br-1", "eth0.5", "veth1"]);
    }

    #[test]
    fn programs_are_told_by_name_and_id_and_maps_are_none() {
        let component = serde_json::json!({
            "id": 13, "name": "xdp_fw", "tag": "22", "map": { "id": 7, "name": "progs" }, "programs": []
        });
        let listed = serde_json::json!({
            "devices": [{ "device": "eth0", "programs": [{ "id": 12, "name": "xdp_lb", "tag": "11", "programs": [component] }] }]
        });
        let mut found = Vec::new();
        names(&listed, &mut found);
        assert_eq!(found, ["xdp_lb", "xdp_lb@12", "xdp_fw", "xdp_fw@13"]);
    }
}
