//! A program of our own where the NIC has none, so that there is something to trace, and the NIC as it was afterwards.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use caps::Capability;
use libbpf_rs::libbpf_sys;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};

use crate::bpf::{self, PassthroughSkelBuilder};
use crate::failure::Failure;
use crate::plan::Passthrough;
use crate::privileges;
use crate::refusal;
use crate::stop;
use crate::target::{self, Device, Features};

/// How long a device may take to be rid of our program once its link is closed; before 5.15 that is deferred work.
const DETACH_LIMIT: Duration = Duration::from_secs(2);

/// What it takes to switch a device's features on.
const KEPT: Capability = Capability::CAP_NET_ADMIN;

/// Our program on a device, by a BPF link: it goes when this does, and when the process ends, however it ends.
#[derive(Debug)]
pub struct Attached {
    link: Option<OwnedFd>,
    keeper: Keeper,
}

/// What the user is told before anything is attached.
pub fn warning(device: &Device) -> String {
    format!(
        "attaching a program that passes everything to {device}: GRO and LRO may go off, and no other XDP program \
         can be attached to it, until xdptrace ends"
    )
}

impl Attached {
    /// Attaches a program that passes everything to `device`.
    ///
    /// # Errors
    /// The driver refuses, or somebody else was quicker.
    pub fn new(device: &Device, mode: Passthrough) -> Result<Self> {
        // Before the program is there, so that no death of this process leaves the features as attaching makes them.
        let keeper = Keeper::start(device)?;
        let program = load()?;
        let link = create_link(program.as_raw_fd(), device, mode).map_err(|error| explain(&error, device, mode))?;
        Ok(Self { link: Some(link), keeper })
    }

    /// Detaches it and puts the device's features back.
    ///
    /// # Errors
    /// They could not be put back.
    pub fn detach(mut self) -> Result<()> {
        drop(self.link.take());
        self.keeper.finish()
    }
}

/// The name of the function in passthrough.bpf.c.
pub const FUNCTION: &str = "xdptrace_pass";

/// Loads the program, and attaches it nowhere.
///
/// # Errors
/// What the kernel refused, with its meaning and the remedy where they are known.
pub fn load() -> Result<OwnedFd> {
    refusal::forget_messages();
    let mut storage = MaybeUninit::uninit();
    let mut open =
        PassthroughSkelBuilder::default().open(&mut storage).context("failed to open the pass-through object")?;
    bpf::ask_verifier_of(open.open_object_mut());
    let skeleton = open.load().map_err(|error| refusal::explain(&error, "load", "an XDP program of our own"))?;
    let program = skeleton.progs.xdptrace_pass.as_fd().try_clone_to_owned();
    program.context(refusal::NO_DESCRIPTOR)
}

fn create_link(program: i32, device: &Device, mode: Passthrough) -> io::Result<OwnedFd> {
    let flags = match mode {
        Passthrough::Auto => 0,
        Passthrough::Generic => libbpf_sys::XDP_FLAGS_SKB_MODE,
        Passthrough::Native => libbpf_sys::XDP_FLAGS_DRV_MODE,
    };
    let options = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as libbpf_sys::size_t,
        flags,
        ..Default::default()
    };
    // libbpf's bpf_program__attach_xdp takes no flags, so the system call below it.
    // SAFETY: `options` outlives the call and carries its own size; `program` is open in the caller.
    target::own(unsafe { libbpf_sys::bpf_link_create(program, device.index(), libbpf_sys::BPF_XDP, &options) })
}

fn explain(error: &io::Error, device: &Device, mode: Passthrough) -> anyhow::Error {
    let failed = format!("failed to attach to {device}");
    match error.raw_os_error() {
        Some(libc::EBUSY) => {
            Failure::no_target(format!("{failed}: it has an XDP program by now: start xdptrace again to trace that"))
        }
        Some(libc::EEXIST) => Failure::no_target(format!(
            "{failed}: another XDP program is in the way, of another mode or on a device above it, such as its bond: \
             trace that one"
        )),
        Some(libc::ENODEV) => Failure::no_target(format!("{failed}: it is gone")),
        Some(libc::EPERM) => Failure::unable(format!(
            "{failed}: not permitted: CAP_NET_ADMIN is needed in the user namespace that owns its network namespace"
        )),
        _ if mode != Passthrough::Generic => Failure::no_target(format!(
            "{failed}: its driver refuses native XDP ({error}): --passthrough=generic works with any driver"
        )),
        _ => anyhow!("{failed}: {error}"),
    }
}

/// A process that waits for ours to end and then puts the device's features back.
///
/// The kernel switches LRO and hardware GRO off when generic XDP is attached (dev_disable_lro, dev_disable_gro_hw) and
/// leaves them off. After kill -9 nobody else would switch them on again.
#[derive(Debug)]
struct Keeper(Child);

impl Keeper {
    fn start(device: &Device) -> Result<Self> {
        let turn = take_turn(device, 2 * DETACH_LIMIT)?;
        let features =
            Features::read(&device.name).with_context(|| format!("failed to read the features of {device}"))?;
        let words: Vec<String> = features.0.iter().map(|word| format!("{word:x}")).collect();
        // Another user's program has none but what is handed down to it.
        privileges::hand_down(KEPT)?;
        let own = env::current_exe().context("failed to find xdptrace's own binary")?;
        let child = Command::new(own)
            .args([
                OsStr::new("restore-features"),
                OsStr::new(&device.ifindex.to_string()),
                OsStr::new(&words.join(",")),
            ])
            .stdin(Stdio::piped())
            // Only to be held.
            .stdout(OwnedFd::from(turn))
            .stderr(Stdio::null())
            // A group of its own: Ctrl-C is for the tracer.
            .process_group(0)
            .spawn()
            .context("failed to start the process that puts the NIC's features back")?;
        Ok(Self(child))
    }

    fn finish(mut self) -> Result<()> {
        let status = self.end().context("failed to wait for the NIC's features to be put back")?;
        if status.success() {
            Ok(())
        } else {
            Err(anyhow!("failed to put the NIC's features back: compare `ethtool -k`"))
        }
    }

    /// The end of its standard input is what it waits for.
    fn end(&mut self) -> io::Result<ExitStatus> {
        drop(self.0.stdin.take());
        self.0.wait()
    }
}

impl Drop for Keeper {
    /// Also where attaching failed, no process is left.
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// One keeper a device: who comes next must not take for the device's own what the one before has yet to put back.
///
/// An abstract socket address belongs to a network namespace, as the device does, and is free again when its last
/// holder ends, however that ends. But anybody there may hold it, who need not be an xdptrace.
fn take_turn(device: &Device, patience: Duration) -> Result<UnixDatagram> {
    let name = format!("xdptrace-{}", device.ifindex);
    let address = SocketAddr::from_abstract_name(&name)?;
    let limit = Instant::now() + patience;
    loop {
        match UnixDatagram::bind_addr(&address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => ensure!(
                Instant::now() < limit,
                "failed to wait for another xdptrace to leave {device}: `ss -xlp` shows who holds @{name}"
            ),
            turn => return turn.with_context(|| format!("failed to wait for another xdptrace to leave {device}")),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The keeper's own part: waits for the end of `lifeline`, then for device `ifindex` to be without XDP program, and
/// has those of `features` wanted again that no longer are, or that the driver has left off.
///
/// # Errors
/// They could not be put back, or somebody else's program was attached at once, whose business they are now.
pub fn restore_features(mut lifeline: impl Read, ifindex: u32, features: Vec<u32>) -> Result<()> {
    // Only the end of its standard input ends the keeper: whoever ends the tracer by a signal may well send it to both.
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP].into_iter().for_each(stop::ignore);
    privileges::keep_only(KEPT)?;
    io::copy(&mut lifeline, &mut io::sink()).context("failed to wait for xdptrace to end")?;
    // By its index, because it may have been renamed, or made anew under its name.
    let Some(name) = target::name_of(ifindex)? else {
        return Ok(()); // It is gone, and its features with it.
    };
    let device = Device::find(&name)?;
    let limit = Instant::now() + DETACH_LIMIT;
    while target::find_program(&device)?.is_some() {
        ensure!(Instant::now() < limit, "{device} still has an XDP program");
        thread::sleep(Duration::from_millis(10));
    }
    let features = Features(features);
    if let Some(missing) = features.missing_in(&Features::read(&name)?) {
        missing.switch_on(&name).context("failed to switch the features on")?;
    }
    // Whether what is wanted is on may depend on what others have changed meanwhile.
    let unwanted = features.unwanted_in(&Features::read(&name)?);
    ensure!(unwanted.is_none(), "{device} refuses to have its features back");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn who_waits_in_vain_for_its_turn_is_told_how_to_find_whose_it_is() {
        // No device has such an index, and no other test.
        let ifindex = 1 << 31 | std::process::id();
        let device = Device { name: "eth0".into(), ifindex, netns: 0, members: Vec::new() };
        let turn = take_turn(&device, Duration::ZERO).unwrap();
        let refused = take_turn(&device, Duration::ZERO).unwrap_err();
        let said = "failed to wait for another xdptrace to leave eth0: `ss -xlp` shows who holds @xdptrace";
        assert_eq!(format!("{refused:#}"), format!("{said}-{ifindex}"));
        drop(turn);
        assert!(take_turn(&device, Duration::ZERO).is_ok());
    }
}
