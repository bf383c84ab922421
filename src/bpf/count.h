/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Counts runs, instead of telling of each. */
#ifndef XDPTRACE_COUNT_H
#define XDPTRACE_COUNT_H

/*
 * Of this target, so many a CPU as the mask says: user space has it grow. Addressed without being looked up, as the batches are.
 */
struct cell cells[1] SEC(".bss.cells");

/* Packets by what was asked for, of all targets. User space has it hold more, and sets how much of a key there is. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, 1);
	__type(key, struct key);
	__type(value, struct tally);
} keys SEC(".maps");

#endif
