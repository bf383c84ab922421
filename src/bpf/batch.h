/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Records leave many at a time: each CPU gathers its own in a batch. The last record stays in it until the CPU's next
 * run or a flush.
 *
 * Whoever is at a batch has set its `busy`. Who can come in between, on the same CPU: a flush, which runs in an
 * interrupt (BPF_F_TEST_RUN_ON_CPU) and so to its end before the interrupted goes on; and, where a run is not in a
 * softirq (BPF_PROG_TEST_RUN, a real-time kernel) or the flush has to be done by the CPU's own process, a run. A flush that
 * finds the batch busy leaves its wish in flush_wanted, which is looked at after `busy` is cleared: there is no
 * instruction between which it could get lost. A run that finds it busy takes the CPU's second batch. No other CPU ever
 * touches a batch while programs are attached, so the order of plain loads and stores is all that is needed.
 */
#ifndef XDPTRACE_BATCH_H
#define XDPTRACE_BATCH_H

/* The longest record in a batch: its head, the packet as it left, as it arrived, and the metadata. */
#define RECORD_ROOM (sizeof(struct record) + BATCHED_SNAP_LEN + 8 + HEAD_LEN + 8 + METADATA_LEN)

#define ENOENT 2
#define ENOSPC 28

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

/* Two a CPU; user space sets how many CPUs there may be. Mapped by user space, which looks at what is open. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct batch);
} batches SEC(".maps");

static __always_inline void set_busy(struct batch *batch, bool busy)
{
	barrier();
	*(volatile __u32 *)&batch->busy = busy;
	barrier();
}

/* What became of the batch's records, and an empty batch. */
static __always_inline void settle(struct batch *batch, long error)
{
	if (!error)
		batch->sent += batch->records;
	else if (error == -ENOSPC)
		batch->lost_full += batch->records;
	else if (error == -ENOENT)
		batch->lost_no_ring += batch->records;
	else
		batch->lost_other += batch->records;
	batch->records = 0;
	batch->sample.used = 0;
	batch->sends++;
}

/* To be called by who has set `busy`. */
static __noinline int send(void *ctx, struct batch *batch)
{
	__u64 used;

	/* Keeps the verifier of 5.10 happy, which doesn't know what a function is given. */
	if (!batch)
		return 0;
	used = batch->sample.used;
	/* And this all of them: can't happen. */
	if (used > BATCH_LEN)
		used = BATCH_LEN;
	settle(batch, bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &batch->sample, sizeof(batch->sample) + used));
	return 0;
}

/* This CPU's batch, or its second one, made busy; NULL if both are. */
static __always_inline struct batch *open_batch(__u32 cpu)
{
	__u32 index = cpu;
	struct batch *batch = bpf_map_lookup_elem(&batches, &index);

	if (batch && batch->busy) {
		index += VALUE(CPUS);
		batch = bpf_map_lookup_elem(&batches, &index);
		if (batch && batch->busy)
			return NULL;
	}
	if (!batch)
		return NULL;
	set_busy(batch, true);
	batch->sample.cpu = cpu;
	/* No flush looks at the second one: it is sent at once. */
	if (index != cpu)
		batch->flush_wanted = true;
	return batch;
}

/* Lets go of the batch, and sends it if somebody waits for that. */
static __always_inline void close_batch(void *ctx, struct batch *batch)
{
	set_busy(batch, false);
	if (*(volatile __u32 *)&batch->flush_wanted) {
		set_busy(batch, true);
		batch->flush_wanted = false;
		if (batch->records)
			send(ctx, batch);
		set_busy(batch, false);
	}
}

/* Where the next record of the batch, which is open, begins. */
static __always_inline struct record *next_record(void *ctx, struct batch *batch)
{
	__u64 used = batch->sample.used;

	if (used > BATCH_LEN - RECORD_ROOM) {
		send(ctx, batch);
		used = 0;
	}
	return (struct record *)&batch->bytes[used];
}

static __always_inline void keep_record(struct batch *batch, __u64 size)
{
	batch->sample.used += size;
	batch->records++;
}

/* Run by user space on the CPU whose batch it is, or, once that is offline, on any: args[0] is the CPU. 1: busy. */
SEC("raw_tp")
int flush(__u64 *args)
{
	__u32 cpu = args[0];
	struct batch *batch = bpf_map_lookup_elem(&batches, &cpu);

	if (!batch)
		return 0;
	if (batch->busy) {
		batch->flush_wanted = true;
		return 1;
	}
	set_busy(batch, true);
	if (batch->records)
		send(args, batch);
	set_busy(batch, false);
	return 0;
}

#endif
