/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Programs that count each of their runs, whatever the packet: what the tracer's sums are compared with. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "runs.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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

/* Long packets it aborts, middling ones it sends back, and of each other one it returns another value, none of which is an action. */
SEC("xdp")
int counted_odd(struct xdp_md *ctx)
{
	__u64 count = count_run(), length = ctx->data_end - ctx->data;

	if (length > 200)
		return XDP_ABORTED;
	return length > 100 ? XDP_TX : 1000 + count;
}
