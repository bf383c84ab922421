/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The program of the README's picture (tests/picture): a load balancer that fits on a page. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "tunnel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ICMP 1
#define TCP 6
#define UDP 17

/* Pings are answered by the next hop, TCP goes to a server, and UDP is not wanted. */
SEC("xdp")
int xdp_lb(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u8 *end = (__u8 *)(long)ctx->data_end;

	if (data + 34 > end || data[12] != 0x08 || data[13] != 0x00)
		return XDP_PASS;
	switch (data[23]) {
	case ICMP:
		data[22]--;
		data[5] = 0x77;
		return XDP_TX;
	case TCP:
		return push_ipip(ctx) ? XDP_ABORTED : XDP_TX;
	case UDP:
		return XDP_DROP;
	}
	return XDP_PASS;
}
