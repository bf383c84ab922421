#![allow(clippy::unwrap_used)]
use std::fs::{self, File};
use std::io::Read;
use std::iter;

use nix::fcntl::{OFlag, SealFlag};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::pipe2;

use super::*;

/// A pipe: its reader, and the outlet that writes to it, which alone holds its other end.
pub(crate) fn piped() -> (File, Outlet) {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    (File::from(reader), Outlet::new(writer.as_fd()).unwrap())
}

fn ended(target: u32) -> Ended {
    Ended { target, verdict: None }
}

#[test]
fn a_pipe_that_nobody_reads_takes_what_it_holds_and_the_rest_waits() {
    let (mut reader, outlet) = piped();
    let line = [b"x".repeat(99), b"\n".to_vec()].concat();
    let mut taken = 0;
    while taken < 2000 {
        (&outlet).write_all(&line).unwrap();
        taken += 1;
        outlet.end_event(ended(taken));
        if !outlet.has_room() {
            break;
        }
    }
    // A pipe holds 64 KiB, and so much is gathered beside it: 1310 of these lines, less one page at most.
    assert!((1250..=1320).contains(&taken), "{taken}");
    assert!(outlet.is_blocked());
    let mut read = vec![0; 50_000];
    reader.read_exact(&mut read).unwrap();
    outlet.push().unwrap();
    let began = Instant::now();
    outlet.push_all().unwrap();
    assert!((PATIENCE..PATIENCE_IN_ALL).contains(&began.elapsed()));
    let unwritten: Vec<u32> = outlet.take_unwritten().iter().map(|event| event.target).collect();
    // In order, to the last one.
    assert!(unwritten.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{unwritten:?}");
    assert_eq!(unwritten.last(), Some(&taken));
    let written = u64::from(taken) - unwritten.len() as u64;
    assert!((1100..1250).contains(&written), "{written}");
    // No line is cut.
    drop(outlet);
    read.clear();
    reader.read_to_end(&mut read).unwrap();
    assert_eq!(read.len(), written as usize * line.len() - 50_000);
}

#[test]
fn a_pipe_that_was_closed_is_broken() {
    let (reader, outlet) = piped();
    drop(reader);
    (&outlet).write_all(b"x\n").unwrap();
    outlet.end_event(ended(7));
    assert_eq!((&outlet).flush().unwrap_err().kind(), ErrorKind::BrokenPipe);
    // Nor is what comes later written, and it is no second failure.
    (&outlet).write_all(b"y\n").unwrap();
    outlet.end_event(ended(8));
    (&outlet).flush().unwrap();
    assert_eq!(outlet.take_unwritten(), [7, 8].map(ended));
}

#[test]
fn a_full_file_system_is_named_with_a_remedy() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let outlet = Outlet::new(full.as_fd()).unwrap();
    (&outlet).write_all(b"x\n").unwrap();
    let error = outlet.push().unwrap_err().to_string();
    assert!(error.starts_with("failed to write the output: No space left"), "{error}");
    assert!(error.ends_with("make room, or write elsewhere"), "{error}");
}

#[test]
fn what_is_given_up_blocks_nobody() {
    let (_reader, outlet) = piped();
    while outlet.has_room() {
        (&outlet).write_all(&[b'x'; 1000]).unwrap();
    }
    assert!(outlet.is_blocked());
    outlet.give_up();
    (&outlet).write_all(b"more").unwrap();
    assert!(!outlet.is_blocked() && outlet.has_room());
    outlet.push_all().unwrap();
}

/// What is left of a file after a write that failed behind half a part, where another writer has added to it.
fn broken_off(name: &str, open: &mut fs::OpenOptions, behind: &str) -> String {
    let path = std::env::temp_dir().join(format!("xdptrace-{}-{name}", std::process::id()));
    fs::write(&path, "").unwrap();
    let outlet = Outlet::new(open.open(&path).unwrap().as_fd()).unwrap();
    (&outlet).write_all(b"whole\n").unwrap();
    outlet.end_event(ended(1));
    (&outlet).write_all(b"ha").unwrap();
    outlet.push().unwrap();
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(behind.as_bytes()).unwrap();
    outlet.state.borrow_mut().break_off();
    let left = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    left
}

#[test]
fn half_a_part_is_cut_off_but_not_from_what_others_append_to() {
    assert_eq!(broken_off("own", File::options().write(true), ""), "whole\n");
    assert_eq!(broken_off("shared", File::options().append(true), "theirs\n"), "whole\nhatheirs\n");
}

#[test]
fn parts_of_one_write_that_fails_are_known_by_what_was_written() {
    let file = File::from(memfd_create(c"parts", MFdFlags::MFD_ALLOW_SEALING).unwrap());
    // It grows no more, as a disk that is full.
    file.set_len(1_050_000).unwrap();
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW)).unwrap();
    let outlet = Outlet::new(file.as_fd()).unwrap();
    let parts = |first| (first..first + 10).map(|target| (100_000, Some(ended(target))));
    (&outlet).write_all(b"what is in front of them").unwrap();
    outlet.end_event(ended(0));
    outlet.write_parts(&[b'x'; 100_000], iter::once((100_000, Some(ended(1))))).unwrap();
    assert!(!outlet.is_blocked(), "gathered");
    assert_eq!(outlet.write_parts(&[b'x'; 1_000_000], parts(2)).unwrap_err().kind(), ErrorKind::PermissionDenied);
    outlet.write_parts(&[b'x'; 1_000_000], parts(12)).unwrap();
    assert!(outlet.is_broken() && !outlet.is_blocked());
    let unwritten: Vec<u32> = outlet.take_unwritten().iter().map(|event| event.target).collect();
    assert_eq!(unwritten, (11..22).collect::<Vec<u32>>());
    assert_eq!(file.metadata().unwrap().len(), 24 + 10 * 100_000);
}
