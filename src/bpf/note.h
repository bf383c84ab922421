/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Notes how a packet arrived, for fexit to find. */
#ifndef XDPTRACE_NOTE_H
#define XDPTRACE_NOTE_H

/* Notes the packet's first bytes; of what the filter has read at its first look, only the rest is read. */
static __always_inline void note_bytes(struct state *state, struct view *before)
{
	struct extent *extent = &before->extent;
	__u64 length = at_most(linear_length(extent), HEAD_LEN), from = 0;

	before->captured = length;
	/* What a look has read of a shorter packet ends in the words that this makes zero. */
	set_end(before->bytes, length);
	if (is(state, FLAG_FILTERS_ENTRY) && length >= VALUE(LOOK_LEN)) {
		from = VALUE(LOOK_LEN);
		if (length == from)
			return;
	}
	/* At least `from`, which the verifier doesn't know. */
	if (likely(read_bytes(state, before->bytes, extent->data, from, at_most(length - from, HEAD_LEN))))
		return;
	before->captured = 0;
	extent->flaws |= TOLD_UNREAD;
}

/* Notes how the packet arrived. */
static __noinline int note(void *ctx, struct state *state)
{
	const struct xdp_buff *xdp = context_of(ctx, state);
	struct view *before = &state->before;

	if (is_mostly(state, FLAG_TELLS_ENTRY)) {
		before->extent = locate(state, xdp);
		if (has_fragments(state, xdp))
			measure_fragments(state, &before->extent, xdp);
		note_bytes(state, before);
	}
	state->run = (__u64)xdp;
	/* Last, so that what fentry itself costs is not in the latency. */
	state->time_ns = bpf_ktime_get_ns();
	return 0;
}

#endif
