/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * For each row of the benchmark the least that can do its work: one NIC, one target, no options, nothing counted that isn't
 * asked for by the row, nothing flushed, nothing looked at twice. What these cost is what the kernel's helpers, trampolines and
 * checked loads cost: a load through a pointer that the verifier knows by its type takes seven instructions on 6.1.
 *
 * A record has what every record has to have: when, how long, by which device of which network namespace and which of its
 * queues, the verdict, the lengths with what is in further buffers, and the metadata's. What a CPU notes is its own.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define CPUS 8
#define MOST 128
#define LOOK 40
#define BATCH 8192
#define HAS_FRAGS 1
#define ETH_P_IP 0x0008
#define ETH_P_IPV6 0xdd86
#define UDP 17

struct record {
	__u64 time_ns;
	__u64 latency_ns;
	__u32 netns;
	__u32 ifindex;
	__u32 queue;
	__u32 verdict;
	__u32 length;
	__u16 metadata;
	__u16 captured;
	__u8 bytes[];
};

struct state {
	__u64 xdp;		/* the run that fentry has seen */
	__u64 time_ns;
	__u64 data;
	__u64 data_end;
	__u64 data_meta;
	__u64 rejected;		/* the run that is not asked for */
	__u64 countdown;
	__u64 counted;
	__u64 used;
	__u8 noted[MOST + 16];
	__u8 batch[BATCH];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

/* A global's address is a constant: no look-up. */
struct state states[CPUS];

static __always_inline struct state *this_state(void)
{
	return &states[bpf_get_smp_processor_id() & (CPUS - 1)];
}

static __always_inline __u64 at_most(__u64 value, __u64 most)
{
	return value > most ? most : value;
}

static __always_inline struct record *next_record(void *ctx, struct state *state, __u64 most)
{
	__u64 used = state->used;

	if (used > BATCH - sizeof(struct record) - most - 16) {
		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, state->batch, used & (BATCH - 1));
		used = 0;
	}
	state->used = used;
	return (struct record *)&state->batch[used];
}

static __always_inline void fill(struct record *record, const struct xdp_buff *xdp, __u64 now, __u64 since, int verdict)
{
	const struct xdp_rxq_info *rxq = xdp->rxq;
	const struct net_device *dev = rxq->dev;

	record->time_ns = since;
	record->latency_ns = now - since;
	record->netns = dev->nd_net.net->ns.inum;
	record->ifindex = dev->ifindex;
	record->queue = rxq->queue_index;
	record->verdict = verdict;
}

static __always_inline void keep(struct state *state, __u64 captured)
{
	state->used += sizeof(struct record) + ((captured + 7) & ~7ULL);
	state->counted++;
}

SEC("fexit/xdp")
int BPF_PROG(least_exit, struct xdp_buff *xdp, int verdict)
{
	__u64 now = bpf_ktime_get_ns(), captured;
	struct state *state = this_state();
	struct record *record = next_record(ctx, state, 64);
	void *data = xdp->data;

	fill(record, xdp, now, now, verdict);
	record->length = xdp->data_end - data;
	record->metadata = data - xdp->data_meta;
	/* More buffers are not this program's business. */
	if (xdp->flags & HAS_FRAGS)
		return 0;
	captured = at_most(record->length, 64);
	record->captured = captured;
	bpf_probe_read_kernel(record->bytes, captured, data);
	keep(state, captured);
	return 0;
}

static __always_inline void end_with_zeros(void *bytes, __u64 captured)
{
	__u64 *words = bytes + (captured & ~7ULL);

	words[0] = words[1] = 0;
}

SEC("fentry/xdp")
int BPF_PROG(least_note, struct xdp_buff *xdp)
{
	struct state *state = this_state();
	__u64 data = (__u64)xdp->data, data_end = (__u64)xdp->data_end, captured;

	if (state->xdp || xdp->flags & HAS_FRAGS)
		return 0;
	state->data = data;
	state->data_end = data_end;
	state->data_meta = (__u64)xdp->data_meta;
	captured = at_most(data_end - data, MOST);
	end_with_zeros(state->noted, captured);
	bpf_probe_read_kernel(state->noted, captured, (void *)data);
	state->xdp = (__u64)xdp;
	state->time_ns = bpf_ktime_get_ns();
	return 0;
}

/* Two words a test of the end: what follows the packet in its last two is zero. */
static __always_inline bool is_as_noted(const struct state *state, const void *bytes, __u64 length)
{
	const __u64 *noted = (const __u64 *)state->noted, *now = bytes;

#pragma unroll
	for (int word = 0; word < MOST / 8; word += 2) {
		if (noted[word] != now[word] || noted[word + 1] != now[word + 1])
			return false;
		/* Keeps clang from making one count out of two, which it couldn't unroll. */
		asm volatile("" : "+r"(length));
		if ((word + 2) * 8 >= length)
			return true;
	}
	return true;
}

/* Reads and compares the packet; how many of its bytes, negative if they are not what they were. */
static __always_inline __s64 compare(struct state *state, struct record *record, const struct xdp_buff *xdp)
{
	__u64 data = (__u64)xdp->data, data_end = (__u64)xdp->data_end, data_meta = (__u64)xdp->data_meta, captured;

	/* Moved packets are not this program's business. */
	if (state->data != data || state->data_end != data_end || state->data_meta != data_meta)
		return 0;
	record->length = data_end - data;
	record->metadata = data - data_meta;
	captured = at_most(data_end - data, MOST);
	end_with_zeros(record->bytes, captured);
	bpf_probe_read_kernel(record->bytes, captured, (void *)data);
	return is_as_noted(state, record->bytes, captured) ? captured : -captured;
}

SEC("fexit/xdp")
int BPF_PROG(least_both, struct xdp_buff *xdp, int verdict)
{
	struct state *state = this_state();
	struct record *record;
	__s64 captured;
	__u64 now;

	if (state->xdp != (__u64)xdp)
		return 0;
	state->xdp = 0;
	now = bpf_ktime_get_ns();
	record = next_record(ctx, state, 2 * MOST);
	fill(record, xdp, now, state->time_ns, verdict);
	captured = compare(state, record, xdp);
	record->captured = captured;
	if (captured < 0) {
		__u64 *to = (__u64 *)&record->bytes[MOST], *from = (__u64 *)state->noted;

		captured = MOST;
#pragma unroll
		for (int word = 0; word < MOST / 8; word++)
			to[word] = from[word];
		state->used += MOST;
	}
	keep(state, captured);
	return 0;
}

/* The packet goes from where it lies into the ring. */
SEC("fexit/xdp")
int BPF_PROG(least_whole, struct xdp_buff *xdp, int verdict)
{
	struct state *state = this_state();
	struct record *record = (struct record *)state->batch;
	__u64 now;

	if (state->xdp != (__u64)xdp)
		return 0;
	state->xdp = 0;
	now = bpf_ktime_get_ns();
	fill(record, xdp, now, state->time_ns, verdict);
	record->captured = compare(state, record, xdp);
	bpf_xdp_output(xdp, &events, BPF_F_CURRENT_CPU | (__u64)record->length << 32, record, sizeof(*record));
	state->counted++;
	return 0;
}

/* `udp port 9` as pcap-filter(7) has it: IPv6 too, no fragments, the ports behind the header's options, all within the packet. */
static __always_inline bool is_udp_port_9(const __u8 *bytes, __u64 length)
{
	const __u16 *ports;
	__u64 header;

	if (length < 24)
		return false;
	if (*(__u16 *)&bytes[12] == ETH_P_IPV6)
		return bytes[20] == UDP && length >= 58 && (*(__u16 *)&bytes[54] == 9 << 8 || *(__u16 *)&bytes[56] == 9 << 8);
	if (*(__u16 *)&bytes[12] != ETH_P_IP || bytes[23] != UDP || *(__u16 *)&bytes[20] & 0xff1f)
		return false;
	header = (bytes[14] & 15) * 4;
	if (length < header + 18)
		return false;
	ports = (const __u16 *)&bytes[14 + header];
	return ports[0] == 9 << 8 || ports[1] == 9 << 8;
}

/* Reads what an IPv4 packet needs. */
SEC("fentry/xdp")
int BPF_PROG(least_filter, struct xdp_buff *xdp)
{
	struct state *state = this_state();
	__u64 data = (__u64)xdp->data, captured = at_most((__u64)xdp->data_end - data, LOOK);

	if (state->xdp)
		return 0;
	bpf_probe_read_kernel(state->noted, captured, (void *)data);
	if (is_udp_port_9(state->noted, captured)) {
		state->xdp = (__u64)xdp;
	} else {
		state->rejected = (__u64)xdp;
		state->counted++;
	}
	return 0;
}

SEC("fentry/xdp")
int BPF_PROG(least_sample, struct xdp_buff *xdp)
{
	struct state *state = this_state();

	if (state->xdp || !--state->countdown)
		return 0;
	state->rejected = (__u64)xdp;
	state->counted++;
	return 0;
}

/* Behind both of these. */
SEC("fexit/xdp")
int BPF_PROG(least_reject, struct xdp_buff *xdp)
{
	struct state *state = this_state();

	if (state->rejected == (__u64)xdp)
		state->rejected = 0;
	return 0;
}

SEC("fexit/xdp")
int BPF_PROG(least_verdict, struct xdp_buff *xdp, int verdict)
{
	struct state *state = this_state();

	if (verdict != XDP_DROP)
		state->counted++;
	return 0;
}

#include "minimal_count.h"
