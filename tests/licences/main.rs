//! What xdptrace is made of may be handed on with it: each dependency is from the registry, and under a licence that asks
//! for no more than to be named.
//!
//! Their notices are in LICENSE-THIRD-PARTY, which goes by the binary.
//!
//! Advisories are not looked for: they are not to be had offline. `cargo audit` and `cargo deny` look for them, where they
//! are installed.

#![allow(clippy::unwrap_used, clippy::panic)]

mod notices;

use std::process::Command;

use serde_json::Value;

const ALLOWED: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn output(words: &[&str]) -> String {
    let done = Command::new(words[0]).args(&words[1..]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// What cargo knows of all dependencies, also those of the tests, on a machine like this.
fn metadata() -> Value {
    let compiler = output(&["rustc", "-vV"]);
    let host = compiler.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let words = [cargo, "metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", host];
    serde_json::from_str(&output(&words)).unwrap()
}

fn packages(metadata: &Value) -> Vec<&Value> {
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.filter(|package| !package["source"].is_null()).collect()
}

/// Whether an SPDX expression, or one of before those, leaves a choice of what is allowed.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.trim();
    let any = split(&expression.replace('/', " OR "), " OR ");
    let all = split(expression, " AND ");
    match (&any[..], &all[..]) {
        ([_, _, ..], _) => any.iter().any(|one| is_allowed(one)),
        (_, [_, _, ..]) => all.iter().all(|one| is_allowed(one)),
        _ => match expression.strip_prefix('(').and_then(|inside| inside.strip_suffix(')')) {
            Some(inside) => is_allowed(inside),
            // An exception only allows more.
            None => ALLOWED.contains(&expression.split(" WITH ").next().unwrap()),
        },
    }
}

/// The parts between `word`s that stand in no parentheses.
fn split(expression: &str, word: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for part in expression.split_inclusive(word) {
        let (part, ends) = part.strip_suffix(word).map_or((part, false), |part| (part, true));
        let last = parts.last_mut().unwrap();
        last.push_str(part);
        let is_open = last.matches('(').count() > last.matches(')').count();
        match (ends, is_open) {
            (true, true) => last.push_str(word),
            (true, false) => parts.push(String::new()),
            _ => {}
        }
    }
    parts
}

#[test]
fn each_dependency_may_be_handed_on() {
    let metadata = metadata();
    let packages = packages(&metadata);
    assert!(packages.len() > 50, "{}", packages.len());
    for package in &packages {
        let Value::String(licence) = &package["license"] else { panic!("{} names no licence", package["id"]) };
        assert!(is_allowed(licence), "{} is under {licence}", package["id"]);
        let source = package["source"].as_str().unwrap();
        // And from one alone, which is cargo's own where it is told of no other.
        assert!(source.starts_with("registry+") && source == packages[0]["source"], "{}", package["id"]);
    }
}

#[test]
fn expressions_are_understood() {
    for allowed in [
        "MIT",
        "MIT/Apache-2.0",
        "LGPL-2.1-only OR BSD-2-Clause",
        "(MIT OR GPL-2.0-only) AND Unicode-3.0",
        "Zlib AND MIT",
    ] {
        assert!(is_allowed(allowed), "{allowed}");
    }
    assert!(is_allowed("Apache-2.0 WITH LLVM-exception"));
    for refused in
        ["GPL-2.0-only", "MIT AND GPL-2.0-only", "(GPL-2.0-only OR MPL-2.0) AND MIT", "", "MIT-1", "(MIT OR X) AND X"]
    {
        assert!(!is_allowed(refused), "{refused}");
    }
}
