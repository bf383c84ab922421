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
/* A perf sample's size, all included, has 16 bits. */
#define LONGEST_SNAP_LEN 64000
/* Room for the records of one batch, in bytes. */
#define BATCH_LEN 8192
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
	__u32 length_before;	/* bytes, fragments included; undefined without TOLD_ENTRY */
	__u32 length_after;	/* bytes, fragments included; undefined without TOLD_EXIT */
	__s32 moved;		/* by how many bytes data moved, forward if positive; undefined unless both are told */
	__u16 metadata_before;	/* data - data_meta, bytes; 0 where the driver supports none */
	__u16 metadata_after;
	__u16 captured;
	__u16 arrived;
	__u16 metadata;
	__u16 told;		/* of enum told */
	__u32 _reserved;
};

/* A perf sample: this, and `used` bytes of records; behind a record with TOLD_TAIL, its packet, which isn't counted. */
struct sample {
	__u32 cpu;
	__u32 used;
};

/*
 * The records that a CPU gathers. Each CPU has two: the second is for a run that interrupts another one's adding to the
 * first. XDP runs with bottom halves off, so that takes BPF_PROG_TEST_RUN, a real-time kernel or a flush.
 */
struct batch {
	__u32 busy;		/* somebody on this CPU is at it */
	__u32 flush_wanted;	/* by a flush that found it busy: whoever is at it sends it then */
	__u32 sends;		/* how often it was sent or lost, modulo 2^32 */
	__u32 records;		/* in it now */
	__u64 sent;		/* records accepted by the perf ring */
	__u64 lost_full;	/* records refused because the ring was full */
	__u64 lost_no_ring;	/* … because its CPU has no ring: it came online after the start */
	__u64 lost_other;
	struct sample sample;
	__u8 bytes[BATCH_LEN];
};

/* Where a packet lies, and how long it is. */
struct extent {
	__u64 data;		/* address of its first byte */
	__u32 linear;		/* bytes in its first buffer */
	__u32 length;		/* bytes in all its buffers; in the first alone with TOLD_FRAGMENTS */
	__u32 metadata;		/* data - data_meta, bytes */
	__u32 flaws;		/* TOLD_FRAGMENTS and TOLD_UNREAD, where they apply */
};

/* What the filter sees of a packet. All of it is initialised, as far as the verifier is concerned. */
struct view {
	__u8 bytes[HEAD_LEN];
	__u64 spare;		/* the word that bytes[] are read up to the end of, and zero behind them */
	__u32 scratch[16];	/* cBPF's M[] */
	__u64 beyond;		/* what the filter loads from beyond bytes[] */
	struct extent extent;
	__u32 captured;		/* how many of bytes[] are the packet's */
	__u32 _reserved;
};

/* What becomes of a run. */
enum fate {
	FATE_KEPT,
	FATE_FILTERED,
	FATE_SKIPPED,
	FATE_LOST,
};

/* Per target and CPU. seen = kept + filtered + skipped + lost; the unit is one run of the traced program. */
struct counts {
	__u64 seen;		/* counted at its end; at its beginning where there is no fexit */
	__u64 kept;		/* its record was put into the batch, or given to the ring */
	__u64 filtered;		/* not asked for */
	__u64 skipped;		/* left out by sampling or by the rate */
	__u64 lost;		/* both of the CPU's batches were busy */
	__u64 unpaired;		/* one probe saw the run, the other didn't: the kernel skipped it */
};

/* The run that a CPU is in, and what it has counted so far. */
struct state {
	struct counts counts;
	__u64 xdp;		/* the run's xdp_buff between fentry and fexit, else 0 */
	__u64 time_ns;
	enum fate fate;		/* what fentry decided */
	__u32 entered;		/* fentry has run on this CPU since the start */
	__u32 countdown;	/* runs to skip before the next one that is sampled */
	__u32 _reserved;
	struct view before;
	struct view after;	/* for a filter that looks at the packet as it left */
};

/* A device: an index says nothing without its network namespace. */
struct device {
	__u32 netns;		/* inode number */
	__u32 ifindex;
};

_Static_assert(sizeof(struct record) == 72, "struct record has no hidden padding");
_Static_assert(sizeof(struct sample) == 8, "struct sample has no hidden padding");
_Static_assert(sizeof(struct batch) == 16 + 4 * 8 + sizeof(struct sample) + BATCH_LEN, "nor has struct batch");
_Static_assert(sizeof(struct extent) == 8 + 4 * 4, "nor has struct extent");
_Static_assert(sizeof(struct view) == HEAD_LEN + 8 + 64 + 8 + sizeof(struct extent) + 8, "nor has struct view");
_Static_assert(sizeof(struct counts) == 6 * 8, "nor has struct counts");
_Static_assert(sizeof(struct state) == sizeof(struct counts) + 32 + 2 * sizeof(struct view), "nor has struct state");
_Static_assert(sizeof(struct device) == 2 * 4, "nor has struct device");

#endif
