/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * For each row of the benchmark the least that can do its work: one NIC, one target, no options, no flush, nothing counted
 * but runs. What these cost is what the kernel's helpers and trampolines cost.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define MOST 128
#define CHUNK 32
#define BATCH 8192

struct record {
	__u64 time_ns;
	__u64 latency_ns;
	__u32 ifindex;
	__u32 queue;
	__u32 verdict;
	__u16 length;
	__u16 captured;
	__u8 bytes[];
};

struct state {
	__u64 xdp;
	__u64 time_ns;
	__u64 rxq;		/* the last run's, and its device and queue */
	__u32 ifindex;
	__u32 queue;
	__u64 wanted;
	__u64 counted;
	__u64 used;
	__u8 noted[MOST + CHUNK];
	__u8 batch[BATCH];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

/* A global's address is a constant: no look-up. The benchmark has one processor. */
struct state state;

/* Each load from the context costs about ten instructions: the JIT of 6.1 checks the address. So, no load twice. */
struct packet {
	void *data;
	__u64 length;
	__u64 captured;
};

static __always_inline struct packet packet_of(const struct xdp_buff *xdp, __u64 most)
{
	struct packet packet = { .data = xdp->data };

	packet.length = (__u64)xdp->data_end - (__u64)packet.data;
	packet.captured = packet.length > most ? most : packet.length;
	return packet;
}

static __always_inline struct record *next_record(void *ctx, __u64 most)
{
	__u64 used = state.used;

	if (used > BATCH - sizeof(struct record) - most - 8) {
		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, state.batch, used & (BATCH - 1));
		used = 0;
	}
	state.used = used;
	return (struct record *)&state.batch[used];
}

static __always_inline void fill(struct record *record, const struct xdp_buff *xdp, __u64 now, int verdict,
				 const struct packet *packet)
{
	const struct xdp_rxq_info *rxq = xdp->rxq;

	if (state.rxq != (__u64)rxq) {
		state.rxq = (__u64)rxq;
		state.ifindex = rxq->dev->ifindex;
		state.queue = rxq->queue_index;
	}
	record->time_ns = now;
	record->latency_ns = now - state.time_ns;
	record->ifindex = state.ifindex;
	record->queue = state.queue;
	record->verdict = verdict;
	record->length = packet->length;
	record->captured = packet->captured;
}

static __always_inline void keep(const struct packet *packet)
{
	state.used += sizeof(struct record) + ((packet->captured + 7) & ~7ULL);
}

SEC("fexit/xdp")
int BPF_PROG(least_exit, struct xdp_buff *xdp, int verdict)
{
	struct record *record = next_record(ctx, 64);
	struct packet packet = packet_of(xdp, 64);

	fill(record, xdp, bpf_ktime_get_ns(), verdict, &packet);
	bpf_probe_read_kernel(record->bytes, packet.captured, packet.data);
	keep(&packet);
	return 0;
}

static __always_inline void end_with_zeros(__u8 *bytes, __u64 captured)
{
	__u64 *words = (__u64 *)(bytes + (captured & ~7ULL));

	words[0] = words[1] = words[2] = words[3] = 0;
}

SEC("fentry/xdp")
int BPF_PROG(least_note, struct xdp_buff *xdp)
{
	struct packet packet = packet_of(xdp, MOST);

	end_with_zeros(state.noted, packet.captured);
	bpf_probe_read_kernel(state.noted, packet.captured, packet.data);
	state.xdp = (__u64)xdp;
	state.time_ns = bpf_ktime_get_ns();
	return 0;
}

/* Chunk by chunk, without a branch for each word: what follows the packet in its last chunk is zero. */
static __always_inline bool is_as_noted(const struct record *record, __u64 length)
{
	const __u64 *noted = (const __u64 *)state.noted, *now = (const __u64 *)record->bytes;

#pragma unroll
	for (int word = 0; word < MOST / 8; word += 4) {
		if ((noted[word] ^ now[word]) | (noted[word + 1] ^ now[word + 1]) | (noted[word + 2] ^ now[word + 2]) |
		    (noted[word + 3] ^ now[word + 3]))
			return false;
		/* Keeps clang from making one count out of two, which it couldn't unroll. */
		asm volatile("" : "+r"(length));
		if ((word + 4) * 8 >= length)
			return true;
	}
	return true;
}

SEC("fexit/xdp")
int BPF_PROG(least_both, struct xdp_buff *xdp, int verdict)
{
	__u64 now = bpf_ktime_get_ns();
	struct record *record;
	struct packet packet;

	if (state.xdp != (__u64)xdp)
		return 0;
	record = next_record(ctx, 2 * MOST);
	packet = packet_of(xdp, MOST);
	fill(record, xdp, now, verdict, &packet);
	end_with_zeros(record->bytes, packet.captured);
	bpf_probe_read_kernel(record->bytes, packet.captured, packet.data);
	keep(&packet);
	if (!is_as_noted(record, packet.captured)) {
		__u64 *to = (__u64 *)&state.batch[state.used & (BATCH - 1)];

		/* Keeps the verifier happy. */
		if (state.used > BATCH - MOST - 8)
			return 0;
#pragma unroll
		for (int word = 0; word < MOST / 8; word++)
			to[word] = ((__u64 *)state.noted)[word];
		state.used += (packet.captured + 7) & ~7ULL;
	}
	return 0;
}

/* The packet goes from where it lies into the ring. */
SEC("fexit/xdp")
int BPF_PROG(least_whole, struct xdp_buff *xdp, int verdict)
{
	__u64 now = bpf_ktime_get_ns();
	struct record *record = (struct record *)state.batch;
	struct packet packet;

	if (state.xdp != (__u64)xdp)
		return 0;
	packet = packet_of(xdp, MOST);
	fill(record, xdp, now, verdict, &packet);
	end_with_zeros(record->bytes, packet.captured);
	bpf_probe_read_kernel(record->bytes, packet.captured, packet.data);
	record->captured = is_as_noted(record, packet.captured);
	bpf_xdp_output(xdp, &events, BPF_F_CURRENT_CPU | packet.length << 32, record, sizeof(*record));
	return 0;
}

/* `udp port 9`, which looks at 38 bytes. */
SEC("fentry/xdp")
int BPF_PROG(least_filter, struct xdp_buff *xdp)
{
	struct packet packet = packet_of(xdp, 40);

	bpf_probe_read_kernel(state.noted, packet.captured, packet.data);
	state.wanted = packet.captured >= 38 && *(__u16 *)&state.noted[12] == 8 && state.noted[23] == 17 &&
		       *(__u16 *)&state.noted[36] == 9 << 8;
	state.xdp = (__u64)xdp;
	return 0;
}

SEC("fentry/xdp")
int BPF_PROG(least_sample, struct xdp_buff *xdp)
{
	if (state.wanted)
		state.wanted--;
	state.xdp = (__u64)xdp;
	return 0;
}

/* Behind both of these. */
SEC("fexit/xdp")
int BPF_PROG(least_reject, struct xdp_buff *xdp)
{
	if (state.xdp == (__u64)xdp && !state.wanted)
		state.counted++;
	return 0;
}

SEC("fexit/xdp")
int BPF_PROG(least_verdict, struct xdp_buff *xdp, int verdict)
{
	if (verdict != XDP_DROP)
		state.counted++;
	return 0;
}
