/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the BPF side and user space tell each other: the only definition of these layouts. User space reads them
 * through the types that the skeleton generates from them. Widths are fixed, padding is explicit, the sizes are
 * asserted here and in mod.rs.
 */
#ifndef XDPTRACE_RECORD_H
#define XDPTRACE_RECORD_H

/* A packet's first bytes: as far as it is compared before and after the program, and what the filter sees at first. */
#define HEAD_LEN 128
/* A snap length up to this is read into the batch; what is longer leaves by bpf_xdp_output, which copies faster. */
#define BATCHED_SNAP_LEN 512
/* The longest metadata: xdp_metalen_invalid in include/net/xdp.h; 32 before Linux 6.10. */
#define METADATA_LEN 256
/* A perf sample's size, a batch included, has 16 bits. */
#define LONGEST_SNAP_LEN 57000
/* A batch, in bytes, where there are not too many CPUs for that. */
#define LONGEST_BATCH 8192
/* Instructions that a filter may have. */
#define FILTER_LEN 2048

/* What a record tells. */
enum told {
	TOLD_ENTRY = 1,		/* how the packet arrived: fentry saw the run */
	TOLD_EXIT = 2,		/* how it left: fexit saw the run */
	TOLD_VERDICT = 4,	/* what the function returned: it isn't void */
	TOLD_SAME = 8,		/* the packet left as it had arrived: lengths, offsets, and the first HEAD_LEN bytes */
	TOLD_TAIL = 16,		/* the packet's bytes stand at the record's end, else right behind this struct */
	TOLD_FRAGMENTS = 32,	/* it has more than one buffer, of which only the first could be measured */
	TOLD_EGRESS = 64,	/* the device that it was to leave by */
	TOLD_UNREAD = 128,	/* the packet's bytes could not be read, here or there: TOLD_SAME speaks of the rest only */
	TOLD_OUTCOME = 256,	/* what became of an earlier one: a struct outcome */
};

#define BOTH (TOLD_ENTRY | TOLD_EXIT)

/*
 * One run of a traced program. Behind it, each part padded to a multiple of 8: `captured` bytes of the packet, as it
 * left, or as it arrived without TOLD_EXIT; `arrived` bytes of how it arrived, none with TOLD_SAME; `metadata` bytes
 * of what stands in front of the packet. With TOLD_TAIL, `captured` bytes come last.
 */
struct record {
	__u64 time_ns;		/* CLOCK_MONOTONIC when the program began; when it ended without TOLD_ENTRY */
	__u64 latency_ns;	/* from the end of fentry to the start of fexit; undefined unless both are told */
	__u32 target;		/* which of the traced functions, as user space numbers them */
	__u32 verdict;		/* the function's return value; undefined without TOLD_VERDICT */
	__u32 netns;		/* inode number of the receiving device's network namespace */
	__u32 ifindex;		/* receiving device, as the program sees it in ingress_ifindex */
	__u32 queue;		/* receive queue, as the program sees it in rx_queue_index */
	__u32 egress_netns;	/* as netns, of the device to leave by; undefined without TOLD_EGRESS */
	__u32 egress_ifindex;	/* as the program sees it; undefined without TOLD_EGRESS */
	__u32 length_before;	/* bytes, fragments included; undefined without TOLD_ENTRY, or with TOLD_SAME */
	__u32 length_after;	/* bytes, fragments included; undefined without TOLD_EXIT */
	__s32 moved;		/* by how many bytes data moved, forward if positive; undefined unless both are told, or with TOLD_SAME */
	__u16 metadata_before;	/* data - data_meta, bytes; 0 where the driver supports none; undefined as length_before is */
	__u16 metadata_after;
	__u32 serial;		/* how many of this target were kept before on this CPU, modulo 2^32 */
	/* From here on in 64 bits that are written at once. */
	__u16 captured;
	__u16 told;		/* of enum told */
	__u16 arrived;		/* 0 with TOLD_SAME */
	__u16 metadata;
};

/* Which of the kernel's tracepoints has told of a verdict's outcome. */
enum source {
	SOURCE_EXCEPTION,	/* xdp_exception: the verdict could not be followed, or is XDP_ABORTED, or none */
	SOURCE_REDIRECT,	/* xdp_redirect: the packet was accepted, which isn't yet sent */
	SOURCE_REDIRECT_ERR,	/* xdp_redirect_err: it was not */
};

/*
 * What became of the verdict of an earlier record of the same CPU and target, which has the same `serial`. The kernel tells it
 * behind the program's end, and before the CPU's next run of it. In place of a struct record.
 */
struct outcome {
	__u64 time_ns;		/* CLOCK_MONOTONIC */
	__u32 map_type;		/* of the map that the packet was redirected by: enum bpf_map_type; 0: by none */
	__u32 map_id;		/* … its id */
	__u32 target;
	__u32 action;		/* that the kernel was about: not the program's, where it has made another of that */
	__u32 netns;		/* inode number of the receiving device's network namespace */
	__u32 ifindex;		/* receiving device, as the kernel names it here */
	__u32 source;		/* enum source */
	__u32 to_netns;		/* as netns, of the device that the packet was redirected to */
	__u32 to_ifindex;	/* … its index; 0: to none, to many, or it isn't told */
	__u32 map_index;	/* which of the map's entries */
	__s32 error;		/* negative errno; 0: none */
	__u32 _reserved[2];
	__u32 serial;
	__u16 captured;		/* 0 */
	__u16 told;		/* TOLD_OUTCOME */
	__u16 arrived;		/* 0 */
	__u16 metadata;		/* 0 */
};

/* A perf sample: this, and `used` bytes of records; behind a record with TOLD_TAIL, its packet, which isn't counted. */
struct sample {
	__u32 used;
	__u32 records;
	__u32 cpu;		/* set when it is sent */
	__u32 _reserved;
};

/*
 * The records that a CPU gathers. Each CPU has two: the second is for a run that interrupts another one's adding to the
 * first. XDP runs with bottom halves off, so that takes BPF_PROG_TEST_RUN, a real-time kernel or a flush.
 */
struct batch {
	__u32 busy;		/* somebody on this CPU is at it */
	__u32 flush_wanted;	/* by a flush that found it busy: whoever is at it sends it then */
	__u32 sends;		/* how often it was sent, or lost but for want of a ring, modulo 2^32 */
	__u32 waiting;		/* bytes of a record behind the others that stays if its run's verdict comes to nothing */
	__u64 sent;		/* records accepted by the perf ring */
	__u64 lost_full;	/* records refused because the ring was full */
	__u64 lost_no_ring;	/* … because its CPU had no ring: it came online after the start, or again */
	__u64 lost_other;
	struct sample sample;
	__u8 bytes[];
};

/* Where a packet lies: what of struct xdp_buff a program can change. */
struct extent {
	__u64 data;		/* address of its first byte */
	__u64 data_end;
	__u64 data_meta;	/* beyond data where the driver supports no metadata (xdp_set_data_meta_invalid) */
	__u32 fragments;	/* bytes in the buffers behind the first, if that can be told */
	__u32 flaws;		/* TOLD_FRAGMENTS and TOLD_UNREAD, where they apply */
};

/* What the filter sees of a packet. All of it is initialised, as far as the verifier is concerned. */
struct view {
	__u8 bytes[HEAD_LEN];
	__u64 spare;		/* the word that bytes[] are read up to the end of, and zero behind them */
	__u32 scratch[16];	/* cBPF's M[] */
	__u64 beyond;		/* what the filter loads from beyond bytes[] */
	struct extent extent;
	__u64 data;		/* for the filter: address of the packet's first byte */
	__u32 linear;		/* … where it keeps how many of the packet's bytes can be read */
	__u32 length;		/* … bytes in all the packet's buffers; in the first alone with TOLD_FRAGMENTS */
	__u32 captured;		/* how many of bytes[] are the packet's, as fentry notes it */
	__u32 _reserved;
};

/* What a filter answers. */
enum answer {
	ANSWER_NO,
	ANSWER_YES,
	ANSWER_SHORT,	/* no, for want of bytes */
};

/* What becomes of a run: which of struct counts counts it. */
enum fate {
	FATE_KEPT,
	FATE_FILTERED,
	FATE_SKIPPED,
	FATE_LOST,
};

/* Per target and CPU. A run is counted once, as soon as it is known what becomes of it. */
struct counts {
	__u64 kept;		/* its record was put into the batch, or given to the ring */
	__u64 filtered;		/* not asked for */
	__u64 skipped;		/* left out by sampling or by the rate */
	__u64 lost;		/* both of the CPU's batches were busy */
	__u64 unpaired;		/* besides: one probe saw the run, the other didn't: the kernel skipped it */
};

/* The low bits of a state's `run`: the rest is the address of its xdp_buff, which is aligned to 8. */
enum run {
	RUN_DECIDED = 1,	/* fentry has decided, and counted, what becomes of it */
	RUN_ENDED = 2,		/* fexit has seen it, or there is none */
	RUN_NONE = 4,		/* fentry hasn't run on this CPU since the start: set by user space, beside RUN_ENDED */
	RUN_PASSED = 8,		/* beside RUN_ENDED: the last run was not kept */
	RUN_BITS = 15,		/* all of them: what is more has an address */
};

/* A state's `time_ns` where it is no time. */
enum no_time {
	TIME_NONE,		/* the note is being made */
	TIME_OVERWRITTEN,	/* a filter that rejected its packet has overwritten it */
};

/* What packets are counted by, besides the cells: as they arrived; without fentry as they left. What isn't asked for is 0. */
struct key {
	__u32 target;
	__u16 protocol;		/* of the IP packet, or the EtherType; undefined without KEY_PROTOCOL or KEY_ETHERTYPE */
	__u16 vlan;		/* identifier of the outermost tag; undefined without KEY_VLAN */
	__u16 source_port;	/* of TCP, UDP, SCTP, DCCP and UDP-Lite; undefined without KEY_PORTS */
	__u16 destination_port;
	__u16 length;		/* bytes, fragments included; 65535: or more; undefined without KEY_LENGTH */
	__u8 verdict;		/* enum verdict_kind */
	__u8 known;		/* of enum known */
	/* In network byte order. An IPv4 address is the first 4 bytes, with zeros behind them. */
	__u64 source[2];
	__u64 destination[2];
};

enum known {
	KEY_READ = 1,		/* the packet could be read */
	KEY_IPV4 = 2,
	KEY_IPV6 = 4,
	KEY_PROTOCOL = 8,
	KEY_ETHERTYPE = 16,
	KEY_PORTS = 32,
	KEY_VLAN = 64,
	KEY_LENGTH = 128,
};

/* What packets are counted by of a verdict: the actions of enum xdp_action, and besides */
enum verdict_kind {
	VERDICT_OTHER = 5,	/* no action */
	VERDICT_NONE,		/* of a function that returns nothing */
	VERDICT_KINDS = 8,
};

struct tally {
	__u64 packets;
	__u64 bytes;		/* as the program left them, fragments included where they could be measured */
};

/* How many keys have the same place, so that the one seen longest ago leaves for a new one. */
#define WAYS 4

struct counted_key {
	struct key key;		/* target, verdict and all: 0 in a place that is free, as `known` always says something */
	struct tally tally;
	__u64 seen;		/* the set's clock when it was counted last */
};

/* A place of one CPU's for keys with the same hash. */
struct key_set {
	__u64 clock;
	struct counted_key keys[WAYS];
};

/*
 * A latency's step: those below 8 ns have one each, from there on each octave has four. What is 2^33 ns and longer is in the
 * last one.
 */
#define LATENCIES 128
/* Those of the shortest are looked up. */
#define SHORT_LATENCIES 1024

/*
 * What one CPU has counted of a target's packets of one device and receive queue. They stand behind its state. User space
 * gives back those of devices that have gone: src/probe/cells.rs.
 */
struct cell {
	__u32 netns;		/* inode number; 0, with the index: what had no other place */
	__u32 ifindex;
	__u32 queue;
	__u32 is_used;
	__u64 net;		/* address of the network namespace */
	struct tally tallies[VERDICT_KINDS];
	__u64 latency_sum_ns;
	__u64 latency_max_ns;
	__u64 latencies[LATENCIES];
};

/* Outcomes that were failures. */
struct failure {
	__u32 target;
	__u32 netns;		/* of the receiving device */
	__u32 ifindex;
	__u32 source;		/* enum source */
	__u32 action;		/* VERDICT_OTHER where it is none */
	__s32 error;
};

/* What the kernel tells of packets many at a time. */
enum batch_kind {
	BATCH_DEVMAP_XMIT,	/* xdp_devmap_xmit: from a device to another */
	BATCH_BULK_TX,		/* xdp_bulk_tx: back out of the device */
	BATCH_CPUMAP_ENQUEUE,	/* xdp_cpumap_enqueue: into a CPU's queue */
	BATCH_CPUMAP_KTHREAD,	/* xdp_cpumap_kthread: out of it */
};

struct forward {
	__u32 kind;		/* enum batch_kind */
	__u32 from_netns;	/* 0 for cpumaps, as is from_ifindex */
	__u32 from_ifindex;
	__u32 to_netns;		/* 0 but for devmaps */
	__u32 to;		/* index of the device to send by; of cpumaps the map's id */
	__u32 cpu;		/* of cpumaps: whose queue; else 0 */
	__s32 error;		/* negative errno; 0: none */
};

struct forwarded {
	__u64 sent;		/* of cpumaps: handed on */
	__u64 dropped;
};

/* What was not counted for want of room in a table. */
struct refused {
	struct forwarded forwards;
	__u64 failures;
};

/* A device: an index says nothing without its network namespace. */
struct device {
	__u32 netns;		/* inode number */
	__u32 ifindex;
};

/* The run that a CPU is in, and what it has counted so far. */
struct state {
	struct view before;	/* first, so that a pointer to it is one to the whole */
	struct view after;	/* for a filter that looks at the packet as it left */
	struct key key;		/* what the packet is counted by */
	__u64 evicted;		/* keys that had to leave for one of this target's */
	struct device from;	/* in a devmap: by which the packet of the last run that was counted had come */
	struct counts counts;
	__u64 run;		/* the last one that fentry has seen, and bits of enum run */
	__u64 time_ns;		/* CLOCK_MONOTONIC at its beginning */
	__u32 countdown;	/* runs to skip before the next one that is sampled */
	__u32 cpu;		/* whose state it is, set by user space */
};

/*
 * The longest record in a batch, and what is written behind it: its head, the packet as it left, as it arrived, and the
 * metadata.
 */
#define RECORD_ROOM (sizeof(struct record) + BATCHED_SNAP_LEN + 16 + HEAD_LEN + 16 + METADATA_LEN)

_Static_assert(RECORD_ROOM == 1000, "as mod.rs says");
_Static_assert(sizeof(struct record) == 72, "struct record has no hidden padding");
_Static_assert(sizeof(struct sample) == 16, "struct sample has no hidden padding");
_Static_assert(sizeof(struct batch) == 16 + 4 * 8 + sizeof(struct sample), "nor has struct batch");
_Static_assert(sizeof(struct extent) == 3 * 8 + 2 * 4, "nor has struct extent");
_Static_assert(sizeof(struct view) == HEAD_LEN + 8 + 64 + 8 + sizeof(struct extent) + 8 + 4 * 4, "nor has struct view");
_Static_assert(sizeof(struct counts) == 5 * 8, "nor has struct counts");
_Static_assert(sizeof(struct state) == sizeof(struct counts) + 24 + 2 * sizeof(struct view) + sizeof(struct key) + 16,
	       "nor has struct state");
_Static_assert(sizeof(struct outcome) == sizeof(struct record), "an outcome is read as a record");
_Static_assert(__builtin_offsetof(struct outcome, serial) == __builtin_offsetof(struct record, serial), "… with its members");
_Static_assert(__builtin_offsetof(struct outcome, target) == __builtin_offsetof(struct record, target), "… with its members");
_Static_assert(__builtin_offsetof(struct outcome, told) == __builtin_offsetof(struct record, told), "… with its members");
_Static_assert(sizeof(struct key) == 16 + 2 * 16, "struct key has no hidden padding");
_Static_assert(sizeof(struct tally) == 2 * 8, "nor has struct tally");
_Static_assert(sizeof(struct key_set) == 8 + WAYS * (sizeof(struct key) + 16 + 8), "nor has struct key_set");
_Static_assert(sizeof(struct cell) == 16 + 8 + VERDICT_KINDS * 16 + 16 + LATENCIES * 8, "nor has struct cell");
_Static_assert(sizeof(struct failure) == 6 * 4, "nor has struct failure");
_Static_assert(sizeof(struct forward) == 7 * 4, "nor has struct forward");
_Static_assert(sizeof(struct forwarded) == 2 * 8, "nor has struct forwarded");
_Static_assert(sizeof(struct refused) == 3 * 8, "nor has struct refused");
_Static_assert(sizeof(struct device) == 2 * 4, "nor has struct device");

#endif
