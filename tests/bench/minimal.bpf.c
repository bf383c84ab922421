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
	__u64 wanted;
	__u64 counted;
	__u64 used;
	__u8 noted[MOST + 8];
	__u8 batch[BATCH];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

/* A global's address is a constant: no look-up. The benchmark has one processor. */
struct state state;

static __always_inline __u64 length_of(const struct xdp_buff *xdp, __u64 most)
{
	__u64 length = (__u64)xdp->data_end - (__u64)xdp->data;

	return length > most ? most : length;
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

static __always_inline void fill(struct record *record, const struct xdp_buff *xdp, __u64 now, int verdict)
{
	record->time_ns = now;
	record->latency_ns = now - state.time_ns;
	record->ifindex = xdp->rxq->dev->ifindex;
	record->queue = xdp->rxq->queue_index;
	record->verdict = verdict;
	record->length = (__u64)xdp->data_end - (__u64)xdp->data;
}

SEC("fexit/xdp")
int BPF_PROG(least_exit, struct xdp_buff *xdp, int verdict)
{
	struct record *record = next_record(ctx, 64);
	__u64 length = length_of(xdp, 64);

	fill(record, xdp, bpf_ktime_get_ns(), verdict);
	bpf_probe_read_kernel(record->bytes, length, xdp->data);
	record->captured = length;
	state.used += sizeof(*record) + ((length + 7) & ~7ULL);
	return 0;
}

static __always_inline void note(const struct xdp_buff *xdp)
{
	__u64 length = length_of(xdp, MOST);

	*(__u64 *)&state.noted[length & ~7ULL] = 0;
	bpf_probe_read_kernel(state.noted, length, xdp->data);
	state.xdp = (__u64)xdp;
	state.time_ns = bpf_ktime_get_ns();
}

static __always_inline bool is_as_noted(const struct record *record, __u64 length)
{
	const __u64 *noted = (const __u64 *)state.noted, *now = (const __u64 *)record->bytes;

#pragma unroll
	for (int word = 0; word < MOST / 8; word++) {
		/* Keeps clang from making one count out of two, which it couldn't unroll. */
		asm volatile("" : "+r"(length));
		if (word * 8 >= length)
			return true;
		if (noted[word] != now[word])
			return false;
	}
	return true;
}

SEC("fentry/xdp")
int BPF_PROG(least_note, struct xdp_buff *xdp)
{
	note(xdp);
	return 0;
}

SEC("fexit/xdp")
int BPF_PROG(least_both, struct xdp_buff *xdp, int verdict)
{
	__u64 now = bpf_ktime_get_ns(), length = length_of(xdp, MOST);
	struct record *record = next_record(ctx, 2 * MOST);

	if (state.xdp != (__u64)xdp)
		return 0;
	fill(record, xdp, now, verdict);
	*(__u64 *)&record->bytes[length & ~7ULL] = 0;
	bpf_probe_read_kernel(record->bytes, length, xdp->data);
	record->captured = length;
	state.used += sizeof(*record) + ((length + 7) & ~7ULL);
	if (!is_as_noted(record, length)) {
		__u64 *to = (__u64 *)&state.batch[state.used & (BATCH - 1)];

		/* Keeps the verifier happy. */
		if (state.used > BATCH - MOST - 8)
			return 0;
#pragma unroll
		for (int word = 0; word < MOST / 8; word++)
			to[word] = ((__u64 *)state.noted)[word];
		state.used += (length + 7) & ~7ULL;
	}
	return 0;
}

/* The packet goes from where it lies into the ring. */
SEC("fexit/xdp")
int BPF_PROG(least_whole, struct xdp_buff *xdp, int verdict)
{
	__u64 now = bpf_ktime_get_ns(), length = length_of(xdp, MOST);
	struct record *record = (struct record *)state.batch;

	if (state.xdp != (__u64)xdp)
		return 0;
	fill(record, xdp, now, verdict);
	bpf_probe_read_kernel(record->bytes, length, xdp->data);
	record->captured = is_as_noted(record, length);
	bpf_xdp_output(xdp, &events, BPF_F_CURRENT_CPU | (__u64)record->length << 32, record, sizeof(*record));
	return 0;
}

/* `udp port 9`. */
SEC("fentry/xdp")
int BPF_PROG(least_filter, struct xdp_buff *xdp)
{
	__u64 length = length_of(xdp, MOST);

	bpf_probe_read_kernel(state.noted, length, xdp->data);
	state.wanted = length > 37 && *(__u16 *)&state.noted[12] == 8 && state.noted[23] == 17 &&
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
