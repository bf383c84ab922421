/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the traced function was given, and what it returned. */
#ifndef XDPTRACE_ARGUMENTS_H
#define XDPTRACE_ARGUMENTS_H

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

/* Read anew wherever it is needed, which is cheaper than keeping it. */
static __always_inline struct xdp_buff *context_of(void *ctx, const void *valid)
{
	if (is(valid, FLAG_CONTEXT_1))
		return (struct xdp_buff *)ARGUMENT(1);
	if (is(valid, FLAG_CONTEXT_2))
		return (struct xdp_buff *)ARGUMENT(2);
	if (is(valid, FLAG_CONTEXT_3))
		return (struct xdp_buff *)ARGUMENT(3);
	if (is(valid, FLAG_CONTEXT_4))
		return (struct xdp_buff *)ARGUMENT(4);
	return (struct xdp_buff *)ARGUMENT(0);
}

/* The register that it returned in: what is above its lower half means nothing. */
static __always_inline __u64 returned_by(void *ctx, const void *state)
{
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

static __always_inline __u32 verdict_of(void *ctx, const void *state)
{
	return returned_by(ctx, state);
}

#endif
