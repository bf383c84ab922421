/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The programs that the live tests put on a NIC for the tracer to find there. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("xdp")
int target_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* The first 15 characters, which are all that the kernel's info keeps, are those of no function. */
SEC("xdp")
int target_drop_with_a_long_name(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp")
int target_abort(struct xdp_md *ctx)
{
	return XDP_ABORTED;
}

/* Its declaration tells the verifier nothing of the context. */
SEC("xdp")
int target_untyped(void *ctx)
{
	return XDP_DROP;
}

SEC("xdp")
int target_unknown(struct xdp_md *ctx)
{
	return 42;
}

/* Sends IPv4 frames back as they came but for the swapped addresses of Ethernet and IP; passes the rest. */
SEC("xdp")
int target_tx(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u8 *end = (__u8 *)(long)ctx->data_end;

	if (data + 34 > end || data[12] != 0x08 || data[13] != 0x00)
		return XDP_PASS;
#pragma unroll
	for (int i = 0; i < 6; i++) {
		__u8 byte = data[i];

		data[i] = data[i + 6];
		data[i + 6] = byte;
	}
#pragma unroll
	for (int i = 26; i < 30; i++) {
		__u8 byte = data[i];

		data[i] = data[i + 4];
		data[i + 4] = byte;
	}
	return XDP_TX;
}

/* What the program reads through xdp_md, for the test that fentry and fexit read the same from xdp_buff. */
struct view {
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 length;
	__u32 metadata;
	__u32 length_after;
	__u32 metadata_after;
	__u32 runs;
	__u32 _reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct view);
} views SEC(".maps");

/* Only of IPv4 packets, so that neighbour discovery doesn't overwrite the view of the ping. */
SEC("xdp")
int target_view(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u8 *end = (__u8 *)(long)ctx->data_end;
	__u32 zero = 0;
	struct view *view = bpf_map_lookup_elem(&views, &zero);

	if (!view || data + 34 > end || data[12] != 0x08 || data[13] != 0x00)
		return XDP_PASS;
	view->ingress_ifindex = ctx->ingress_ifindex;
	view->rx_queue_index = ctx->rx_queue_index;
	view->length = (long)ctx->data_end - (long)ctx->data;
	view->metadata = (long)ctx->data - (long)ctx->data_meta;
	if (bpf_xdp_adjust_meta(ctx, -8))
		return XDP_ABORTED;
	if (bpf_xdp_adjust_tail(ctx, -4))
		return XDP_ABORTED;
	view->length_after = (long)ctx->data_end - (long)ctx->data;
	view->metadata_after = (long)ctx->data - (long)ctx->data_meta;
	view->runs++;
	return XDP_PASS;
}
