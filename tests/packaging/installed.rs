//! What `make install` puts where, judged by what reads it: man, the shells, systemd.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that holds an installation, and is removed with it.
struct Root(PathBuf);

impl Root {
    fn install(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("xdptrace-{name}-{}", std::process::id()));
        fs::create_dir(&root).unwrap();
        let root = Self(root);
        root.make("install", env!("CARGO_BIN_EXE_xdptrace"));
        root
    }

    fn make(&self, goal: &str, binary: &str) {
        let binary = format!("BINARY={binary}");
        said(&["make", "--no-print-directory", goal, &binary, "PREFIX=/usr", &format!("DESTDIR={}", self.0.display())]);
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// What a shell says, which finds the binary by its name.
    fn shell(&self, words: &[&str]) -> Vec<String> {
        let path = format!("PATH={}:{}", self.path("usr/sbin"), std::env::var("PATH").unwrap());
        said(&[&["env", &path], words].concat()).lines().map(str::to_owned).collect()
    }

    fn files(&self) -> BTreeSet<String> {
        let listed = said(&["find", self.0.to_str().unwrap(), "-type", "f", "-printf", "%P %m\n"]);
        listed.lines().map(str::to_owned).collect()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What it prints, if it succeeds and has nothing to complain of.
fn said(words: &[&str]) -> String {
    let done = Command::new(words[0]).args(&words[1..]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

const COMMANDS: [&str; 9] = ["trace", "read", "demo", "list", "check", "stats", "export", "top", "schema"];

#[test]
fn everything_is_in_its_place_and_is_taken_away_again() {
    let root = Root::install("places");
    let mut expected: BTreeSet<String> = [
        "sbin/xdptrace 755",
        "share/bash-completion/completions/xdptrace 644",
        "share/zsh/site-functions/_xdptrace 644",
        "share/fish/vendor_completions.d/xdptrace.fish 644",
        "lib/systemd/system/xdptrace-exporter.service 644",
        "lib/sysusers.d/xdptrace.conf 644",
        "share/man/man8/xdptrace.8 644",
    ]
    .map(|name| format!("usr/{name}"))
    .into();
    expected.extend(COMMANDS.map(|command| format!("usr/share/man/man8/xdptrace-{command}.8 644")));
    assert_eq!(root.files(), expected);
    // Also where nothing is built any more.
    root.make("uninstall", "/nonexistent/xdptrace");
    assert_eq!(root.files(), BTreeSet::new());
}

#[test]
fn man_has_nothing_to_warn_of_and_finds_each_section() {
    let root = Root::install("man");
    for page in COMMANDS.map(|command| format!("xdptrace-{command}")).iter().map(String::as_str).chain(["xdptrace"]) {
        let path = root.path(&format!("usr/share/man/man8/{page}.8"));
        let width = ["env", "LC_ALL=C.UTF-8", "MANWIDTH=100", "MANROFFOPT=-ww"];
        let shown = said(&[&width[..], &["man", "--warnings", "-l", &path]].concat());
        let headings: Vec<&str> = shown.lines().filter(|line| line.starts_with(|c: char| c.is_alphabetic())).collect();
        let of_all = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"];
        assert!(of_all.iter().all(|heading| headings.contains(heading)), "{page}: {headings:?}");
        let described = shown.split_once("\nDESCRIPTION\n").unwrap().1.split_once("\nOPTIONS\n").unwrap().0;
        assert!(described.trim().ends_with('.'), "{page}: {described}");
        let can_fail = ["xdptrace", "xdptrace-trace"].contains(&page);
        assert_eq!(shown.contains("--fail-on-loss."), can_fail, "{page}");
        let traces = !["read", "list", "schema"].iter().any(|command| page == format!("xdptrace-{command}"));
        assert_eq!(headings.contains(&"CAPABILITIES"), traces, "{page}");
        assert!(headings[0].starts_with(&format!("{page}(8)")), "{headings:?}");
        let title = fs::read_to_string(&path).unwrap();
        assert!(title.lines().any(|line| line.starts_with(".TH") && line.contains(" 8 ")), "{page}");
    }
}

/// `lo` is on each machine.
#[test]
fn shells_complete_commands_options_and_devices() {
    let root = Root::install("shells");
    let bash = root.path("usr/share/bash-completion/completions/xdptrace");
    let in_bash = |words: &str| {
        let last = words.rsplit(' ').next().unwrap();
        let script = format!(
            "source {bash}; COMP_WORDS=({words}{}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_TYPE=9; \
             _clap_complete_xdptrace xdptrace '{last}' 2>/dev/null; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            if last.is_empty() { "''" } else { "" }
        );
        root.shell(&["bash", "--norc", "-c", &script])
    };
    let fish = root.path("usr/share/fish/vendor_completions.d/xdptrace.fish");
    let in_fish = |words: &str| {
        let said = root.shell(&[
            "env",
            "HOME=/nonexistent",
            "fish",
            "--no-config",
            "-c",
            &format!("source {fish}; complete -C '{words}'"),
        ]);
        said.iter().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (words, expected) in [
        ("xdptrace li", "list"),
        ("xdptrace -i l", "lo"),
        ("xdptrace stats --inter", "--interval"),
        ("xdptrace --outcome f", "failed"),
    ] {
        assert!(in_bash(words).iter().any(|one| one == expected), "{words}: {:?}", in_bash(words));
        assert!(in_fish(words).iter().any(|one| one == expected), "{words}: {:?}", in_fish(words));
    }
    root.shell(&[
        "timeout",
        "60",
        "zsh",
        "-f",
        "tests/packaging/first_tab.zsh",
        &root.path("usr/share/zsh/site-functions"),
    ]);
}

#[test]
fn systemd_finds_the_unit_well_and_little_exposed() {
    let root = Root::install("systemd");
    let unit = root.path("usr/lib/systemd/system/xdptrace-exporter.service");
    let verdict = said(&["systemd-analyze", "security", "--offline=true", "--threshold=34", "--no-pager", &unit]);
    assert!(verdict.contains("Overall exposure level"), "{verdict}");
    let words = fs::read_to_string(&unit).unwrap();
    assert!(words.contains("\nExecStart=/usr/sbin/xdptrace export "), "{words}");
    let sysusers = ["systemd-sysusers", "--dry-run", &root.path("usr/lib/sysusers.d/xdptrace.conf")];
    assert!(
        Path::new("/usr/bin/systemd-sysusers").exists()
            && Command::new(sysusers[0]).args(&sysusers[1..]).status().unwrap().success()
    );
}
