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

/*
 * Before Linux 5.12 (ca06f55b9002) nothing keeps a program from running within itself. Then the note is dropped if another run
 * has left its time meanwhile; one that comes later finds this one noted, and takes its place.
 */
static __always_inline void begin_note(struct state *state)
{
	if (is(state, FLAG_NESTS))
		*(volatile __u64 *)&state->time_ns = TIME_NONE;
}

static __always_inline int end_note(void *ctx, struct state *state)
{
	__u64 now;

	*(volatile __u64 *)&state->run = (__u64)context_of(ctx, state);
	if (is(state, FLAG_UNTIMED) && !is(state, FLAG_NESTS))
		return 0;
	/* Last, so that what fentry itself costs is not in the latency. */
	now = bpf_ktime_get_ns();
	if (is(state, FLAG_NESTS) && *(volatile __u64 *)&state->time_ns != TIME_NONE) {
		state->run = RUN_ENDED;
		return 0;
	}
	*(volatile __u64 *)&state->time_ns = now;
	return 0;
}

/* Notes how the packet arrived. */
static __noinline int note(void *ctx, struct state *state)
{
	const struct xdp_buff *xdp = context_of(ctx, state);
	struct view *before = &state->before;

	begin_note(state);
	if (is(state, FLAG_COUNTS)) {
		if (is(state, FLAG_BY_KEY))
			note_key(ctx, state);
	} else if (is_mostly(state, FLAG_TELLS_ENTRY)) {
		before->extent = measure(state, xdp);
		note_bytes(state, before);
	}
	return end_note(ctx, state);
}

#endif
