//! CPUs that go offline and come back, also by the machine's suspension: the kernel ends the perf events of one that goes
//! (perf_event_exit_cpu), and what it would send when it is back goes nowhere.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use libbpf_rs::libbpf_sys;
use nix::errno::Errno;

use super::{Reader, attributes};

/// Of include/uapi/linux/perf_event.h: `_IO('$', 5)`.
const PERF_EVENT_IOC_SET_OUTPUT: libc::c_ulong = 0x2405;

impl Reader<'_> {
    /// Has a CPU send to its ring again, by a new event. One that had no ring at the start can't be helped, nor can
    /// anybody where what that takes has been given up: then its records are lost, and counted.
    pub fn revive(&self, cpu: u32) {
        if self.hopeless.borrow().contains(&cpu) {
            return;
        }
        // The map keeps the event when it is in there.
        let revived = self.open_event(cpu).and_then(|event| {
            self.lead_into_ring(&event)?;
            self.put_into_map(cpu, &event)
        });
        // Of one that has just gone offline again it is ENODEV as well, but then it has no records that could wait for this.
        if matches!(revived, Err(Errno::EPERM | Errno::EACCES | Errno::EINVAL)) {
            self.hopeless.borrow_mut().insert(cpu);
        }
    }

    fn open_event(&self, cpu: u32) -> Result<OwnedFd, Errno> {
        let attributes = attributes(self.ring_bytes);
        let (every_process, no_group) = (-1, -1);
        // SAFETY: perf_event_open(2) reads the attributes, no more than their size, which is among them.
        let event = Errno::result(unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const attributes,
                every_process,
                cpu,
                no_group,
                libbpf_sys::PERF_FLAG_FD_CLOEXEC,
            )
        })?;
        // SAFETY: the descriptor is new and ours.
        Ok(unsafe { OwnedFd::from_raw_fd(event as i32) })
    }

    /// The kernel takes no other ring for an event than that of the event's CPU.
    fn lead_into_ring(&self, event: &OwnedFd) -> Result<(), Errno> {
        let leads = |ring: &libbpf_sys::size_t| {
            // SAFETY: the buffer is there as long as this, and has that many rings; ioctl(2) takes two open descriptors.
            let done = unsafe {
                let old = libbpf_sys::perf_buffer__buffer_fd(self.buffer.as_ptr(), *ring);
                libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_SET_OUTPUT, old)
            };
            done == 0
        };
        (0..self.count()).find(leads).map(drop).ok_or(Errno::EINVAL)
    }

    fn put_into_map(&self, cpu: u32, event: &OwnedFd) -> Result<(), Errno> {
        let event = event.as_raw_fd();
        // SAFETY: key and value are of the sizes that such a map has, and outlive the call; the map is open.
        let done = unsafe {
            libbpf_sys::bpf_map_update_elem(
                self.events,
                ptr::from_ref(&cpu).cast(),
                ptr::from_ref(&event).cast(),
                libbpf_sys::BPF_ANY.into(),
            )
        };
        if done < 0 { Err(Errno::from_raw(-done)) } else { Ok(()) }
    }
}
