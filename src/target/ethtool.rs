//! The features of a device and its driver, by the ethtool ioctl, which asks by name whatever /sys is mounted.
//!
//! Layouts: include/uapi/linux/ethtool.h.

use std::ffi::{c_char, c_void};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType};

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_SFEATURES: u32 = 0x3b;
const ETH_SS_FEATURES: u32 = 4;

/// The features of a device that are wanted on, whether or not others keep them off for now, and those that are: by turns, bits as the
/// kernel numbers them (`ethtool -k` names them), 32 a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features(pub Vec<u32>);

impl Features {
    /// Reads those of device `name`.
    ///
    /// # Errors
    /// There is no such device, or its driver has no ethtool.
    pub fn read(name: &str) -> io::Result<Self> {
        let words = words(name)?;
        // struct ethtool_gfeatures: command, number of words, then per word available, requested, active, never_changed.
        let mut request = vec![0u32; 2 + 4 * words];
        request[0] = ETHTOOL_GFEATURES;
        request[1] = words as u32;
        ioctl(name, &mut request)?;
        Ok(Self(request[2..].chunks_exact(4).flat_map(|word| [word[1], word[2]]).collect()))
    }

    /// Those of `self` that are no longer wanted.
    pub fn unwanted_in(&self, now: &Self) -> Option<Missing> {
        self.missing(now, |had, has| had[0] & !has[0])
    }

    /// … or that were on and aren't, though they are wanted: as a driver leaves them that only switched them off for a program
    /// (vmxnet3, LRO).
    pub fn missing_in(&self, now: &Self) -> Option<Missing> {
        self.missing(now, |had, has| had[0] & (!has[0] | (had[1] & !has[1])))
    }

    fn missing(&self, now: &Self, lacks: impl Fn(&[u32], &[u32]) -> u32) -> Option<Missing> {
        let pairs = self.0.chunks_exact(2).zip(now.0.chunks_exact(2));
        let missing: Vec<u32> = pairs.map(|(had, has)| lacks(had, has)).collect();
        missing.iter().any(|word| *word != 0).then_some(Missing(missing))
    }
}

/// Features to be switched on, 32 a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(Vec<u32>);

impl Missing {
    /// Has these features of device `name` wanted on, and touches no other. Needs CAP_NET_ADMIN. Whether they come on
    /// is for the driver to say.
    ///
    /// # Errors
    /// As [`Features::read`]; not privileged.
    pub fn switch_on(&self, name: &str) -> io::Result<()> {
        // struct ethtool_sfeatures: command, number of words, then per word valid, requested.
        let mut request = vec![ETHTOOL_SFEATURES, self.0.len() as u32];
        request.extend(self.0.iter().flat_map(|word| [*word, *word]));
        ioctl(name, &mut request)
    }
}

/// What the driver of device `name` says of itself: `driver: "veth", version: "1.0", …`, in xdpdump's words and order.
///
/// # Errors
/// As [`Features::read`].
pub fn driver(name: &str) -> io::Result<String> {
    // struct ethtool_drvinfo: command, then 32 bytes each of driver, version, firmware's version, bus, expansion ROM's
    // version, and eight words more.
    let mut request = [0u32; 1 + 5 * 8 + 8];
    request[0] = ETHTOOL_GDRVINFO;
    ioctl(name, &mut request)?;
    let bytes: Vec<u8> = request[1..].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let text = |(name, number): (&str, usize)| {
        let words = bytes[32 * number..][..32].split(|byte| *byte == 0).next().unwrap_or_default();
        format!("{name}: \"{}\"", String::from_utf8_lossy(words))
    };
    Ok([("driver", 0), ("version", 1), ("fw-version", 2), ("rom-version", 4), ("bus-info", 3)].map(text).join(", "))
}

/// How many words of features the kernel has.
fn words(name: &str) -> io::Result<usize> {
    // struct ethtool_sset_info: command, reserved, 64 bits of string sets asked for, then a count for each.
    let mask = (1u64 << ETH_SS_FEATURES).to_ne_bytes();
    let [a, b, c, d, e, f, g, h] = mask;
    let mut request = [ETHTOOL_GSSET_INFO, 0, u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]), 0];
    ioctl(name, &mut request)?;
    Ok((request[4] as usize).div_ceil(32))
}

/// SIOCETHTOOL on device `name`; the kernel reads and writes `request`, whose first words tell it how long that is.
fn ioctl(name: &str, request: &mut [u32]) -> io::Result<()> {
    // SAFETY: all zero is a valid ifreq.
    let mut ifreq: libc::ifreq = unsafe { mem::zeroed() };
    if name.len() >= ifreq.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in ifreq.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as c_char;
    }
    ifreq.ifr_ifru.ifru_data = request.as_mut_ptr().cast();
    let socket = socket()?;
    // SAFETY: `ifreq` is a device name ended by NUL and a pointer to a request that outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, (&raw mut ifreq).cast::<c_void>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Any socket of this network namespace: the ioctl only wants to know which.
fn socket() -> io::Result<OwnedFd> {
    Ok(socket::socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_features_that_went_off_are_missing() {
        let before = Features(vec![0b1110, 0b1110, 0, 0]);
        let missing = |now: [u32; 4]| before.missing_in(&Features(now.to_vec()));
        assert_eq!(missing([0b0111, 0b0111, 0b1, 0b1]), Some(Missing(vec![0b1000, 0])));
        assert_eq!(missing([0b1111, 0b1111, 0, 0]), None);
        // Off, though wanted.
        let now = [0b1110, 0b0110, 0, 0];
        assert_eq!(missing(now), Some(Missing(vec![0b1000, 0])));
        assert_eq!(before.unwanted_in(&Features(now.to_vec())), None);
    }
}
