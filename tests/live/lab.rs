//! What the tests trace: two namespaces joined by a veth pair, or a NIC of the VM, and programs on them.

mod nic;

use std::fmt::Debug;
use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

pub use nic::Nic;

/// The first two numbers of the kernel's version.
pub fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.trim_end().parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// How long anything may take that happens by itself; generous, because an emulated machine is slow.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The programs of tests/progs/targets.bpf.c.
pub const TARGETS: &str = concat!(env!("OUT_DIR"), "/targets.bpf.o");
/// The program of tests/progs/nobtf.c.
pub const NOBTF: &str = concat!(env!("OUT_DIR"), "/nobtf.o");

/// Runs a command to its end, whatever that is.
pub fn run(words: &[&str]) -> Output {
    Command::new(words[0]).args(&words[1..]).output().unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

/// The standard output of a command that must succeed.
pub fn output(words: &[&str]) -> String {
    let done = run(words);
    assert!(done.status.success(), "{words:?}: {}\n{}", done.status, String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Gives `ip` or the like, which must succeed, a batch of commands.
fn batch(words: &[&str], commands: &str) {
    let mut words = words.to_vec();
    words.extend(["-batch", "-"]);
    let mut child = Command::new(words[0]).args(&words[1..]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{words:?}: {commands}");
}

/// The standard output of a command that prints JSON.
pub fn json(words: &[&str]) -> Value {
    serde_json::from_str(&output(words)).unwrap()
}

/// Waits until `found` finds something.
pub fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let limit = Instant::now() + LIMIT;
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(Instant::now() < limit, "no {what} within {LIMIT:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until `look` sees what is expected; else tells what it saw instead.
pub fn wait_until_equal<T: PartialEq + Debug>(what: &str, expected: &T, look: impl Fn() -> T) {
    let limit = Instant::now() + LIMIT;
    let mut now = look();
    while now != *expected && Instant::now() < limit {
        thread::sleep(Duration::from_millis(50));
        now = look();
    }
    assert_eq!(now, *expected, "{what}");
}

/// A process that ends when this does.
pub struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Names of our programs that the kernel still holds.
fn our_programs() -> Vec<String> {
    let programs = json(&["bpftool", "-j", "prog", "show"]);
    let names = programs.as_array().unwrap().iter().filter_map(|program| program["name"].as_str());
    names.filter(|name| ["fentry_xdp", "fexit_xdp", "xdptrace_pass"].contains(name)).map(str::to_owned).collect()
}

/// Waits until the kernel has forgotten all of our programs; before 5.15 it lets go of them a little later.
pub fn assert_nothing_is_left() {
    wait_for("end of our programs", || our_programs().is_empty().then_some(()));
}
