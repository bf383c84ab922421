/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the probes read of a packet, and of where it is. */
#ifndef XDPTRACE_PACKET_H
#define XDPTRACE_PACKET_H

#define XDP_FLAGS_HAS_FRAGS 1	/* enum xdp_buff_flags in include/net/xdp.h, since 5.18 */
#define SMP_CACHE_BYTES 64	/* on x86-64 and arm64 */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct device);
	__type(value, __u8);
} devices SEC(".maps");

/*
 * A member of the context, or what it points to. The verifier knows the type of a parameter declared as struct xdp_md *;
 * one declared as void * is a number to it, and read as any address is. One of the two is dropped at load.
 */
#define CONTEXT(xdp, ...) (is_mostly(state, FLAG_TYPED) ? ___arrow(xdp, __VA_ARGS__) : BPF_CORE_READ(xdp, __VA_ARGS__))

/* 64 bits unsigned from start to end: 7.3's verifier loses the lower bound of anything narrower. */
static __always_inline __u64 at_most(__u64 value, __u64 most)
{
	return value > most ? most : value;
}

static __always_inline __u64 padded(__u64 size)
{
	return (size + 7) & ~7ULL;
}

/* Whether it has more buffers than the first. */
static __always_inline bool has_fragments(struct state *state, const struct xdp_buff *xdp)
{
	return bpf_core_field_exists(xdp->flags) && CONTEXT(xdp, flags) & XDP_FLAGS_HAS_FRAGS;
}

/* Bytes in the buffers behind the first, which the struct at that one's end tells; -1 if it can't be read. */
static __always_inline __s64 fragments_length(struct state *state, const struct xdp_buff *xdp)
{
	__u64 size = padded(bpf_core_type_size(struct skb_shared_info));
	const struct skb_shared_info *shared = NULL;
	__u32 length = 0;

	if (!is_mostly(state, FLAG_CAN_READ) || !bpf_core_field_exists(shared->xdp_frags_size))
		return -1;
	size = (size + SMP_CACHE_BYTES - 1) & ~(SMP_CACHE_BYTES - 1ULL);
	shared = (void *)((__u64)CONTEXT(xdp, data_hard_start) + CONTEXT(xdp, frame_sz) - size);
	if (bpf_core_read(&length, sizeof(length), &shared->xdp_frags_size))
		return -1;
	return length;
}

/* Everything about the packet but its bytes. */
static __always_inline void measure(struct state *state, struct extent *extent, const struct xdp_buff *xdp)
{
	__u64 data = (__u64)CONTEXT(xdp, data);
	__u64 metadata = (__u64)CONTEXT(xdp, data_meta);
	__u32 linear = (__u64)CONTEXT(xdp, data_end) - data;

	extent->data = data;
	extent->linear = linear;
	extent->length = linear;
	extent->flaws = 0;
	/* A driver without metadata says so by data_meta = data + 1 (xdp_set_data_meta_invalid). */
	extent->metadata = metadata < data ? data - metadata : 0;
	if (has_fragments(state, xdp)) {
		__s64 length = fragments_length(state, xdp);

		if (length < 0)
			extent->flaws = TOLD_FRAGMENTS;
		else
			extent->length = linear + length;
	}
}

/*
 * Reads the packet's first bytes, `most` at most, a constant; `to` has room for eight more. The word that they end in is
 * zero to its end, so that whole words can be compared.
 */
static __always_inline __u64 read_bytes(struct state *state, void *to, struct extent *extent, __u64 most)
{
	__u64 length = at_most(extent->linear, most);

	*(__u64 *)(to + (length & ~7ULL)) = 0;
	if (!is_mostly(state, FLAG_CAN_READ) || bpf_probe_read_kernel(to, length, (void *)extent->data)) {
		extent->flaws |= TOLD_UNREAD;
		return 0;
	}
	return length;
}

/* For fentry's note, and for the filter. */
static __always_inline void look(struct state *state, struct view *view, const struct xdp_buff *xdp)
{
	measure(state, &view->extent, xdp);
	view->captured = read_bytes(state, view->bytes, &view->extent, HEAD_LEN);
}

/* Whether the packet is as it was; `bytes` are its first HEAD_LEN now. */
static __always_inline bool is_same(const struct view *before, const struct extent *now, const __u64 *bytes)
{
	const __u64 *noted = (const __u64 *)before->bytes;
	const struct extent *then = &before->extent;

	if (then->data != now->data || then->linear != now->linear || then->length != now->length ||
	    then->metadata != now->metadata)
		return false;
#pragma unroll
	for (int word = 0; word < HEAD_LEN / 8; word++) {
		if (word * 8 >= before->captured)
			return true;
		if (noted[word] != bytes[word])
			return false;
	}
	return true;
}

/* By its members, because a struct that is returned is packed into a register. */
static __always_inline void identify(struct state *state, const struct net_device *dev, __u32 *netns, __u32 *ifindex)
{
	if (is_mostly(state, FLAG_TYPED)) {
		*netns = dev->nd_net.net->ns.inum;
		*ifindex = dev->ifindex;
	} else {
		*netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
		*ifindex = BPF_CORE_READ(dev, ifindex);
	}
}

/* By which device and queue the packet came. */
struct arrival {
	__u32 netns;
	__u32 ifindex;
	__u32 queue;
};

static __always_inline void trace_back(struct state *state, struct arrival *arrival, const struct xdp_buff *xdp)
{
	const struct xdp_rxq_info *rxq = CONTEXT(xdp, rxq);

	if (is_mostly(state, FLAG_TYPED)) {
		identify(state, rxq->dev, &arrival->netns, &arrival->ifindex);
		arrival->queue = rxq->queue_index;
	} else {
		identify(state, BPF_CORE_READ(rxq, dev), &arrival->netns, &arrival->ifindex);
		arrival->queue = BPF_CORE_READ(rxq, queue_index);
	}
}

/* Whether that device and that queue are asked for. */
static __always_inline bool is_wanted(struct state *state, const struct arrival *arrival)
{
	if (is(state, FLAG_BY_QUEUE) && (is(state, FLAG_IN_CPUMAP) || arrival->queue != VALUE(QUEUE)))
		return false;
	if (is_mostly(state, FLAG_BY_DEVICE))
		return arrival->ifindex == VALUE(IFINDEX) && arrival->netns == VALUE(NETNS);
	if (is(state, FLAG_BY_NETNS))
		return arrival->netns == VALUE(NETNS);
	if (is(state, FLAG_BY_DEVICES)) {
		struct device device = { .netns = arrival->netns, .ifindex = arrival->ifindex };

		return bpf_map_lookup_elem(&devices, &device);
	}
	return true;
}

#endif
