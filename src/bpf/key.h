/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What packets have in common that are counted together. */
#ifndef XDPTRACE_KEY_H
#define XDPTRACE_KEY_H

/* Bytes of a packet that are looked at first: the ports of most are in them; of others as many as HEAD_LEN. */
#define KEY_LOOK_LEN 64

enum {
	ETHERTYPE_AT = 12,
	ETHERNET_LEN = 14,
	VLAN_LEN = 4,
	IPV4_LEN = 20,
	IPV6_LEN = 40,
	MOST_EXTENSIONS = 4,
};

/* EtherTypes (IEEE 802) and IP protocols (IANA). */
enum {
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_IPV6 = 0x86dd,
	ETHERTYPE_QINQ = 0x88a8,
	ETHERTYPE_QINQ_OLD = 0x9100,
	PROTOCOL_HOP_BY_HOP = 0,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	PROTOCOL_DCCP = 33,
	PROTOCOL_ROUTING = 43,
	PROTOCOL_FRAGMENT = 44,
	PROTOCOL_AUTHENTICATION = 51,
	PROTOCOL_DESTINATION = 60,
	PROTOCOL_SCTP = 132,
	PROTOCOL_UDP_LITE = 136,
};

static __always_inline __u32 number_at(const __u8 *bytes, __u64 offset)
{
	return __builtin_bswap16(*(const __u16 *)(bytes + offset));
}

/*
 * What stands there, if that has been read. Behind the last bytes there is more of the state, so nothing is read from beyond it. By
 * a mask, because 6.1's verifier, which also follows ways that can't be taken, may have derived bounds of `at` that exclude each other.
 */
static __always_inline const __u8 *bytes_at(const struct state *state, __u64 at)
{
	asm("%0 &= %1" : "+r"(at) : "i"(HEAD_LEN - 1));
	return state->before.bytes + at;
}

static __always_inline bool asks_ports(const void *valid)
{
	return is(valid, FLAG_KEY_SOURCE_PORT) || is(valid, FLAG_KEY_DESTINATION_PORT);
}

/* Whether packets of this protocol begin with two ports. */
static __always_inline bool has_ports(__u32 protocol)
{
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP || protocol == PROTOCOL_DCCP ||
	       protocol == PROTOCOL_UDP_LITE;
}

static __always_inline void note_protocol(struct state *state, __u32 protocol, const __u32 kind)
{
	if (!is(state, FLAG_KEY_PROTOCOL))
		return;
	state->key.protocol = protocol;
	state->key.known |= kind;
}

/* Reads the rest of what can be looked at; returns how much that is then. */
static __noinline __u64 read_rest(struct state *state)
{
	__u64 end;

	/* Keeps the verifier of 5.10 happy, which doesn't know what a function is given. */
	if (!state)
		return 0;
	end = at_most(linear_length(&state->before.extent), HEAD_LEN);
	if (end <= KEY_LOOK_LEN || !read_bytes(state, state->before.bytes, state->before.extent.data, KEY_LOOK_LEN,
					       at_most(end - KEY_LOOK_LEN, HEAD_LEN - KEY_LOOK_LEN)))
		return 0;
	return end;
}

/* Whether the packet has bytes up to there: most have, within what is looked at of each. */
static __always_inline bool reaches(struct state *state, __u64 at, __u64 end)
{
	return likely(at <= end) || at <= read_rest(state);
}

/* `at`: behind IP's headers, in front of `protocol`'s, which begins with ports if it is the first fragment. */
static __always_inline int note_transport(struct state *state, __u64 at, __u64 end, __u32 protocol, bool is_first)
{
	const __u8 *here;

	note_protocol(state, protocol, KEY_PROTOCOL);
	if (!asks_ports(state) || !is_first || !has_ports(protocol) || !reaches(state, at + 4, end))
		return 0;
	here = bytes_at(state, at);
	if (is(state, FLAG_KEY_SOURCE_PORT))
		state->key.source_port = number_at(here, 0);
	if (is(state, FLAG_KEY_DESTINATION_PORT))
		state->key.destination_port = number_at(here, 2);
	state->key.known |= KEY_PORTS;
	return 0;
}

static __always_inline int note_ipv4(struct state *state, __u64 at, __u64 end)
{
	const __u8 *here = bytes_at(state, at);
	__u32 protocol = here[9];

	if (at + IPV4_LEN > end)
		return 0;
	state->key.known |= KEY_IPV4;
	if (is(state, FLAG_KEY_SOURCE))
		state->key.source[0] = *(const __u32 *)(here + 12) & VALUE(PREFIX4);
	if (is(state, FLAG_KEY_DESTINATION))
		state->key.destination[0] = *(const __u32 *)(here + 16) & VALUE(PREFIX4);
	return note_transport(state, at + (here[0] & 15) * 4, end, protocol, !(number_at(here, 6) & 0x1fff));
}

/* Behind IPv6's headers; `protocol` is the first one's that follows. */
static __noinline int note_ipv6_rest(struct state *state, __u64 at, __u64 end, __u32 protocol)
{
	bool is_first = true;

	/* Keeps the verifier of 5.10 happy, which doesn't know what a function is given. */
	if (!state)
		return 0;
	for (int number = 0; number < MOST_EXTENSIONS; number++) {
		const __u8 *here;

		if (protocol != PROTOCOL_HOP_BY_HOP && protocol != PROTOCOL_ROUTING && protocol != PROTOCOL_FRAGMENT &&
		    protocol != PROTOCOL_AUTHENTICATION && protocol != PROTOCOL_DESTINATION)
			return note_transport(state, at, end, protocol, is_first);
		/* Then it isn't known what comes behind them. */
		if (!reaches(state, at + 8, end))
			return 0;
		here = bytes_at(state, at);
		if (protocol == PROTOCOL_FRAGMENT) {
			is_first = !(number_at(here, 2) & 0xfff8);
			at += 8;
		} else {
			at += protocol == PROTOCOL_AUTHENTICATION ? (here[1] + 2) * 4 : (here[1] + 1) * 8;
		}
		protocol = here[0];
	}
	return 0;
}

static __always_inline int note_ipv6(struct state *state, __u64 at, __u64 end)
{
	const __u8 *here = bytes_at(state, at);
	struct key *key = &state->key;

	if (at + IPV6_LEN > end)
		return 0;
	key->known |= KEY_IPV6;
	if (is(state, FLAG_KEY_SOURCE)) {
		key->source[0] = *(const __u64 *)(here + 8) & VALUE(PREFIX6_HIGH);
		key->source[1] = *(const __u64 *)(here + 16) & VALUE(PREFIX6_LOW);
	}
	if (is(state, FLAG_KEY_DESTINATION)) {
		key->destination[0] = *(const __u64 *)(here + 24) & VALUE(PREFIX6_HIGH);
		key->destination[1] = *(const __u64 *)(here + 32) & VALUE(PREFIX6_LOW);
	}
	return note_ipv6_rest(state, at + IPV6_LEN, end, here[6]);
}

/* From the Ethernet header on, of which `end` bytes could be read. */
static __always_inline int note_layers(struct state *state, __u64 end)
{
	const __u8 *here = state->before.bytes;
	__u32 type = number_at(here, ETHERTYPE_AT);
	__u64 at = ETHERNET_LEN;

	if (end < ETHERNET_LEN)
		return 0;
#pragma unroll
	for (int tag = 0; tag < 2; tag++) {
		if (likely(type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ && type != ETHERTYPE_QINQ_OLD) || at + VLAN_LEN > end)
			break;
		if (!tag && is(state, FLAG_KEY_VLAN)) {
			state->key.vlan = number_at(here, at) & 0xfff;
			state->key.known |= KEY_VLAN;
		}
		type = number_at(here, at + 2);
		at += VLAN_LEN;
	}
	if (type == ETHERTYPE_IPV4)
		return note_ipv4(state, at, end);
	if (type == ETHERTYPE_IPV6)
		return note_ipv6(state, at, end);
	note_protocol(state, type, KEY_ETHERTYPE);
	return 0;
}

/* Notes what the packet is counted by. */
static __noinline int note_key(void *ctx, struct state *state)
{
	const struct xdp_buff *xdp;
	struct extent *extent;
	struct key *key;
	__u64 end;

	if (!state)
		return 0;
	xdp = context_of(ctx, state);
	key = &state->key;
	*key = (struct key){ .target = VALUE(TARGET) };
	extent = &state->before.extent;
	*extent = measure(state, xdp);
	end = at_most(linear_length(extent), KEY_LOOK_LEN);
	if (unlikely(!read_bytes(state, state->before.bytes, extent->data, 0, end)))
		return 0;
	key->known = KEY_READ;
	if (is(state, FLAG_KEY_LENGTH) && !(extent->flaws & TOLD_FRAGMENTS)) {
		key->length = at_most(whole_length(extent), 0xffff);
		key->known |= KEY_LENGTH;
	}
	return note_layers(state, end);
}

#endif
