/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the article's own demo, fentry_fexit-xdp, does in the kernel, to compare with: both probes read the headers of
 * each packet by themselves, drop what isn't ICMP, and send an event that wakes the reader.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ETH_P_IP 0x0800
#define IPPROTO_ICMP 1

struct ethhdr {
	__u8 h_dest[6];
	__u8 h_source[6];
	__be16 h_proto;
};

struct iphdr {
	__u8 ihl_version;
	__u8 tos;
	__be16 tot_len;
	__be16 id;
	__be16 frag_off;
	__u8 ttl;
	__u8 protocol;
	__sum16 check;
	__be32 saddr;
	__be32 daddr;
};

struct event {
	__be32 saddr;
	__be32 daddr;
	__u8 type;		/* 0 fentry, 1 fexit */
	__u8 verdict;
	__u16 _reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

static __always_inline int handle_xdp(void *ctx, struct xdp_buff *xdp, bool is_fexit, int verdict)
{
	void *data = BPF_CORE_READ(xdp, data);
	void *data_end = BPF_CORE_READ(xdp, data_end);
	struct ethhdr eth;
	struct iphdr iph;
	struct event event = {};

	if (data + sizeof(eth) + sizeof(iph) > data_end)
		return 0;
	if (bpf_probe_read_kernel(&eth, sizeof(eth), data) || eth.h_proto != bpf_htons(ETH_P_IP))
		return 0;
	if (bpf_probe_read_kernel(&iph, sizeof(iph), data + sizeof(eth)) || iph.protocol != IPPROTO_ICMP)
		return 0;
	event.saddr = iph.saddr;
	event.daddr = iph.daddr;
	event.type = is_fexit;
	event.verdict = verdict;
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event, sizeof(event));
	return 0;
}

SEC("fentry/xdp")
int BPF_PROG(fentry_xdp, struct xdp_buff *xdp)
{
	return handle_xdp(ctx, xdp, false, 0);
}

SEC("fexit/xdp")
int BPF_PROG(fexit_xdp, struct xdp_buff *xdp, int ret)
{
	return handle_xdp(ctx, xdp, true, ret);
}
