/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Puts what is told of a run into a record. */
#ifndef XDPTRACE_TELL_H
#define XDPTRACE_TELL_H

static __always_inline void fill_before(struct record *record, const struct extent *extent)
{
	record->length_before = whole_length(extent);
	record->metadata_before = metadata_length(extent);
}

static __always_inline void fill_after(struct record *record, const struct extent *extent)
{
	record->length_after = whole_length(extent);
	record->metadata_after = metadata_length(extent);
}

/* How much of the packet is in the record, and what it tells: the last word of its fixed part, with no metadata so far. */
static __always_inline void seal(struct record *record, __u64 captured, __u64 told, __u64 arrived)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	*(__u64 *)&record->captured = captured | told << 16 | arrived << 32;
#else
	*(__u64 *)&record->captured = captured << 48 | told << 32 | arrived << 16;
#endif
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
	__u64 length = at_most(metadata_length(extent), METADATA_LEN);

	if (!length || !is_mostly(state, FLAG_CAN_READ))
		return size;
	if (bpf_probe_read_kernel((void *)record + size, length, (void *)extent->data_meta))
		return size;
	record->metadata = length;
	return size + padded(length);
}

/*
 * Whether the packet's bytes are copied from where it lies into the ring, by the helper that can: it does so faster than
 * the packet could be read into the batch, if it is long, and reads it where nothing else may.
 */
static __always_inline bool leaves_directly(struct state *state, __u32 length)
{
	return is(state, FLAG_DIRECT) && (is(state, FLAG_ALL_DIRECT) || length > BATCHED_SNAP_LEN);
}

/* Sends the batch, with the record as its last one and the packet, further buffers included, behind it. */
static __always_inline void send_directly(struct state *state, const struct xdp_buff *xdp, struct batch *batch,
					  struct record *record, __u64 size, __u32 length)
{
	__u64 captured = at_most(length, VALUE(SNAP_LEN)), used;

	record->captured = captured;
	record->told |= TOLD_TAIL;
	keep_record(batch, size);
	batch->sample.cpu = state->cpu;
	/* At most what it is, which the verifier doesn't know. */
	used = at_most(batch->sample.used, VALUE(BATCH_SIZE) - sizeof(*batch));
	settle(batch, bpf_xdp_output((void *)xdp, &events, BPF_F_CURRENT_CPU | captured << 32, &batch->sample,
				     sizeof(batch->sample) + used));
}

/* Whether the packet's lengths and first bytes are what they were, as far as both could be read. */
static __always_inline bool is_same(const struct view *before, const struct extent *now, const struct record *record)
{
	const struct extent *then = &before->extent;

	if (then->data != now->data || then->data_end != now->data_end || then->data_meta != now->data_meta ||
	    then->fragments != now->fragments)
		return false;
	if ((then->flaws | now->flaws) & TOLD_UNREAD)
		return true;
	return are_same((const __u64 *)before->bytes, (const __u64 *)(record + 1), before->captured);
}

static __always_inline void tell_egress(void *ctx, struct state *state, struct record *record)
{
	const struct xdp_buff *xdp = context_of(ctx, state);

	if (is(state, FLAG_IN_DEVMAP))
		identify(state, CONTEXT(state, xdp, txq, dev), &record->egress_netns, &record->egress_ifindex);
}

/* What a record tells that is the same for all of a target. */
static __always_inline __u32 told_always(struct state *state, const __u32 halves)
{
	__u32 told = halves;

	if (halves != TOLD_ENTRY && is_mostly(state, FLAG_RETURNS))
		told |= TOLD_VERDICT;
	if (is(state, FLAG_IN_DEVMAP))
		told |= TOLD_EGRESS;
	return told;
}

/* By which device and queue the packet came; whether both are asked for. */
static __always_inline bool trace_back(struct state *state, struct record *record, const struct xdp_buff *xdp)
{
	struct origin origin;
	bool is_asked = find_origin(state, xdp, &origin);

	record->netns = origin.netns;
	record->ifindex = origin.ifindex;
	record->queue = origin.queue;
	return is_asked;
}

/* Writes into a record all but the packet; whether it is asked for. */
static __always_inline bool begin(void *ctx, struct state *state, struct record *record, __u64 time_ns, const __u32 halves)
{
	if (!trace_back(state, record, context_of(ctx, state)))
		return false;
	record->time_ns = time_ns;
	record->target = VALUE(TARGET);
	if (halves != TOLD_ENTRY && is_mostly(state, FLAG_RETURNS))
		record->verdict = verdict_of(ctx, state);
	tell_egress(ctx, state, record);
	return true;
}

/*
 * Reads the packet's first bytes to behind the record; returns how many. Of one that leaves by itself, no more than are
 * compared.
 */
static __always_inline __u64 read_packet(struct state *state, struct record *record, struct extent *extent, const __u32 halves)
{
	__u64 captured = linear_length(extent);

	if (leaves_directly(state, whole_length(extent)))
		captured = at_most(captured, halves == BOTH ? HEAD_LEN : 0);
	else
		LIMIT(captured, READ_LEN);
	set_end(record + 1, captured);
	if (read_bytes(state, record + 1, extent->data, 0, captured))
		return captured;
	extent->flaws |= TOLD_UNREAD;
	return 0;
}

/* How many of those stay in the record. */
static __always_inline __u64 keep_bytes(struct state *state, __u64 captured, __u32 length)
{
	if (leaves_directly(state, length))
		return 0;
	return is(state, FLAG_SHORT) ? at_most(captured, VALUE(SNAP_LEN)) : captured;
}

/* Lets go of the record that was begun. */
static __always_inline int discard(void *ctx, struct state *state, struct batch *batch, enum fate fate)
{
	close_batch(ctx, batch, state);
	return pass_by(state, fate);
}

/* Leaves the record where the next one is to overwrite it, unless the kernel tells before that the verdict came to nothing. */
static __always_inline int hold(void *ctx, struct state *state, struct batch *batch, struct record *record, __u64 size)
{
	record->serial = state->counts.kept;
	batch->waiting = size;
	close_batch(ctx, batch, state);
	return count(state, FATE_FILTERED);
}

/* Ends the run with its record, `size` long, of a packet of this length. */
static __always_inline int end(void *ctx, struct state *state, struct batch *batch, struct record *record, __u64 size,
			       __u32 length)
{
	if (is(state, FLAG_ONLY_FAILED))
		return hold(ctx, state, batch, record, size);
	number(state, record);
	if (leaves_directly(state, length))
		send_directly(state, context_of(ctx, state), batch, record, size, length);
	else
		keep_record(batch, size);
	close_batch(ctx, batch, state);
	return 0;
}

/* Ends a run with its one half. */
static __always_inline int tell_half(void *ctx, struct state *state, __u64 now, const __u32 half)
{
	struct batch *batch = open_batch(state->cpu);
	struct record *record;
	struct extent extent;
	__u64 captured, size;

	if (!batch)
		return pass_by(state, FATE_LOST);
	record = next_record(ctx, batch, state);
	if (!begin(ctx, state, record, now, half))
		return discard(ctx, state, batch, FATE_FILTERED);
	/* A run that is counted was taken before. */
	if (!is(state, FLAG_COUNTS) && !take(state))
		return discard(ctx, state, batch, FATE_SKIPPED);
	extent = measure(state, context_of(ctx, state));
	if (half == TOLD_ENTRY)
		fill_before(record, &extent);
	else
		fill_after(record, &extent);
	captured = read_packet(state, record, &extent, half);
	captured = keep_bytes(state, captured, whole_length(&extent));
	seal(record, captured, told_always(state, half) | extent.flaws, 0);
	size = sizeof(*record) + padded(captured);
	size = append_metadata(state, record, size, &extent);
	return end(ctx, state, batch, record, size, whole_length(&extent));
}

/* At the end of a run, at the time `now`, where fexit is alone, or has to leave it at that. */
static __noinline int tell_exit(void *ctx, struct state *state, __u64 now)
{
	return tell_half(ctx, state, now, TOLD_EXIT);
}

/* At the beginning of a run, where there is no fexit. */
static __noinline int tell_entry(void *ctx, struct state *state)
{
	return tell_half(ctx, state, bpf_ktime_get_ns(), TOLD_ENTRY);
}

/* At the end of a run whose note isn't there: what depends on that is not known to be asked for. */
static __noinline int tell_unpaired(void *ctx, struct state *state, __u64 now)
{
	state->counts.unpaired++;
	if (is(state, FLAG_BY_LATENCY) || is(state, FLAG_BY_CHANGE) || !is_mostly(state, FLAG_TELLS_EXIT))
		return pass_by(state, FATE_FILTERED);
	return tell_exit(ctx, state, now);
}

/* Tells of the packet as it is now, and, where that differs, as it was; returns how long the record is then. */
static __always_inline __u64 compare(struct state *state, struct record *record, struct extent *now)
{
	const struct view *before = &state->before;
	__u64 captured = read_packet(state, record, now, BOTH), kept = keep_bytes(state, captured, whole_length(now));
	__u32 told = told_always(state, BOTH) | before->extent.flaws | now->flaws;
	__u64 size = sizeof(*record) + padded(kept);

	fill_after(record, now);
	if (is_same(before, now, record)) {
		seal(record, kept, told | TOLD_SAME, 0);
	} else {
		seal(record, kept, told, at_most(before->captured, HEAD_LEN));
		record->moved = now->data - before->extent.data;
		fill_before(record, &before->extent);
		size = append_arrived(record, size, before);
	}
	return append_metadata(state, record, size, now);
}

/* Whether the note is still that of the run that was noted at `since`: another one may have interrupted it. */
static __always_inline bool is_still_noted(const struct state *state, __u64 since)
{
	return likely(*(const volatile __u64 *)&state->time_ns == since);
}

/* At the end of a run that was noted at `since`, at the time `now`. */
static __noinline int tell_pair(void *ctx, struct state *state, __u64 now, __u64 since)
{
	struct record *record;
	struct extent extent;
	struct batch *batch;
	__u64 size;

	if (is(state, FLAG_BY_LATENCY) && now - since < VALUE(SLOWER_NS))
		return pass_by(state, FATE_FILTERED);
	batch = open_batch(state->cpu);
	if (!batch)
		return pass_by(state, FATE_LOST);
	record = next_record(ctx, batch, state);
	record->latency_ns = now - since;
	if (!begin(ctx, state, record, since, BOTH))
		return discard(ctx, state, batch, FATE_FILTERED);
	extent = measure(state, context_of(ctx, state));
	size = compare(state, record, &extent);
	if (!is_still_noted(state, since)) {
		close_batch(ctx, batch, state);
		return tell_unpaired(ctx, state, now);
	}
	if (is(state, FLAG_BY_CHANGE) && record->told & TOLD_SAME)
		return discard(ctx, state, batch, FATE_FILTERED);
	if (!take(state))
		return discard(ctx, state, batch, FATE_SKIPPED);
	return end(ctx, state, batch, record, size, whole_length(&extent));
}

/* Whether a run is asked for by what only its end tells, or is told by that: one that never came to it is not known to be. */
static __always_inline bool depends_on_exit(struct state *state)
{
	return !is_mostly(state, FLAG_TELLS_ENTRY) || is(state, FLAG_BY_VERDICT) || is(state, FLAG_BY_LATENCY) ||
	       is(state, FLAG_BY_CHANGE) || is(state, FLAG_BY_QUEUE) || is(state, FLAG_FILTERS_EXIT) || is(state, FLAG_COUNTS);
}

/*
 * Ends a run: puts a record that tells how the packet arrived, from the note, and no more, into the batch. `since` is when it
 * was noted, 0 for a run that never came to its exit: then it isn't known where the packet came from.
 */
static __noinline int tell_note(void *ctx, struct state *state, __u64 since)
{
	const struct view *before = &state->before;
	struct record *record;
	struct batch *batch;
	__u64 size;

	if (!since && depends_on_exit(state))
		return pass_by(state, FATE_FILTERED);
	if (since && is(state, FLAG_BY_LATENCY) && bpf_ktime_get_ns() - since < VALUE(SLOWER_NS))
		return pass_by(state, FATE_FILTERED);
	batch = open_batch(state->cpu);
	if (!batch)
		return pass_by(state, FATE_LOST);
	record = next_record(ctx, batch, state);
	record->ifindex = 0;
	if (since && !trace_back(state, record, context_of(ctx, state)))
		return discard(ctx, state, batch, FATE_FILTERED);
	record->target = VALUE(TARGET);
	record->time_ns = state->time_ns;
	seal(record, at_most(before->captured, HEAD_LEN), TOLD_ENTRY | before->extent.flaws, 0);
	fill_before(record, &before->extent);
	size = append_arrived(record, sizeof(*record), before);
	if (since && !is_still_noted(state, since)) {
		state->counts.unpaired++;
		return discard(ctx, state, batch, FATE_FILTERED);
	}
	if (since && !take(state))
		return discard(ctx, state, batch, FATE_SKIPPED);
	number(state, record);
	keep_record(batch, size);
	close_batch(ctx, batch, state);
	return 0;
}

#endif
