//! An AF_XDP socket, as far as a redirect to one needs it: memory of four frames, a fill ring, a ring that frames come by.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::lab::Nic;
use crate::loader::{ifindex, inside};

const FRAME: usize = 4096;
const FRAMES: usize = 4;

/// The socket. What is mapped for it stays mapped until the process ends.
pub struct Xsk {
    socket: OwnedFd,
    fill_ring: *mut u8,
}

impl Xsk {
    /// One in the NIC's namespace, not bound to anything.
    pub fn unbound(nic: &Nic) -> Self {
        // SAFETY: the call takes no pointer.
        let fd = inside(nic.netns.as_deref(), || unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW, 0) });
        assert!(fd >= 0, "AF_XDP: {}", io::Error::last_os_error());
        // SAFETY: the descriptor is new and ours.
        let mut xsk = Self { socket: unsafe { OwnedFd::from_raw_fd(fd) }, fill_ring: null_mut() };
        let memory = map("frames", FRAME * FRAMES, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        let (addr, len) = (memory as u64, (FRAME * FRAMES) as u64);
        let umem =
            libc::xdp_umem_reg { addr, len, chunk_size: FRAME as u32, headroom: 0, flags: 0, tx_metadata_len: 0 };
        xsk.set(libc::XDP_UMEM_REG, &umem);
        for ring in [libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_COMPLETION_RING, libc::XDP_RX_RING] {
            xsk.set(ring, &(FRAMES as u32));
        }
        // Only as long as it isn't bound.
        let length = xsk.offsets().desc as usize + FRAMES * size_of::<u64>();
        let offset = libc::XDP_UMEM_PGOFF_FILL_RING as libc::off_t;
        xsk.fill_ring = map("fill ring", length, libc::MAP_SHARED | libc::MAP_POPULATE, fd, offset);
        xsk
    }

    /// One bound to a queue of the NIC, that has no frame to receive into.
    pub fn without_frames(nic: &Nic, queue: u32) -> Self {
        let xsk = Self::unbound(nic);
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            // What every driver can.
            sxdp_flags: libc::XDP_COPY,
            sxdp_ifindex: ifindex(nic) as u32,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: 0,
        };
        let length = size_of_val(&address) as u32;
        // SAFETY: the kernel reads the address, no more than its length, which it is given.
        let done = unsafe { libc::bind(xsk.socket.as_raw_fd(), (&raw const address).cast(), length) };
        assert_eq!(done, 0, "bind: {}", io::Error::last_os_error());
        xsk
    }

    /// Gives it a frame to receive into, once.
    pub fn give_a_frame(&self) {
        let offsets = self.offsets();
        let at = |offset: u64| self.fill_ring.wrapping_add(offset as usize);
        // SAFETY: there the number of frames is that were ever given, an u32, by the kernel's own words.
        let given = unsafe { AtomicU32::from_ptr(at(offsets.producer).cast()) };
        let entry = given.load(Ordering::Relaxed) as usize % FRAMES;
        // SAFETY: the ring's entries begin there, and were mapped to the last one. Nobody else writes them.
        unsafe { at(offsets.desc).cast::<u64>().wrapping_add(entry).write_volatile((entry * FRAME) as u64) };
        given.fetch_add(1, Ordering::Release);
    }

    /// Its descriptor, to be put into a map.
    pub fn fd(&self) -> u32 {
        self.socket.as_raw_fd() as u32
    }

    fn set<T>(&self, option: libc::c_int, value: &T) {
        let (fd, length) = (self.socket.as_raw_fd(), size_of::<T>() as u32);
        // SAFETY: the kernel reads the value, no more than its length, which it is given.
        let done = unsafe { libc::setsockopt(fd, libc::SOL_XDP, option, (&raw const *value).cast(), length) };
        assert_eq!(done, 0, "option {option}: {}", io::Error::last_os_error());
    }

    /// What stands where in its fill ring.
    fn offsets(&self) -> libc::xdp_ring_offset {
        // SAFETY: all of its members are numbers, which may be zero.
        let mut offsets: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
        let mut length = size_of_val(&offsets) as u32;
        let (fd, to) = (self.socket.as_raw_fd(), (&raw mut offsets).cast());
        // SAFETY: the kernel writes the offsets, no more than their length, which it is given.
        let done = unsafe { libc::getsockopt(fd, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS, to, &mut length) };
        assert_eq!(done, 0, "offsets: {}", io::Error::last_os_error());
        offsets.fr
    }
}

fn map(what: &str, length: usize, flags: libc::c_int, fd: libc::c_int, offset: libc::off_t) -> *mut u8 {
    // SAFETY: the kernel chooses an address where nothing is.
    let address = unsafe { libc::mmap(null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, fd, offset) };
    assert_ne!(address, libc::MAP_FAILED, "{what}: {}", io::Error::last_os_error());
    address.cast()
}
