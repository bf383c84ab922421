//! Two namespaces joined by a veth pair, or a NIC of the VM, and programs on them.

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::{Background, batch, output, run, wait_for};

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
    /// Its namespaces are another NIC's to delete.
    part_of_another: bool,
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
            part_of_another: false,
        };
        let [ours, theirs] = ["02:00:00:00:00:01", "02:00:00:00:00:02"];
        // In batches: in an emulated machine, starting a process is what takes the time. The neighbours are resolved
        // by hand, because a program that drops everything drops ARP as well.
        batch(&["ip"], &format!("netns add {here}\nnetns add {there}"));
        batch(
            &["ip", "-n", &here],
            &format!(
                "link add veth0 address {ours} numrxqueues 2 numtxqueues 2 type veth \
                 peer name veth1 address {theirs} numrxqueues 2 numtxqueues 2 netns {there}
                address add 192.0.2.1/24 dev veth0
                link set veth0 up
                neighbour replace 192.0.2.2 lladdr {theirs} dev veth0"
            ),
        );
        batch(
            &["ip", "-n", &there],
            &format!(
                "address add 192.0.2.2/24 dev veth1
                link set veth1 up
                neighbour replace 192.0.2.1 lladdr {ours} dev veth1"
            ),
        );
        nic
    }

    /// The VM's own virtio-net NIC; 10.0.2.2 is the emulator's.
    pub fn virtio() -> Self {
        Self::of_the_vm("eth0", "10.0.2.15", "10.0.2.2")
    }

    /// A NIC of the VM's, with an address on it, and that of what answers pings at its other end.
    pub fn of_the_vm(name: &str, address: &str, peer: &str) -> Self {
        let [name, address, peer] = [name, address, peer].map(str::to_owned);
        let nic = Self { netns: None, name, peer, address, peer_netns: None, part_of_another: false };
        // For the neighbour's address, to be kept, because a program that drops everything drops ARP as well.
        output(&["ping", "-n", "-q", "-c", "1", "-W", "30", &nic.peer]);
        let shown = nic.ip(&["-j", "neighbour", "show", &nic.peer, "dev", &nic.name]);
        let neighbours: Value = serde_json::from_str(&shown).unwrap();
        let theirs = neighbours[0]["lladdr"].as_str().unwrap();
        nic.ip(&["neighbour", "replace", &nic.peer, "lladdr", theirs, "dev", &nic.name]);
        nic
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

    /// The namespace of the other end; None: there is none, or it is the emulator.
    pub fn peer_netns(&self) -> Option<&str> {
        self.peer_netns.as_deref()
    }

    /// A second pair between the same two namespaces, with the addresses 198.51.100.1 and .2; it ends with the first.
    pub fn another(&self, name: &str) -> Self {
        let (here, there) = (self.netns.clone().unwrap(), self.peer_netns.clone().unwrap());
        let nic = Self {
            netns: Some(here.clone()),
            name: name.into(),
            peer: "198.51.100.2".into(),
            address: "198.51.100.1".into(),
            peer_netns: Some(there.clone()),
            part_of_another: true,
        };
        let [ours, theirs] = ["02:00:00:00:01:01", "02:00:00:00:01:02"];
        batch(
            &["ip", "-n", &here],
            &format!(
                "link add {name} address {ours} type veth peer name {name}-peer address {theirs} netns {there}
                address add 198.51.100.1/24 dev {name}
                link set {name} up
                neighbour replace 198.51.100.2 lladdr {theirs} dev {name}"
            ),
        );
        batch(
            &["ip", "-n", &there],
            &format!(
                "address add 198.51.100.2/24 dev {name}-peer
                link set {name}-peer up
                neighbour replace 198.51.100.1 lladdr {ours} dev {name}-peer"
            ),
        );
        nic
    }

    /// More pairs between the same two namespaces, NAME and NAME-peer, all of them up and without addresses.
    pub fn pairs(&self, names: &[&str]) -> Vec<Self> {
        let (here, there) = (self.netns.clone().unwrap(), self.peer_netns.clone().unwrap());
        let pair =
            |name: &str| format!("link add {name} type veth peer name {name}-peer netns {there}\nlink set {name} up\n");
        batch(&["ip", "-n", &here], &names.iter().map(|name| pair(name)).collect::<String>());
        let up = names.iter().map(|name| format!("link set {name}-peer up\n"));
        batch(&["ip", "-n", &there], &up.collect::<String>());
        let named = |name: &&str| Self {
            netns: Some(here.clone()),
            name: (*name).into(),
            peer: String::new(),
            address: String::new(),
            peer_netns: Some(there.clone()),
            part_of_another: true,
        };
        names.iter().map(named).collect()
    }

    /// A bond over one member, a pair as `another` makes it: bond0 with the address 203.0.113.1; it ends with this NIC.
    pub fn bond(&self, member: &str) -> Self {
        let pair = self.another(member);
        let there = self.peer_netns.clone().unwrap();
        self.enslave(&[member]);
        self.change(
            "address add 203.0.113.1/24 dev bond0
            neighbour replace 203.0.113.2 lladdr 02:00:00:00:01:02 dev bond0",
        );
        batch(
            &["ip", "-n", &there],
            &format!(
                "address add 203.0.113.2/24 dev {member}-peer
                neighbour replace 203.0.113.1 lladdr 02:00:00:00:01:01 dev {member}-peer"
            ),
        );
        let mut bond = pair;
        (bond.name, bond.peer, bond.address) = ("bond0".into(), "203.0.113.2".into(), "203.0.113.1".into());
        bond
    }

    /// A bond over pairs as `pairs` makes them, of which the first one sends: bond0, without an address.
    pub fn bond_of(&self, members: &[&str]) -> Self {
        self.enslave(members);
        let mut bond = self.other_end("bond0");
        (bond.netns, bond.peer_netns) = (self.netns.clone(), self.peer_netns.clone());
        bond
    }

    /// Makes bond0 of these members, and waits until it can send by the first one.
    fn enslave(&self, members: &[&str]) {
        let primary = members[0];
        let each = |words: &str| -> String {
            members.iter().map(|member| format!("link set dev {member} {words}\n")).collect()
        };
        self.change(&format!(
            "{}link add bond0 type bond mode active-backup miimon 100 primary {primary}\n{}link set bond0 up",
            each("down"),
            each("master bond0"),
        ));
        let up = ["-o", "link", "show", "dev", "bond0"];
        wait_for("carrier on bond0", || self.ip(&up).contains("LOWER_UP").then_some(()));
    }

    /// The other end of a pair of this name, as a NIC.
    pub fn other_end(&self, name: &str) -> Self {
        Self {
            netns: self.peer_netns.clone(),
            name: name.into(),
            peer: self.address.clone(),
            address: self.peer.clone(),
            peer_netns: self.netns.clone(),
            part_of_another: true,
        }
    }

    /// `ip` in the NIC's namespace.
    pub fn ip(&self, words: &[&str]) -> String {
        let netns = self.netns.iter().flat_map(|netns| ["-n", netns]);
        output(&["ip"].into_iter().chain(netns).chain(words.iter().copied()).collect::<Vec<_>>())
    }

    /// Commands to `ip` in the NIC's namespace, one a line.
    pub fn change(&self, commands: &str) {
        let netns = self.netns.iter().flat_map(|netns| ["-n", netns]);
        batch(&["ip"].into_iter().chain(netns).collect::<Vec<_>>(), commands);
    }

    /// Attaches a program of tests/progs as an administrator would: `mode` is xdpdrv or xdpgeneric.
    pub fn attach(&self, mode: &str, object: &str, program: &str) {
        self.ip(&["link", "set", "dev", &self.name, mode, "object", object, "program", program]);
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
    pub fn state(&self) -> String {
        let name = &self.name;
        self.output(&["bash", "-ec", &format!("ethtool -k {name}; ip -d link show dev {name}; bpftool net")])
    }

    /// Sends `count` echo requests to the NIC from its peer (to the peer from a VM's NIC), whether or not they are answered.
    pub fn ping(&self, count: u32) {
        self.send(&["ping", "-n", "-q", "-c", &count.to_string(), "-i", "0.2", "-W", "1"]);
    }

    /// Has the peer send by its second queue only, so that packets arrive at the NIC's second one.
    pub fn use_second_queue(&self) {
        self.use_queue(1);
    }

    /// The same with the first one.
    pub fn use_first_queue(&self) {
        self.use_queue(0);
    }

    fn use_queue(&self, queue: u32) {
        let script = format!(
            "cd /sys/class/net/veth1/queues; n=$(nproc); echo 0 >tx-{}/xps_cpus
            printf %x $(((1 << (n < 32 ? n : 32)) - 1)) >tx-{queue}/xps_cpus",
            1 - queue
        );
        let done = self.there(&["bash", "-ec", &script]);
        assert!(done.status.success(), "{done:?}");
    }

    /// Pings by IPv6 until there is an answer: neighbours are discovered, and before that addresses proved unique.
    pub fn ping6(&self) {
        let addresses = self.ip(&["-j", "-6", "address", "show", "dev", &self.name, "scope", "link"]);
        let addresses: Value = serde_json::from_str(&addresses).unwrap();
        let address = addresses[0]["addr_info"][0]["local"].as_str().unwrap();
        let ping = ["ping", "-6", "-n", "-q", "-c", "1", "-W", "1", &format!("{address}%veth1")];
        wait_for("answer by IPv6", || self.there(&ping).status.success().then_some(()));
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

impl Drop for Nic {
    fn drop(&mut self) {
        if self.part_of_another {
            return;
        }
        match (&self.netns, &self.peer_netns) {
            (Some(here), Some(there)) => batch(&["ip"], &format!("netns delete {here}\nnetns delete {there}")),
            // `xdp off` alone would only mean the driver's.
            _ => ["xdpdrv", "xdpgeneric"].into_iter().for_each(|mode| {
                run(&["ip", "link", "set", "dev", &self.name, mode, "off"]);
            }),
        }
    }
}
