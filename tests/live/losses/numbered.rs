//! Datagrams of which each is known by its number, sent in bursts and found again in a file.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use super::stay_on;
use crate::lab::Nic;
use crate::loader::socket;

/// Datagrams of each sender.
pub const DATAGRAMS: u32 = 2500;

/// What is in the datagram of this number: the number, again and again; as long as a record holds, or longer.
fn payload(number: u32) -> Vec<u8> {
    number.to_be_bytes().repeat(2 + (number as usize * 7) % 300)
}

/// Sends them on one CPU, in bursts with pauses in between, so that flushes find batches in every state. Its port.
pub fn send_numbered(nic: &Nic, cpu: usize) -> u16 {
    let socket = socket(nic);
    stay_on(cpu);
    let (mut burst, mut left) = (0_u32, 0);
    for number in 0..DATAGRAMS {
        if left == 0 {
            burst += 1;
            left = 1 + burst * 7 % 23;
            thread::sleep(Duration::from_millis(u64::from(burst * 5 % 13)));
        }
        left -= 1;
        socket.send_to(&payload(number), (nic.address.as_str(), 9)).unwrap();
    }
    socket.local_addr().unwrap().port()
}

/// The numbers of the datagrams in a pcapng of this machine's byte order, by interface and sender, in the file's order.
pub fn numbers(file: &[u8]) -> BTreeMap<(u32, u16), Vec<u32>> {
    const ENHANCED_PACKET: u32 = 6;
    const HEADERS: usize = 14 + 20 + 8;
    let word = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().unwrap());
    let mut found: BTreeMap<(u32, u16), Vec<u32>> = BTreeMap::new();
    let mut at = 0;
    while at < file.len() {
        if word(at) == ENHANCED_PACKET {
            let (interface, captured, length) = (word(at + 8), word(at + 20), word(at + 24));
            let frame = &file[at + 28..at + 28 + captured as usize];
            let port = u16::from_be_bytes([frame[34], frame[35]]);
            let number = u32::from_be_bytes(frame[HEADERS..HEADERS + 4].try_into().unwrap());
            assert_eq!(captured, length, "datagram {number} was cut");
            assert_eq!(frame[HEADERS..], payload(number), "datagram {number} is torn");
            found.entry((interface, port)).or_default().push(number);
        }
        at += word(at + 4) as usize;
    }
    found
}
