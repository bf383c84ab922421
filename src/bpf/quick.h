/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What note.h and tell.h do, for the run that is like most: in a straight line, with few calls, because what has to survive a
 * call that might be made is kept out of the registers. Where a run is not like most it is left to them, as if nothing had been
 * done. For targets whose context's type the verifier knows, where each run is asked for.
 */
#ifndef XDPTRACE_QUICK_H
#define XDPTRACE_QUICK_H

/* Whether it may have more buffers than the first: the kernel's other flags say something of those, too. */
static __always_inline bool is_fragmented(struct state *state, const struct xdp_buff *xdp)
{
	return is_mostly(state, FLAG_HAS_FRAGMENTS) && unlikely(xdp->flags);
}

static __always_inline int note_quickly(void *ctx, struct state *state)
{
	const struct xdp_buff *xdp = context_of(ctx, state);
	struct view *before = &state->before;
	struct extent extent = {
		.data = (__u64)xdp->data,
		.data_end = (__u64)xdp->data_end,
		.data_meta = (__u64)xdp->data_meta,
	};
	__u64 length = at_most(linear_length(&extent), HEAD_LEN);
	void *bytes = before->bytes;

	begin_note(state);
	before->extent = extent;
	if (is_fragmented(state, xdp))
		return note(ctx, state);
	before->captured = length;
	set_end(before->bytes, length);
	/* Keeps clang from keeping it in a register of its own. */
	asm("" : "+r"(bytes));
	if (unlikely(!read_bytes(state, bytes, extent.data, 0, length)))
		return note(ctx, state);
	return end_note(ctx, state);
}

/* As trace_back, of one device, or of those of one network namespace. */
static __always_inline bool trace_back_quickly(struct state *state, struct record *record, const struct xdp_buff *xdp)
{
	const struct xdp_rxq_info *rxq = xdp->rxq;
	const struct net_device *dev = rxq->dev;
	__u32 netns = dev->nd_net.net->ns.inum, ifindex = dev->ifindex;

	record->netns = netns;
	record->ifindex = ifindex;
	record->queue = rxq->queue_index;
	if (is_mostly(state, FLAG_BY_DEVICE))
		return likely(EQUALS(ifindex, IFINDEX)) && likely(EQUALS(netns, NETNS));
	return !is(state, FLAG_BY_NETNS) || EQUALS(netns, NETNS);
}

/* Whether the packet lies where it lay, and had no more than one buffer; fragments and flaws are looked at in one. */
static __always_inline bool lies_as_noted(const struct extent *then, const struct extent *now)
{
	return then->data == now->data && then->data_end == now->data_end && then->data_meta == now->data_meta &&
	       !*(const __u64 *)&then->fragments;
}

/* As leaves_directly; looks at the length only where that matters. */
static __always_inline bool leaves_directly_quickly(struct state *state, const struct record *record)
{
	return is(state, FLAG_DIRECT) && record->length_after > BATCHED_SNAP_LEN;
}

/* How long the record is with the packet's bytes behind it, which are as they were, or have to be compared. */
static __always_inline __u64 compare_quickly(struct state *state, struct record *record, __u64 captured, const __u32 halves)
{
	const struct view *before = &state->before;
	__u32 told = told_always(state, halves);
	__u64 kept = captured, size;

	if (leaves_directly_quickly(state, record))
		kept = 0;
	else if (is(state, FLAG_SHORT))
		kept = at_most(captured, VALUE(SNAP_LEN));
	size = sizeof(*record) + padded(kept);

	if (halves != BOTH) {
		seal(record, kept, told, 0);
	} else if (are_same((const __u64 *)before->bytes, (const __u64 *)(record + 1), captured)) {
		seal(record, kept, told | TOLD_SAME, 0);
	} else {
		seal(record, kept, told, before->captured);
		record->moved = 0;
		record->length_before = record->length_after;
		record->metadata_before = 0;
		size = append_arrived(record, size, before);
	}
	return size;
}

/*
 * At the end of a run. `halves`: TOLD_EXIT, or BOTH where it was noted, at `since`. In one piece, because each step may leave
 * for the longer way, which then starts anew.
 */
static __always_inline int tell_quickly(void *ctx, struct state *state, __u64 since, const __u32 halves)
{
	__u64 now = bpf_ktime_get_ns(), used, size;
	struct batch *batch = batch_of(state->cpu);
	const struct xdp_buff *xdp;
	struct record *record;
	struct extent extent;

	if (unlikely(batch->busy))
		goto left_busy;
	set_busy(batch, true);
	used = batch->sample.used;
	if (unlikely(EXCEEDS(used, BATCH_FILL)))
		goto left;
	record = (struct record *)&batch->bytes[used];
	xdp = context_of(ctx, state);
	if (unlikely(!trace_back_quickly(state, record, xdp)))
		goto left;
	record->time_ns = now;
	if (halves == BOTH) {
		record->time_ns = since;
		record->latency_ns = now - since;
	}
	record->target = VALUE(TARGET);
	if (is_mostly(state, FLAG_RETURNS))
		record->verdict = verdict_of(ctx, state);
	if (is(state, FLAG_IN_DEVMAP)) {
		record->egress_netns = xdp->txq->dev->nd_net.net->ns.inum;
		record->egress_ifindex = xdp->txq->dev->ifindex;
	}
	extent.data = (__u64)xdp->data;
	extent.data_end = (__u64)xdp->data_end;
	extent.data_meta = (__u64)xdp->data_meta;
	if (unlikely(extent.data_meta < extent.data))
		goto left;
	if (halves == BOTH ? unlikely(!lies_as_noted(&state->before.extent, &extent)) : is_fragmented(state, xdp))
		goto left;
	record->length_after = linear_length(&extent);
	record->metadata_after = 0;
	used = linear_length(&extent);
	if (leaves_directly_quickly(state, record))
		used = at_most(used, halves == BOTH ? HEAD_LEN : 0);
	else
		LIMIT(used, READ_LEN);
	if (halves == BOTH)
		set_end(record + 1, used);
	if (unlikely(!read_bytes(state, record + 1, extent.data, 0, used)))
		goto left;
	size = compare_quickly(state, record, used, halves);
	if (halves == BOTH && unlikely(!is_still_noted(state, since)))
		goto left;
	number(state, record);
	/* Keeps clang from keeping the addresses of its members, too. */
	asm("" : "+r"(batch));
	if (leaves_directly_quickly(state, record))
		send_directly(state, context_of(ctx, state), batch, record, size, record->length_after);
	else
		keep_record(batch, size);
	close_batch(ctx, batch, state);
	return 0;
left:
	set_busy(batch, false);
left_busy:
	return halves == BOTH ? tell_pair(ctx, state, now, since) : tell_exit(ctx, state, now);
}

#endif
