//! What `bench cost` measures: a row a line of the table.

use crate::frame::Kind::{self, Icmp, Udp, Whole};
use crate::nic::DEV;
use Tool::{Article, Bare, Probes, Session, Stats, XdpDump, Xdptrace};

/// A row.
pub struct Case {
    /// Its name in the table.
    pub name: &'static str,
    /// Who traces.
    pub tool: Tool,
    /// The program traced.
    pub target: &'static str,
    /// The packet.
    pub frame: Kind,
    /// The most that it may cost.
    pub bar: Option<u32>,
    /// Rows that do the same.
    pub peers: &'static [&'static str],
    /// The row of a minimal program that does just this row's work.
    pub minimal: Option<&'static str>,
}

/// A tracer, with what its command line has beyond the NIC.
#[derive(Clone, Copy)]
pub enum Tool {
    /// Programs of floor.bpf.c
    Probes(&'static [&'static str]),
    /// Programs of session.bpf.c, for kernels that have fsession
    Session(&'static [&'static str]),
    /// The article's demo
    Article,
    /// What loads and attaches as this tree's does, and no more
    Bare,
    /// Debian's
    XdpDump(&'static [&'static str]),
    /// This tree's
    Xdptrace(&'static [&'static str]),
    /// … that counts runs instead of telling of each
    Stats(&'static [&'static str]),
}

impl Tool {
    /// The command; files are in `dir`.
    pub fn words(self, dir: &str) -> Vec<String> {
        // Not argv[0], which may be relative to another directory.
        let this = std::env::current_exe().unwrap_or_default().to_string_lossy().into_owned();
        let file = format!("{dir}/{}", self.file());
        let (command, more): (Vec<&str>, _) = match self {
            Probes(words) | Session(words) => (vec![&this, "attach"], words),
            Article => (vec![&this, "article"], &[][..]),
            Bare => (vec![&this, "bare"], &[][..]),
            XdpDump(words) => (vec!["xdpdump", "-i", DEV, "-w", FILE], words),
            Xdptrace(words) => (vec![THIS_TREE, "-i", DEV], words),
            Stats(words) => (vec![THIS_TREE, "stats", "-i", DEV], words),
        };
        let words = command.iter().chain(more);
        words.map(|word| if *word == FILE { file.clone() } else { (*word).to_owned() }).collect()
    }

    /// The name of the file that it writes.
    pub fn file(self) -> &'static str {
        if matches!(self, XdpDump(_)) { "xdpdump.pcapng" } else { "xdptrace.pcapng" }
    }
}

/// In a tool's words: the path of the file that it writes.
pub const FILE: &str = "FILE";

const THIS_TREE: &str = env!("CARGO_BIN_EXE_xdptrace");
/// A program of targets.bpf.c that passes everything.
pub const PASS: &str = "bench_pass";
const REWRITE: &str = "bench_rewrite";

/// A row for comparison.
const fn of(name: &'static str, tool: Tool, frame: Kind) -> Case {
    Case { name, tool, target: PASS, frame, bar: None, peers: &[], minimal: None }
}

/// A row of xdptrace's.
const fn ours(
    name: &'static str,
    words: &'static [&'static str],
    bar: u32,
    peers: &'static [&'static str],
    minimal: &'static str,
) -> Case {
    Case { bar: Some(bar), peers, minimal: Some(minimal), ..of(name, Xdptrace(words), Icmp) }
}

/// A row of the counting one's.
const fn counts(name: &'static str, words: &'static [&'static str], frame: Kind) -> Case {
    of(name, Stats(words), frame)
}

/// In the order of the table; peers and minimal programs before those that name them.
pub const ROWS: &[Case] = &[
    of("empty fexit", Probes(&["empty_fexit"]), Icmp),
    of("empty fentry + fexit", Probes(&["empty_fentry", "empty_fexit"]), Icmp),
    of("empty fsession", Session(&["empty_fsession"]), Icmp),
    of("fentry + fexit, a word from one to the other in a per-CPU array", Probes(&["word_fentry", "word_fexit"]), Icmp),
    of("fsession, only asking which end it is", Session(&["side_fsession"]), Icmp),
    of("fsession, a word from one to the other in the cookie", Session(&["word_fsession"]), Icmp),
    of("fexit, bpf_ktime_get_ns", Probes(&["read_clock"]), Icmp),
    of("fexit, bpf_get_smp_processor_id", Probes(&["read_cpu"]), Icmp),
    of("fexit, xdp->rxq->dev->ifindex and queue", Probes(&["read_device"]), Icmp),
    of("fexit, bpf_probe_read_kernel of 8 bytes", Probes(&["read_8"]), Icmp),
    of("fexit, bpf_probe_read_kernel of 64 bytes", Probes(&["read_64"]), Icmp),
    of("fexit, bpf_probe_read_kernel of 98 bytes", Probes(&["read_98"]), Icmp),
    of("xdpdump entry", XdpDump(&["--rx-capture", "entry"]), Icmp),
    of("xdpdump exit", XdpDump(&["--rx-capture", "exit"]), Icmp),
    of("xdpdump entry,exit", XdpDump(&["--rx-capture", "entry,exit"]), Icmp),
    of("xdpdump entry,exit, 1514-byte frame", XdpDump(&["--rx-capture", "entry,exit"]), Whole),
    of("article's demo, traced ICMP (two events)", Article, Icmp),
    of("article's demo, rejected UDP", Article, Udp),
    of(LEAST_EXIT, Probes(&["least_exit"]), Icmp),
    of(LEAST_BOTH, Probes(&["least_note", "least_both"]), Icmp),
    Case { target: REWRITE, ..of(LEAST_CHANGED, Probes(&["least_note", "least_both"]), Icmp) },
    of(LEAST_WHOLE, Probes(&["least_note", "least_whole"]), Whole),
    of(LEAST_FILTER, Probes(&["least_filter", "least_reject"]), Udp),
    of(LEAST_VERDICT, Probes(&["least_verdict"]), Icmp),
    of(LEAST_SAMPLE, Probes(&["least_sample", "least_reject"]), Icmp),
    of(LEAST_COUNT, Probes(&["least_count"]), Icmp),
    of(LEAST_TIMED, Probes(&["least_begin", "least_timed"]), Icmp),
    ours("--probe exit -s 64", &["--probe", "exit", "-s", "64"], 540, &["xdpdump exit"], LEAST_EXIT),
    ours("both, unchanged", &[], 850, BOTH, LEAST_BOTH),
    Case { target: REWRITE, ..ours("both, destination MAC and TTL rewritten", &[], 1050, BOTH, LEAST_CHANGED) },
    Case { frame: Whole, ..ours("-w FILE, 1514-byte frame, unchanged", &["-w", FILE], 2000, WHOLE, LEAST_WHOLE) },
    Case { frame: Udp, ..ours("udp port 9, a datagram to port 7", &["udp", "port", "9"], 460, REJECTS, LEAST_FILTER) },
    ours("--probe exit --verdict drop, passed", &["--probe", "exit", "--verdict", "drop"], 200, &[], LEAST_VERDICT),
    ours("--sample 1000, both", &["--sample", "1000"], 310, &[], LEAST_SAMPLE),
    Case {
        bar: Some(240),
        minimal: Some(LEAST_COUNT),
        ..counts("stats --probe exit: device, queue, verdict", &["--probe", "exit"], Icmp)
    },
    Case { bar: Some(460), minimal: Some(LEAST_TIMED), ..counts("stats: latency, too", &[], Icmp) },
    Case { bar: Some(600), ..counts("stats --by src", &["--by", "src"], Udp) },
    Case { bar: Some(600), ..counts("stats --by flow", &["--by", "flow"], Udp) },
    counts("stats --probe both --by src", &["--probe", "both", "--by", "src"], Udp),
    counts("stats --probe both --by flow", &["--probe", "both", "--by", "flow"], Udp),
];

const LEAST_EXIT: &str = "minimal program: exit, 64 bytes";
const LEAST_BOTH: &str = "minimal program: both, unchanged";
const LEAST_CHANGED: &str = "minimal program: both, rewritten";
const LEAST_WHOLE: &str = "minimal program: both, 1514-byte frame";
const LEAST_FILTER: &str = "minimal program: udp port 9 rejects";
const LEAST_VERDICT: &str = "minimal program: verdict rejects at exit";
const LEAST_SAMPLE: &str = "minimal program: left out by sampling";
const LEAST_COUNT: &str = "minimal program: counted";
const LEAST_TIMED: &str = "minimal program: counted and timed";
const WHOLE: &[&str] = &["xdpdump entry,exit, 1514-byte frame"];
const REJECTS: &[&str] = &["article's demo, rejected UDP"];
const BOTH: &[&str] = &["xdpdump entry,exit", "article's demo, traced ICMP (two events)"];
