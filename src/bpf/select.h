/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which runs are asked for, as far as it isn't the filter's business, and the count of what became of them. */
#ifndef XDPTRACE_SELECT_H
#define XDPTRACE_SELECT_H

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct device);
	__type(value, __u8);
} devices SEC(".maps");

/* How many runs have been taken this second, of all targets, on all CPUs: user space sets it back to 0. */
volatile __u64 taken SEC(".bss.brake");

static __always_inline int count(struct state *state, enum fate fate)
{
	(&state->counts.kept)[fate & 3]++;
	return 0;
}

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

static __always_inline bool has_verdict(__u32 verdict)
{
	return VALUE(VERDICTS) >> at_most(verdict, OTHER_VERDICT) & 1;
}

/* Whether a device is asked for. */
static __always_inline bool is_wanted(struct state *state, __u32 netns, __u32 ifindex)
{
	if (is_mostly(state, FLAG_BY_DEVICE))
		return likely(EQUALS(ifindex, IFINDEX)) && likely(EQUALS(netns, NETNS));
	if (is(state, FLAG_BY_NETNS))
		return EQUALS(netns, NETNS);
	if (is(state, FLAG_BY_DEVICES)) {
		struct device device = { .netns = netns, .ifindex = ifindex };

		return bpf_map_lookup_elem(&devices, &device);
	}
	return true;
}

/* Whether a receive queue is. */
static __always_inline bool is_wanted_queue(struct state *state, __u32 queue)
{
	return !is(state, FLAG_BY_QUEUE) || (!is(state, FLAG_IN_CPUMAP) && EQUALS(queue, QUEUE));
}

#endif
