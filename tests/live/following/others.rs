//! What administrators do meanwhile, with tools that know of no tracer.

use crate::lab::{Nic, json};
use crate::loader::COMPONENTS;

/// How many rounds of others' tools: XDPTRACE_CHURN, or a few.
pub fn rounds() -> u32 {
    let rounds = std::env::var("XDPTRACE_CHURN").ok().filter(|rounds| !rounds.is_empty());
    rounds.map_or(3, |rounds| rounds.parse().expect("XDPTRACE_CHURN is a number"))
}

/// `rounds` times what administrators do, each command's exit status in a line.
pub fn churn(nic: &Nic, rounds: u32, program: u32) -> Vec<String> {
    let script = format!(
        "for round in $(seq {rounds}); do
            for command in \
                'xdp-loader load -m native veth0 -n component_one {COMPONENTS}' \
                'xdp-loader load -m native veth0 -n component_three {COMPONENTS}' \
                'xdp-loader unload veth0 --all' \
                'ip link set dev veth0 xdpdrv object {COMPONENTS} program component_two' \
                'ip -force link set dev veth0 xdpdrv object {COMPONENTS} program component_three' \
                'ip link set dev veth0 xdpdrv off' \
                'bpftool net attach xdpdrv id {program} dev veth0' \
                'bpftool net detach xdpdrv dev veth0'
            do
                timeout 30 $command >/dev/null 2>/run/xdptrace-churn
                echo \"$? ${{command%% -*}} $(tr '\\n' ' ' </run/xdptrace-churn)\"
            done
        done"
    );
    nic.output(&["bash", "-c", &script]).lines().map(str::to_owned).collect()
}

/// The programs of COMPONENTS and libxdp's dispatchers in the kernel, by name and id.
pub fn programs_of_components() -> Vec<(String, u64)> {
    let programs = json(&["bpftool", "-j", "prog", "show"]);
    let named = programs.as_array().unwrap().iter().filter_map(|program| {
        let name = program["name"].as_str()?;
        let ours = name.starts_with("component_") || name == "xdp_dispatcher";
        ours.then(|| (name.to_owned(), program["id"].as_u64().unwrap()))
    });
    named.collect()
}
