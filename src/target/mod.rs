//! Reads the kernel: the NIC, the XDP program on it, the function to trace. Loads and attaches nothing.

mod device;
mod ethtool;
mod program;

use std::fmt::{self, Display, Formatter};
use std::io;

use anyhow::{Result, anyhow};
use libbpf_rs::libbpf_sys;

pub use device::{Device, name_of};
pub use ethtool::Features;
pub use program::Program;

use crate::failure::Failure;

/// The program to trace and the device whose packets are asked for.
#[derive(Debug)]
pub struct Target {
    /// The device.
    pub device: Device,
    /// The program.
    pub program: Program,
}

impl Display for Target {
    /// `xdp_lb#12 on eth0`
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { device, program } = self;
        write!(f, "{}#{} on {device}", program.function.escape_default(), program.id)
    }
}

/// The id of the XDP program that `device` runs, in whichever mode; None where it runs none.
///
/// Source: rtnetlink's IFLA_XDP, asked through libbpf. Needs no privilege.
///
/// # Errors
/// The device is gone, or its program runs in the NIC's hardware, where no kernel function is entered.
pub fn find_program(device: &Device) -> Result<Option<u32>> {
    let mut found = libbpf_sys::bpf_xdp_query_opts {
        sz: size_of::<libbpf_sys::bpf_xdp_query_opts>() as libbpf_sys::size_t,
        ..Default::default()
    };
    // SAFETY: `found` outlives the call and carries its own size.
    let errno = unsafe { libbpf_sys::bpf_xdp_query(device.index(), 0, &mut found) };
    if errno < 0 {
        return Err(match -errno {
            libc::ENODEV => Failure::no_target(format!("device {device} is gone")),
            errno => anyhow!("failed to ask for the XDP program of {device}: {}", io::Error::from_raw_os_error(errno)),
        });
    }
    let in_kernel = [found.drv_prog_id, found.skb_prog_id].into_iter().find(|id| *id != 0);
    if in_kernel.is_none() && found.hw_prog_id != 0 {
        return Err(Failure::no_target(format!(
            "XDP program {} of {device} is offloaded to the NIC: no kernel function is entered, so it cannot be traced",
            found.hw_prog_id
        )));
    }
    Ok(in_kernel)
}
