/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A count of runs, whatever the packet. Included behind bpf_helpers.h. */
#ifndef RUNS_H
#define RUNS_H

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} runs SEC(".maps");

/* Counts one more. How many there were. */
static __always_inline __u64 count_run(void)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&runs, &zero);

	if (!count)
		return 0;
	__sync_fetch_and_add(count, 1);
	return *count;
}

#endif
