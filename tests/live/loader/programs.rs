//! Programs of an object, loaded, and attached by netlink, by a BPF link or a pin.

use std::ffi::{CString, c_int};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use libbpf_rs::libbpf_sys as sys;
use libbpf_rs::{MapCore, MapFlags, MapHandle, Object, ObjectBuilder};

use super::known::{Known, Ports};
use super::{CHAINS, Mode, ifindex, inside, returned};
use crate::lab::Nic;

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
