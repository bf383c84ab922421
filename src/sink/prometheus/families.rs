//! The families of metrics, in the order in which they are exposed: where there is no room for all of them, the first ones
//! have it.

use super::exposition::{Family, Kind};

const fn family(name: &'static str, kind: Kind, unit: &'static str, help: &'static str) -> Family {
    Family { name, kind, unit, help }
}

pub static BUILD: Family = family("xdptrace_build", Kind::Info, "", "The exporter's version.");
pub static READING: Family = family(
    "xdptrace_last_reading_timestamp_seconds",
    Kind::Gauge,
    "seconds",
    "When the kernel's counters were read last, since 1970.",
);
pub static RENDERING: Family = family(
    "xdptrace_rendering_seconds",
    Kind::Gauge,
    "seconds",
    "How long it took to make the last exposition but this; no scrape waits for it.",
);
pub static PROGRAMS: Family =
    family("xdptrace_programs", Kind::Gauge, "", "Functions of programs that are traced now.");
pub static PROGRAM: Family = family(
    "xdptrace_program",
    Kind::Info,
    "",
    "A traced function (program), the id and the kernel's name of the program that it is in, and the device on whose path.",
);
pub static PACKETS: Family = family(
    "xdptrace_packets",
    Kind::Counter,
    "",
    "Packets by receiving device, traced function (program) and what it returned (verdict).",
);
pub static BYTES: Family = family(
    "xdptrace_bytes",
    Kind::Counter,
    "bytes",
    "Bytes in these packets as the program left them, from the Ethernet header on.",
);
pub static ERRORS: Family = family(
    "xdptrace_outcome_errors",
    Kind::Counter,
    "",
    "Verdicts that came to nothing, and aborted ones, by the kernel's reason, or the tracepoint that gives none.",
);
pub static LOST: Family = family(
    "xdptrace_lost_events",
    Kind::Counter,
    "",
    "What was seen and could not be counted: runs (uncounted); outcome errors and forwarded packets, for want of room in a table.",
);
pub static RUNS: Family =
    family("xdptrace_runs", Kind::Counter, "", "Runs of the program while it was traced, also those filtered out.");
pub static FILTERED: Family =
    family("xdptrace_filtered_runs", Kind::Counter, "", "Runs that were not asked for: they are in no other number.");
pub static UNPAIRED: Family =
    family("xdptrace_unpaired_runs", Kind::Counter, "", "Runs that only one of the two probes saw: without a latency.");
pub static MISSES: Family = family(
    "xdptrace_recursion_misses",
    Kind::Counter,
    "",
    "Runs, of any program, that the kernel did not call a probe for because one was at work; Linux 5.12 and newer.",
);
pub static LATENCY: Family = family(
    "xdptrace_latency_seconds",
    Kind::Histogram,
    "seconds",
    "Time in the program, between the two probes; with both probes only.",
);
pub static FORWARDED: Family = family(
    "xdptrace_forwarded_packets",
    Kind::Counter,
    "",
    "Packets that the kernel sent on in batches, of whatever program; with --outcome all only.",
);
pub static FORWARD_DROPS: Family = family(
    "xdptrace_forward_drops",
    Kind::Counter,
    "",
    "Packets that it dropped on that way, by the reason of their batch; with --outcome all only.",
);
pub static SERIES: Family =
    family("xdptrace_series", Kind::Gauge, "", "Series in this exposition, but for the last two.");
pub static LEFT_OUT: Family =
    family("xdptrace_series_left_out", Kind::Gauge, "", "Series that there was no room for in this exposition.");

/// All of them.
pub static ALL: [&Family; 18] = [
    &BUILD,
    &READING,
    &RENDERING,
    &PROGRAMS,
    &PROGRAM,
    &PACKETS,
    &BYTES,
    &ERRORS,
    &LOST,
    &RUNS,
    &FILTERED,
    &UNPAIRED,
    &MISSES,
    &LATENCY,
    &FORWARDED,
    &FORWARD_DROPS,
    &SERIES,
    &LEFT_OUT,
];
