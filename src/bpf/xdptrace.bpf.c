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
 * `rate` are taken at most: whoever adds after it is reached reads more than it. (An addition that tells what it added
 * to would take Linux 5.12.)
 */
static __always_inline bool take(void)
{
	if (!rate)
		return true;
	if (taken >= rate)
		return false;
	__sync_fetch_and_add(&taken, 1);
	return taken <= rate;
}

/* Whether a run is to be left out, before anything is done for it. */
static __always_inline bool is_left_out(struct state *state)
{
	if (rate && taken >= rate)
		return true;
	if (sample <= 1)
		return false;
	if (!state->countdown) {
		state->countdown = sample - 1;
		return false;
	}
	state->countdown--;
	return true;
}

static __always_inline bool has_verdict(__u32 verdict)
{
	return verdicts == ANY_VERDICT || verdicts & 1U << (verdict < OTHER_VERDICT ? verdict : OTHER_VERDICT);
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
	struct device device;
	__u32 queue;
	__u32 told;
	__u32 verdict;
	__u64 now;
};

static __always_inline void fill(struct record *record, const struct run *run)
{
	record->time_ns = run->now;
	record->target = target;
	record->verdict = run->verdict;
	record->netns = run->device.netns;
	record->ifindex = run->device.ifindex;
	record->queue = run->queue;
	record->captured = 0;
	record->arrived = 0;
	record->metadata = 0;
	record->told = run->told;
}

static __always_inline void fill_arrival(struct record *record, const struct state *state)
{
	record->time_ns = state->time_ns;
	record->length_before = state->before.extent.length;
	record->metadata_before = state->before.extent.metadata;
}

static __always_inline void fill_egress(struct record *record, const struct xdp_buff *xdp)
{
	struct device egress;

	if (place != PLACE_DEVMAP)
		return;
	egress = device_of(CONTEXT(xdp, txq, dev));
	record->egress_netns = egress.netns;
	record->egress_ifindex = egress.ifindex;
	record->told |= TOLD_EGRESS;
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
static __always_inline __u64 append_metadata(struct record *record, __u64 size, const struct extent *extent)
{
	__u64 length = at_most(extent->metadata, METADATA_LEN);

	if (!length || !can_read)
		return size;
	if (bpf_probe_read_kernel((void *)record + size, length, (void *)(extent->data - extent->metadata)))
		return size;
	record->metadata = length;
	return size + padded(length);
}

/* Of the packet's bytes, as many are read into the batch as are shown there or compared. */
static __always_inline __u64 read_length(void)
{
	__u64 length = at_most(snap_len, BATCHED_SNAP_LEN);

	return shown == BOTH && length < HEAD_LEN ? HEAD_LEN : length;
}

/*
 * Whether the packet's bytes are copied from where it lies into the ring, by the helper that can: it does so faster than
 * the packet could be read into the batch, if it is long, and reads it where nothing else may. The helper takes a context
 * that the verifier knows.
 */
static __always_inline bool leaves_directly(const struct extent *extent)
{
	return typed && (!can_read || (snap_len > BATCHED_SNAP_LEN && extent->length > BATCHED_SNAP_LEN));
}

/* Sends the record, alone in the batch, with the packet behind it. */
static __always_inline void send_directly(struct batch *batch, struct record *record, __u64 size,
					  const struct xdp_buff *xdp, const struct extent *extent)
{
	/* What lies in further buffers is copied as well. */
	__u64 captured = at_most(extent->length, snap_len);

	record->captured = captured;
	record->told = (record->told & ~TOLD_UNREAD) | TOLD_TAIL;
	batch->records = 1;
	batch->sample.used = size;
	settle(batch, bpf_xdp_output((void *)xdp, &events, BPF_F_CURRENT_CPU | captured << 32, &batch->sample,
				     sizeof(batch->sample) + size));
}

/* Compares the packet with the note of how it arrived, and tells how it did where that differs. */
static __always_inline __u64 tell_both(struct record *record, __u64 size, struct state *state, const struct run *run,
				       struct extent *extent)
{
	struct view *before = &state->before;

	record->latency_ns = run->now - state->time_ns;
	record->moved = extent->data - before->extent.data;
	fill_arrival(record, state);
	extent->flaws |= before->extent.flaws;
	if (is_same(before, extent, (__u64 *)(record + 1))) {
		record->told |= TOLD_SAME;
		return size;
	}
	record->arrived = before->captured;
	return append_arrived(record, size, before);
}

/* Puts a record of the packet as it is now into the batch, or, if the packet is long, into the ring. */
static __always_inline enum fate put_record(void *ctx, struct state *state, const struct xdp_buff *xdp,
					    const struct run *run)
{
	struct batch *batch = open_batch();
	enum fate fate = FATE_KEPT;
	struct record *record;
	struct extent extent;
	__u64 captured, size = sizeof(*record);
	bool directly;

	if (!batch)
		return FATE_LOST;
	measure(&extent, xdp);
	directly = leaves_directly(&extent);
	if (directly && batch->records)
		send(ctx, batch);
	record = next_record(ctx, batch);
	fill(record, run);
	fill_egress(record, xdp);
	captured = read_bytes(record + 1, &extent, read_length());
	if (!directly) {
		captured = at_most(captured, snap_len);
		record->captured = captured;
		size += padded(captured);
	}
	if ((run->told & BOTH) == BOTH)
		size = tell_both(record, size, state, run, &extent);
	if (run->told & TOLD_EXIT) {
		record->length_after = extent.length;
		record->metadata_after = extent.metadata;
	} else {
		record->length_before = extent.length;
		record->metadata_before = extent.metadata;
	}
	record->told |= extent.flaws;
	if (only_changed && record->told & TOLD_SAME)
		fate = FATE_FILTERED;
	else if (!take())
		fate = FATE_SKIPPED;
	if (fate == FATE_KEPT) {
		size = append_metadata(record, size, &extent);
		if (directly)
			send_directly(batch, record, size, xdp, &extent);
		else
			keep_record(batch, size);
	}
	close_batch(ctx, batch);
	return fate;
}

/* Puts a record that tells how the packet arrived, from the note, and no more, into the batch. */
static __always_inline enum fate put_note(void *ctx, struct state *state, const struct run *run)
{
	struct batch *batch = open_batch();
	struct record *record;
	__u64 size;

	if (!batch)
		return FATE_LOST;
	record = next_record(ctx, batch);
	fill(record, run);
	fill_arrival(record, state);
	record->told = TOLD_ENTRY | state->before.extent.flaws;
	record->captured = state->before.captured;
	size = append_arrived(record, sizeof(*record), &state->before);
	keep_record(batch, size);
	close_batch(ctx, batch);
	return FATE_KEPT;
}

/* What can be told of a run without its packet, and whether it is asked for. */
static __always_inline bool is_asked_for(struct run *run, const struct xdp_buff *xdp)
{
	const struct xdp_rxq_info *rxq = CONTEXT(xdp, rxq);

	if (typed) {
		run->device = device_of(rxq->dev);
		run->queue = rxq->queue_index;
	} else {
		run->device = device_of(BPF_CORE_READ(rxq, dev));
		run->queue = BPF_CORE_READ(rxq, queue_index);
	}
	return is_from(run->device, run->queue);
}

static __always_inline struct state *state_of_this_cpu(void)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct state *all = states;

	/* Keeps clang from concluding that cpu is 0. */
	asm volatile("" : "+r"(all));
	/* Keeps the verifier happy: can't happen. */
	return cpu < cpus ? &all[cpu] : NULL;
}

/* The run that was noted last has no fexit: the kernel skipped it. Where that was isn't known any more. */
static __always_inline void end_unpaired(void *ctx, struct state *state)
{
	struct run run = {};

	state->counts.unpaired++;
	count(state, state->fate == FATE_KEPT ? put_note(ctx, state, &run) : state->fate);
}

static __always_inline enum fate decide_at_entry(struct state *state, const struct xdp_buff *xdp)
{
	if (is_left_out(state))
		return FATE_SKIPPED;
	if (shown & TOLD_ENTRY || filters_entry)
		look(&state->before, xdp);
	return filters_entry && !passes_filter(&state->before) ? FATE_FILTERED : FATE_KEPT;
}

/* Where there is no fexit. */
static __always_inline enum fate tell_entry(void *ctx, struct state *state, const struct xdp_buff *xdp)
{
	struct run run = { .told = TOLD_ENTRY, .now = bpf_ktime_get_ns() };

	if (state->fate != FATE_KEPT)
		return state->fate;
	if (!is_asked_for(&run, xdp))
		return FATE_FILTERED;
	return put_record(ctx, state, xdp, &run);
}

static __always_inline int handle_entry(void *ctx, const struct xdp_buff *xdp)
{
	struct state *state = state_of_this_cpu();

	if (!state || !tracing)
		return 0;
	if (attached & TOLD_EXIT && state->xdp)
		end_unpaired(ctx, state);
	state->fate = decide_at_entry(state, xdp);
	if (!(attached & TOLD_EXIT)) {
		count(state, tell_entry(ctx, state, xdp));
		return 0;
	}
	state->entered = true;
	state->xdp = (__u64)xdp;
	/* Last, so that what fentry itself costs is not in the latency. */
	if (state->fate == FATE_KEPT)
		state->time_ns = bpf_ktime_get_ns();
	return 0;
}

static __always_inline enum fate tell_exit(void *ctx, struct state *state, const struct xdp_buff *xdp, bool paired,
					   __u32 verdict)
{
	struct run run = { .told = TOLD_EXIT, .verdict = verdict };

	if (paired ? state->fate != FATE_KEPT : attached == TOLD_EXIT && is_left_out(state))
		return paired ? state->fate : FATE_SKIPPED;
	if (!has_verdict(verdict))
		return FATE_FILTERED;
	run.now = bpf_ktime_get_ns();
	if (slower_ns && (!paired || run.now - state->time_ns < slower_ns))
		return FATE_FILTERED;
	if (!is_asked_for(&run, xdp) || (only_changed && !paired))
		return FATE_FILTERED;
	if (filters_exit) {
		look(&state->after, xdp);
		if (!passes_filter(&state->after))
			return FATE_FILTERED;
	}
	if (shown == TOLD_ENTRY)
		return paired ? put_note(ctx, state, &run) : FATE_FILTERED;
	if (paired && shown == BOTH)
		run.told = BOTH;
	if (returns)
		run.told |= TOLD_VERDICT;
	return put_record(ctx, state, xdp, &run);
}

static __always_inline int handle_exit(void *ctx, const struct xdp_buff *xdp, __u32 verdict)
{
	struct state *state = state_of_this_cpu();
	bool paired;

	if (!state)
		return 0;
	paired = attached & TOLD_ENTRY && state->xdp == (__u64)xdp;
	if (paired) {
		state->xdp = 0;
	} else {
		/* Where fentry hasn't run yet, this run had begun before the start. */
		if (!tracing || (attached & TOLD_ENTRY && !state->entered))
			return 0;
		if (attached & TOLD_ENTRY)
			state->counts.unpaired++;
	}
	count(state, tell_exit(ctx, state, xdp, paired, verdict));
	return 0;
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

static __always_inline struct xdp_buff *context_of(void *ctx)
{
	switch (context) {
	case 0: return (struct xdp_buff *)ARGUMENT(0);
	case 1: return (struct xdp_buff *)ARGUMENT(1);
	case 2: return (struct xdp_buff *)ARGUMENT(2);
	case 3: return (struct xdp_buff *)ARGUMENT(3);
	default: return (struct xdp_buff *)ARGUMENT(4);
	}
}

static __always_inline __u32 verdict_of(void *ctx)
{
	if (!returns)
		return 0;
	switch (parameters) {
	case 1: return ARGUMENT(1);
	case 2: return ARGUMENT(2);
	case 3: return ARGUMENT(3);
	case 4: return ARGUMENT(4);
	default: return ARGUMENT(5);
	}
}

SEC("fentry/xdp")
int BPF_PROG(fentry_xdp)
{
	return handle_entry(ctx, context_of(ctx));
}

SEC("fexit/xdp")
int BPF_PROG(fexit_xdp)
{
	return handle_exit(ctx, context_of(ctx), verdict_of(ctx));
}
