//! Compiles src/bpf/*.bpf.c into skeletons, and, for the live tests, their target programs. Makes the man pages, and what has
//! shells ask for completions.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use clap::CommandFactory;
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use libbpf_cargo::SkeletonBuilder;

#[path = "packaging/manual.rs"]
mod manual;
#[allow(dead_code, unused_imports, reason = "it is for the program to read")]
mod src {
    pub mod cli;
}

fn main() {
    if let Err(error) = build() {
        // One line for what is missing; the compiler's own words, where there are any, keep their lines.
        for line in format!("{error:#}").lines() {
            println!("cargo::error={line}");
        }
    }
}

fn build() -> Result<()> {
    let clang = find_clang()?;
    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set: run this through cargo")?);
    println!("cargo::rerun-if-env-changed=CLANG");
    println!("cargo::rerun-if-env-changed=PATH");
    find_libraries()?;
    println!("cargo::rerun-if-changed=vmlinux");
    println!("cargo::rerun-if-changed=src/bpf");
    for name in ["xdptrace", "passthrough"] {
        compile(&clang, &Path::new("src/bpf").join(format!("{name}.bpf.c")))
            .build_and_generate(out.join(format!("{name}.skel.rs")))?;
    }
    println!("cargo::rerun-if-changed=src/cli.rs");
    println!("cargo::rerun-if-changed=src/cli");
    println!("cargo::rerun-if-changed=packaging/manual.rs");
    println!("cargo::rerun-if-changed=packaging/manual");
    document(&out).context("failed to make the man pages and completions")?;
    if env::var_os("CARGO_FEATURE_LIVE").is_some() {
        println!("cargo::rerun-if-changed=tests/progs");
        for name in ["targets", "components", "chains", "packets", "counted", "balancer", "outcomes", "harmless"] {
            let source = Path::new("tests/progs").join(format!("{name}.bpf.c"));
            compile(&clang, &source).obj(out.join(format!("{name}.bpf.o"))).build()?;
        }
        println!("cargo::rerun-if-changed=tests/bench");
        for name in ["targets", "floor", "session", "minimal", "article"] {
            let source = Path::new("tests/bench").join(format!("{name}.bpf.c"));
            compile(&clang, &source).obj(out.join(format!("bench_{name}.bpf.o"))).build()?;
        }
        // What the verifier has to look at is known by the clang.
        let major = version(&clang).and_then(|version| version.first().copied()).unwrap_or_default();
        println!("cargo::rustc-env=XDPTRACE_CLANG={major}");
        compile_without_btf(&clang, Path::new("tests/progs/nobtf.c"), &out.join("nobtf.o"))?;
    }
    Ok(())
}

/// Says in one line what else would be a page of the linker's words.
fn find_libraries() -> Result<()> {
    if env::var_os("CARGO_FEATURE_STATIC_LIBPCAP").is_some() {
        println!("cargo::rerun-if-env-changed=LIBPCAP_LIBDIR");
        let folder = env::var("LIBPCAP_LIBDIR").map_err(|_| anyhow!("no folder with libpcap.a: set LIBPCAP_LIBDIR"))?;
        println!("cargo::rustc-link-search=native={folder}");
    }
    if env::var_os("CARGO_FEATURE_VENDORED").is_some() {
        return Ok(());
    }
    let tool = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into());
    let found = Command::new(&tool).args(["--atleast-version=1.5", "libbpf"]).status();
    if found.with_context(|| format!("failed to run {tool}"))?.success() {
        return Ok(());
    }
    Err(anyhow!("no libbpf 1.5 or newer, with its headers: install it, or leave out --no-default-features"))
}

/// Makes what goes by the binary into a package: in `share` beside the binary, where `make install` finds it.
fn document(out: &Path) -> Result<()> {
    // OUT_DIR is PROFILE/build/PACKAGE-HASH/out.
    let profile = out.ancestors().nth(3).context("OUT_DIR is not where cargo has it")?;
    let [manual, completions] = ["man", "completions"].map(|name| profile.join("share").join(name));
    fs::create_dir_all(&manual)?;
    fs::create_dir_all(&completions)?;
    manual::write(src::cli::Cli::command(), &manual)?;
    let shells: [(&str, &dyn EnvCompleter, &str); 3] =
        [("xdptrace", &Bash, ""), ("_xdptrace", &Zsh, FIRST_TAB), ("xdptrace.fish", &Fish, "")];
    for (name, shell, behind) in shells {
        let mut file = File::create(completions.join(name))?;
        shell.write_registration(src::cli::COMPLETE, "xdptrace", "xdptrace", "xdptrace", &mut file)?;
        file.write_all(behind.as_bytes())?;
    }
    Ok(())
}

/// zsh runs the whole file at the first Tab, as a function of its name, to which clap's words only define another one.
const FIRST_TAB: &str = "[[ $funcstack[1] != _xdptrace ]] || _clap_dynamic_completer_xdptrace \"$@\"\n";

fn compile(clang: &Path, source: &Path) -> SkeletonBuilder {
    let mut builder = SkeletonBuilder::new();
    // -mcpu=v3: the default since clang 20 is v4, whose instructions 5.10 and 6.1 don't know.
    let mut args = ["-mcpu=v3", "-Wall", "-I", "vmlinux"].map(str::to_owned).to_vec();
    // In the objects, and so in every kernel that they are loaded into, files are named from here.
    if let Ok(here) = env::current_dir() {
        args.push(format!("-ffile-prefix-map={}=.", here.display()));
    }
    // Only in the project's own tests: a released source must also build with the warnings of clangs to come.
    if env::var_os("CARGO_FEATURE_LIVE").is_some() {
        args.push("-Werror".to_owned());
    }
    builder.source(source).clang(clang).clang_args(args);
    builder
}

fn compile_without_btf(clang: &Path, source: &Path, object: &Path) -> Result<()> {
    let status = Command::new(clang)
        .args(["-O2", "-target", "bpf", "-g0", "-c"])
        .arg(source)
        .arg("-o")
        .arg(object)
        .status()
        .with_context(|| format!("failed to run {}", clang.display()))?;
    if status.success() { Ok(()) } else { Err(anyhow!("failed to compile {}", source.display())) }
}

/// `$CLANG`, else the newest clang on the PATH.
fn find_clang() -> Result<PathBuf> {
    if let Some(clang) = env::var_os("CLANG").filter(|clang| !clang.is_empty()) {
        let clang = PathBuf::from(clang);
        return match version(&clang) {
            Some(_) => Ok(clang),
            None => Err(anyhow!("$CLANG is {}, which doesn't run: name a clang, or unset it", clang.display())),
        };
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .flat_map(|dir| dir.read_dir().into_iter().flatten().flatten())
        .filter(|entry| is_clang(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .filter_map(|clang| version(&clang).map(|version| (version, clang)))
        .max()
        .map(|(_, clang)| clang)
        .ok_or_else(|| anyhow!("no clang to compile src/bpf with: install the package clang, or set $CLANG"))
}

/// `clang` or `clang-19`, not `clang-format` or `clang-cpp-19`.
fn is_clang(name: &str) -> bool {
    name == "clang" || name.strip_prefix("clang-").is_some_and(|rest| rest.parse::<u32>().is_ok())
}

/// The numbers of `clang version 14.0.6`.
fn version(clang: &Path) -> Option<Vec<u32>> {
    let output = Command::new(clang).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let words = text.split_once("version ")?.1;
    let number = words.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    number.split('.').map(|part| part.parse().ok()).collect()
}
