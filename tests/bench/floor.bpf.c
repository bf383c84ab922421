/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What no tracer can do without: probes that do nothing, and an entry that leaves its exit a word. */
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
