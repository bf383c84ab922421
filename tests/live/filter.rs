//! Translated filters in the kernel: the verifier takes them, and their verdicts are libpcap's.
//!
//! No XDP program is needed for that: a raw tracepoint's program that BPF_PROG_TEST_RUN runs makes the view that a filter expects.

// They name `crate::filter`, which is this module here.
#[path = "../../src/filter/tests/oracle.rs"]
mod oracle;
#[path = "../../src/filter/tests/random.rs"]
mod random;
#[path = "../filter/raw.rs"]
mod raw;

use std::ffi::{c_char, c_void};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use libbpf_rs::libbpf_sys as sys;
use xdptrace::filter::{Classic, Layout, Notation, compile, dump_code, translate};

use random::Random;

use crate::lab::kernel;

/// The view, at the beginning of a map's value.
const LAYOUT: Layout =
    Layout { bytes: 0, room: 128, scratch: 136, beyond: 200, data: 208, linear: 220, length: 224, short: 0, least: 0 };
const VIEW_SIZE: usize = 232;
const PACKET_SIZE: usize = 512;
const SLED: usize = 2048;

/// More than this the verifier must not look at for a filter.
const VERIFIER_LIMIT: u32 = 20_000;

const EXPRESSIONS: [&str; 46] = [
    "udp port 9",
    "icmp",
    "tcp port 80",
    "ip",
    "ip6",
    "arp",
    "not ip",
    "host 10.0.0.1",
    "src host 10.0.0.1 and dst host 10.0.0.2",
    "net 10.0.0.0/8",
    "ip6 host fe80::1",
    "ip6 net 2001:db8::/32",
    "ether host 02:00:00:00:00:01",
    "ether broadcast",
    "ether multicast",
    "ip multicast",
    "portrange 5-10",
    "tcp portrange 1000-2000 or udp src portrange 5-10",
    "less 100",
    "greater 200",
    "len > 128 and ip",
    "vlan",
    "vlan 5 and ip",
    "vlan 5 and vlan 6 and udp port 9",
    "mpls 16 and ip",
    "pppoes and ip",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "icmp[icmptype] = icmp-echo",
    "icmp6",
    "ip6 proto 58",
    "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420",
    "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
    "ip[ip[2] % 3] / 2 > 5 or len < 9",
    "ether[127] = 1",
    "ether[127:2] = 1",
    "ether[128] = 1 or ether[130:4] = 7",
    "ether[ether[0:4]] = 1",
    "ether[ether[0] : 4] > ether[ether[1] : 2]",
    "ether[ether[0] & 7 + 120] = ether[ether[1] * 3]",
    "ip[8] << ip[9] > 5 or ip[8] >> ip[9] > 2",
    "ip[0] / ip[1] = 3 or ip[2] % ip[3] = 1 or ip[4] ^ ip[5] = 9",
    "-ip[4:4] > 5",
    "tcp[45] = 2 and tcp[55] != 3 and tcp dst port 80",
    "ether[ether[0] & 0x30] = 1 and ether[12] & 0x30 > 0x10 and ether[12] & 0x30 < 0x20",
    "udp[100:2] = 3 or tcp[110:4] = 5 or ip[1000] = 5",
    "(udp or tcp) and (port 53 or port 80 or port 443 or port 8080) and not host 10.0.0.9 and not net 192.168.0.0/16",
];

// What the verifier is to write.
const NUMBERS: u32 = 4;
const EVERYTHING: u32 = 2;

/// eBPF of the harness, in the bytes of `struct bpf_insn`.
fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> u64 {
    xdptrace::filter::Insn { code, dst, src, off, imm }.to_u64()
}

fn own(what: &str, fd: RawFd) -> OwnedFd {
    assert!(fd >= 0, "{what}: {}", std::io::Error::last_os_error());
    // SAFETY: libbpf has just made it, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn array(size: usize) -> OwnedFd {
    // SAFETY: without a name and options no pointer is followed.
    let fd =
        unsafe { sys::bpf_map_create(sys::BPF_MAP_TYPE_ARRAY, std::ptr::null(), 4, size as u32, 1, std::ptr::null()) };
    own("array", fd)
}

/// The maps that a filter's program reads.
struct Bench {
    view: OwnedFd,
    packet: OwnedFd,
}

/// r0 = the value of an array, or the program ends, `left` instructions later.
fn look_up(map: &OwnedFd, left: i16) -> [u64; 6] {
    [
        insn(0xbf, 2, 10, 0, 0),
        insn(0x07, 2, 0, 0, -4),
        insn(0x18, 1, 1, 0, map.as_raw_fd()),
        0,
        insn(0x85, 0, 0, 0, 1),
        insn(0x15, 0, 0, left, 0),
    ]
}

impl Bench {
    fn new() -> Self {
        Self { view: array(VIEW_SIZE), packet: array(PACKET_SIZE) }
    }

    /// The program around a sled: it sets `data`, unless that is set, and returns r0.
    fn program(&self, sled: &[u64]) -> Vec<u64> {
        let enter = [
            insn(0xbf, 1, 0, 0, 0),
            insn(0x79, 2, 1, LAYOUT.data, 0),
            insn(0x55, 2, 0, 1, 0),
            insn(0x7b, 1, 9, LAYOUT.data, 0),
            insn(0x61, 3, 1, LAYOUT.linear, 0),
            // Nothing that a filter may rely on.
            insn(0xbf, 9, 10, 0, 0),
            insn(0x62, 1, 0, LAYOUT.linear, 7),
        ];
        let left = (sled.len() + enter.len()) as i16;
        let begin = [insn(0x62, 10, 0, -4, 0)];
        let packet = look_up(&self.packet, left + 7);
        let keep = [insn(0xbf, 9, 0, 0, 0)];
        let view = look_up(&self.view, left);
        let exit = [insn(0x95, 0, 0, 0, 0)];
        [&begin[..], &packet, &keep, &view, &enter, sled, &exit].concat()
    }

    /// Loads a filter; the number of instructions that the verifier looked at.
    fn load(&self, name: &str, program: &[Classic]) -> (OwnedFd, u32) {
        let code = translate(program, &LAYOUT).unwrap();
        let sled: Vec<u64> = code.fill(SLED).unwrap().into_iter().map(|insn| insn.to_u64()).collect();
        let text = || dump_code(&code, Notation::Assembly).unwrap();
        let (fd, log) = load(&self.program(&sled), NUMBERS);
        assert!(fd >= 0, "{name}\n{program:?}\n{}\n{log}", text());
        let processed = log.split("processed ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap();
        assert!(processed < VERIFIER_LIMIT, "{name}: {processed}\n{}", text());
        (own("program", fd), processed)
    }

    /// Whether `program` accepts a packet, with its bytes at `data`, or where the bench keeps them if that is 0.
    fn accepts(&self, program: &OwnedFd, linear: &[u8], length: u32, data: u64) -> bool {
        let mut view = [0xa5; VIEW_SIZE];
        let head = linear.len().min(LAYOUT.room as usize);
        view[..head].copy_from_slice(&linear[..head]);
        let mut put = |at: i16, bytes: &[u8]| view[at as usize..][..bytes.len()].copy_from_slice(bytes);
        put(LAYOUT.data, &data.to_ne_bytes());
        put(LAYOUT.linear, &(linear.len() as u32).to_ne_bytes());
        put(LAYOUT.length, &length.to_ne_bytes());
        let mut packet = [0x5a; PACKET_SIZE];
        packet[..linear.len()].copy_from_slice(linear);
        update(&self.view, &view);
        update(&self.packet, &packet);
        run(program) != 0
    }
}

fn load(program: &[u64], log_level: u32) -> (i32, String) {
    let mut log = vec![0_u8; 1 << 20];
    let mut options = sys::bpf_prog_load_opts {
        sz: size_of::<sys::bpf_prog_load_opts>() as sys::size_t,
        log_level,
        log_size: log.len() as u32,
        log_buf: log.as_mut_ptr().cast::<c_char>(),
        ..Default::default()
    };
    // SAFETY: the program, the options and the log they point to outlive the call, and the sizes are theirs.
    let fd = unsafe {
        sys::bpf_prog_load(
            sys::BPF_PROG_TYPE_RAW_TRACEPOINT,
            c"filter".as_ptr(),
            c"GPL".as_ptr(),
            program.as_ptr().cast::<sys::bpf_insn>(),
            program.len() as sys::size_t,
            &mut options,
        )
    };
    let end = log.iter().position(|byte| *byte == 0).unwrap();
    (fd, String::from_utf8_lossy(&log[..end]).into_owned())
}

fn update(map: &OwnedFd, value: &[u8]) {
    let key = 0_u32;
    // SAFETY: the key has 4 bytes, and each caller's value the size of its map's.
    let done = unsafe {
        sys::bpf_map_update_elem(map.as_raw_fd(), (&raw const key).cast::<c_void>(), value.as_ptr().cast::<c_void>(), 0)
    };
    assert_eq!(done, 0);
}

fn run(program: &OwnedFd) -> u32 {
    let mut options =
        sys::bpf_test_run_opts { sz: size_of::<sys::bpf_test_run_opts>() as sys::size_t, ..Default::default() };
    // SAFETY: the options outlive the call and hold no pointer.
    let done = unsafe { sys::bpf_prog_test_run_opts(program.as_raw_fd(), &mut options) };
    assert_eq!(done, 0);
    options.retval
}

/// Ethernet, maybe VLAN tags, IPv4 or IPv6, and a header that is likely to be looked at; the rest at random.
fn plausible_packet(random: &mut Random) -> Vec<u8> {
    let mut packet = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1];
    for _ in 0..random.below(8).saturating_sub(5) {
        packet.extend([0x81, 0, 0, 5 + random.below(2) as u8]);
    }
    let protocol = [1, 6, 17, 58][random.below(4) as usize];
    if random.below(3) == 0 {
        packet.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 40, protocol, 64]);
        packet.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].repeat(2));
    } else {
        packet.extend([8, 0, 0x45, 0, 0, 60, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    }
    let ports = [9, 80, 53, 1500, 7];
    for _ in 0..2 {
        packet.extend((ports[random.below(5) as usize] as u16).to_be_bytes());
    }
    packet.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x80, 0x12, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    packet.extend(b"GET / HTTP/1.1\r\n");
    packet.extend(random.packet());
    packet.truncate(if random.below(3) == 0 { random.below(150) as usize } else { 300 });
    packet
}

#[test]
fn filters_pass_the_verifier_with_libpcaps_verdicts() {
    let bench = Bench::new();
    let mut random = Random::new(3);
    let (mut most, mut verdicts) = (0, [0, 0]);
    for expression in EXPRESSIONS {
        let compiled = compile(expression).unwrap();
        let (program, processed) = bench.load(expression, compiled.instructions());
        most = most.max(processed);
        for turn in 0..40 {
            let packet = if turn % 4 == 0 { random.packet() } else { plausible_packet(&mut random) };
            let length = packet.len() as u32 + random.below(2) * 1000;
            let wanted = oracle::accepts(compiled.instructions(), &packet, length);
            assert_eq!(bench.accepts(&program, &packet, length, 0), wanted, "{expression}: {packet:?}");
            verdicts[usize::from(wanted)] += 1;
        }
    }
    println!("{} expressions, rejected and accepted {verdicts:?}, at most {most} looked at", EXPRESSIONS.len());
    assert!(verdicts.iter().all(|count| *count > 200), "{verdicts:?}");
}

/// `XDPTRACE_FILTERS` is how many random ones are tried (400, and others on each kernel).
fn filters() -> u32 {
    std::env::var("XDPTRACE_FILTERS").map_or(400, |number| number.parse().unwrap())
}

#[test]
fn random_filters_pass_the_verifier_with_libpcaps_verdicts() {
    let bench = Bench::new();
    let (major, minor) = kernel();
    let mut random = Random::new((100 * major + minor).into());
    let (mut most, mut verdicts) = (0, [0, 0]);
    for number in 0..filters() {
        let compiled = random.program();
        let (program, processed) = bench.load(&number.to_string(), &compiled);
        most = most.max(processed);
        for _ in 0..8 {
            let packet = random.packet();
            let length = packet.len() as u32 + random.below(2) * 1000;
            let wanted = oracle::accepts(&compiled, &packet, length);
            assert_eq!(bench.accepts(&program, &packet, length, 0), wanted, "{compiled:?}: {packet:?}");
            verdicts[usize::from(wanted)] += 1;
        }
    }
    println!("rejected and accepted {verdicts:?}, at most {most} looked at");
    assert!(verdicts.iter().all(|count| *count > 300), "{verdicts:?}");
}

/// What fuzzing has kept: programs as no compiler makes them, each with a packet.
#[test]
fn fuzzed_filters_pass_the_verifier_with_libpcaps_verdicts() {
    let bench = Bench::new();
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/filter");
    let (mut loaded, mut refused, mut verdicts) = (0, 0, [0, 0]);
    for entry in std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()) {
        let bytes = std::fs::read(&entry).unwrap();
        let Some((program, rest)) = raw::program(&bytes) else { continue };
        if translate(&program, &LAYOUT).unwrap().size() > SLED {
            refused += 1;
            continue;
        }
        let (fd, _) = bench.load(&entry.to_string_lossy(), &program);
        loaded += 1;
        let packet = rest.get(1..).unwrap_or_default();
        let packet = &packet[..packet.len().min(PACKET_SIZE)];
        let length = packet.len() as u32 + u32::from(rest.first().copied().unwrap_or(0));
        let wanted = raw::accepts(&program, packet, length);
        assert_eq!(bench.accepts(&fd, packet, length, 0), wanted, "{entry:?}");
        verdicts[usize::from(wanted)] += 1;
    }
    println!("{loaded} loaded, {refused} too long, rejected and accepted {verdicts:?}");
    assert!(loaded > 100 && verdicts.iter().all(|count| *count > 10), "{loaded}, {verdicts:?}");
}

#[test]
fn filter_of_the_sleds_whole_length_passes_the_verifier() {
    let bench = Bench::new();
    // libpcap takes minutes for an expression of that length.
    let plain = |code, k| Classic { code, jt: 0, jf: 0, k };
    let accept_port = |port: u32| [plain(0x28, 36), Classic { jf: 1, ..plain(0x15, port) }, plain(0x06, 1)];
    let many = |count: u32| [(1..=count).flat_map(accept_port).collect(), vec![plain(0x06, 0)]].concat();
    let size = |count: &u32| translate(&many(*count), &LAYOUT).unwrap().size();
    // A load and a jump for each.
    let count = ((SLED - size(&1)) / 2 + 1) as u32;
    assert!((SLED - 2..=SLED).contains(&size(&count)));
    let (program, processed) = bench.load("many ports", &many(count));
    println!("{} instructions, {processed} looked at", size(&count));
    let packet = |port: u16| [&[0; 36], &port.to_be_bytes()[..], &[0; 60]].concat();
    assert!(bench.accepts(&program, &packet(count as u16), 98, 0));
    assert!(!bench.accepts(&program, &packet(count as u16 + 1), 98, 0));
}

#[test]
fn packet_that_cannot_be_read_is_rejected() {
    let bench = Bench::new();
    let (program, _) = bench.load("beyond", compile("ether[200] = 7").unwrap().instructions());
    let packet = [7; 300];
    assert!(bench.accepts(&program, &packet, 300, 0));
    assert!(!bench.accepts(&program, &packet, 300, 8));
}

#[test]
fn dump_is_in_the_verifiers_own_words() {
    let bench = Bench::new();
    for expression in ["udp port 9", "-ip[4:4] > 5 and ether[ether[0] : 4] / ip[8] != 9 and ip[2:2] << ip[9] >= 5"] {
        let code = translate(compile(expression).unwrap().instructions(), &LAYOUT).unwrap();
        let sled: Vec<u64> = code.fill(code.size()).unwrap().into_iter().map(|insn| insn.to_u64()).collect();
        let program = bench.program(&sled);
        let (fd, log) = load(&program, EVERYTHING);
        drop(own("program", fd));
        let before = program.len() - sled.len() - 1;
        let seen: Vec<&str> = log.lines().flat_map(|line| line.split(';').next()).map(str::trim_end).collect();
        for (number, line) in dump_code(&code, Notation::Assembly).unwrap().lines().enumerate() {
            let wanted = format!("{}: {}", before + number, line.split_once(": ").unwrap().1);
            assert!(seen.contains(&wanted.as_str()), "{wanted}\n{log}");
        }
    }
}
