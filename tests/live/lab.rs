//! What the tests trace: two namespaces joined by a veth pair, or a NIC of the VM, and programs on them.

use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

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
        thread::sleep(Duration::from_millis(20));
    }
}

/// A NIC to trace on.
pub struct Nic {
    /// Its namespace; None: the one that the test runs in.
    pub netns: Option<String>,
    /// Its name.
    pub name: String,
    /// The address to ping it from, or to ping for replies to arrive at it.
    pub peer: String,
    /// Its own address.
    pub address: String,
    peer_netns: Option<String>,
}

impl Nic {
    /// veth0 in a namespace of its own, its peer in another.
    pub fn veth() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let here = format!("xdptrace-{}-{number}-here", std::process::id());
        let there = format!("xdptrace-{}-{number}-there", std::process::id());
        let nic = Self {
            netns: Some(here.clone()),
            name: "veth0".into(),
            peer: "192.0.2.2".into(),
            address: "192.0.2.1".into(),
            peer_netns: Some(there.clone()),
        };
        output(&["ip", "netns", "add", &here]);
        output(&["ip", "netns", "add", &there]);
        let [ours, theirs] = ["02:00:00:00:00:01", "02:00:00:00:00:02"];
        let peer = ["peer", "name", "veth1", "address", theirs, "netns", &there];
        nic.ip(&[&["link", "add", "veth0", "address", ours, "type", "veth"], &peer[..]].concat());
        nic.ip(&["address", "add", "192.0.2.1/24", "dev", "veth0"]);
        nic.ip(&["link", "set", "lo", "up"]);
        nic.ip(&["link", "set", "veth0", "up"]);
        output(&["ip", "-n", &there, "address", "add", "192.0.2.2/24", "dev", "veth1"]);
        output(&["ip", "-n", &there, "link", "set", "veth1", "up"]);
        // By hand, because a program that drops everything drops ARP as well.
        nic.ip(&["neighbour", "replace", "192.0.2.2", "lladdr", theirs, "dev", "veth0"]);
        output(&["ip", "-n", &there, "neighbour", "replace", "192.0.2.1", "lladdr", ours, "dev", "veth1"]);
        nic
    }

    /// The VM's own virtio-net NIC; 10.0.2.2 is the emulator's.
    pub fn virtio() -> Self {
        Self {
            netns: None,
            name: "eth0".into(),
            peer: "10.0.2.2".into(),
            address: "10.0.2.15".into(),
            peer_netns: None,
        }
    }

    /// `words` to be run in the NIC's namespace. Not by `ip netns exec`, which mounts another /sys.
    pub fn inside(&self, words: &[&str]) -> Vec<String> {
        let netns = self.netns.iter().flat_map(|netns| ["nsenter".into(), format!("--net=/run/netns/{netns}")]);
        netns.chain(words.iter().map(|word| (*word).to_owned())).collect()
    }

    /// The standard output of a command that must succeed in the NIC's namespace.
    pub fn output(&self, words: &[&str]) -> String {
        let words = self.inside(words);
        output(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// `ip` in the NIC's namespace.
    pub fn ip(&self, words: &[&str]) -> String {
        self.output(&[&["ip"], words].concat())
    }

    /// Attaches a program of tests/progs as an administrator would: `mode` is xdpdrv or xdpgeneric.
    pub fn attach(&self, mode: &str, object: &str, program: &str) {
        self.ip(&["link", "set", "dev", &self.name, mode, "object", object, "program", program]);
        wait_for("attached program", || (self.program_id() != 0).then_some(()));
    }

    /// What `ip` says of the NIC's XDP: Null without.
    pub fn xdp(&self) -> Value {
        let links: Value = serde_json::from_str(&self.ip(&["-j", "-d", "link", "show", "dev", &self.name])).unwrap();
        links[0]["xdp"].clone()
    }

    /// The id of the NIC's XDP program; 0 without.
    pub fn program_id(&self) -> u64 {
        self.xdp()["prog"]["id"].as_u64().unwrap_or(0)
    }

    /// Everything that other tools say of the NIC: features, link, programs.
    pub fn state(&self) -> [String; 3] {
        [
            self.output(&["ethtool", "-k", &self.name]),
            self.ip(&["-d", "link", "show", "dev", &self.name]),
            self.output(&["bpftool", "net"]),
        ]
    }

    /// Sends `count` echo requests to the NIC from its peer (to the peer from a VM's NIC), whether or not they are answered.
    pub fn ping(&self, count: u32) {
        self.send(&["ping", "-q", "-c", &count.to_string(), "-i", "0.2", "-W", "1"]);
    }

    /// As `ping`, by IPv6 to the link-local address, so that the neighbour has to be discovered.
    pub fn ping6(&self) {
        let addresses = self.ip(&["-j", "-6", "address", "show", "dev", &self.name, "scope", "link"]);
        let addresses: Value = serde_json::from_str(&addresses).unwrap();
        let address = addresses[0]["addr_info"][0]["local"].as_str().unwrap();
        self.there(&["ping", "-6", "-q", "-c", "1", "-W", "1", &format!("{address}%veth1")]);
    }

    /// Sends `count` UDP datagrams to the NIC's discard port.
    pub fn send_udp(&self, count: u32) {
        let script = format!("for i in $(seq {count}); do echo x >/dev/udp/{}/9; done", self.address);
        self.there(&["bash", "-c", &script]);
    }

    fn send(&self, ping: &[&str]) {
        let to = if self.peer_netns.is_some() { &self.address } else { &self.peer };
        self.there(&[ping, &[to.as_str()]].concat());
    }

    /// Runs a command at the other end.
    pub fn there(&self, words: &[&str]) -> Output {
        run(&self.words_there(words))
    }

    /// Starts a command at the other end.
    pub fn there_in_background(&self, words: &[&str]) -> Background {
        let words = self.words_there(words);
        Background(Command::new(words[0]).args(&words[1..]).stdout(Stdio::null()).spawn().unwrap())
    }

    fn words_there<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let netns = self.peer_netns.iter().flat_map(|netns| ["ip", "netns", "exec", netns]);
        netns.chain(words.iter().copied()).collect()
    }
}

/// A process that ends when this does.
pub struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Nic {
    fn drop(&mut self) {
        for netns in [&self.netns, &self.peer_netns].into_iter().flatten() {
            run(&["ip", "netns", "delete", netns]);
        }
        if self.netns.is_none() {
            for mode in ["xdpdrv", "xdpgeneric"] {
                run(&["ip", "link", "set", "dev", &self.name, mode, "off"]);
            }
        }
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
