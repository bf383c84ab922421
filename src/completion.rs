//! What a shell is told that completes the command line: the definition of it, and the names of what there is on this machine.

use std::ffi::OsStr;
use std::fs;

use clap::{Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::CompleteEnv;
use serde_json::Value;

use crate::cli::Cli;
use crate::list;
use crate::plan::Listing;
use crate::target;

/// The environment variable by which a shell asks: its own name is the value.
const VARIABLE: &str = "XDPTRACE_COMPLETE";

/// Where a shell asks, answers and ends the process; else does nothing.
pub fn answer() {
    CompleteEnv::with_factory(|| with_names(Cli::command())).var(VARIABLE).complete();
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
    let mut names = target::device_names().unwrap_or_default();
    names.sort_unstable();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// Those on the path of NICs, by their names, and what they are told by from others of that name.
fn programs() -> Vec<CompletionCandidate> {
    let mut listed = Vec::new();
    // Who may not list them gets none.
    let _ = list::run(&Listing { json: true, ..Listing::default() }, &mut listed);
    let mut found = Vec::new();
    names(&serde_json::from_slice(&listed).unwrap_or_default(), &mut found);
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(CompletionCandidate::new).collect()
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
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort_unstable();
    names.iter().map(|name| CompletionCandidate::new(OsStr::new(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
