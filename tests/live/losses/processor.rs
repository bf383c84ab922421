//! The processor that a thread runs on.

/// Has this thread run on one processor only.
pub fn stay_on(cpu: usize) {
    assert!(is_moved_to(cpu));
}

/// The same, where that processor may be offline: whether it isn't.
pub fn is_moved_to(cpu: usize) -> bool {
    // SAFETY: a `cpu_set_t` may hold zeros; sched_setaffinity(2) reads the one that it is given.
    unsafe {
        let mut cpus: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut cpus);
        libc::sched_setaffinity(0, size_of_val(&cpus), &cpus) == 0
    }
}
