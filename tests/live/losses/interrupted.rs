//! A program whose runs for a process are interrupted by those for packets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{Counted, quiet_nic, stay_on};
use crate::lab::Nic;
use crate::loader::{Mode, Programs, socket};

/// A program at which what is sent on the first CPU is received on the second one, in an interrupt.
pub fn interrupted_program() -> (Nic, Counted) {
    let nic = quiet_nic();
    let counted = Counted::load("counted_drop");
    counted.programs.attach(&nic, Mode::Generic, "counted_drop");
    let script = "for file in /sys/class/net/veth0/queues/rx-*/rps_cpus; do echo 2 >$file; done";
    let done = nic.other_end("veth1").there(&["bash", "-ec", script]);
    assert!(done.status.success(), "{done:?}");
    (nic, counted)
}

/// Test runs of the program while packets come at it on the same CPU; how many.
pub fn interrupt_test_runs(nic: &Nic, counted: &Counted) -> u64 {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let tester = scope.spawn(|| test_run_until(&is_over, &counted.programs));
        send_triples(nic);
        is_over.store(true, Ordering::Relaxed);
        tester.join().unwrap()
    })
}

/// Has the kernel run the program on the second CPU until it is told to stop; how often.
fn test_run_until(is_over: &AtomicBool, programs: &Programs) -> u64 {
    stay_on(1);
    let mut tested = 0;
    while !is_over.load(Ordering::Relaxed) {
        programs.test_run("counted_drop", &[0; 60], 100);
        tested += 100;
    }
    tested
}

/// Sends datagrams from the first CPU, with pauses in between, in which the emulator turns to the second one.
fn send_triples(nic: &Nic) {
    let send = || {
        let socket = socket(nic);
        stay_on(0);
        for _ in 0..1000 {
            for _ in 0..3 {
                socket.send_to(b"xdptrace", (nic.address.as_str(), 9)).unwrap();
            }
            thread::sleep(Duration::from_millis(1));
        }
    };
    // This thread goes on wherever it likes.
    thread::scope(|scope| scope.spawn(send).join().unwrap());
}
