/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the BPF side tells user space about one run of the traced program: the only definition of this layout.
 * User space reads it through the types that the skeleton generates from it. Widths are fixed, padding is
 * explicit, the sizes are asserted here and in mod.rs.
 */
#ifndef XDPTRACE_RECORD_H
#define XDPTRACE_RECORD_H

/* Bytes of a packet that a record holds at most: every header of an ordinary packet, IPv6 in a VLAN included. */
#define SNAP_LEN 128

/* Which probes saw the run. */
enum half {
	HALF_ENTRY = 1,
	HALF_EXIT = 2,
	HALF_BOTH = HALF_ENTRY | HALF_EXIT,
	HALF_VERDICT = 4,	/* fexit saw a return value: the function isn't void */
};

/* The packet at one of the two probes. */
struct snap {
	__u32 length;		/* data_end - data, bytes: the first buffer of a multi-buffer packet */
	__u16 metadata;		/* data - data_meta, bytes; 0 where the driver supports none */
	__u16 captured;		/* how many of bytes[] are the packet's; the rest is undefined */
	__u8 bytes[SNAP_LEN];
};

struct record {
	__u64 time_ns;		/* CLOCK_MONOTONIC when the program began; when it ended if only fexit saw it */
	__u64 latency_ns;	/* from the end of fentry to the start of fexit; undefined unless both saw it */
	__u32 program_id;
	__u32 netns;		/* inode number of the receiving device's network namespace */
	__u32 ifindex;		/* receiving device, as the program sees it in ingress_ifindex */
	__u32 queue;		/* receive queue, as the program sees it in rx_queue_index */
	__u32 cpu;
	__u32 verdict;		/* the program's return value; undefined without HALF_VERDICT */
	enum half halves;
	__u32 target;		/* which of the traced functions, as user space numbers them */
	struct snap before;	/* undefined unless fentry saw it */
	struct snap after;	/* undefined unless fexit saw it */
};

/* A device: an index says nothing without its network namespace. */
struct device {
	__u32 netns;		/* inode number */
	__u32 ifindex;
};

/* The packets of which devices are asked for. */
enum devices {
	DEVICES_ALL,		/* of every one that runs the program */
	DEVICES_NETNS,		/* of those of one network namespace */
	DEVICES_ONE,
	DEVICES_LISTED,		/* of those in the map `devices` */
};

/* Per CPU. seen = filtered + sent + lost; the unit is one run of the traced program, counted at its end. */
struct counts {
	__u64 seen;		/* fexit ran */
	__u64 filtered;		/* not asked for */
	__u64 sent;		/* record accepted by the perf ring */
	__u64 lost;		/* record refused by the perf ring: it was full, or its CPU came online after the start */
	__u64 unpaired;		/* one probe saw the run, the other didn't: the kernel skipped it, or the tracer just started */
};

_Static_assert(sizeof(struct snap) == 8 + SNAP_LEN, "struct snap has no hidden padding");
_Static_assert(sizeof(struct record) == 2 * 8 + 8 * 4 + 2 * sizeof(struct snap), "struct record has no hidden padding");
_Static_assert(sizeof(struct device) == 2 * 4, "struct device has no hidden padding");
_Static_assert(sizeof(struct counts) == 5 * 8, "struct counts has no hidden padding");

#endif
