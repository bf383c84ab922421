//! All network devices of this network namespace in one request, with the XDP programs on them, and word of changes.
//!
//! rtnetlink's RTM_GETLINK: include/uapi/linux/{netlink,rtnetlink,if_link}.h. libbpf's bpf_xdp_query makes the same
//! request and keeps one device of the answer; here one answer serves all devices.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType};

/// Where in the receive path a device's XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
    /// In the NIC's own hardware.
    Offloaded,
}

/// A network device, as rtnetlink tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Index in this network namespace.
    pub ifindex: u32,
    /// Name in this network namespace.
    pub name: String,
    /// Further names that it answers to.
    pub alternative_names: Vec<String>,
    /// Index of the device that this one is a member of, as a bond's.
    pub master: Option<u32>,
    /// What kind of virtual device it is, such as `veth`; None of hardware.
    pub kind: Option<String>,
    /// The XDP programs on it, by id.
    pub programs: Vec<(Mode, u32)>,
}

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
/// The devices changed while the kernel told of them.
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTMGRP_LINK: u32 = 1;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
/// `struct nlmsghdr`: length, type, flags, sequence number, port.
const MESSAGE_HEADER: usize = 16;
/// `struct ifinfomsg`: family, type, index at byte 4, flags, change.
const LINK_HEADER: usize = 16;
/// A device takes 2 KiB, more with many further names.
const ONE_ANSWER_SIZE: usize = 32 * 1024;
/// The kernel answers a dump in pieces of at most 32 KiB, unless one device alone takes more.
const ANSWER_SIZE: usize = 256 * 1024;

/// Reads all devices of this thread's network namespace.
///
/// # Errors
/// No socket, or no memory.
pub fn read() -> io::Result<Vec<Link>> {
    // Devices that come and go meanwhile may be told twice or not at all; where they never stop, the last try has to do.
    let mut links = Vec::new();
    for _ in 0..4 {
        links.clear();
        if dump(&mut links)? {
            break;
        }
    }
    Ok(links)
}

/// Reads the device with this index in this thread's network namespace. None where there is none.
///
/// # Errors
/// No socket, or no memory.
pub fn read_one(ifindex: u32) -> io::Result<Option<Link>> {
    let socket = open(0)?;
    socket::send(socket.as_raw_fd(), &request(NLM_F_REQUEST, ifindex), MsgFlags::empty())?;
    let mut answer = vec![0; ONE_ANSWER_SIZE];
    let piece = receive(&socket, &mut answer)?;
    match messages(piece).next() {
        Some((RTM_NEWLINK, _, body)) => Ok(parse_link(body)),
        Some((NLMSG_ERROR, _, body)) => match refused(body) {
            error if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            error => Err(error),
        },
        _ => Err(io::Error::other("the kernel doesn't say what was asked")),
    }
}

/// One request and its whole answer; whether that is of one moment.
fn dump(links: &mut Vec<Link>) -> io::Result<bool> {
    let socket = open(0)?;
    socket::send(socket.as_raw_fd(), &request(NLM_F_REQUEST | NLM_F_DUMP, 0), MsgFlags::empty())?;
    let mut answer = vec![0; ANSWER_SIZE];
    let mut consistent = true;
    loop {
        for (kind, flags, body) in messages(receive(&socket, &mut answer)?) {
            consistent &= flags & NLM_F_DUMP_INTR == 0;
            match kind {
                // It carries an error where the kernel gave up in between.
                NLMSG_DONE if u32_at(body, 0).is_none_or(|errno| errno == 0) => return Ok(consistent),
                NLMSG_DONE => return Err(refused(body)),
                NLMSG_ERROR => return Err(refused(body)),
                RTM_NEWLINK => links.extend(parse_link(body)),
                _ => {}
            }
        }
    }
}

/// Word that some device of this network namespace has changed. The kernel sends none for BPF links.
#[derive(Debug)]
pub struct Changes(OwnedFd);

impl Changes {
    /// Listens from now on.
    ///
    /// # Errors
    /// No socket.
    pub fn listen() -> io::Result<Self> {
        open(RTMGRP_LINK).map(Self)
    }

    /// Takes what has been said since the last time.
    pub fn take(&self) -> Word {
        let mut message = [0; MESSAGE_HEADER + LINK_HEADER];
        let mut word = Word::default();
        loop {
            // All devices are read anew, so that a message may be cut off behind what makes it one of a deletion.
            match socket::recv(self.0.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => word.deleted.extend(message.get(..length).and_then(deleted)),
                Err(Errno::ENOBUFS) => word.lost = true,
                Err(Errno::EINTR) => {}
                Err(_) => return word,
            }
            word.any = true;
        }
    }
}

/// What the kernel has said of changes.
#[derive(Debug, Default)]
pub struct Word {
    /// Anything.
    pub any: bool,
    /// The indexes of devices that were deleted, or moved to another network namespace; another device may have each by
    /// now.
    pub deleted: Vec<u32>,
    /// There was more than the socket holds.
    pub lost: bool,
}

/// The index of the device that a message says was deleted.
fn deleted(message: &[u8]) -> Option<u32> {
    (u16_at(message, 4)? == RTM_DELLINK).then(|| u32_at(message, MESSAGE_HEADER + 4))?
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn open(groups: u32) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket::socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    socket::bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(socket)
}

fn receive<'answer>(socket: &OwnedFd, answer: &'answer mut [u8]) -> io::Result<&'answer [u8]> {
    let length = loop {
        match socket::recv(socket.as_raw_fd(), answer, MsgFlags::MSG_TRUNC) {
            Err(Errno::EINTR) => {}
            length => break length?,
        }
    };
    answer.get(..length).ok_or_else(|| io::Error::other("the kernel tells more of devices than expected"))
}

fn request(flags: u16, ifindex: u32) -> Vec<u8> {
    let length = (MESSAGE_HEADER + LINK_HEADER + 8) as u32;
    let mut request = length.to_ne_bytes().to_vec();
    request.extend(RTM_GETLINK.to_ne_bytes());
    request.extend(flags.to_ne_bytes());
    request.extend([0; 8 + 4]);
    request.extend(ifindex.to_ne_bytes());
    request.extend([0; 8]);
    request.extend(8u16.to_ne_bytes());
    request.extend(IFLA_EXT_MASK.to_ne_bytes());
    request.extend(RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
    request
}

/// Type, flags and body of each message.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32_at(bytes, 0)? as usize;
        let message = bytes.get(..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16_at(message, 4)?, u16_at(message, 6)?, message.get(MESSAGE_HEADER..)?))
    })
}

/// Type and value of each attribute.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// The two highest bits of a type are flags.
    const TYPE: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let attribute = bytes.get(..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16_at(attribute, 2)? & TYPE, attribute.get(4..)?))
    })
}

fn parse_link(body: &[u8]) -> Option<Link> {
    let mut link = Link { ifindex: u32_at(body, 4)?, ..Link::default() };
    for (kind, value) in attributes(body.get(LINK_HEADER..)?) {
        match kind {
            IFLA_IFNAME => link.name = string(value),
            IFLA_MASTER => link.master = u32_at(value, 0),
            IFLA_LINKINFO => {
                link.kind = attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND).map(|(_, kind)| string(kind));
            }
            IFLA_PROP_LIST => {
                let names = attributes(value).filter(|(kind, _)| *kind == IFLA_ALT_IFNAME);
                link.alternative_names = names.map(|(_, name)| string(name)).collect();
            }
            IFLA_XDP => link.programs = parse_programs(value),
            _ => {}
        }
    }
    Some(link)
}

fn parse_programs(value: &[u8]) -> Vec<(Mode, u32)> {
    let modes = [
        (IFLA_XDP_DRV_PROG_ID, Mode::Native),
        (IFLA_XDP_SKB_PROG_ID, Mode::Generic),
        (IFLA_XDP_HW_PROG_ID, Mode::Offloaded),
    ];
    let program = |(kind, value)| {
        let (_, mode) = modes.into_iter().find(|(attribute, _)| *attribute == kind)?;
        Some((mode, u32_at(value, 0).filter(|id| *id != 0)?))
    };
    let mut programs: Vec<_> = attributes(value).filter_map(program).collect();
    programs.sort_unstable();
    programs
}

/// `struct nlmsgerr` begins with the error's number, negative.
fn refused(body: &[u8]) -> io::Error {
    io::Error::from_raw_os_error(u32_at(body, 0).map_or(libc::EPROTO, |errno| (errno as i32).saturating_neg()))
}

fn string(value: &[u8]) -> String {
    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn a_link_is_read_with_its_programs_and_names() {
        let programs = [
            attribute(2, &[1]),
            attribute(IFLA_XDP_DRV_PROG_ID, &7u32.to_ne_bytes()),
            attribute(4, &7u32.to_ne_bytes()),
        ];
        let body = [
            [[0; 4], 3u32.to_ne_bytes(), [0; 4], [0; 4]].concat(),
            attribute(IFLA_IFNAME, b"eth0\0"),
            attribute(IFLA_MASTER, &9u32.to_ne_bytes()),
            attribute(IFLA_LINKINFO | 0x8000, &attribute(IFLA_INFO_KIND, b"veth\0")),
            attribute(IFLA_PROP_LIST | 0x8000, &attribute(IFLA_ALT_IFNAME, b"enp0s8\0")),
            attribute(IFLA_XDP, &programs.concat()),
        ]
        .concat();
        let expected = Link {
            ifindex: 3,
            name: "eth0".into(),
            alternative_names: vec!["enp0s8".into()],
            master: Some(9),
            kind: Some("veth".into()),
            programs: vec![(Mode::Native, 7)],
        };
        assert_eq!(parse_link(&body), Some(expected));
    }

    #[test]
    fn lengths_that_lie_end_the_list() {
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[200, 0, 1, 0, 1, 2, 3, 4]).count(), 0);
        assert_eq!(messages(&[3, 0, 0, 0, 16, 0, 0, 0]).count(), 0);
    }

    #[test]
    fn a_device_asked_for_alone_is_the_one_in_the_list() {
        let links = read().unwrap();
        for link in &links {
            assert!(link.ifindex > 0 && !link.name.is_empty());
            assert_eq!(read_one(link.ifindex).unwrap().as_ref(), Some(link));
        }
        assert_eq!(read_one(i32::MAX as u32).unwrap(), None);
    }
}
