/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Programs that change packets: datagrams to our ports, which they then drop. What else comes passes as it is. */
#include "ports.h"
#include "tunnel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Another destination MAC, 02:00:00:00:00:99, and another TTL, 7: both within one view of the packet. */
SEC("xdp")
int rewrites(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u8 *end = (__u8 *)(long)ctx->data_end;

	count_port(ctx);
	if (protocol_of(ctx) != UDP || data + 38 > end)
		return XDP_PASS;
	data[5] = 0x99;
	data[22] = 7;
	return XDP_DROP;
}

/* 20 bytes in front: a0, a1, … */
SEC("xdp")
int pushes(struct xdp_md *ctx)
{
	__u8 *data, *end;

	count_port(ctx);
	if (protocol_of(ctx) != UDP)
		return XDP_PASS;
	if (bpf_xdp_adjust_head(ctx, -20))
		return XDP_ABORTED;
	data = (__u8 *)(long)ctx->data;
	end = (__u8 *)(long)ctx->data_end;
	if (data + 20 > end)
		return XDP_ABORTED;
#pragma unroll
	for (int i = 0; i < 20; i++)
		data[i] = 0xa0 + i;
	return XDP_DROP;
}

/* Into a tunnel. */
SEC("xdp")
int tunnels(struct xdp_md *ctx)
{
	count_port(ctx);
	if (protocol_of(ctx) != UDP)
		return XDP_PASS;
	return push_ipip(ctx) ? XDP_ABORTED : XDP_DROP;
}

/* The first 4 bytes go. */
SEC("xdp")
int pops(struct xdp_md *ctx)
{
	count_port(ctx);
	if (protocol_of(ctx) != UDP)
		return XDP_PASS;
	return bpf_xdp_adjust_head(ctx, 4) ? XDP_ABORTED : XDP_DROP;
}

/* The last 40 bytes go. */
SEC("xdp")
int cuts(struct xdp_md *ctx)
{
	count_port(ctx);
	if (protocol_of(ctx) != UDP)
		return XDP_PASS;
	return bpf_xdp_adjust_tail(ctx, -40) ? XDP_ABORTED : XDP_DROP;
}

/* 8 bytes of metadata, and the packet as it was. */
SEC("xdp")
int marks(struct xdp_md *ctx)
{
	__u8 *meta, *data;

	count_port(ctx);
	if (protocol_of(ctx) != UDP)
		return XDP_PASS;
	if (bpf_xdp_adjust_meta(ctx, -8))
		return XDP_ABORTED;
	meta = (__u8 *)(long)ctx->data_meta;
	data = (__u8 *)(long)ctx->data;
	if (meta + 8 > data)
		return XDP_ABORTED;
	__builtin_memcpy(meta, "xdptrace", 8);
	return XDP_DROP;
}

/* Counts, and drops, as they are. */
SEC("xdp")
int drops(struct xdp_md *ctx)
{
	count_port(ctx);
	return protocol_of(ctx) == UDP ? XDP_DROP : XDP_PASS;
}

/* For packets of several buffers, which kernels have since 5.18: cuts 10 bytes from those, and passes what has but one. */
SEC("xdp.frags")
int cuts_fragments(struct xdp_md *ctx)
{
	count_port(ctx);
	if (protocol_of(ctx) != UDP)
		return XDP_PASS;
	if (bpf_xdp_get_buff_len(ctx) <= (__u64)((long)ctx->data_end - (long)ctx->data))
		return XDP_PASS;
	return bpf_xdp_adjust_tail(ctx, -10) ? XDP_ABORTED : XDP_DROP;
}
