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

/* At the end of a run that isn't kept; another one may have begun. */
static __always_inline int pass_by(struct state *state, enum fate fate)
{
	if (state->run & RUN_ENDED)
		state->run |= RUN_PASSED;
	return count(state, fate);
}

/* The same, of a run that has ended last. */
static __always_inline int pass_last(struct state *state, enum fate fate)
{
	state->run = RUN_ENDED | RUN_PASSED;
	return count(state, fate);
}

/* A record is kept. */
static __always_inline void number(struct state *state, struct record *record)
{
	record->serial = state->counts.kept++;
}

/*
 * So many as the rate says are taken at most: whoever adds after it is reached reads more than it. (An addition that
 * tells what it added to would take Linux 5.12.)
 */
static __always_inline bool take_one(struct state *state)
{
	if (taken >= VALUE(RATE))
		return false;
	__sync_fetch_and_add(&taken, 1);
	return taken <= VALUE(RATE);
}

/* Where only failures are asked for, the rate is that of these. */
static __always_inline bool take(struct state *state)
{
	return !is(state, FLAG_RATED) || is(state, FLAG_ONLY_FAILED) || take_one(state);
}

static __always_inline bool take_failed(struct state *state)
{
	return !is(state, FLAG_RATED) || take_one(state);
}

/* Whether a run is to be left out, before anything is done for it. */
static __always_inline bool is_left_out(struct state *state)
{
	if (!is(state, FLAG_LEAVES_OUT))
		return false;
	if (is(state, FLAG_RATED) && !is(state, FLAG_ONLY_FAILED) && taken >= VALUE(RATE))
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

/* By which device and queue a packet came; the queue undefined where the device isn't asked for. */
struct origin {
	__u32 netns;
	__u32 ifindex;
	__u32 queue;
};

/* Whether both are asked for. */
static __always_inline bool find_origin(struct state *state, const struct xdp_buff *xdp, struct origin *origin)
{
	const struct xdp_rxq_info *rxq = CONTEXT(state, xdp, rxq);
	const struct net_device *dev = is_mostly(state, FLAG_TYPED) ? rxq->dev : BPF_CORE_READ(rxq, dev);

	identify(state, dev, &origin->netns, &origin->ifindex);
	origin->queue = 0;
	if (!is_wanted(state, origin->netns, origin->ifindex))
		return false;
	origin->queue = is_mostly(state, FLAG_TYPED) ? rxq->queue_index : BPF_CORE_READ(rxq, queue_index);
	return is_wanted_queue(state, origin->queue);
}

#endif
