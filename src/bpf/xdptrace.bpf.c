/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fentry and fexit of one XDP program. fentry notes the packet in this CPU's state, fexit finds the note, adds the
 * verdict and puts the pair as one record into this CPU's batch.
 *
 * The first argument of both is struct xdp_buff, not struct xdp_md: xdp_md is only the face that the verifier shows
 * to the program's author, and it rewrites each access to one of xdp_buff (xdp_convert_ctx_access in
 * net/core/filter.c). What the compiled program receives, and so what the trampoline passes on, is xdp_buff.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "record.h"
#include "config.h"
#include "packet.h"
#include "filter.h"
#include "batch.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * Of this target, one a CPU: user space has it grow to as many as there may be. A section of its own is a map of its
 * own, whose value is addressed without looking it up.
 */
struct state states[1] SEC(".bss.states");

/*
 * Set by user space once both probes are attached, cleared before they are taken off: the runs in between are those
 * that are noted, so that the order of attaching makes no unpaired halves.
 */
volatile bool tracing SEC(".bss.switch");

/* How many runs have been taken this second, of all targets, on all CPUs: user space sets it back to 0. */
volatile __u64 taken SEC(".bss.brake");

/*
 * So many as the rate says are taken at most: whoever adds after it is reached reads more than it. (An addition that
 * tells what it added to would take Linux 5.12.)
 */
static __always_inline bool take(struct state *state)
{
	if (!is(state, FLAG_RATED))
		return true;
	if (taken >= VALUE(RATE))
		return false;
	__sync_fetch_and_add(&taken, 1);
	return taken <= VALUE(RATE);
}

/* Whether a run is to be left out, before anything is done for it. */
static __always_inline bool is_left_out(struct state *state)
{
	if (!is(state, FLAG_LEAVES_OUT))
		return false;
	if (is(state, FLAG_RATED) && taken >= VALUE(RATE))
		return true;
	if (state->countdown) {
		state->countdown--;
		return true;
	}
	state->countdown = VALUE(SAMPLE) - 1;
	return false;
}

static __always_inline bool has_verdict(struct state *state, __u32 verdict)
{
	return !is(state, FLAG_BY_VERDICT) || VALUE(VERDICTS) >> (verdict < OTHER_VERDICT ? verdict : OTHER_VERDICT) & 1;
}

static __always_inline void count(struct state *state, enum fate fate)
{
	state->counts.seen++;
	if (fate == FATE_KEPT)
		state->counts.kept++;
	else if (fate == FATE_FILTERED)
		state->counts.filtered++;
	else if (fate == FATE_SKIPPED)
		state->counts.skipped++;
	else
		state->counts.lost++;
}

/* What is known of a run before its packet is read. */
struct run {
	__u32 cpu;
	__u32 told;
	__u32 verdict;
	struct arrival arrival;
	__u64 now;
};

static __always_inline bool is_told(const struct run *run, __u32 halves)
{
	return (run->told & halves) == halves;
}

static __always_inline void fill(struct record *record, const struct run *run)
{
	record->target = VALUE(TARGET);
	record->verdict = run->verdict;
	record->netns = run->arrival.netns;
	record->ifindex = run->arrival.ifindex;
	record->queue = run->arrival.queue;
}

static __always_inline void fill_arrival(struct record *record, const struct extent *extent)
{
	record->length_before = extent->length;
	record->metadata_before = extent->metadata;
}

static __always_inline __u32 fill_egress(struct state *state, struct record *record, const struct xdp_buff *xdp)
{
	if (!is(state, FLAG_IN_DEVMAP))
		return 0;
	identify(state, CONTEXT(xdp, txq, dev), &record->egress_netns, &record->egress_ifindex);
	return TOLD_EGRESS;
}

/* Appends the packet's first bytes as they arrived; returns how long the record is then. */
static __always_inline __u64 append_arrived(struct record *record, __u64 size, const struct view *before)
{
	__u64 *to = (void *)record + size;
	const __u64 *from = (const __u64 *)before->bytes;

#pragma unroll
	for (int word = 0; word < HEAD_LEN / 8; word++)
		to[word] = from[word];
	return size + padded(at_most(before->captured, HEAD_LEN));
}

/* Appends what stands in front of the packet; returns how long the record is then. */
static __always_inline __u64 append_metadata(struct state *state, struct record *record, __u64 size, const struct extent *extent)
{
	__u64 length = at_most(extent->metadata, METADATA_LEN);

	record->metadata = 0;
	if (!length || !is_mostly(state, FLAG_CAN_READ))
		return size;
	if (bpf_probe_read_kernel((void *)record + size, length, (void *)(extent->data - extent->metadata)))
		return size;
	record->metadata = length;
	return size + padded(length);
}

/*
 * Whether the packet's bytes are copied from where it lies into the ring, by the helper that can: it does so faster than
 * the packet could be read into the batch, if it is long, and reads it where nothing else may. The helper takes a context
 * that the verifier knows.
 */
static __always_inline bool leaves_directly(struct state *state, const struct extent *extent)
{
	if (!is_mostly(state, FLAG_TYPED))
		return false;
	return !is_mostly(state, FLAG_CAN_READ) || (is(state, FLAG_LONG) && extent->length > BATCHED_SNAP_LEN);
}

/* Sends the record, alone in the batch, with the packet behind it. */
static __always_inline void send_directly(struct batch *batch, struct record *record, __u64 size,
					  const struct xdp_buff *xdp, const struct extent *extent)
{
	/* What lies in further buffers is copied as well. */
	__u64 captured = at_most(extent->length, VALUE(SNAP_LEN));

	record->captured = captured;
	record->told |= TOLD_TAIL;
	batch->records = 1;
	batch->sample.used = size;
	settle(batch, bpf_xdp_output((void *)xdp, &events, BPF_F_CURRENT_CPU | captured << 32, &batch->sample,
				     sizeof(batch->sample) + size));
}

/* Compares the packet with the note of how it arrived, and tells how it did where that differs. */
static __always_inline __u64 tell_both(struct record *record, __u64 size, struct state *state, struct run *run,
				       const struct extent *extent)
{
	struct view *before = &state->before;

	record->time_ns = state->time_ns;
	record->latency_ns = run->now - state->time_ns;
	record->moved = extent->data - before->extent.data;
	fill_arrival(record, &before->extent);
	run->told |= before->extent.flaws;
	if (is_same(before, extent, (__u64 *)(record + 1))) {
		run->told |= TOLD_SAME;
		return size;
	}
	record->arrived = before->captured;
	return append_arrived(record, size, before);
}

/* Leaves it at how the packet left: a run that interrupted this one has overwritten the note. */
static __always_inline __u64 tell_exit_alone(struct record *record, __u64 size, struct state *state, struct run *run)
{
	state->counts.unpaired++;
	run->told &= ~(TOLD_ENTRY | TOLD_SAME);
	record->time_ns = run->now;
	record->arrived = 0;
	return size;
}

/* What becomes of a record that is written. */
static __always_inline enum fate decide(struct state *state, const struct run *run)
{
	if (is(state, FLAG_BY_CHANGE) && is_told(run, TOLD_SAME))
		return FATE_FILTERED;
	return take(state) ? FATE_KEPT : FATE_SKIPPED;
}

/* Puts a record of the packet as it is now into the batch, or, if the packet is long, into the ring. */
static __always_inline enum fate put_record(void *ctx, struct state *state, const struct xdp_buff *xdp, struct run *run)
{
	bool both = is_told(run, BOTH), directly;
	struct batch *batch = open_batch(run->cpu);
	__u64 captured, size = sizeof(struct record);
	struct record *record;
	struct extent extent;
	enum fate fate;

	if (!batch)
		return FATE_LOST;
	measure(state, &extent, xdp);
	directly = leaves_directly(state, &extent);
	if (directly && batch->records)
		send(ctx, batch);
	record = next_record(ctx, batch);
	fill(record, run);
	run->told |= fill_egress(state, record, xdp);
	captured = read_bytes(state, record + 1, &extent, VALUE(READ_LEN));
	record->arrived = 0;
	if (!directly) {
		captured = at_most(captured, VALUE(SNAP_LEN));
		record->captured = captured;
		size += padded(captured);
	}
	if (both) {
		__u64 with_note = tell_both(record, size, state, run, &extent);

		size = !state->xdp ? with_note : tell_exit_alone(record, size, state, run);
	} else {
		record->time_ns = run->now;
	}
	if (is_told(run, TOLD_EXIT)) {
		record->length_after = extent.length;
		record->metadata_after = extent.metadata;
	} else {
		fill_arrival(record, &extent);
	}
	record->told = run->told | extent.flaws;
	fate = decide(state, run);
	if (fate == FATE_KEPT) {
		size = append_metadata(state, record, size, &extent);
		if (directly)
			send_directly(batch, record, size, xdp, &extent);
		else
			keep_record(batch, size);
	}
	close_batch(ctx, batch);
	return fate;
}

/*
 * Puts a record that tells how the packet arrived, from the note, and no more, into the batch. Of a run that never came
 * to its exit, `arrival` is not known.
 */
static __always_inline enum fate put_note(void *ctx, struct state *state, struct run *run)
{
	struct batch *batch = open_batch(run->cpu);
	struct record *record;
	__u64 size;

	if (!batch)
		return FATE_LOST;
	record = next_record(ctx, batch);
	fill(record, run);
	fill_arrival(record, &state->before.extent);
	record->time_ns = state->time_ns;
	record->told = TOLD_ENTRY | state->before.extent.flaws;
	record->captured = state->before.captured;
	record->arrived = 0;
	record->metadata = 0;
	size = append_arrived(record, sizeof(*record), &state->before);
	keep_record(batch, size);
	close_batch(ctx, batch);
	return FATE_KEPT;
}

static __always_inline struct state *state_of(__u32 cpu)
{
	struct state *all = states;

	/* Keeps clang from concluding that cpu is 0. */
	asm("" : "+r"(all));
	return &all[cpu];
}

/* The run that was noted last has no fexit: the kernel skipped it. */
static __always_inline void end_unpaired(void *ctx, struct state *state, __u32 cpu)
{
	struct run run = { .cpu = cpu };

	state->counts.unpaired++;
	count(state, state->fate == FATE_KEPT ? put_note(ctx, state, &run) : state->fate);
}

/*
 * BPF_PROG hides the real parameter, `unsigned long long *ctx`, which holds the traced function's arguments in a row
 * and its return value behind them. BPF_PROG could name them, but where the context and the return value are depends on
 * the target, and the verifier refuses to have an argument read that isn't there or isn't of a type that it knows. So
 * each possible place has a load of its own, with the constant offset that the verifier wants, and all but the target's
 * are dropped at load.
 */
#define ARGUMENT(number)                                                                                               \
	({                                                                                                             \
		__u64 argument;                                                                                        \
		asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(argument) : "r"(ctx), "i"((number) * 8));                 \
		argument;                                                                                              \
	})

static __always_inline struct xdp_buff *context_of(void *ctx, struct state *state)
{
	if (is(state, FLAG_CONTEXT_1))
		return (struct xdp_buff *)ARGUMENT(1);
	if (is(state, FLAG_CONTEXT_2))
		return (struct xdp_buff *)ARGUMENT(2);
	if (is(state, FLAG_CONTEXT_3))
		return (struct xdp_buff *)ARGUMENT(3);
	if (is(state, FLAG_CONTEXT_4))
		return (struct xdp_buff *)ARGUMENT(4);
	return (struct xdp_buff *)ARGUMENT(0);
}

static __always_inline __u32 verdict_of(void *ctx, struct state *state)
{
	if (!is_mostly(state, FLAG_RETURNS))
		return 0;
	if (is(state, FLAG_PARAMETERS_2))
		return ARGUMENT(2);
	if (is(state, FLAG_PARAMETERS_3))
		return ARGUMENT(3);
	if (is(state, FLAG_PARAMETERS_4))
		return ARGUMENT(4);
	if (is(state, FLAG_PARAMETERS_5))
		return ARGUMENT(5);
	return ARGUMENT(1);
}

static __always_inline enum fate decide_at_entry(struct state *state, const struct xdp_buff *xdp)
{
	if (is_left_out(state))
		return FATE_SKIPPED;
	if (is_mostly(state, FLAG_TELLS_ENTRY) || is(state, FLAG_FILTERS_ENTRY))
		look(state, &state->before, xdp);
	return is(state, FLAG_FILTERS_ENTRY) && !passes_filter(&state->before) ? FATE_FILTERED : FATE_KEPT;
}

/* Where there is no fexit. */
static __always_inline enum fate tell_entry(void *ctx, struct state *state, const struct xdp_buff *xdp, __u32 cpu)
{
	struct run run = { .cpu = cpu, .told = TOLD_ENTRY, .now = bpf_ktime_get_ns() };

	trace_back(state, &run.arrival, xdp);
	return is_wanted(state, &run.arrival) ? put_record(ctx, state, xdp, &run) : FATE_FILTERED;
}

static __always_inline int handle_entry(void *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id();
	const struct xdp_buff *xdp;
	struct state *state;
	enum fate fate;

	/* Keeps the verifier happy: there are no more CPUs than there may be. */
	if (cpu >= VALUE(CPUS) || !tracing)
		return 0;
	state = state_of(cpu);
	xdp = context_of(ctx, state);
	if (is_mostly(state, FLAG_HAS_EXIT) && state->xdp)
		end_unpaired(ctx, state, cpu);
	fate = decide_at_entry(state, xdp);
	if (is_mostly(state, FLAG_HAS_EXIT)) {
		state->fate = fate;
		state->entered = true;
		state->xdp = (__u64)xdp;
		/* Last, so that what fentry itself costs is not in the latency. */
		if (fate == FATE_KEPT)
			state->time_ns = bpf_ktime_get_ns();
	} else {
		count(state, fate == FATE_KEPT ? tell_entry(ctx, state, xdp, cpu) : fate);
	}
	return 0;
}

static __always_inline enum fate tell_exit(void *ctx, struct state *state, const struct xdp_buff *xdp, bool paired,
					   __u32 verdict, __u32 cpu)
{
	struct run run = { .cpu = cpu, .told = TOLD_EXIT, .verdict = verdict };

	if (!has_verdict(state, verdict))
		return FATE_FILTERED;
	run.now = bpf_ktime_get_ns();
	if (is(state, FLAG_BY_LATENCY) && (!paired || run.now - state->time_ns < VALUE(SLOWER_NS)))
		return FATE_FILTERED;
	if (is(state, FLAG_BY_CHANGE) && !paired)
		return FATE_FILTERED;
	trace_back(state, &run.arrival, xdp);
	if (!is_wanted(state, &run.arrival))
		return FATE_FILTERED;
	if (is(state, FLAG_FILTERS_EXIT)) {
		look(state, &state->after, xdp);
		if (!passes_filter(&state->after))
			return FATE_FILTERED;
	}
	if (!is_mostly(state, FLAG_TELLS_EXIT))
		return paired ? put_note(ctx, state, &run) : FATE_FILTERED;
	if (is_mostly(state, FLAG_RETURNS))
		run.told |= TOLD_VERDICT;
	if (is_mostly(state, FLAG_TELLS_ENTRY) && paired)
		run.told |= TOLD_ENTRY;
	return put_record(ctx, state, xdp, &run);
}

static __always_inline int handle_exit(void *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id();
	enum fate fate = FATE_KEPT;
	const struct xdp_buff *xdp;
	struct state *state;
	bool paired = false;

	if (cpu >= VALUE(CPUS))
		return 0;
	state = state_of(cpu);
	xdp = context_of(ctx, state);
	if (is_mostly(state, FLAG_HAS_ENTRY)) {
		paired = state->xdp == (__u64)xdp;
		if (paired) {
			state->xdp = 0;
			fate = state->fate;
		} else {
			/* Where fentry hasn't run yet, this run had begun before the start. */
			if (!tracing || !state->entered)
				return 0;
			state->counts.unpaired++;
		}
	} else {
		if (!tracing)
			return 0;
		if (is_left_out(state))
			fate = FATE_SKIPPED;
	}
	if (fate == FATE_KEPT)
		fate = tell_exit(ctx, state, xdp, paired, verdict_of(ctx, state), cpu);
	count(state, fate);
	return 0;
}

SEC("fentry/xdp")
int BPF_PROG(fentry_xdp)
{
	return handle_entry(ctx);
}

SEC("fexit/xdp")
int BPF_PROG(fexit_xdp)
{
	return handle_exit(ctx);
}
