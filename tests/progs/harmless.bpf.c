/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Programs that write down what they did with each packet, and by which queue it came: with a tracer it must be the same. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define UDP 17
#define DISCARD 9

/* Of a datagram: Ethernet, IP and UDP headers, and its number with what else its verdict depends on. */
#define HEADERS 42
#define PAYLOAD 52
#define NUMBERS 16384

/* For each number, the verdict and 1: 0 is that of one that hasn't come. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NUMBERS);
	__type(key, __u32);
	__type(value, __u32);
} given SEC(".maps");

/* Packets by receive queue. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} queues SEC(".maps");

/* Each action, and values that are none. */
static __always_inline __u32 verdict_of(const __u8 *payload)
{
	__u32 hash = 2166136261;

#pragma unroll
	for (int i = 0; i < PAYLOAD; i++)
		hash = (hash ^ payload[i]) * 16777619;
	hash >>= 8;
	return hash % 5 == 4 ? 1000 + hash : hash % 5;
}

SEC("xdp")
int by_payload(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u8 *end = (__u8 *)(long)ctx->data_end;
	__u32 number, verdict, *place;

	if (data + HEADERS + PAYLOAD > end || data[23] != UDP || data[36] || data[37] != DISCARD)
		return XDP_PASS;
	number = data[HEADERS] << 24 | data[HEADERS + 1] << 16 | data[HEADERS + 2] << 8 | data[HEADERS + 3];
	verdict = verdict_of(data + HEADERS);
	place = bpf_map_lookup_elem(&given, &number);
	if (place)
		*place = verdict + 1;
	return verdict;
}

SEC("xdp")
int by_queue(struct xdp_md *ctx)
{
	__u32 queue = ctx->rx_queue_index;
	__u64 *packets = bpf_map_lookup_elem(&queues, &queue);

	if (packets)
		__sync_fetch_and_add(packets, 1);
	return XDP_PASS;
}
