/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the probes read of a packet, and of where it is. */
#ifndef XDPTRACE_PACKET_H
#define XDPTRACE_PACKET_H

#define XDP_FLAGS_HAS_FRAGS 1	/* enum xdp_buff_flags in include/net/xdp.h, since 5.18 */
#define SMP_CACHE_BYTES 64	/* on x86-64 and arm64 */

/*
 * A member of the context, or what it points to. The verifier knows the type of a parameter declared as struct xdp_md *;
 * one declared as void * is a number to it, and read as any address is. One of the two is dropped at load. `valid`, here and
 * below, is for flags.
 */
#define CONTEXT(valid, xdp, ...) (is_mostly(valid, FLAG_TYPED) ? ___arrow(xdp, __VA_ARGS__) : BPF_CORE_READ(xdp, __VA_ARGS__))

/*
 * 64 bits unsigned from start to end: 7.3's verifier loses the lower bound of anything narrower. In one register from start to
 * end, too: 6.1's loses the bound of what is on the stack meanwhile.
 */
static __always_inline __u64 at_most(__u64 value, __u64 most)
{
	asm("if %[value] <= %[most] goto +1\n\t%[value] = %[most]" : [value] "+r"(value) : [most] "ri"(most));
	return value;
}

static __always_inline __u64 padded(__u64 size)
{
	return (size + 7) & ~7ULL;
}

/* Bytes in the buffers behind the first, which the struct at that one's end tells; -1 if it can't be read. */
static __noinline long read_fragments_length(const void *valid, const struct xdp_buff *xdp)
{
	__u64 size = padded(bpf_core_type_size(struct skb_shared_info));
	const struct skb_shared_info *shared = NULL;
	__u32 length;

	/* Keeps the verifier of 5.10 happy, which doesn't know what a function is given. */
	if (!valid || !is_mostly(valid, FLAG_CAN_READ) || !bpf_core_field_exists(shared->xdp_frags_size))
		return -1;
	size = (size + SMP_CACHE_BYTES - 1) & ~(SMP_CACHE_BYTES - 1ULL);
	shared = (void *)((__u64)CONTEXT(valid, xdp, data_hard_start) + CONTEXT(valid, xdp, frame_sz) - size);
	return bpf_core_read(&length, sizeof(length), &shared->xdp_frags_size) ? -1 : (long)length;
}

static __always_inline struct extent locate(const void *valid, const struct xdp_buff *xdp)
{
	return (struct extent) {
		.data = (__u64)CONTEXT(valid, xdp, data),
		.data_end = (__u64)CONTEXT(valid, xdp, data_end),
		.data_meta = (__u64)CONTEXT(valid, xdp, data_meta),
	};
}

/* Whether it has more buffers than the first, as almost none has. */
static __always_inline bool has_fragments(const void *valid, const struct xdp_buff *xdp)
{
	return is_mostly(valid, FLAG_HAS_FRAGMENTS) && unlikely(CONTEXT(valid, xdp, flags) & XDP_FLAGS_HAS_FRAGS);
}

/* Adds what of the packet is in them. */
static __always_inline void measure_fragments(const void *valid, struct extent *extent, const struct xdp_buff *xdp)
{
	long length = read_fragments_length(valid, xdp);

	if (length < 0)
		extent->flaws |= TOLD_FRAGMENTS;
	else
		extent->fragments = length;
}

/* Where the packet is, and how long. */
static __always_inline struct extent measure(const void *valid, const struct xdp_buff *xdp)
{
	struct extent extent = locate(valid, xdp);

	if (has_fragments(valid, xdp))
		measure_fragments(valid, &extent, xdp);
	return extent;
}

static __always_inline __u64 linear_length(const struct extent *extent)
{
	return extent->data_end - extent->data;
}

static __always_inline __u32 whole_length(const struct extent *extent)
{
	return linear_length(extent) + extent->fragments;
}

static __always_inline __u32 metadata_length(const struct extent *extent)
{
	return extent->data_meta < extent->data ? extent->data - extent->data_meta : 0;
}

/* Reads `length` bytes of the packet, from `from` on, to where they belong behind `to`. */
static __always_inline bool read_bytes(const void *valid, void *to, __u64 data, __u64 from, __u64 length)
{
	return is_mostly(valid, FLAG_CAN_READ) && likely(!bpf_probe_read_kernel(to + from, length, (void *)(data + from)));
}

/*
 * Makes the two words zero in which `length` bytes end, so that whole words can be compared, two at a time. To be done before
 * they are read; there is room for that.
 */
static __always_inline void set_end(void *bytes, __u64 length)
{
	__u64 *end = bytes + (length & ~7ULL);

	end[0] = 0;
	end[1] = 0;
}

/* Whether the packet's first bytes are as they were: `captured` of them, HEAD_LEN at most. */
static __always_inline bool are_same(const __u64 *then, const __u64 *now, __u64 captured)
{
#pragma unroll
	for (int word = 0; word < HEAD_LEN / 8; word += 2) {
		if (then[word] != now[word] || then[word + 1] != now[word + 1])
			return false;
		/* Keeps clang from making one count out of two, which it couldn't unroll. */
		asm volatile("" : "+r"(captured));
		if (captured <= (word + 2) * 8)
			return true;
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

#endif
