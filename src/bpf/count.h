/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Counts runs, instead of telling of each. */
#ifndef XDPTRACE_COUNT_H
#define XDPTRACE_COUNT_H

/*
 * Of all targets, so many a CPU. A kernel's LRU hash would take a lock for each key that is new, which in a flood of made-up
 * addresses each is, and would not tell what it has dropped; it takes four times as many instructions, too.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct key_set);
} key_sets SEC(".maps");

/* Cells where one may be, from where it should be on. */
#define PROBES 8

/* This CPU's cell of this number: they stand behind its state. */
static __always_inline struct cell *cell_at(struct state *state, __u64 number)
{
	MASK(number, CELL_MASK);
	return (struct cell *)(state + 1) + number;
}

/* The first of them, which most runs of this CPU are of. */
static __always_inline struct cell *first_cell(struct state *state)
{
	return (struct cell *)(state + 1);
}

/* Where another one should be: queues one behind the other, devices apart, also those of pairs, whose indexes are all odd or even. */
static __always_inline __u64 place_of(__u64 ifindex, __u64 queue)
{
	return ifindex * 37 + queue;
}

static __always_inline bool is_of(const struct cell *cell, const struct origin *origin)
{
	return cell->ifindex == origin->ifindex && cell->queue == origin->queue && cell->netns == origin->netns;
}

static __always_inline struct cell *begin_cell(struct cell *cell, const struct origin *origin, __u64 net)
{
	cell->netns = origin->netns;
	cell->ifindex = origin->ifindex;
	cell->queue = origin->queue;
	cell->net = net;
	cell->is_used = true;
	return cell;
}

/* Where it should be there is another one, or none: the next one that is free, or, where there is none, the last one of all. */
static __noinline struct cell *find_cell(struct state *state, const struct origin *origin, __u64 net)
{
	struct cell *cell;

	/* Keeps the verifier of 5.10 happy, which doesn't know what a function is given. */
	if (!state || !origin)
		return NULL;
	cell = first_cell(state);
	if (!cell->is_used)
		return begin_cell(cell, origin, net);
	for (__u32 probe = 0; probe < PROBES; probe++) {
		cell = cell_at(state, place_of(origin->ifindex, origin->queue) + probe);
		if (cell == cell_at(state, -1ULL))
			continue;
		if (!cell->is_used)
			return begin_cell(cell, origin, net);
		if (is_of(cell, origin))
			return cell;
	}
	cell = cell_at(state, -1ULL);
	cell->is_used = true;
	return cell;
}

/* Those of latencies up to its length, which most are. Filled in by user space. */
const volatile __u8 short_steps[SHORT_LATENCIES] = {};

/*
 * The step of a longer one. Not static, as in key.h: the verifier follows each of its ways once, and not each time for all that
 * led there.
 */
__noinline __u64 step_of(__u64 ns)
{
	__u64 octave = 0, left = ns;

	/* Where nothing is counted, there are no cells. */
	if (!VALUE(CELL_MASK))
		return 0;
	for (int bits = 32; bits; bits /= 2) {
		if (left >> bits) {
			left >>= bits;
			octave += bits;
		}
	}
	/* Two bits behind the first one that is set. */
	return (octave - 1) * 4 + (ns >> ((octave - 2) & 63) & 3);
}

static __always_inline void count_step(struct cell *cell, __u64 ns, __u64 step)
{
	cell->latency_sum_ns += ns;
	if (ns > cell->latency_max_ns)
		cell->latency_max_ns = ns;
	cell->latencies[step]++;
}

static __noinline int count_long(struct cell *cell, __u64 ns)
{
	/* Keeps the verifier of 5.10 happy, which doesn't know what a function is given. */
	if (!cell)
		return 0;
	count_step(cell, ns, at_most(step_of(ns), LATENCIES - 1));
	return 0;
}

static __always_inline int count_latency(struct cell *cell, __u64 ns)
{
	__u64 step;

	if (unlikely(ns >= SHORT_LATENCIES))
		return count_long(cell, ns);
	step = short_steps[ns];
	/* As it is, which the verifier doesn't know. */
	asm("%0 &= %1" : "+r"(step) : "i"(LATENCIES - 1));
	count_step(cell, ns, step);
	return 0;
}

/* Mixes a word into a hash that nobody who sends packets can know: the seed is another one each time. Its upper bits are the good ones. */
static __always_inline __u64 mix(__u64 hash, __u64 word)
{
	return (hash ^ word) * 0x9e3779b97f4a7c15ULL;
}

static __always_inline __u64 hash_of(const void *valid, const __u64 *words)
{
	__u64 hash = mix(mix(VALUE(KEY_SEED), words[0]), words[1]);

	/* What multiplying has moved up is to count at the bottom, too. */
	hash ^= hash >> 32;
	if (is(valid, FLAG_KEY_SOURCE))
		hash = mix(mix(hash, words[2]), words[3]);
	if (is(valid, FLAG_KEY_DESTINATION))
		hash = mix(mix(hash ^ hash >> 32, words[4]), words[5]);
	return hash >> 32;
}

static __always_inline bool is_key(const __u64 *one, const __u64 *other)
{
	return one[0] == other[0] && one[1] == other[1] && one[2] == other[2] && one[3] == other[3] && one[4] == other[4] &&
	       one[5] == other[5];
}

/* The key of the set that was seen longest ago makes room for this one. */
static __noinline int evict(struct state *state, struct key_set *set, __u64 bytes)
{
	struct counted_key *oldest;

	if (!state || !set)
		return 0;
	oldest = &set->keys[0];
#pragma unroll
	for (int way = 1; way < WAYS; way++)
		if (set->keys[way].seen < oldest->seen)
			oldest = &set->keys[way];
	if (oldest->seen)
		state->evicted++;
	oldest->key = state->key;
	oldest->tally = (struct tally){ .packets = 1, .bytes = bytes };
	oldest->seen = set->clock;
	return 0;
}

/* Counts the packet by its key; one that could not be read has none. */
static __always_inline int count_key(struct state *state, __u32 kind, __u64 bytes)
{
	const __u64 *words = (const __u64 *)&state->key;
	struct key_set *set;
	__u64 place;
	__u32 index;

	if (unlikely(!state->key.known))
		return 0;
	state->key.verdict = kind;
	barrier();
	place = hash_of(state, words);
	MASK(place, KEY_MASK);
	index = state->cpu;
	index = index * (__u32)VALUE(KEY_SETS) + place;
	set = bpf_map_lookup_elem(&key_sets, &index);
	if (!set)
		return 0;
	set->clock++;
#pragma unroll
	for (int way = 0; way < WAYS; way++) {
		struct counted_key *one = &set->keys[way];

		if (!is_key(words, (const __u64 *)&one->key))
			continue;
		one->tally.packets++;
		one->tally.bytes += bytes;
		one->seen = set->clock;
		return 0;
	}
	return evict(state, set, bytes);
}

/* By what its verdict is counted. */
static __always_inline __u64 kind_of(void *ctx, struct state *state)
{
	__u32 verdict;

	if (!is_mostly(state, FLAG_RETURNS))
		return VERDICT_NONE;
	verdict = verdict_of(ctx, state);
	/* The kernel looks at its lower half alone; of the other the verifier then knows that it is 0. */
	asm("%0 = %0\n\tif %0 <= %1 goto +1\n\t%0 = %1" : "+w"(verdict) : "i"(VERDICT_OTHER));
	return verdict;
}

/* A packet that was dropped is told of, too, as far as the rate goes; that counts it as well. */
static __always_inline int end_counted(void *ctx, struct state *state, __u32 kind)
{
	if (is(state, FLAG_TELLS_DROPS) && kind <= XDP_DROP && take(state))
		return tell_exit(ctx, state, bpf_ktime_get_ns());
	return 0;
}

/* At the end of a run. If it is to be timed, it was noted at `since`; if it has a key, that was noted, or there is no fentry. */
static __always_inline int tally(void *ctx, struct state *state, __u64 since, const bool is_timed, bool has_key)
{
	const struct xdp_buff *xdp = context_of(ctx, state);
	struct origin origin;
	struct extent extent;
	struct cell *cell;
	__u64 ns = 0, kind;

	if (is_timed) {
		ns = bpf_ktime_get_ns() - since;
		if (is(state, FLAG_BY_LATENCY) && ns < VALUE(SLOWER_NS))
			return pass_by(state, FATE_FILTERED);
	}
	if (!find_origin(state, xdp, &origin)) {
		/* By its device it is left out of the outcomes, too, but of a devmap's program, of which that isn't told. */
		return is(state, FLAG_BY_QUEUE) || is(state, FLAG_IN_DEVMAP) ? pass_by(state, FATE_FILTERED)
									     : count(state, FATE_FILTERED);
	}
	if (is(state, FLAG_IN_DEVMAP))
		state->from = (struct device){ .netns = origin.netns, .ifindex = origin.ifindex };
	cell = first_cell(state);
	if (!is_of(cell, &origin))
		cell = cell_at(state, place_of(origin.ifindex, origin.queue));
	if (unlikely(!is_of(cell, &origin)))
		cell = find_cell(state, &origin, is_mostly(state, FLAG_TYPED) ? (__u64)xdp->rxq->dev->nd_net.net : 0);
	if (!cell)
		return 0;
	kind = kind_of(ctx, state);
	extent = measure(state, xdp);
	cell->tallies[kind].packets++;
	cell->tallies[kind].bytes += whole_length(&extent);
	if (is_timed)
		count_latency(cell, ns);
	if (is(state, FLAG_BY_KEY) && has_key) {
		if (!is_mostly(state, FLAG_HAS_ENTRY))
			note_key(ctx, state);
		count_key(state, kind, whole_length(&extent));
	}
	return end_counted(ctx, state, kind);
}

/* Of a run that fentry has noted. */
static __noinline int tally_noted(void *ctx, struct state *state, __u64 since)
{
	if (is(state, FLAG_UNTIMED))
		return tally(ctx, state, 0, false, true);
	return tally(ctx, state, since, true, true);
}

/* Of one that it hasn't seen, or that has no fentry. */
static __noinline int tally_lone(void *ctx, struct state *state)
{
	return tally(ctx, state, 0, false, !is_mostly(state, FLAG_HAS_ENTRY));
}

/*
 * What a run takes that is not like most. Finds the state itself, and tells the time itself, so that nothing of that has to be
 * kept for it where it isn't needed.
 */
static __noinline int tally_slowly(void *ctx, __u64 ns)
{
	struct state *state = this_state();

	return tally_noted(ctx, state, is(state, FLAG_UNTIMED) ? 0 : bpf_ktime_get_ns() - ns);
}

static __noinline int tally_lone_slowly(void *ctx)
{
	return tally_lone(ctx, this_state());
}

static __always_inline bool is_in(const struct cell *cell, __u64 net, __u32 ifindex, __u32 queue)
{
	return cell->net == net && cell->ifindex == ifindex && cell->queue == queue;
}

/*
 * The same in a straight line, for targets whose context's type the verifier knows, where each run of one device, or of one
 * network namespace, is asked for. What a run takes that is not like most is left to the functions above, as if nothing had been
 * done. `ns`: how long it took.
 */
static __always_inline int tally_quickly(void *ctx, struct state *state, __u64 ns, const bool is_timed, const bool by_key)
{
	const struct xdp_buff *xdp = context_of(ctx, state);
	const struct xdp_rxq_info *rxq = xdp->rxq;
	const struct net_device *dev = rxq->dev;
	__u32 ifindex = dev->ifindex, queue = rxq->queue_index;
	__u64 net = (__u64)dev->nd_net.net, kind;
	/* The cell stands behind it: so its members are addressed by constants. */
	struct state *before = state;
	struct tally *tally;
	struct extent extent;

	if (unlikely(!is_in(first_cell(before), net, ifindex, queue))) {
		before = (struct state *)(cell_at(state, place_of(ifindex, queue))) - 1;
		asm("" : "+r"(before));
		if (!is_in(first_cell(before), net, ifindex, queue))
			goto left;
	}
	asm("" : "+r"(before));
	if (is_fragmented(state, xdp))
		goto left;
	if (is_mostly(state, FLAG_RETURNS)) {
		kind = returned_by(ctx, state);
		if (unlikely(kind > VERDICT_OTHER))
			goto left;
	} else {
		/* Keeps clang from doing it for those as well that return something. */
		asm volatile("%0 = %1" : "=r"(kind) : "i"(VERDICT_NONE));
	}
	tally = &first_cell(before)->tallies[kind];
	tally->packets++;
	extent.data = (__u64)xdp->data;
	extent.data_end = (__u64)xdp->data_end;
	extent.fragments = 0;
	extent.flaws = 0;
	tally->bytes += linear_length(&extent);
	if (by_key) {
		if (!is_mostly(state, FLAG_HAS_ENTRY))
			note_key_of(state, &extent);
		count_key(state, kind, linear_length(&extent));
	}
	return is_timed ? count_latency(first_cell(before), ns) : 0;
left:
	return is_timed || (by_key && is_mostly(state, FLAG_HAS_ENTRY)) ? tally_slowly(ctx, ns) : tally_lone_slowly(ctx);
}

#endif
