/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a program itself knows of its runs, to compare the tracer's words with: datagrams by their destination port. */
#ifndef PORTS_H
#define PORTS_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define UDP 17

#define FIRST_PORT 20000
#define PORTS 4096

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PORTS);
	__type(key, __u32);
	__type(value, __u32);
} ports SEC(".maps");

/* The IP protocol of an IPv4 packet without options; 0 for everything else. */
static __always_inline int protocol_of(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u8 *end = (__u8 *)(long)ctx->data_end;

	if (data + 38 > end || data[12] != 0x08 || data[13] != 0x00 || data[14] != 0x45)
		return 0;
	return data[23];
}

/* Counts a datagram to FIRST_PORT + n at n. */
static __always_inline void count_port(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u8 *end = (__u8 *)(long)ctx->data_end;
	__u32 port, *count;

	if (protocol_of(ctx) != UDP || data + 38 > end)
		return;
	port = (data[36] << 8 | data[37]) - FIRST_PORT;
	count = bpf_map_lookup_elem(&ports, &port);
	if (count)
		__sync_fetch_and_add(count, 1);
}

#endif
