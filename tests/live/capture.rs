//! What is in a file that -w wrote, read by the pcapng specification alone (draft-ietf-opsawg-pcapng).

use std::fs;

/// A packet in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The name of its interface.
    pub interface: String,
    /// Its length when it was captured.
    pub length: u32,
    /// As much as was kept.
    pub bytes: Vec<u8>,
    /// Its receive queue, if the file says it.
    pub queue: Option<u32>,
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
}

const INTERFACE: u32 = 1;
const PACKET: u32 = 6;

fn number(bytes: &[u8]) -> u32 {
    u32::from_ne_bytes(bytes[..4].try_into().unwrap())
}

/// The value of an option, in a row of options.
fn option(mut options: &[u8], wanted: u16) -> Option<&[u8]> {
    while options.len() >= 4 {
        let head = |at: usize| u16::from_ne_bytes([options[at], options[at + 1]]);
        let (code, length) = (head(0), usize::from(head(2)));
        if code == 0 {
            break;
        }
        if code == wanted {
            return Some(&options[4..4 + length]);
        }
        options = &options[4 + length.next_multiple_of(4)..];
    }
    None
}

/// The packets in a file, in its order; the file is deleted.
pub fn take(path: &str) -> Vec<Packet> {
    let file = fs::read(path).unwrap();
    fs::remove_file(path).unwrap();
    let (mut rest, mut interfaces, mut packets) = (&file[..], Vec::new(), Vec::new());
    while !rest.is_empty() {
        let length = number(&rest[4..]) as usize;
        let body = &rest[8..length - 4];
        match number(rest) {
            INTERFACE => {
                let name = option(&body[8..], 2).unwrap_or_default();
                interfaces.push(String::from_utf8(name.to_vec()).unwrap());
            }
            PACKET => {
                let captured = number(&body[12..]) as usize;
                let options = &body[20 + captured.next_multiple_of(4)..];
                packets.push(Packet {
                    interface: interfaces[number(body) as usize].clone(),
                    length: number(&body[16..]),
                    bytes: body[20..20 + captured].to_vec(),
                    queue: option(options, 6).map(number),
                    time_ns: u64::from(number(&body[4..])) << 32 | u64::from(number(&body[8..])),
                });
            }
            _ => {}
        }
        rest = &rest[length..];
    }
    packets
}
