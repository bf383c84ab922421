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
 * touches a batch while programs are attached, so the order of plain loads and stores is all that is needed; but for
 * one that sends for a CPU which it has found offline: should that come back and receive in this very instant, records
 * of it may be lost or told twice.
 */
#ifndef XDPTRACE_BATCH_H
#define XDPTRACE_BATCH_H

#define ENOENT 2
#define ENOSPC 28
#define EOPNOTSUPP 95

/* What `flush` answers. */
enum { FLUSHED, FLUSH_BUSY, FLUSH_NO_RING };

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

/*
 * One a CPU, as many as there are states: user space has it grow. It is addressed without being looked up, and mapped by
 * user space, which looks at what is open.
 */
__u8 batches[LONGEST_BATCH] SEC(".bss.batches");

/* Their second ones. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8[LONGEST_BATCH]);
} second_batches SEC(".maps");

static __always_inline struct batch *batch_of(__u64 cpu)
{
	void *batch;

	MASK(cpu, CPU_MASK);
	MULTIPLY(cpu, BATCH_SIZE);
	batch = &batches[cpu];
	/* Keeps clang from concluding that cpu is 0. */
	asm("" : "+r"(batch));
	return batch;
}

static __always_inline void set_busy(struct batch *batch, bool busy)
{
	barrier();
	*(volatile __u32 *)&batch->busy = busy;
	barrier();
}

/*
 * Whether a sample could go nowhere: the CPU came online after the start, or what it sent by ended with it when it went offline
 * (perf_event_exit_cpu), and isn't there again when it comes back.
 */
static __always_inline bool lacks_ring(long error)
{
	return error == -ENOENT || error == -EOPNOTSUPP;
}

/* What became of the batch's records, and an empty batch. */
static __always_inline void settle(struct batch *batch, long error)
{
	batch->sends++;
	if (!error)
		batch->sent += batch->sample.records;
	else if (error == -ENOSPC)
		batch->lost_full += batch->sample.records;
	else if (lacks_ring(error)) {
		batch->lost_no_ring += batch->sample.records;
		/* It is as if it had stayed: then user space flushes it, and hears why. */
		batch->sends--;
	} else
		batch->lost_other += batch->sample.records;
	batch->sample.records = 0;
	batch->sample.used = 0;
	batch->waiting = 0;
}

/* To be called by who has set `busy`. Whether the batch was kept, as may be asked for where the CPU lacks a ring. */
static __noinline int send(void *ctx, struct batch *batch, __u32 cpu, bool keeps)
{
	__u64 used;
	long error;

	/* Keeps the verifier of 5.10 happy, which doesn't know what a function is given. */
	if (!batch)
		return 0;
	used = batch->sample.used;
	/* And this all of them: can't happen. */
	used = at_most(used, VALUE(BATCH_SIZE) - sizeof(*batch));
	batch->sample.cpu = cpu;
	error = bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &batch->sample, sizeof(batch->sample) + used);
	if (keeps && lacks_ring(error))
		return 1;
	settle(batch, error);
	return 0;
}

/* The same, within a run or behind it: a record that waits for its outcome goes on waiting, at the batch's beginning. */
static __noinline int send_early(void *ctx, struct batch *batch, __u32 cpu, bool keeps)
{
	__u64 used, waiting;

	if (!batch)
		return 0;
	used = batch->sample.used;
	waiting = batch->waiting;
	if (send(ctx, batch, cpu, keeps))
		return 1;
	if (!is(batch, FLAG_ONLY_FAILED) || !waiting || EXCEEDS(used, BATCH_FILL))
		return 0;
	if (!bpf_probe_read_kernel(batch->bytes, at_most(waiting, RECORD_ROOM), &batch->bytes[used]))
		batch->waiting = waiting;
	return 0;
}

/* The CPU's second batch, made busy; NULL if that is busy, too. No flush looks at it: it is sent when it is closed. */
static __noinline struct batch *open_second_batch(__u32 cpu)
{
	struct batch *batch = bpf_map_lookup_elem(&second_batches, &cpu);

	if (!batch || batch->busy)
		return NULL;
	set_busy(batch, true);
	batch->flush_wanted = true;
	return batch;
}

/* This CPU's batch, or its second one, made busy; NULL if both are. */
static __always_inline struct batch *open_batch(__u32 cpu)
{
	struct batch *batch = batch_of(cpu);

	if (unlikely(batch->busy))
		return open_second_batch(cpu);
	set_busy(batch, true);
	return batch;
}

/* Lets go of the batch, and sends it if somebody waits for that. */
static __always_inline void close_batch(void *ctx, struct batch *batch, const struct state *state)
{
	set_busy(batch, false);
	if (unlikely(*(volatile __u32 *)&batch->flush_wanted)) {
		set_busy(batch, true);
		batch->flush_wanted = false;
		if (batch->sample.used)
			send_early(ctx, batch, state->cpu, false);
		set_busy(batch, false);
	}
}

/* Where the next record of the batch, which is open, begins. */
static __always_inline struct record *next_record(void *ctx, struct batch *batch, const struct state *state)
{
	__u64 used = batch->sample.used;

	if (unlikely(EXCEEDS(used, BATCH_FILL))) {
		send(ctx, batch, state->cpu, false);
		used = 0;
	}
	return (struct record *)&batch->bytes[used];
}

static __always_inline void keep_record(struct batch *batch, __u64 size)
{
	/* `used` and `records` in one. */
	*(__u64 *)&batch->sample += __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? size | 1ULL << 32 : size << 32 | 1;
}

/* Beside records, an outcome, which counts for none. */
static __always_inline void keep_outcome(struct batch *batch)
{
	batch->sample.used += sizeof(struct outcome);
}

/*
 * Run by user space on the CPU whose batch it is, or, once that is offline, on any: args[0] is the CPU, args[1] whether the
 * batch is kept where the CPU that this runs on lacks a ring.
 */
SEC("?raw_tp")
int flush(__u64 *args)
{
	__u32 cpu = args[0];
	struct batch *batch = batch_of(cpu);
	int answer = FLUSHED;

	if (batch->busy) {
		batch->flush_wanted = true;
		return FLUSH_BUSY;
	}
	set_busy(batch, true);
	if (batch->sample.used && send_early(args, batch, cpu, args[1]))
		answer = FLUSH_NO_RING;
	set_busy(batch, false);
	return answer;
}

#endif
