//! LICENSE-THIRD-PARTY: of each crate that is linked into the binary, the notice that its licence asks to be handed on.
//!
//! `NOTICES=new cargo test --test licences` writes it anew, after a change to Cargo.lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{metadata, packages};

const FILE: &str = "LICENSE-THIRD-PARTY";

/// Which of several licences is made use of: the first whose name is in that of a file.
const CHOICE: [&str; 3] = ["MIT", "BSD-2", "BOOST"];

/// What is linked in: what macros are made with isn't, nor what builds or tests.
fn linked(metadata: &Value) -> Vec<&Value> {
    let all: BTreeMap<&str, &Value> =
        packages(metadata).into_iter().map(|package| (package["id"].as_str().unwrap(), package)).collect();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let mut found = BTreeMap::new();
    let mut next = vec![metadata["resolve"]["root"].as_str().unwrap()];
    while let Some(id) = next.pop() {
        let node = nodes.iter().find(|node| node["id"] == id).unwrap();
        for dependency in node["deps"].as_array().unwrap() {
            let id = dependency["pkg"].as_str().unwrap();
            let package = all[id];
            let is_linked = dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null());
            let is_macro = package["targets"].to_string().contains("proc-macro");
            if is_linked && !is_macro && found.insert(id, package).is_none() {
                next.push(id);
            }
        }
    }
    found.into_values().collect()
}

/// The files with licences in a folder: of what is made use of, or all.
fn files(folder: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.contains("LICENSE") || name.contains("COPYING")).collect();
    if let Some(chosen) = CHOICE.iter().find_map(|word| names.iter().find(|name| name.contains(word)).cloned()) {
        names = vec![chosen];
    }
    names.sort();
    names.iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect()
}

/// A crate's notice; where its package holds none, who made it.
fn notice(package: &Value) -> String {
    let folder = Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap();
    let mut files = files(folder);
    if package["name"] == "libbpf-sys" {
        files.push(folder.join("libbpf/LICENSE.BSD-2-Clause"));
    }
    let texts: Vec<String> = files.iter().map(|path| fs::read_to_string(path).unwrap().replace('\r', "")).collect();
    if texts.is_empty() {
        let authors: Vec<&str> =
            package["authors"].as_array().unwrap().iter().map(|who| who.as_str().unwrap()).collect();
        let authors = if authors.is_empty() { "its contributors".to_owned() } else { authors.join(", ") };
        return format!("The MIT License, whose words stand elsewhere in here. Copyright: {authors}");
    }
    texts.iter().map(|text| text.trim_matches('\n').trim_end()).collect::<Vec<_>>().join("\n\n")
}

/// An SPDX expression as it is written today.
fn expression(package: &Value) -> String {
    package["license"].as_str().unwrap().replace(" / ", " OR ").replace('/', " OR ")
}

/// All of it in one expression.
fn together(linked: &[&Value]) -> String {
    let each: BTreeSet<String> = linked
        .iter()
        .map(|package| {
            let mut choices: Vec<String> = expression(package).split(" OR ").map(str::to_owned).collect();
            choices.sort();
            if choices.len() > 1 { format!("({})", choices.join(" OR ")) } else { choices.remove(0) }
        })
        .collect();
    each.into_iter().collect::<Vec<_>>().join(" AND ")
}

fn all(linked: &[&Value]) -> String {
    let mut crates: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in linked {
        let [name, version] = ["name", "version"].map(|member| package[member].as_str().unwrap());
        crates.entry(notice(package)).or_default().push(format!("{name} {version} ({})", expression(package)));
    }
    let mut notices: Vec<(Vec<String>, String)> = crates.into_iter().map(|(notice, names)| (names, notice)).collect();
    notices.sort();
    let mut text = format!(
        "What the binary of xdptrace holds of others, and the notices of their licences. Together, in SPDX's words:\n\n{}\n",
        together(linked)
    );
    for (names, notice) in notices {
        text += &format!("\n{}\n{}\n\n{notice}\n", "=".repeat(80), names.join("\n"));
    }
    text
}

#[test]
fn each_crate_that_is_linked_in_has_its_notice() {
    let metadata = metadata();
    let linked = linked(&metadata);
    assert!(linked.len() > 40, "{}", linked.len());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let expected = all(&linked);
    if std::env::var_os("NOTICES").is_some_and(|word| word == "new") {
        fs::write(&file, &expected).unwrap();
    }
    let words = fs::read_to_string(&file).unwrap();
    assert!(words == expected, "Cargo.lock and {FILE} differ: NOTICES=new cargo test --test licences");
}

/// Fedora's wish.
#[test]
fn the_rpm_names_each_licence() {
    let spec = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/rpm/xdptrace.spec")).unwrap();
    let licence = spec.lines().find_map(|line| line.strip_prefix("License:")).unwrap().trim();
    let metadata = metadata();
    assert_eq!(licence, format!("(BSD-2-Clause OR GPL-2.0-only) AND {}", together(&linked(&metadata))));
}
