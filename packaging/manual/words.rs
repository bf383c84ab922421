//! What the command line's definition doesn't say: prose, examples, and lists.

/// What one does, and the words that do it.
pub type Example = (&'static str, &'static str);

/// A term, and what it means.
pub type Row = (&'static str, &'static str);

/// By the subcommand; that without a name is xdptrace itself.
pub const EXAMPLES: [(&str, &[Example]); 7] = [
    (
        "",
        &[
            ("What is there to trace, and can this machine", "xdptrace list\nxdptrace check"),
            ("Each packet that eth0's XDP program drops, of one port", "xdptrace -i eth0 --verdict drop udp port 53"),
            (
                "What became of redirects, and which came to nothing",
                "xdptrace -i eth0 --outcome all --verdict redirect\nxdptrace -i eth0 --only-failed",
            ),
            (
                "Into files of 100 million bytes, of which ten are kept, as a user without any privilege",
                "xdptrace -i eth0 -w /var/tmp/eth0.pcapng -C 100 -W 10 -Z nobody",
            ),
            ("For other tools", "xdptrace -i eth0 -o json | jq -r .verdict\nxdptrace -i eth0 -w - | tshark -r -"),
        ],
    ),
    (
        "read",
        &[
            (
                "The dropped packets of a file, with what the program changed",
                "xdptrace read eth0.pcapng --verdict drop",
            ),
            ("A file of xdpdump's, as JSON", "xdptrace read xdpdump.pcap -o json"),
        ],
    ),
    ("list", &[("Every BPF program, and whether it can be traced", "xdptrace list --all")]),
    ("check", &[("Whether eth0's program can be traced, and what that takes", "xdptrace check -i eth0")]),
    (
        "stats",
        &[
            ("Rates every second, and the totals after a minute", "xdptrace stats -i eth0 -c 60"),
            ("Which networks most is dropped of", "xdptrace stats -i eth0 --by src --prefix 24/64 --verdict drop"),
        ],
    ),
    ("top", &[("All NICs that have an XDP program", "xdptrace top")]),
    ("export", &[("For Prometheus, on the machine's own address alone", "xdptrace export --listen 127.0.0.1:9494")]),
];

/// Those of all; of those that look at the kernel; of those with --fail-on-loss.
pub const STATUSES: [&[Row]; 3] = [
    &[
        ("0", "Done, also by Ctrl-C, SIGTERM, SIGHUP or a closed pipe."),
        ("1", "Something failed while running."),
        ("2", "The command line is wrong."),
    ],
    &[
        ("3", "This user may not, or this kernel cannot."),
        ("4", "The device or the program is missing, or cannot be traced."),
    ],
    &[("5", "Something was lost, with --fail-on-loss.")],
];

/// Those that look at files, or at nothing.
pub const WITHOUT_KERNEL: [&str; 2] = ["read", "schema"];

/// What all need that trace; what options of those need besides that show packets.
pub const CAPABILITIES: [&[Row]; 2] = [
    &[
        ("CAP_SYS_ADMIN", "To open programs by their id; it stands for the next two."),
        ("CAP_BPF, CAP_PERFMON", "To load fentry and fexit."),
        ("CAP_SETUID, CAP_SETGID", "For -Z."),
        ("CAP_SYS_RESOURCE", "Before Linux 5.11, to have maps counted as locked memory."),
    ],
    &[
        ("CAP_NET_ADMIN", "For --passthrough."),
        ("CAP_NET_RAW", "For -P."),
        ("CAP_DAC_OVERRIDE", "To write into others' folders."),
    ],
];

/// Those that trace, and need what that takes.
pub const TRACING: [&str; 7] = ["", "trace", "demo", "stats", "top", "export", "check"];

/// Others' pages.
pub const SEE_ALSO: &str = "pcap-filter(7), tcpdump(8), tshark(1), bpftool(8), bpftool-prog(8), xdp-loader(8), xdpdump(8), \
                        capabilities(7)";

/// Paragraphs, by the subcommand.
pub const DESCRIPTIONS: [(&str, &[&str]); 10] = [
    ("", &TRACED),
    ("trace", &TRACED),
    (
        "demo",
        &[
            "The article's demo: traces the ICMP packets of a NIC, two lines for each, one from fentry and one from fexit. Where the NIC \
             has no XDP program, one is attached meanwhile that passes everything. It stands for `xdptrace --passthrough --output \
             classic icmp`.",
        ],
    ),
    (
        "list",
        &[
            "Lists the XDP programs on the path of NICs, and whether they can be traced, or why not: the NIC's own, a libxdp \
             dispatcher's components, those that it tail-calls, and those in the entries of devmaps and cpumaps that it uses.",
            "NAME is the kernel's, which is cut at 15 characters; PROGRAM is the function's, and the id. CHAIN is the verdicts after \
             which a dispatcher calls its next component. What LOADED or another column doesn't know is a `?`.",
        ],
    ),
    (
        "check",
        &[
            "Says, line by line, what this kernel and this user can do, and for each no what would mend it. The status is 0 where \
             tracing will work, and 3 or 4 where it will not.",
        ],
    ),
    (
        "read",
        &[
            "Prints what `xdptrace -w`, or xdpdump, has written, as if it were live, and needs no privilege. The packet before and \
             after the program become one line again, wherever in the file they stand. Other pcapng and pcap files of Ethernet frames are \
             read as well: of a packet that no probe has captured there is no verdict to show.",
        ],
    ),
    (
        "stats",
        &[
            "Counts, in the kernel, what each program does with its packets, by device, queue and verdict, and how long it takes: a table at \
             each interval, and the totals at the end. Nothing is told of single packets.",
            "A latency is told as the end of its step, of which there are four to an octave: it is a quarter too long at most. With --by, \
             packets are counted by what they have in common (src, dst, sport, dport, proto, vlan, length, flow), and latency is not \
             measured. What isn't among the rows shown is in the last one, `other`.",
        ],
    ),
    (
        "top",
        &[
            "Shows packets, verdicts, latency and failures of each program live on the terminal: of all NICs that run an XDP program, or \
             of those that -i names. Enter shows all that is known of a row; `s` sorts, `p` pauses, `?` explains the other keys, `q` ends it. \
             In a pipe, xdptrace stats(8) has the same numbers.",
        ],
    ),
    (
        "export",
        &[
            "Answers HTTP at /metrics, in Prometheus' text format or OpenMetrics, with what the programs on all NICs do, or on those \
             that -i names, counted in the kernel. /healthz is 200 while it counts, and says what is traced, or why not; 503 when the last \
             reading is older than three intervals. NICs and programs that aren't there are waited for, and those that change are followed. There \
             is neither password nor TLS: --listen is the loopback unless it says otherwise.",
            "As a service it is xdptrace-exporter.service, which is installed and not enabled; its options are in XDPTRACE_OPTIONS, \
             which `systemctl edit xdptrace-exporter` changes. It runs as the user xdptrace, with three capabilities.",
        ],
    ),
    (
        "schema",
        &[
            "Prints the JSON schema of what `-o json` and `stats --json` print. Within a major version members are only added.",
        ],
    ),
];

const TRACED: [&str; 3] = [
    "Attaches fentry and fexit to the XDP program that a NIC is already running, changes nothing in it, and shows each packet \
     with the program's verdict, what the program changed, how long it took, and what became of the verdict. FILTER is in \
     tcpdump's language, and decided on in the kernel.",
    "Data is on the standard output, everything else on standard error. What isn't known is a `?`. The last line says what became of all \
     runs of the program, and how many of them were lost, and where.",
    "The letters that tcpdump(8) has mean what they mean there, but for -p. xdpdump's words are understood as well.",
];

/// The parts of a line, where packets are lines.
pub const LINE: [Row; 9] = [
    (
        "TIME",
        "When the program began, or, with --probe exit, ended; to the microsecond, unless -t or --time-stamp-precision say otherwise.",
    ),
    ("DEVICE", "The NIC that received the packet."),
    ("FUNCTION#ID", "The function that was traced, and its program's id."),
    ("VERDICT", "XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT, or the number of what is no action."),
    ("-> DEVICE", "Of a redirect that was accepted, where to (--outcome all): a device, or a map and its entry."),
    ("-> failed: ERROR (DEVICE)", "Of XDP_TX or XDP_REDIRECT: it came to nothing, and why, as far as the kernel says."),
    ("(xdp_exception)", "Of XDP_ABORTED and of what is no action: dropped as an error."),
    ("LATENCY", "The time in the program, in nanoseconds."),
    (
        "PACKET [CHANGES]",
        "The packet as it arrived, in tcpdump's words, and what the program changed: `ttl 64->63`, a header pushed or popped, bytes \
         cut or grown at the tail.",
    ),
];

/// Those whose packets are lines.
pub const LINES: [&str; 4] = ["", "trace", "demo", "read"];

/// Of what traces to lines or counts in tables.
pub const SIGNALS: [Row; 3] = [
    (
        "SIGINT, SIGTERM, SIGHUP",
        "End the run, and print the totals. A second one, half a second or more later, ends it at once.",
    ),
    ("SIGUSR1", "Prints where all runs went so far."),
    ("SIGUSR2", "Writes out what waits, of a file as well."),
];

/// Those that SIGNALS are for.
pub const SIGNALLED: [&str; 4] = ["", "trace", "demo", "stats"];

pub const ENVIRONMENT: [Row; 2] = [
    ("NO_COLOR", "Nothing is coloured, unless --color=always says so."),
    ("TZ", "The time zone that times are told in."),
];

/// Those that print times.
pub const TIMED: [&str; 6] = ["", "trace", "demo", "read", "stats", "top"];
