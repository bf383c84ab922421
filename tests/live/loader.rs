//! Puts programs where they run by the kernel's own interfaces, and knows by itself what they did: the ids that the
//! kernel gave them, and the datagrams that each of them counted.

use std::collections::BTreeSet;
use std::ffi::{CString, c_int};
use std::fs::{self, File};
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use libbpf_rs::libbpf_sys as sys;
use libbpf_rs::{MapCore, MapFlags, MapHandle, Object, ObjectBuilder};

use crate::lab::{Nic, run, wait_for};

/// The programs of tests/progs/components.bpf.c.
pub const COMPONENTS: &str = concat!(env!("OUT_DIR"), "/components.bpf.o");
/// The programs of tests/progs/chains.bpf.c.
pub const CHAINS: &str = concat!(env!("OUT_DIR"), "/chains.bpf.o");
/// The programs of tests/progs/packets.bpf.c.
pub const PACKETS: &str = concat!(env!("OUT_DIR"), "/packets.bpf.o");
/// The programs of tests/progs/counted.bpf.c.
pub const COUNTED: &str = concat!(env!("OUT_DIR"), "/counted.bpf.o");
/// The programs of tests/progs/harmless.bpf.c.
pub const HARMLESS: &str = concat!(env!("OUT_DIR"), "/harmless.bpf.o");
/// The program of tests/progs/outcomes.bpf.c.
pub const OUTCOMES: &str = concat!(env!("OUT_DIR"), "/outcomes.bpf.o");

/// FIRST_PORT and PORTS of tests/progs/ports.h.
pub const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 4096;

/// How a program is attached.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    /// By the driver.
    Native,
    /// By the kernel, before everything else.
    Generic,
}

impl Mode {
    fn flags(self) -> u32 {
        match self {
            Self::Native => sys::XDP_FLAGS_DRV_MODE,
            Self::Generic => sys::XDP_FLAGS_SKB_MODE,
        }
    }
}

/// What a call of libbpf returned: it is negative where it failed.
fn returned(what: &str, value: c_int) -> c_int {
    assert!(value >= 0, "{what}: {}", io::Error::from_raw_os_error(-value));
    value
}

/// Runs `call` in a network namespace; in a thread of its own, because setns moves the thread that calls it.
pub fn inside<T: Send>(netns: Option<&str>, call: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let done = scope.spawn(|| {
            if let Some(netns) = netns {
                let netns = File::open(format!("/run/netns/{netns}")).unwrap();
                // SAFETY: setns(2) takes a descriptor that is open here.
                assert_eq!(unsafe { libc::setns(netns.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
            }
            call()
        });
        done.join().unwrap()
    })
}

/// A program in the kernel, whoever loaded it; held by the kernel alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: u32,
    /// The kernel's own name of it.
    pub name: String,
    /// Its tag, in hexadecimal digits.
    pub tag: String,
    maps: Vec<u32>,
}

/// A program by its id: its descriptor, unless it is gone.
fn open(id: u32) -> Option<OwnedFd> {
    // SAFETY: the call takes no pointer, and what it returns is ours.
    let fd = unsafe { sys::bpf_prog_get_fd_by_id(id) };
    // SAFETY: as above.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The ids of all programs, maps and links that the kernel has: never those of others that there were before.
pub fn objects() -> [BTreeSet<u32>; 3] {
    let calls = [sys::bpf_prog_get_next_id, sys::bpf_map_get_next_id, sys::bpf_link_get_next_id];
    calls.map(|next_of| {
        let next = |id: &u32| {
            let mut next = 0;
            // SAFETY: the kernel writes the id there.
            (unsafe { next_of(*id, &mut next) } == 0).then_some(next)
        };
        std::iter::successors(next(&0), next).collect()
    })
}

/// Those that there were not before. Of those, some may still be going that earlier tests have left.
pub fn new_objects(before: &[BTreeSet<u32>; 3]) -> [BTreeSet<u32>; 3] {
    let mut kinds = before.iter();
    objects().map(|now| kinds.next().map_or_else(BTreeSet::new, |before| &now - before))
}

/// None of each.
pub const NO_OBJECTS: [BTreeSet<u32>; 3] = [const { BTreeSet::new() }; 3];

/// Whether the kernel still has a program.
pub fn exists(id: u32) -> bool {
    open(id).is_some()
}

impl Known {
    /// `FUNC#ID`, as the tracer calls it.
    pub fn called(&self, function: &str) -> String {
        format!("{function}#{}", self.id)
    }

    /// The program with this id, which must be there.
    pub fn by_id(id: u32) -> Self {
        let program = open(id).unwrap_or_else(|| panic!("no program {id}"));
        let mut maps = [0_u32; 16];
        let mut info = sys::bpf_prog_info { nr_map_ids: 16, map_ids: maps.as_mut_ptr() as u64, ..Default::default() };
        let mut length = size_of_val(&info) as u32;
        // SAFETY: the kernel writes into `info` and `maps`, no more than their lengths, which it is given.
        let done = unsafe { sys::bpf_prog_get_info_by_fd(program.as_raw_fd(), &mut info, &mut length) };
        returned("information about a program", done);
        let name = info.name.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8 as char).collect();
        let tag = info.tag.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { id, name, tag, maps: maps[..info.nr_map_ids as usize].to_vec() }
    }

    /// The XDP program of a NIC.
    pub fn on(nic: &Nic) -> Self {
        Self::by_id(program_on(nic))
    }

    /// What it counts datagrams in, which outlives it.
    pub fn ports(&self) -> Ports {
        Ports(self.map("ports"))
    }

    /// What it counts its runs in, which outlives it.
    pub fn runs(&self) -> Runs {
        Runs(self.map("runs"))
    }

    fn map(&self, name: &str) -> MapHandle {
        let mut maps = self.maps.iter().map(|id| MapHandle::from_map_id(*id).unwrap());
        maps.find(|map| map.name() == name).unwrap_or_else(|| panic!("no map {name}"))
    }
}

/// The id of a NIC's XDP program in whatever mode; 0 without.
pub fn program_on(nic: &Nic) -> u32 {
    let ifindex = ifindex(nic);
    inside(nic.netns.as_deref(), || {
        let mut id = 0;
        // SAFETY: libbpf writes the id there.
        returned("query", unsafe { sys::bpf_xdp_query_id(ifindex, 0, &mut id) });
        id
    })
}

/// A NIC's number in its namespace.
pub fn ifindex(nic: &Nic) -> c_int {
    let name = CString::new(nic.name.as_str()).unwrap();
    // SAFETY: the string ends with a NUL and lives as long as the call.
    let index = inside(nic.netns.as_deref(), || unsafe { libc::if_nametoindex(name.as_ptr()) });
    assert!(index > 0, "no {}", nic.name);
    index as c_int
}

/// The datagrams that a program counted.
pub struct Ports(MapHandle);

impl Ports {
    /// Waits until the program has seen these ports, the last of which it has then run on: a packet may lie in a queue.
    pub fn wait_for(&self, ports: &[u16]) {
        let has_come = |port: &u16| self.count(port - FIRST_PORT) > 0;
        wait_for("datagrams at the program", || ports.iter().all(has_come).then_some(()));
    }

    /// The ports that the program saw, in order.
    pub fn seen(&self) -> Vec<u16> {
        (0..PORTS).filter(|number| self.count(*number) > 0).map(|number| FIRST_PORT + number).collect()
    }

    /// How many datagrams to this port it saw.
    pub fn of(&self, port: u16) -> u64 {
        self.count(port - FIRST_PORT).into()
    }

    fn count(&self, number: u16) -> u32 {
        let value = self.0.lookup(&u32::from(number).to_ne_bytes(), MapFlags::ANY).unwrap().unwrap();
        u32::from_ne_bytes(value.try_into().unwrap())
    }
}

/// How often a program ran, by its own count.
pub struct Runs(MapHandle);

impl Runs {
    /// So far.
    pub fn now(&self) -> u64 {
        let value = self.0.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY).unwrap().unwrap();
        u64::from_ne_bytes(value.try_into().unwrap())
    }

    /// Waits until there were so many.
    pub fn wait_for(&self, runs: u64) {
        wait_for(&format!("{runs} runs"), || (self.now() >= runs).then_some(()));
    }

    /// Waits until there are no more, after the last packet was sent: some may still lie in a queue.
    pub fn settle(&self) -> u64 {
        let mut before = u64::MAX;
        wait_for("end of the runs", || {
            let now = self.now();
            (std::mem::replace(&mut before, now) == now).then_some(now)
        })
    }
}

/// Programs of one object, loaded; the kernel lets go of them when this ends and nothing else holds them.
pub struct Programs(Object);

impl Programs {
    /// Loads these programs of an object, and no others. Each loading has its own maps.
    pub fn load(object: &str, names: &[&str]) -> Self {
        Self::load_with(object, names, None)
    }

    /// As `load`, where the kernel may refuse a program: whether it took it.
    pub fn loads(object: &str, name: &str) -> bool {
        libbpf_rs::set_print(None);
        let mut open = ObjectBuilder::default().open_file(object).unwrap();
        open.progs_mut().for_each(|mut program| program.set_autoload(program.name() == name));
        open.load().is_ok()
    }

    /// Loads others_fentry of tests/progs/chains.bpf.c for a function of a program.
    pub fn trace(target: &Self, program: &str, function: &str) -> Self {
        Self::load_with(CHAINS, &["others_fentry"], Some((target.fd(program), function)))
    }

    fn load_with(object: &str, names: &[&str], target: Option<(c_int, &str)>) -> Self {
        // Its words would stand in the middle of the lines of the tests.
        libbpf_rs::set_print(None);
        let mut open = ObjectBuilder::default().open_file(object).unwrap();
        for mut program in open.progs_mut() {
            program.set_autoload(names.iter().any(|name| program.name() == *name));
            if let Some((fd, function)) = target.filter(|_| program.name() == "others_fentry") {
                program.set_attach_target(fd, Some(function.to_owned())).unwrap();
            }
        }
        let programs = Self(open.load().unwrap());
        names.iter().for_each(|name| assert!(programs.fd(name) > 0, "{name}"));
        programs
    }

    fn fd(&self, name: &str) -> c_int {
        let program = self.0.progs().find(|program| program.name() == name);
        program.unwrap_or_else(|| panic!("no {name}")).as_fd().as_raw_fd()
    }

    /// What the kernel knows of a program.
    pub fn known(&self, name: &str) -> Known {
        let program = self.0.progs().find(|program| program.name() == name).unwrap();
        Known::by_id(libbpf_rs::Program::id_from_fd(program.as_fd()).unwrap())
    }

    /// The id of a program.
    pub fn id(&self, name: &str) -> u32 {
        self.known(name).id
    }

    /// What they count datagrams in.
    pub fn ports(&self) -> Ports {
        let map = self.0.maps().find(|map| map.name() == "ports").unwrap();
        Ports(MapHandle::try_from(&map).unwrap())
    }

    /// Runs a program `times` on a frame that came by no device that is traced, and not in a softirq; what it returned to the
    /// kernel.
    pub fn test_run(&self, name: &str, frame: &[u8], times: u32) -> u32 {
        let mut options = sys::bpf_test_run_opts {
            sz: size_of::<sys::bpf_test_run_opts>() as sys::size_t,
            data_in: frame.as_ptr().cast(),
            data_size_in: frame.len() as u32,
            repeat: times as c_int,
            ..Default::default()
        };
        // SAFETY: the kernel reads the frame, and writes nothing but the options.
        returned("test run", unsafe { sys::bpf_prog_test_run_opts(self.fd(name), &mut options) });
        options.retval
    }

    /// The values of a map whose keys are the numbers from 0 on.
    pub fn values(&self, map: &str) -> Vec<Vec<u8>> {
        let map = self.0.maps().find(|found| found.name() == map).unwrap();
        let value = |key: u32| map.lookup(&key.to_ne_bytes(), MapFlags::ANY).unwrap().unwrap();
        (0..map.max_entries()).map(value).collect()
    }

    /// The id of a map.
    pub fn map_id(&self, name: &str) -> u32 {
        let map = self.0.maps().find(|map| map.name() == name).unwrap();
        map.info().unwrap().info.id
    }

    /// Puts a value into a map whose keys are numbers.
    pub fn set(&self, map: &str, key: u32, value: &[u8]) {
        let map = self.0.maps().find(|found| found.name() == map).unwrap();
        map.update(&key.to_ne_bytes(), value, MapFlags::ANY).unwrap();
    }

    /// Puts a program into the map `jumps`.
    pub fn jump(&self, key: u32, program: &str) {
        self.set("jumps", key, &self.fd(program).to_ne_bytes());
    }

    /// Takes it out again.
    pub fn clear_jump(&self, key: u32) {
        let map = self.0.maps().find(|found| found.name() == "jumps").unwrap();
        map.delete(&key.to_ne_bytes()).unwrap();
    }

    /// Puts a queue and its program into `cpus`.
    pub fn redirect_to_cpu(&self, cpu: u32, program: &str) {
        self.set("cpus", cpu, &[64_u32.to_ne_bytes(), (self.fd(program) as u32).to_ne_bytes()].concat());
    }

    /// Puts a device into a map of devices: in the device's namespace, by whose numbers the kernel goes.
    pub fn set_device(&self, map: &str, key: u32, nic: &Nic) {
        self.set_inside(nic, map, key, &ifindex(nic).to_ne_bytes());
    }

    /// The same, with a program.
    pub fn set_device_and_program(&self, map: &str, key: u32, nic: &Nic, program: &str) {
        self.set_inside(nic, map, key, &[ifindex(nic).to_ne_bytes(), self.fd(program).to_ne_bytes()].concat());
    }

    /// … into `devices`.
    pub fn redirect_to_device(&self, nic: &Nic, key: u32, program: &str) {
        self.set_device_and_program("devices", key, nic, program);
    }

    fn set_inside(&self, nic: &Nic, map: &str, key: u32, value: &[u8]) {
        let map = self.0.maps().find(|found| found.name() == map).unwrap();
        let map = MapHandle::try_from(&map).unwrap();
        inside(nic.netns.as_deref(), || map.update(&key.to_ne_bytes(), value, MapFlags::ANY).unwrap());
    }

    /// Attaches a program by netlink, in the place of what is there.
    pub fn attach(&self, nic: &Nic, mode: Mode, program: &str) {
        let done = self.try_to_attach(nic, mode, program);
        returned(program, done);
    }

    /// As `attach`; what libbpf returned.
    pub fn try_to_attach(&self, nic: &Nic, mode: Mode, program: &str) -> c_int {
        xdp_attach(nic, mode, self.fd(program))
    }

    /// Attaches a program by a BPF link.
    pub fn link(&self, nic: &Nic, mode: Mode, program: &str) -> Link {
        let (fd, ifindex) = (self.fd(program), ifindex(nic));
        let link = inside(nic.netns.as_deref(), || {
            let sz = size_of::<sys::bpf_link_create_opts>() as sys::size_t;
            let options = sys::bpf_link_create_opts { sz, flags: mode.flags(), ..Default::default() };
            // SAFETY: libbpf reads the options.
            unsafe { sys::bpf_link_create(fd, ifindex, sys::BPF_XDP, &options) }
        });
        // SAFETY: the descriptor is new and ours.
        Link(unsafe { OwnedFd::from_raw_fd(returned("BPF link", link)) })
    }

    /// Pins a program in bpffs.
    pub fn pin(&self, program: &str, name: &str) -> Pin {
        let path = PathBuf::from("/sys/fs/bpf").join(name);
        let words = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: the string ends with a NUL and lives as long as the call.
        returned("pin", unsafe { sys::bpf_obj_pin(self.fd(program), words.as_ptr()) });
        Pin(path)
    }
}

fn xdp_attach(nic: &Nic, mode: Mode, program: c_int) -> c_int {
    let ifindex = ifindex(nic);
    inside(nic.netns.as_deref(), || {
        // SAFETY: without options no pointer is followed.
        unsafe { sys::bpf_xdp_attach(ifindex, program, mode.flags(), std::ptr::null()) }
    })
}

/// Detaches by netlink.
pub fn detach(nic: &Nic, mode: Mode) {
    returned("detach", xdp_attach(nic, mode, -1));
}

/// A BPF link: what it attached goes with it.
pub struct Link(OwnedFd);

impl Link {
    /// Puts another program into its place.
    pub fn update(&self, programs: &Programs, program: &str) {
        // SAFETY: without options no pointer is followed.
        let done = unsafe { sys::bpf_link_update(self.0.as_raw_fd(), programs.fd(program), std::ptr::null()) };
        returned("update of a BPF link", done);
    }
}

/// A pinned program.
pub struct Pin(PathBuf);

impl Pin {
    /// Where.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A dispatcher of libxdp on a NIC, as xdp-loader makes it.
pub struct Dispatcher<'nic>(&'nic Nic);

impl<'nic> Dispatcher<'nic> {
    /// Loads programs of COMPONENTS, in this order, each by its own run of xdp-loader.
    pub fn load(nic: &'nic Nic, programs: &[&str]) -> Self {
        let dispatcher = Self(nic);
        for (number, program) in programs.iter().enumerate() {
            dispatcher.add(program, 10 * (number as u32 + 1), "XDP_PASS", 1);
        }
        dispatcher
    }

    /// Loads one program `count` times at once.
    pub fn load_times(nic: &'nic Nic, program: &str, count: usize) -> Self {
        let dispatcher = Self(nic);
        dispatcher.add(program, 50, "XDP_PASS", count);
        dispatcher
    }

    /// Loads ten programs that count their runs, of which the last one drops.
    pub fn load_counted(nic: &'nic Nic) -> Self {
        let dispatcher = Self(nic);
        dispatcher.add_of(COUNTED, "counted_pass", 10, "XDP_PASS", 9);
        dispatcher.add_of(COUNTED, "counted_drop", 20, "XDP_PASS", 1);
        dispatcher
    }

    /// Adds a program of this priority, `count` times; the next one runs after the verdicts `actions`.
    pub fn add(&self, program: &str, priority: u32, actions: &str, count: usize) {
        self.add_of(COMPONENTS, program, priority, actions, count);
    }

    fn add_of(&self, object: &str, program: &str, priority: u32, actions: &str, count: usize) {
        let priority = priority.to_string();
        let mut words = vec!["xdp-loader", "load", "-m", "native", &self.0.name];
        words.extend(["-n", program, "-P", &priority, "-A", actions]);
        words.extend(vec![object; count]);
        self.0.output(&words);
    }

    /// The dispatcher itself.
    pub fn known(&self) -> Known {
        let known = Known::on(self.0);
        assert_eq!(known.name, "xdp_dispatcher");
        known
    }

    /// Its components in the order in which they run, by libxdp's pins.
    pub fn components(&self) -> Vec<Known> {
        let folder = format!("/sys/fs/bpf/xdp/dispatch-{}-{}", ifindex(self.0), self.known().id);
        let pins =
            (0..10).map(|number| format!("{folder}/prog{number}-prog")).take_while(|pin| Path::new(pin).exists());
        pins.map(|pin| Known::by_id(pinned(&pin))).collect()
    }
}

fn pinned(path: &str) -> u32 {
    let program = libbpf_rs::Program::fd_from_pinned_path(path).unwrap();
    libbpf_rs::Program::id_from_fd(program.as_fd()).unwrap()
}

impl Drop for Dispatcher<'_> {
    /// Its pins would outlive the namespace.
    fn drop(&mut self) {
        let words = self.0.inside(&["xdp-loader", "unload", &self.0.name, "--all"]);
        run(&words.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// Sends datagrams from the other end to these ports of an address.
pub fn send(nic: &Nic, ports: impl IntoIterator<Item = u16>) {
    let socket = socket(nic);
    for port in ports {
        socket.send_to(b"xdptrace", (nic.address.as_str(), port)).unwrap();
    }
}

/// Sends a frame, of which every byte is the caller's, from the other end, a NIC itself.
pub fn send_frame(other_end: &Nic, frame: &[u8]) {
    send_frames(other_end, [frame]);
}

/// Sends frames in the same way.
pub fn send_frames<F: AsRef<[u8]>>(other_end: &Nic, frames: impl IntoIterator<Item = F> + Send) {
    let to = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_ifindex: ifindex(other_end),
        // SAFETY: all of its members are numbers, which may be zero.
        ..unsafe { std::mem::zeroed() }
    };
    let length = size_of_val(&to) as u32;
    inside(other_end.netns.as_deref(), || {
        // SAFETY: the call takes no pointer, and what it returns is ours.
        let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
        assert!(socket >= 0, "{}", io::Error::last_os_error());
        // SAFETY: as above.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        let to = (&raw const to).cast();
        for frame in frames {
            let frame = frame.as_ref();
            // SAFETY: the kernel reads the frame and the address, no more than their lengths, which it is given.
            let sent = unsafe { libc::sendto(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, to, length) };
            assert_eq!(sent, frame.len() as isize, "{}", io::Error::last_os_error());
        }
    });
}

/// A socket at the other end.
pub fn socket(nic: &Nic) -> UdpSocket {
    inside(nic.peer_netns(), || UdpSocket::bind("0.0.0.0:0").unwrap())
}

/// Datagrams at short intervals, each to the next port.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    sent: Option<JoinHandle<Vec<(u16, SystemTime)>>>,
}

impl Traffic {
    /// Begins to send.
    pub fn start(nic: &Nic) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (socket, address) = (socket(nic), nic.address.clone());
        let stopped = stop.clone();
        let sent = thread::spawn(move || {
            let mut sent = Vec::new();
            for port in FIRST_PORT..FIRST_PORT + PORTS {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                sent.push((port, SystemTime::now()));
                // A device that is gone for the moment is no reason to stop.
                let _ = socket.send_to(b"xdptrace", (address.as_str(), port));
                thread::sleep(Duration::from_millis(5));
            }
            sent
        });
        Self { stop, sent: Some(sent) }
    }

    /// Stops, and says what was sent when.
    pub fn stop(mut self) -> Vec<(u16, SystemTime)> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sent.take().unwrap().join().unwrap();
        assert!(sent.len() < PORTS.into(), "too few ports for this test");
        sent
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A datagram in the tracer's text output.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    /// The device.
    pub device: String,
    /// `FUNC#ID`.
    pub program: String,
    /// The verdict.
    pub verdict: String,
    /// Its destination port.
    pub port: u16,
}

/// The datagrams to our ports among the tracer's lines: `TIME DEV FUNC#ID VERDICT LATENCY IP A.P > B.PORT: UDP, length 8`.
pub fn shown(lines: &[String]) -> Vec<Shown> {
    let one = |line: &String| {
        let (words, destination) = line.strip_suffix(": UDP, length 8")?.split_once(" > ")?;
        let port = destination.rsplit_once('.')?.1.parse().ok()?;
        let words: Vec<&str> = words.split(' ').collect();
        let ours = (FIRST_PORT..FIRST_PORT + PORTS).contains(&port);
        ours.then(|| Shown { device: words[1].into(), program: words[2].into(), verdict: words[3].into(), port })
    };
    lines.iter().filter_map(one).collect()
}

/// Waits until the kernel has let go of a program.
pub fn wait_until_gone(id: u32) {
    wait_for(&format!("end of program {id}"), || (!exists(id)).then_some(()));
}
