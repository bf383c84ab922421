/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the benchmark has traced: programs that do as little as the case at hand needs. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("xdp")
int bench_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/*
 * A new destination MAC and TTL in every run: a test run gives the program the same buffer again and again, so that
 * writing constants would leave all packets but the first unchanged.
 */
SEC("xdp")
int bench_rewrite(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u8 *end = (__u8 *)(long)ctx->data_end;

	if (data + 34 > end)
		return XDP_PASS;
#pragma unroll
	for (int i = 0; i < 6; i++)
		data[i] ^= 0x5a;
	data[22]--;
	return XDP_PASS;
}

/* How often bench_drop ran, for the sums of the tracers to be compared with. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} runs SEC(".maps");

SEC("xdp")
int bench_drop(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&runs, &zero);

	if (count)
		(*count)++;
	return XDP_DROP;
}
