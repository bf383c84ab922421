/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Programs that count each of their runs, whatever the packet: what the tracer's sums are compared with. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} runs SEC(".maps");

static __always_inline void count_run(void)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&runs, &zero);

	if (count)
		__sync_fetch_and_add(count, 1);
}

SEC("xdp")
int counted_pass(struct xdp_md *ctx)
{
	count_run();
	return XDP_PASS;
}

SEC("xdp")
int counted_drop(struct xdp_md *ctx)
{
	count_run();
	return XDP_DROP;
}
