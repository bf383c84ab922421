/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What became of a verdict, as the kernel's tracepoints tell: behind the program's end, and before the CPU's next run of it. */
#ifndef XDPTRACE_OUTCOME_H
#define XDPTRACE_OUTCOME_H

/* Of all targets. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct failure);
	__type(value, __u64);
} failures SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct forward);
	__type(value, struct forwarded);
} forwards SEC(".maps");

#endif
