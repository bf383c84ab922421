//! Bytes of any kind → cBPF that libpcap's validator accepts and whose outcome libpcap's interpreter defines: fuzz/ makes
//! such bytes, and tests/live gives them to a kernel.

use std::ffi::{c_int, c_uint};

use xdptrace::filter::Classic;

/// Those of which libpcap's interpreter knows what they do; the validator lets others pass.
const CODES: [u16; 49] = [
    0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0xb1, 0x00, 0x01, 0x80, 0x81, 0x60, 0x61, 0x02, 0x03, 0x04, 0x14, 0x24, 0x34,
    0x44, 0x54, 0x64, 0x74, 0x94, 0xa4, 0x84, 0x0c, 0x1c, 0x2c, 0x3c, 0x4c, 0x5c, 0x6c, 0x7c, 0x9c, 0xac, 0x05, 0x15,
    0x25, 0x35, 0x45, 0x1d, 0x2d, 0x3d, 0x4d, 0x06, 0x16, 0x07, 0x87,
];
/// Where there are more, the program's end is left out.
const MOST: usize = 1024;

const READS_MEMORY: [u16; 2] = [0x60, 0x61];
const WRITES_MEMORY: [u16; 2] = [0x02, 0x03];
/// By a constant, libpcap shifts as C does, which doesn't say what comes of 32 bits and more.
const SHIFTS: [u16; 2] = [0x64, 0x74];
const JUMP: u16 = 0x05;

unsafe extern "C" {
    fn bpf_filter(program: *const Classic, packet: *const u8, length: c_uint, linear: c_uint) -> c_uint;
    fn bpf_validate(program: *const Classic, length: c_int) -> c_int;
}

/// A program, and what is left of the bytes: the first two say how many instructions it has, each of 8 bytes. None where
/// it is none.
pub fn program(bytes: &[u8]) -> Option<(Vec<Classic>, &[u8])> {
    let (count, behind) = bytes.split_first_chunk::<2>()?;
    let count = usize::from(u16::from_le_bytes(*count)) % (MOST + 1);
    let (program, rest) = behind.split_at_checked(8 * count)?;
    let program: Vec<Classic> = program.chunks_exact(8).map(instruction).collect();
    (is_valid(&program) && is_defined(&program)).then_some((program, rest))
}

fn instruction(bytes: &[u8]) -> Classic {
    let code = CODES[usize::from(bytes[0]) % CODES.len()];
    let k = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    Classic { code, jt: bytes[2], jf: bytes[3], k }
}

fn is_valid(program: &[Classic]) -> bool {
    // SAFETY: the program lives as long as the call, and the number is its length.
    unsafe { bpf_validate(program.as_ptr(), program.len() as c_int) != 0 }
}

/// Whether it reads of M[] only what it has written, on each way through it, and only goes forward.
fn is_defined(program: &[Classic]) -> bool {
    let mut written: Vec<Option<u32>> = vec![None; program.len()];
    written[0] = Some(0);
    program.iter().enumerate().all(|(number, one)| {
        let goes_back = one.code == JUMP && one.k as usize >= program.len();
        // Nothing need lead there.
        let Some(mut words) = written[number] else { return !goes_back };
        let word = 1_u32 << (one.k & 15);
        if READS_MEMORY.contains(&one.code) && words & word == 0 || SHIFTS.contains(&one.code) && one.k > 31 {
            return false;
        }
        if WRITES_MEMORY.contains(&one.code) {
            words |= word;
        }
        let next = match one.code {
            JUMP => [number + 1 + one.k as usize; 2],
            code if code & 7 == 5 => [one.jt, one.jf].map(|skip| number + 1 + usize::from(skip)),
            // Returns lead nowhere.
            code if code & 7 == 6 => return true,
            _ => [number + 1; 2],
        };
        next.into_iter().all(|next| {
            let Some(place) = written.get_mut(next) else { return false };
            *place = Some(place.map_or(words, |other| other & words));
            true
        })
    })
}

/// Whether libpcap's interpreter accepts a packet of this length, of which `linear` can be read.
pub fn accepts(program: &[Classic], linear: &[u8], length: u32) -> bool {
    assert!(is_valid(program), "{program:?}");
    // SAFETY: the program is valid, and it and the packet live as long as the call.
    unsafe { bpf_filter(program.as_ptr(), linear.as_ptr(), length, linear.len() as c_uint) != 0 }
}
