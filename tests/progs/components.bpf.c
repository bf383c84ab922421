/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Small programs, each good by itself and as a component of libxdp's dispatcher. */
#include "ports.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("xdp")
int component_one(struct xdp_md *ctx)
{
	count_port(ctx);
	return XDP_PASS;
}

SEC("xdp")
int component_two(struct xdp_md *ctx)
{
	count_port(ctx);
	return XDP_PASS;
}

/* Drops the datagrams that it counts. */
SEC("xdp")
int component_three(struct xdp_md *ctx)
{
	count_port(ctx);
	return protocol_of(ctx) == UDP ? XDP_DROP : XDP_PASS;
}

/* Two that the kernel's own 15 characters of a name don't tell apart. */
SEC("xdp")
int same_fifteen_characters_pass(struct xdp_md *ctx)
{
	count_port(ctx);
	return XDP_PASS;
}

SEC("xdp")
int same_fifteen_characters_drop(struct xdp_md *ctx)
{
	count_port(ctx);
	return XDP_DROP;
}
