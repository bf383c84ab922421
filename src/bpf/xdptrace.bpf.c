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
/* Those of bpf_helpers.h are there since libbpf 1.6. */
#ifndef likely
#define likely(x) (__builtin_expect(!!(x), 1))
#define unlikely(x) (__builtin_expect(!!(x), 0))
#endif
#include "record.h"
#include "config.h"
#include "arguments.h"
#include "packet.h"
#include "select.h"
#include "filter.h"
#include "batch.h"
#include "key.h"
#include "note.h"
#include "tell.h"
#include "quick.h"
#include "count.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * Of this target, one a CPU, with its cells behind it where runs are counted: user space has it grow to a power of two, as many as there may be at least. A section of its
 * own is a map of its own, whose value is addressed without looking it up.
 */
struct state states[1] SEC(".bss.states");

/*
 * Set by user space once all probes are attached, cleared before they are taken off. Where there is fentry and fexit, the
 * runs that are told are those that both see: fexit is attached first, and taken off first, because the kernel leaves it out
 * of the runs that are then under way (bpf_tramp_image_put). The note that such a run has left is the last one on its CPU.
 */
volatile bool tracing SEC(".bss.switch");

/* Id of the program that the kernel runs: the target's, or the one that it is a part of, which may be another one by and by. */
volatile __u32 root SEC(".bss.root");

static __always_inline struct state *this_state(void)
{
	/* Of 64 bits, so that nothing is done to make them of 32. */
	__u64 cpu = ((__u64 (*)(void))bpf_get_smp_processor_id)();
	void *state = states;

	MASK(cpu, CPU_MASK);
	MULTIPLY(cpu, STATE_SIZE);
	state += cpu;
	/* Keeps clang from concluding that cpu is 0. */
	asm("" : "+r"(state));
	return state;
}

#include "outcome.h"

/*
 * The run that was noted last has no fexit: the kernel skipped it. Returns whether to go on: once user space is about to take
 * the probes off, no run is noted any more that comes after such a one.
 */
static __noinline int end_unpaired(void *ctx, struct state *state)
{
	if (!tracing)
		return false;
	state->counts.unpaired++;
	if (!(state->run & RUN_DECIDED))
		tell_note(ctx, state, 0);
	return true;
}

/* Ends what fentry has to do for a run that is not asked for. */
static __always_inline int pass_over(void *ctx, struct state *state, enum fate fate)
{
	if (is_mostly(state, FLAG_HAS_EXIT))
		state->run = (__u64)context_of(ctx, state) + RUN_DECIDED;
	return count(state, fate);
}

static __always_inline int handle_entry(void *first)
{
	void *volatile ctx = first;
	struct state *state = this_state();

	if (is_mostly(state, FLAG_HAS_EXIT)) {
		if (unlikely(!(state->run & RUN_ENDED)) && !end_unpaired(ctx, state))
			return 0;
	} else if (!tracing) {
		return 0;
	}
	if (is_left_out(state))
		return pass_over(ctx, state, FATE_SKIPPED);
	if (is(state, FLAG_FILTERS_ENTRY) && likely(!passes_filter(&ctx, &state->before))) {
		/* A run that this one has interrupted has no note any more. */
		state->time_ns = TIME_OVERWRITTEN;
		return pass_over(ctx, state, FATE_FILTERED);
	}
	return is_mostly(state, FLAG_HAS_EXIT) ? note(ctx, state) : tell_entry(ctx, state);
}

static __always_inline int handle_entry_quickly(void *ctx)
{
	struct state *state = this_state();

	if (!is_mostly(state, FLAG_HAS_EXIT))
		return tracing ? tell_entry(ctx, state) : 0;
	if (unlikely(!(state->run & RUN_ENDED)) && !end_unpaired(ctx, state))
		return 0;
	return note_quickly(ctx, state);
}

static __noinline int passes_at_exit(void *first, struct state *state)
{
	void *volatile ctx = first;

	return passes_filter(&ctx, &state->after);
}

/* Whether a run is asked for as far as its end tells. */
static __always_inline bool is_asked_for(void *ctx, struct state *state)
{
	if (is(state, FLAG_BY_VERDICT) && !has_verdict(verdict_of(ctx, state)))
		return false;
	return !is(state, FLAG_FILTERS_EXIT) || passes_at_exit(ctx, state);
}

/*
 * fexit without the fentry. On a CPU where none has run yet, the run had begun before the start. What fentry would have decided
 * is not known.
 */
static __noinline int handle_unpaired(void *ctx, struct state *state)
{
	if (!tracing || state->run & RUN_NONE)
		return 0;
	if (is(state, FLAG_FILTERS_ENTRY) || is(state, FLAG_LEAVES_OUT) || !is_asked_for(ctx, state)) {
		state->counts.unpaired++;
		return pass_by(state, FATE_FILTERED);
	}
	if (is(state, FLAG_COUNTS)) {
		state->counts.unpaired++;
		return is(state, FLAG_BY_LATENCY) ? pass_by(state, FATE_FILTERED) : tally_lone(ctx, state);
	}
	return tell_unpaired(ctx, state, bpf_ktime_get_ns());
}

/* With no fentry. */
static __always_inline int handle_lone_exit(void *ctx, struct state *state, const bool quick)
{
	if (!tracing)
		return 0;
	if (is_left_out(state))
		return pass_last(state, FATE_SKIPPED);
	if (!is_asked_for(ctx, state))
		return pass_last(state, FATE_FILTERED);
	state->run = RUN_ENDED;
	if (is(state, FLAG_COUNTS))
		return tally_lone(ctx, state);
	return quick ? tell_quickly(ctx, state, 0, TOLD_EXIT) : tell_exit(ctx, state, bpf_ktime_get_ns());
}

/*
 * Whether the run is the one that is noted, and since when. In this order: if a run comes in between, this one is not the one
 * that is noted, or is not when it is told.
 */
static __always_inline bool is_noted(void *ctx, struct state *state, __u64 *since)
{
	*since = *(volatile __u64 *)&state->time_ns;
	return likely(*(volatile __u64 *)&state->run == (__u64)context_of(ctx, state));
}

/* With fentry, which hasn't decided about the run. */
static __noinline int handle_noted(void *ctx, struct state *state)
{
	__u64 since;

	if (!is_noted(ctx, state, &since))
		return handle_unpaired(ctx, state);
	state->run = RUN_ENDED;
	if (!is_asked_for(ctx, state))
		return pass_last(state, FATE_FILTERED);
	if (is(state, FLAG_COUNTS))
		return tally_noted(ctx, state, since);
	if (!is_mostly(state, FLAG_TELLS_EXIT))
		return tell_note(ctx, state, since);
	if (!is_mostly(state, FLAG_TELLS_BOTH))
		return tell_exit(ctx, state, bpf_ktime_get_ns());
	return tell_pair(ctx, state, bpf_ktime_get_ns(), since);
}

static __always_inline int handle_exit(void *ctx)
{
	struct state *state = this_state();

	if (!is_mostly(state, FLAG_HAS_ENTRY))
		return handle_lone_exit(ctx, state, false);
	if (unlikely(state->run != (__u64)context_of(ctx, state) + RUN_DECIDED))
		return handle_noted(ctx, state);
	state->run = RUN_ENDED | RUN_PASSED;
	return 0;
}

static __always_inline int handle_exit_quickly(void *ctx)
{
	struct state *state = this_state();
	__u64 since;

	if (!is_mostly(state, FLAG_HAS_ENTRY))
		return handle_lone_exit(ctx, state, true);
	if (!is_noted(ctx, state, &since))
		return handle_unpaired(ctx, state);
	state->run = RUN_ENDED;
	return tell_quickly(ctx, state, since, BOTH);
}

/* As handle_entry_quickly, where each run is counted. */
static __always_inline int count_entry_quickly(void *ctx, const bool by_key)
{
	struct state *state = this_state();

	if (unlikely(state->run > RUN_BITS) && !end_unpaired(ctx, state))
		return 0;
	begin_note(state);
	if (by_key)
		note_key(ctx, state);
	return end_note(ctx, state);
}

/* The clock comes first, so that what follows needs no register that outlives it, and isn't in the latency. */
static __always_inline int count_exit_quickly(void *ctx)
{
	struct state *state;
	__u64 since, now;

	if (!is_mostly(states, FLAG_HAS_ENTRY))
		return tally_quickly(ctx, this_state(), 0, false, false);
	now = bpf_ktime_get_ns();
	state = this_state();
	if (!is_noted(ctx, state, &since))
		return handle_unpaired(ctx, state);
	state->run = RUN_ENDED;
	return tally_quickly(ctx, state, now - since, true, false);
}

/* By what packets have in common, and untimed. */
static __always_inline int count_exit_by_key(void *ctx)
{
	struct state *state = this_state();
	__u64 since;

	if (!is_mostly(state, FLAG_HAS_ENTRY))
		return tally_quickly(ctx, state, 0, false, true);
	if (!is_noted(ctx, state, &since))
		return handle_unpaired(ctx, state);
	state->run = RUN_ENDED;
	return tally_quickly(ctx, state, 0, false, true);
}

/* User space chooses a pair, and loads of it what a target gets. */

SEC("?fentry/xdp")
int BPF_PROG(fentry_xdp)
{
	return handle_entry(ctx);
}

SEC("?fexit/xdp")
int BPF_PROG(fexit_xdp)
{
	return handle_exit(ctx);
}

SEC("?fentry/xdp")
int BPF_PROG(fentry_quick)
{
	return handle_entry_quickly(ctx);
}

SEC("?fexit/xdp")
int BPF_PROG(fexit_quick)
{
	return handle_exit_quickly(ctx);
}

SEC("?fentry/xdp")
int BPF_PROG(fentry_count)
{
	return count_entry_quickly(ctx, false);
}

SEC("?fexit/xdp")
int BPF_PROG(fexit_count)
{
	return count_exit_quickly(ctx);
}

SEC("?fentry/xdp")
int BPF_PROG(fentry_key)
{
	return count_entry_quickly(ctx, true);
}

SEC("?fexit/xdp")
int BPF_PROG(fexit_key)
{
	return count_exit_by_key(ctx);
}
