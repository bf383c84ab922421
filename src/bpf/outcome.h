/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What became of a verdict, as the kernel's own tracepoints tell (include/trace/events/xdp.h). Those that name the program fire
 * behind its end, and before the CPU's next run of it; so they are about the last one.
 */
#ifndef XDPTRACE_OUTCOME_H
#define XDPTRACE_OUTCOME_H

/* A map's id where the program named a device itself, by bpf_redirect(); since Linux 5.13. */
#define NO_MAP 0x7fffffff

/*
 * Of all targets. Allocated as a whole, like all maps here: so that no packet waits for memory, what a run takes is known from the
 * start, and kernels before 6.1 don't warn, which with kernel.panic_on_warn would end them (check_map_prog_compatibility in
 * kernel/bpf/verifier.c, of tracepoints' programs).
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct failure);
	__type(value, __u64);
} failures SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct forward);
	__type(value, struct forwarded);
} forwards SEC(".maps");

/* What these two had no room for, of all targets. */
struct refused refused SEC(".bss.refused");

static __always_inline void identify_any(const struct net_device *dev, __u32 *netns, __u32 *ifindex)
{
	*netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
	*ifindex = BPF_CORE_READ(dev, ifindex);
}

static __always_inline void count_failure(const struct outcome *outcome)
{
	struct failure failure = {
		.target = outcome->target,
		.netns = outcome->netns,
		.ifindex = outcome->ifindex,
		.source = outcome->source,
		/* A program may return anything: what is no action is to fill no more than one place. */
		.action = outcome->action > XDP_REDIRECT ? VERDICT_OTHER : outcome->action,
		.error = outcome->error,
	};
	__u64 *count = bpf_map_lookup_elem(&failures, &failure), one = 1;

	if (!count && !bpf_map_update_elem(&failures, &failure, &one, BPF_NOEXIST))
		return;
	/* Another CPU was faster, or there is no room. */
	if (!count)
		count = bpf_map_lookup_elem(&failures, &failure);
	if (!count)
		count = &refused.failures;
	__sync_fetch_and_add(count, 1);
}

/* The record that waits for its run's outcome stays, unless that of the program that this one is a part of has overwritten it. */
static __always_inline bool confirm(struct state *state, struct batch *batch)
{
	__u64 used = batch->sample.used, size = batch->waiting;
	const struct record *record;

	if (!size || EXCEEDS(used, BATCH_FILL))
		return false;
	record = (const struct record *)&batch->bytes[used];
	if (record->target != (__u32)VALUE(TARGET))
		return false;
	batch->waiting = 0;
	state->counts.filtered--;
	if (!take_failed(state)) {
		count(state, FATE_SKIPPED);
		return false;
	}
	keep_record(batch, size);
	count(state, FATE_KEPT);
	return true;
}

/* Of a run that was kept, or is to be because of this. */
static __always_inline int tell_outcome(void *ctx, struct state *state, const struct outcome *outcome)
{
	struct batch *batch = open_batch(state->cpu);
	struct outcome *told;

	if (!batch)
		return 0;
	if (is(state, FLAG_ONLY_FAILED) && !confirm(state, batch)) {
		close_batch(ctx, batch, state);
		return 0;
	}
	told = (struct outcome *)next_record(ctx, batch, state);
	*told = *outcome;
	told->time_ns = bpf_ktime_get_ns();
	told->serial = state->counts.kept - 1;
	keep_outcome(batch);
	close_batch(ctx, batch, state);
	return 0;
}

/*
 * Whether the target's last run on this CPU was asked for, as far as is known of it but for its device. Where runs are counted by fexit
 * alone, the first that was is known by its cell.
 */
static __always_inline bool is_last_kept(struct state *state)
{
	if (!(state->run & RUN_ENDED) || state->run & RUN_PASSED)
		return false;
	if (!(state->run & RUN_NONE))
		return true;
	return is(state, FLAG_COUNTS) && !is_mostly(state, FLAG_HAS_ENTRY) && first_cell(state)->is_used;
}

/*
 * A failure is counted once: where a driver says of a redirect that it couldn't be followed, xdp_redirect_err has said so
 * before. Of a devmap's program the kernel names the device to leave by, and the run has noted by which one the packet came.
 */
static __always_inline int count_outcome(struct state *state, struct outcome *outcome)
{
	if (outcome->source == SOURCE_REDIRECT || (outcome->source == SOURCE_EXCEPTION && outcome->action == XDP_REDIRECT))
		return 0;
	if (is(state, FLAG_IN_DEVMAP)) {
		outcome->netns = state->from.netns;
		outcome->ifindex = state->from.ifindex;
	}
	count_failure(outcome);
	return 0;
}

/* Of the last run of the target on this CPU, if it was kept. */
static __always_inline int take_outcome(void *ctx, struct outcome *outcome, const struct net_device *dev)
{
	struct state *state = this_state();

	if (!is_last_kept(state))
		return 0;
	identify_any(dev, &outcome->netns, &outcome->ifindex);
	if (!is(state, FLAG_IN_DEVMAP) && !is_wanted(state, outcome->netns, outcome->ifindex))
		return 0;
	outcome->target = VALUE(TARGET);
	outcome->told = TOLD_OUTCOME;
	return is(state, FLAG_COUNTS) ? count_outcome(state, outcome) : tell_outcome(ctx, state, outcome);
}

/* Whether it is about the target's packet. */
static __always_inline bool is_ours(const struct bpf_prog *program)
{
	return BPF_CORE_READ(program, aux, id) == root;
}

/* Where to a packet was redirected. */
static __always_inline void read_map(void *ctx, struct outcome *outcome)
{
	const struct bpf_redirect_info *redirect = NULL;
	const struct bpf_map *map;

	/* Since ee75aef23afe in Linux 5.13: map_type, map_id, index; before, map, index. */
	if (bpf_core_field_exists(redirect->map_id)) {
		outcome->map_type = ARGUMENT(4);
		outcome->map_id = ARGUMENT(5);
		outcome->map_index = ARGUMENT(6);
		return;
	}
	map = (const struct bpf_map *)ARGUMENT(4);
	outcome->map_type = map ? BPF_CORE_READ(map, map_type) : 0;
	outcome->map_id = map ? BPF_CORE_READ(map, id) : NO_MAP;
	outcome->map_index = ARGUMENT(5);
}

static __always_inline void read_way(void *ctx, struct outcome *outcome, const struct net_device *dev)
{
	const struct bpf_dtab_netdev *entry = (const struct bpf_dtab_netdev *)ARGUMENT(2);
	__u32 ifindex;

	read_map(ctx, outcome);
	if (outcome->map_type == BPF_MAP_TYPE_DEVMAP || outcome->map_type == BPF_MAP_TYPE_DEVMAP_HASH) {
		/* None: to all of them. */
		if (entry)
			identify_any(BPF_CORE_READ(entry, dev), &outcome->to_netns, &outcome->to_ifindex);
	} else if (!outcome->map_type && outcome->map_id == NO_MAP) {
		identify_any(dev, &outcome->to_netns, &ifindex);
		outcome->to_ifindex = outcome->map_index;
		outcome->map_id = 0;
		outcome->map_index = 0;
	}
}

static __always_inline int take_redirect(void *ctx, const __u32 source)
{
	const struct net_device *dev = (const struct net_device *)ARGUMENT(0);
	struct outcome outcome = { .source = source, .action = XDP_REDIRECT, .error = ARGUMENT(3) };

	if (!is_ours((const struct bpf_prog *)ARGUMENT(1)))
		return 0;
	read_way(ctx, &outcome, dev);
	return take_outcome(ctx, &outcome, dev);
}

SEC("?raw_tp/xdp_exception")
int on_exception(void *ctx)
{
	struct outcome outcome = { .source = SOURCE_EXCEPTION, .action = ARGUMENT(2) };

	if (!is_ours((const struct bpf_prog *)ARGUMENT(1)))
		return 0;
	return take_outcome(ctx, &outcome, (const struct net_device *)ARGUMENT(0));
}

SEC("?raw_tp/xdp_redirect_err")
int on_redirect_err(void *ctx)
{
	return take_redirect(ctx, SOURCE_REDIRECT_ERR);
}

SEC("?raw_tp/xdp_redirect")
int on_redirect(void *ctx)
{
	return take_redirect(ctx, SOURCE_REDIRECT);
}

static __always_inline int count_forward(const struct forward *forward, __u64 sent, __u64 dropped)
{
	struct forwarded *counts = bpf_map_lookup_elem(&forwards, forward), first = { .sent = sent, .dropped = dropped };

	if (!counts && !bpf_map_update_elem(&forwards, forward, &first, BPF_NOEXIST))
		return 0;
	/* Another CPU was faster, or there is no room. */
	if (!counts)
		counts = bpf_map_lookup_elem(&forwards, forward);
	if (!counts)
		counts = &refused.forwards;
	__sync_fetch_and_add(&counts->sent, sent);
	__sync_fetch_and_add(&counts->dropped, dropped);
	return 0;
}

SEC("?raw_tp/xdp_devmap_xmit")
int on_devmap_xmit(void *ctx)
{
	struct forward forward = { .kind = BATCH_DEVMAP_XMIT, .error = ARGUMENT(4) };

	identify_any((const struct net_device *)ARGUMENT(0), &forward.from_netns, &forward.from_ifindex);
	identify_any((const struct net_device *)ARGUMENT(1), &forward.to_netns, &forward.to);
	return count_forward(&forward, (__u32)ARGUMENT(2), (__u32)ARGUMENT(3));
}

SEC("?raw_tp/xdp_bulk_tx")
int on_bulk_tx(void *ctx)
{
	struct forward forward = { .kind = BATCH_BULK_TX, .error = ARGUMENT(3) };

	identify_any((const struct net_device *)ARGUMENT(0), &forward.from_netns, &forward.from_ifindex);
	return count_forward(&forward, (__u32)ARGUMENT(1), (__u32)ARGUMENT(2));
}

/* What is dropped has been processed, too. */
static __always_inline int count_processed(const struct forward *forward, __u32 processed, __u32 dropped)
{
	return count_forward(forward, processed - dropped, dropped);
}

SEC("?raw_tp/xdp_cpumap_enqueue")
int on_cpumap_enqueue(void *ctx)
{
	struct forward forward = { .kind = BATCH_CPUMAP_ENQUEUE, .to = ARGUMENT(0), .cpu = ARGUMENT(3) };

	return count_processed(&forward, ARGUMENT(1), ARGUMENT(2));
}

SEC("?raw_tp/xdp_cpumap_kthread")
int on_cpumap_kthread(void *ctx)
{
	struct forward forward = { .kind = BATCH_CPUMAP_KTHREAD, .to = ARGUMENT(0), .cpu = bpf_get_smp_processor_id() };

	return count_processed(&forward, ARGUMENT(1), ARGUMENT(2));
}

#endif
