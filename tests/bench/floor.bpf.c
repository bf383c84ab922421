/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What no tracer can do without: probes that do nothing, an entry that leaves its exit a word, and helpers. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("fentry/xdp")
int BPF_PROG(empty_fentry)
{
	return 0;
}

SEC("fexit/xdp")
int BPF_PROG(empty_fexit)
{
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} words SEC(".maps");

__u64 last_word;

SEC("fentry/xdp")
int BPF_PROG(word_fentry)
{
	__u32 zero = 0;
	__u64 *word = bpf_map_lookup_elem(&words, &zero);

	if (word)
		*word = (__u64)ctx;
	return 0;
}

SEC("fexit/xdp")
int BPF_PROG(word_fexit)
{
	__u32 zero = 0;
	__u64 *word = bpf_map_lookup_elem(&words, &zero);

	if (word)
		last_word = *word;
	return 0;
}

__u8 bytes[128];

#define READ(length)                                                                                                   \
	SEC("fexit/xdp")                                                                                               \
	int BPF_PROG(read_##length, struct xdp_buff *xdp)                                                              \
	{                                                                                                              \
		bpf_probe_read_kernel(bytes, length, xdp->data);                                                       \
		return 0;                                                                                              \
	}

READ(8)
READ(64)
READ(98)

SEC("fexit/xdp")
int BPF_PROG(read_clock)
{
	last_word = bpf_ktime_get_ns();
	return 0;
}

SEC("fexit/xdp")
int BPF_PROG(read_cpu)
{
	last_word = bpf_get_smp_processor_id();
	return 0;
}

SEC("fexit/xdp")
int BPF_PROG(read_device, struct xdp_buff *xdp)
{
	last_word = xdp->rxq->dev->ifindex + xdp->rxq->queue_index;
	return 0;
}
