/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Runs the user's filter on a packet. */
#ifndef XDPTRACE_FILTER_H
#define XDPTRACE_FILTER_H

/*
 * The places for a filter: instructions that do nothing but for a number in the first, by which user space finds them and
 * overwrites them with the filter's before load (src/probe/aim.rs). The verifier drops what is left of them. A filter is given
 * `view` in r1, and in r3 how many of the packet's bytes there are to read; it answers in r0, and leaves r9 and r10 alone.
 */
#define ask_filter(place, view, linear)                                                                                \
	({                                                                                                             \
		register struct view *r1 asm("r1") = view;                                                             \
		register __u64 r3 asm("r3") = linear;                                                                  \
		register __u64 answer asm("r0");                                                                       \
		asm volatile("r0 = %[number]\n\t.rept %[rest]\n\tgoto +0\n\t.endr"                                     \
			     : "=r"(answer), "+r"(r1), "+r"(r3)                                                        \
			     : [number] "i"(SETTING << 16 | PLACES | (place)), [rest] "i"(FILTER_LEN - 1)              \
			     : "r2", "r4", "r5", "r6", "r7", "r8", "memory");                                          \
		(enum answer)answer;                                                                                   \
	})

/* Whether the packet is asked for, with all of it read that has a place in the view; not if it can't be read. */
static __noinline int passes_closely(void *ctx, struct view *view)
{
	const struct xdp_buff *xdp;
	__u64 data, linear;

	/* Keeps the verifier of 5.10 happy, which doesn't know what a function is given. */
	if (!view)
		return false;
	xdp = context_of(ctx, view);
	data = (__u64)CONTEXT(view, xdp, data);
	linear = (__u64)CONTEXT(view, xdp, data_end) - data;
	view->data = data;
	if (!read_bytes(view, view->bytes, data, 0, at_most(linear, HEAD_LEN)))
		return false;
	return ask_filter(PLACE_CLOSE, view, linear) == ANSWER_YES;
}

/* For `len` and its like. */
static __noinline int tell_length(void *ctx, struct view *view)
{
	const struct xdp_buff *xdp;

	if (!view)
		return 0;
	xdp = context_of(ctx, view);
	view->extent = measure(view, xdp);
	view->length = whole_length(&view->extent);
	return 0;
}

/*
 * Whether the packet is asked for. To most filters a packet's headers are enough to say no: so no more than those are read
 * at first, if it has as many. `ctx` is read anew wherever it is needed, because the filter leaves few registers alone.
 */
static __always_inline bool passes_filter(void *volatile *ctx, struct view *view)
{
	const struct xdp_buff *xdp;
	enum answer answer;
	__u64 data;

	if (is(view, FLAG_FILTERS_LENGTH))
		tell_length(*ctx, view);
	if (!is_mostly(view, FLAG_TYPED))
		return passes_closely(*ctx, view);
	xdp = context_of(*ctx, view);
	data = (__u64)xdp->data;
	if (FALLS_SHORT((__u64)xdp->data_end - data, LOOK_LEN))
		return passes_closely(*ctx, view);
	view->data = data;
	if (unlikely(!read_bytes(view, view->bytes, data, 0, VALUE(LOOK_LEN))))
		return false;
	answer = ask_filter(PLACE_QUICK, view, VALUE(LOOK_LEN));
	return unlikely(answer != ANSWER_NO) && (answer == ANSWER_YES || passes_closely(*ctx, view));
}

#endif
