//! What may become of a verdict, played: one program, that a datagram's port tells what to do, among devices that are up,
//! down, gone, or can't take a frame, a CPU's queue of one packet, and AF_XDP sockets.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use crate::lab::Nic;
use crate::loader::{COMPONENTS, FIRST_PORT, Known, Mode, OUTCOMES, Programs, detach, ifindex, inside, send};
use crate::xsk::Xsk;

/// `enum by` of tests/progs/outcomes.bpf.c: what the program does with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Returns the key.
    Return,
    /// Redirects it by one of these maps.
    Devices,
    Everyone,
    Cpus,
    Sockets,
    /// Redirects it to a device by its number, without a map: to that which `devices` has under this key, else the key itself.
    Ifindex,
}

/// One datagram, or as many as are sent at once, and what the program does with it.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    pub name: &'static str,
    pub by: By,
    pub key: u32,
    pub flags: u64,
    pub datagrams: usize,
}

/// The pairs, in the order of their keys in `devices`: each peer of the first four runs a program, so that it takes frames.
pub const PAIRS: [&str; 6] = ["v-up", "v-too", "v-down", "v-gone", "v-bare", "v-bare-off"];
/// Another name of veth0: what is told of it is told by its first one.
pub const ALSO_CALLED: &str = "of-all-outcomes";
pub const UP: u32 = 0;
pub const DOWN: u32 = 2;
pub const GONE: u32 = 3;
pub const BARE: u32 = 4;
pub const BARE_AND_DOWN: u32 = 5;
/// A key, or a device's number, where nothing is.
pub const NOTHING: u32 = 7;
pub const NO_DEVICE: u32 = 99_999;
/// Queues in `cpus`, each for the CPU of its key.
pub const LONG_QUEUE: u32 = 0;
pub const QUEUE_OF_ONE: u32 = 1;
/// Sockets.
pub const BOUND: u32 = 0;
pub const UNBOUND: u32 = 1;

/// veth0, with the program, and everything that it redirects to.
pub struct Lab {
    pub nic: Nic,
    pub programs: Programs,
    /// The program itself.
    pub program: Known,
    /// The number of veth0.
    pub number: u32,
    /// The pairs' numbers, also that of the one that is gone.
    pub numbers: Vec<u32>,
    others: Programs,
    bound: Xsk,
    _unbound: Xsk,
}

impl Lab {
    pub fn new() -> Self {
        let nic = Nic::veth();
        nic.use_first_queue();
        nic.ip(&["link", "property", "add", "dev", "veth0", "altname", ALSO_CALLED]);
        let pairs = nic.pairs(&PAIRS);
        let others = Programs::load(COMPONENTS, &["component_one"]);
        let takes_frames = |name: &str| others.attach(&nic.other_end(name), Mode::Native, "component_one");
        PAIRS[..4].iter().for_each(|name| takes_frames(&format!("{name}-peer")));
        let programs = Programs::load(OUTCOMES, &["outcomes"]);
        (0..).zip(&pairs).for_each(|(key, pair)| programs.set_device("devices", key, pair));
        (0..).zip(&pairs[..2]).for_each(|(key, pair)| programs.set_device("everyone", key, pair));
        let numbers = pairs.iter().map(|pair| ifindex(pair) as u32).collect();
        nic.change("link set v-down down\nlink set v-bare-off down\nlink delete v-gone");
        programs.set("cpus", LONG_QUEUE, &64_u32.to_ne_bytes());
        programs.set("cpus", QUEUE_OF_ONE, &1_u32.to_ne_bytes());
        let (bound, unbound) = (Xsk::without_frames(&nic, 0), Xsk::unbound(&nic));
        programs.set("sockets", BOUND, &bound.fd().to_ne_bytes());
        programs.set("sockets", UNBOUND, &unbound.fd().to_ne_bytes());
        let (program, number) = (programs.known("outcomes"), ifindex(&nic) as u32);
        Self { nic, programs, program, number, numbers, others, bound, _unbound: unbound }
    }

    /// Puts the program on veth0, in this mode alone.
    pub fn attach(&self, mode: Mode) {
        if let Mode::Generic = mode {
            detach(&self.nic, Mode::Native);
        }
        self.programs.attach(&self.nic, mode, "outcomes");
    }

    /// What the scene's key stands for.
    pub fn key(&self, scene: &Scene) -> u32 {
        match scene.by {
            By::Ifindex => self.numbers.get(scene.key as usize).copied().unwrap_or(scene.key),
            _ => scene.key,
        }
    }

    /// Sends what the scene takes to a port of its own, and waits until the program has run on it.
    pub fn play(&self, number: u16, scene: &Scene) {
        let value = [(scene.by as u32).to_ne_bytes(), self.key(scene).to_ne_bytes()].concat();
        self.programs.set("scenes", number.into(), &[value, scene.flags.to_ne_bytes().to_vec()].concat());
        match scene.name {
            "tx_bare" => detach(&self.nic.other_end("veth1"), Mode::Native),
            "tx" => self.others.attach(&self.nic.other_end("veth1"), Mode::Native, "component_one"),
            "xsk_accepted" => self.bound.give_a_frame(),
            _ => {}
        }
        let port = FIRST_PORT + number;
        match scene.datagrams {
            1 => send(&self.nic, [port]),
            count => send_at_once(&self.nic, port, count),
        }
        self.programs.ports().wait_for(&[port]);
    }
}

/// Sends datagrams in one piece, which the sending device, while its peer runs a program, cuts up and sends at once: the
/// receiver finds all of them in its queue.
fn send_at_once(nic: &Nic, port: u16, count: usize) {
    let length: libc::c_int = 8;
    let socket = inside(nic.peer_netns(), || UdpSocket::bind("0.0.0.0:0").unwrap());
    let (fd, value) = (socket.as_raw_fd(), (&raw const length).cast());
    let size = size_of_val(&length) as u32;
    // SAFETY: the kernel reads the length, a number.
    assert_eq!(unsafe { libc::setsockopt(fd, libc::SOL_UDP, libc::UDP_SEGMENT, value, size) }, 0);
    socket.send_to(&b"xdptrace".repeat(count), (nic.address.as_str(), port)).unwrap();
}

/// A bond of two: the program on it runs on its members, of which `m-active` sends.
pub struct Bond {
    pub nic: Nic,
    pub bond: Nic,
    pub members: Vec<Nic>,
    pub programs: Programs,
    others: Programs,
}

impl Bond {
    /// The bond, with nothing on it.
    pub fn new() -> Self {
        let nic = Nic::veth();
        let members = nic.pairs(&["m-active", "m-backup"]);
        let bond = nic.bond_of(&["m-active", "m-backup"]);
        let others = Programs::load(COMPONENTS, &["component_one"]);
        let programs = Programs::load(OUTCOMES, &["outcomes"]);
        let send_back = [(By::Return as u32).to_ne_bytes(), 3_u32.to_ne_bytes(), [0; 4], [0; 4]].concat();
        programs.set("scenes", 0, &send_back);
        Self { nic, bond, members, programs, others }
    }

    /// Puts the program on it, and one on its members' peers, so that they take frames: whether the kernel does.
    pub fn attach(&self) -> Result<(), i32> {
        let done = self.programs.try_to_attach(&self.bond, Mode::Native, "outcomes");
        if done < 0 {
            return Err(-done);
        }
        for name in ["m-active-peer", "m-backup-peer"] {
            self.others.attach(&self.nic.other_end(name), Mode::Native, "component_one");
        }
        Ok(())
    }
}

/// veth0, with a program that redirects datagrams to v-up, and there one that wants to send them back.
pub struct Entry {
    pub nic: Nic,
    pub out: Nic,
    pub programs: Programs,
    _others: Programs,
}

impl Entry {
    pub fn new() -> Self {
        let nic = Nic::veth();
        let out = nic.pairs(&["v-up"]).remove(0);
        let others = Programs::load(COMPONENTS, &["component_one"]);
        others.attach(&nic.other_end("v-up-peer"), Mode::Native, "component_one");
        let programs = Programs::load(OUTCOMES, &["to_entry", "back_at_exit"]);
        programs.set_device_and_program("entries", 0, &out, "back_at_exit");
        programs.attach(&nic, Mode::Native, "to_entry");
        Self { nic, out, programs, _others: others }
    }
}
