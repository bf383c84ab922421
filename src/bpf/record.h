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
	__u32 _reserved;
	/* From here on in 64 bits that are written at once. */
	__u16 captured;
	__u16 told;		/* of enum told */
	__u16 arrived;		/* 0 with TOLD_SAME */
	__u16 metadata;
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
	__u32 sends;		/* how often it was sent or lost, modulo 2^32 */
	__u32 _reserved;
	__u64 sent;		/* records accepted by the perf ring */
	__u64 lost_full;	/* records refused because the ring was full */
	__u64 lost_no_ring;	/* … because its CPU has no ring: it came online after the start */
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
};

/* A state's `time_ns` where it is no time. */
enum no_time {
	TIME_NONE,		/* the note is being made */
	TIME_OVERWRITTEN,	/* a filter that rejected its packet has overwritten it */
};

/* The run that a CPU is in, and what it has counted so far. */
struct state {
	struct view before;	/* first, so that a pointer to it is one to the whole */
	struct view after;	/* for a filter that looks at the packet as it left */
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

/* A device: an index says nothing without its network namespace. */
struct device {
	__u32 netns;		/* inode number */
	__u32 ifindex;
};

_Static_assert(RECORD_ROOM == 1000, "as mod.rs says");
_Static_assert(sizeof(struct record) == 72, "struct record has no hidden padding");
_Static_assert(sizeof(struct sample) == 16, "struct sample has no hidden padding");
_Static_assert(sizeof(struct batch) == 16 + 4 * 8 + sizeof(struct sample), "nor has struct batch");
_Static_assert(sizeof(struct extent) == 3 * 8 + 2 * 4, "nor has struct extent");
_Static_assert(sizeof(struct view) == HEAD_LEN + 8 + 64 + 8 + sizeof(struct extent) + 8 + 4 * 4, "nor has struct view");
_Static_assert(sizeof(struct counts) == 5 * 8, "nor has struct counts");
_Static_assert(sizeof(struct state) == sizeof(struct counts) + 24 + 2 * sizeof(struct view), "nor has struct state");
_Static_assert(sizeof(struct device) == 2 * 4, "nor has struct device");

#endif
