//! Which files a thread can still open, where the kernel has Landlock: since Linux 5.13, and a little more with each of its
//! versions.

use std::mem::MaybeUninit;

use anyhow::Result;
use landlock::{ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, path_beneath_rules};

use super::Needs;

/// What finding programs reads: the kernel's word on processes, devices and itself, and network namespaces by their names.
const FOUND_IN: [&str; 3] = ["/proc", "/sys", "/run/netns"];

/// The kinds of access that are narrowed, as far as the kernel knows them: reading, writing, truncating (Linux 6.2).
const KNOWN: ABI = ABI::V3;

/// Opens nothing from now on but what is among `needs`; what is open stays so.
///
/// # Errors
/// The kernel refuses the rules. One that has no Landlock is no error: nothing is narrowed there.
pub(super) fn narrow(needs: &Needs) -> Result<()> {
    read_time_zone();
    let found_in: &[&str] = if needs.finds_programs { &FOUND_IN } else { &[] };
    let write = AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::Truncate;
    Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .create()?
        .add_rules(path_beneath_rules(found_in, AccessFs::ReadFile | AccessFs::ReadDir))?
        .add_rules(path_beneath_rules(&needs.folders, write))?
        .restrict_self()?;
    Ok(())
}

/// The C library reads it when it is asked for a local time first, which mustn't be when it can't any more.
fn read_time_zone() {
    let mut parts = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers outlive the call, and nobody looks at what it fills.
    unsafe { libc::localtime_r(&0, parts.as_mut_ptr()) };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::thread;

    use super::*;
    use crate::kernel;

    #[test]
    fn files_are_written_in_the_folder_alone_and_read_where_programs_are_found() {
        let folder = std::env::temp_dir().join(format!("xdptrace-{}-narrow", std::process::id()));
        let [inside, outside] = ["inside", "outside"].map(|name| folder.join(name));
        [&inside, &outside].into_iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
        let is_open = !kernel::has_landlock();
        for finds_programs in [true, false] {
            let (inside, outside) = (inside.clone(), outside.clone());
            let narrowed = thread::spawn(move || {
                nix::sys::prctl::set_no_new_privs().unwrap();
                narrow(&Needs { finds_programs, folders: vec![inside.clone()], ..Needs::default() }).unwrap();
                fs::write(inside.join("f"), "1").unwrap();
                // What is there already can be cut to nothing, but not read.
                fs::write(inside.join("f"), "2").unwrap();
                assert_eq!(fs::read(inside.join("f")).is_ok(), is_open);
                assert_eq!(fs::write(outside.join("f"), "").is_ok(), is_open);
                assert_eq!(fs::read("/etc/passwd").is_ok(), is_open);
                assert_eq!(fs::read("/proc/self/stat").is_ok(), is_open || finds_programs);
            });
            narrowed.join().unwrap();
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
