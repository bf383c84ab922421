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

/* What stands there, if that has been read. Behind the last bytes there is more of the state, so nothing is read from beyond it. */
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

static __always_inline bool is_extension(__u32 protocol)
{
	return protocol == PROTOCOL_HOP_BY_HOP || protocol == PROTOCOL_ROUTING || protocol == PROTOCOL_FRAGMENT ||
	       protocol == PROTOCOL_AUTHENTICATION || protocol == PROTOCOL_DESTINATION;
}

static __always_inline bool is_tag(__u32 type)
{
	return type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ || type == ETHERTYPE_QINQ_OLD;
}

static __always_inline __u32 note_protocol(struct state *state, __u32 protocol, const __u32 kind)
{
	if (!is(state, FLAG_KEY_PROTOCOL))
		return 0;
	state->key.protocol = protocol;
	return kind;
}

static __always_inline struct state *this_state(void);

/*
 * What few packets take is in two functions that are not static: the verifier looks at each of them once, by itself, and not
 * in each place that calls it, for whatever it knows there of the packet, which on 6.1 is five times as much to look at. That
 * is why they find the state themselves; and because it looks at them also where there are no keys (until Linux 6.8), they
 * ask for that first. The packet's address they find in the state: 7.x's verifier takes it for no number, which is all that
 * such a function may be given.
 */

/* Not by a flag's jump, behind which clang unrolls no loop. */
static __always_inline bool has_keys(void)
{
	return VALUE(KEY_MASK);
}

/* Reads the rest of what can be looked at; returns how much that is then. */
__noinline __u64 read_rest(__u64 linear)
{
	struct state *state = this_state();
	__u64 end = at_most(linear, HEAD_LEN);

	if (!has_keys() || end <= KEY_LOOK_LEN)
		return 0;
	end = at_most(end - KEY_LOOK_LEN, HEAD_LEN - KEY_LOOK_LEN);
	return read_bytes(state, state->before.bytes, state->before.data, KEY_LOOK_LEN, end) ? KEY_LOOK_LEN + end : 0;
}

/* Whether the packet has bytes up to there: most have, within what is looked at of each. */
static __always_inline bool reaches(struct state *state, __u64 at, __u64 data, __u64 linear)
{
	if (likely(at <= at_most(linear, KEY_LOOK_LEN)))
		return true;
	state->before.data = data;
	return at <= read_rest(linear);
}

/*
 * `at`: behind IP's headers, in front of `protocol`'s, which begins with ports if it is the first fragment. `data`, here and below, is
 * the packet's address, and `linear` how long it is there. Returns what is known then.
 */
static __always_inline __u32 note_transport(struct state *state, __u64 at, __u32 protocol, bool is_first, __u64 data, __u64 linear)
{
	__u32 known = note_protocol(state, protocol, KEY_PROTOCOL);
	const __u8 *here;

	if (!asks_ports(state) || !is_first || !has_ports(protocol) || !reaches(state, at + 4, data, linear))
		return known;
	here = bytes_at(state, at);
	if (is(state, FLAG_KEY_SOURCE_PORT))
		state->key.source_port = number_at(here, 0);
	if (is(state, FLAG_KEY_DESTINATION_PORT))
		state->key.destination_port = number_at(here, 2);
	return known | KEY_PORTS;
}

static __always_inline __u32 note_ipv4(struct state *state, __u64 at, __u64 data, __u64 linear)
{
	const __u8 *here = bytes_at(state, at);

	if (!reaches(state, at + IPV4_LEN, data, linear))
		return 0;
	if (is(state, FLAG_KEY_SOURCE))
		state->key.source[0] = *(const __u32 *)(here + 12) & VALUE(PREFIX4);
	if (is(state, FLAG_KEY_DESTINATION))
		state->key.destination[0] = *(const __u32 *)(here + 16) & VALUE(PREFIX4);
	at += (here[0] & 15) * 4;
	return KEY_IPV4 | note_transport(state, at, here[9], !(number_at(here, 6) & 0x1fff), data, linear);
}

/* Behind IPv6's headers; `protocol` is the first one's that follows. */
__noinline int note_extensions(__u64 at, __u32 protocol, __u64 linear)
{
	struct state *state = this_state();
	__u64 data = state->before.data;
	bool is_first = true;

	if (!has_keys())
		return 0;
	for (int number = 0; number <= MOST_EXTENSIONS; number++) {
		/*
		 * Has 6.1's verifier forget what it has concluded of `at`: it also follows ways that can't be taken, on which it derives bounds
		 * that exclude each other, and then takes a pointer for a number.
		 */
		volatile __u16 fresh = at;
		const __u8 *here;

		at = fresh;
		if (!is_extension(protocol))
			return note_transport(state, at, protocol, is_first, data, linear);
		/* Then it isn't known what comes behind them. */
		if (!reaches(state, at + 8, data, linear))
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

static __always_inline __u32 note_ipv6(struct state *state, __u64 at, __u64 data, __u64 linear)
{
	const __u8 *here = bytes_at(state, at);
	struct key *key = &state->key;

	if (!reaches(state, at + IPV6_LEN, data, linear))
		return 0;
	if (is(state, FLAG_KEY_SOURCE)) {
		key->source[0] = *(const __u64 *)(here + 8) & VALUE(PREFIX6_HIGH);
		key->source[1] = *(const __u64 *)(here + 16) & VALUE(PREFIX6_LOW);
	}
	if (is(state, FLAG_KEY_DESTINATION)) {
		key->destination[0] = *(const __u64 *)(here + 24) & VALUE(PREFIX6_HIGH);
		key->destination[1] = *(const __u64 *)(here + 32) & VALUE(PREFIX6_LOW);
	}
	at += IPV6_LEN;
	if (unlikely(is_extension(here[6]))) {
		state->before.data = data;
		return KEY_IPV6 | note_extensions(at, here[6], linear);
	}
	return KEY_IPV6 | note_transport(state, at, here[6], true, data, linear);
}

/* From behind the EtherType on. */
static __always_inline __u32 note_network(struct state *state, __u64 at, __u32 type, __u64 data, __u64 linear)
{
	if (likely(type == ETHERTYPE_IPV4))
		return note_ipv4(state, at, data, linear);
	if (type == ETHERTYPE_IPV6)
		return note_ipv6(state, at, data, linear);
	return note_protocol(state, type, KEY_ETHERTYPE);
}

/* Behind a VLAN's tag; there may be another one. */
static __noinline int note_tagged(struct state *state, __u64 data, __u64 linear)
{
	__u64 at = ETHERNET_LEN + VLAN_LEN;
	__u32 known = 0, type;
	const __u8 *here;

	if (!state || at > linear)
		return 0;
	here = state->before.bytes;
	if (is(state, FLAG_KEY_VLAN)) {
		state->key.vlan = number_at(here, ETHERNET_LEN) & 0xfff;
		known = KEY_VLAN;
	}
	type = number_at(here, at - 2);
	if (is_tag(type) && at + VLAN_LEN <= linear) {
		at += VLAN_LEN;
		type = number_at(here, at - 2);
	}
	return known | note_network(state, at, type, data, linear);
}

/* From the Ethernet header on. */
static __always_inline __u32 note_layers(struct state *state, __u64 data, __u64 linear)
{
	__u32 type = number_at(state->before.bytes, ETHERTYPE_AT);

	if (unlikely(linear < ETHERNET_LEN))
		return 0;
	return unlikely(is_tag(type)) ? note_tagged(state, data, linear) : note_network(state, ETHERNET_LEN, type, data, linear);
}

/* Notes what a packet is counted by that lies there. */
static __always_inline void note_key_of(struct state *state, const struct extent *extent)
{
	__u64 linear = linear_length(extent);
	struct key *key = &state->key;
	__u32 known = KEY_READ;

	*key = (struct key){ .target = VALUE(TARGET) };
	if (unlikely(!read_bytes(state, state->before.bytes, extent->data, 0, at_most(linear, KEY_LOOK_LEN))))
		return;
	if (is(state, FLAG_KEY_LENGTH) && !(extent->flaws & TOLD_FRAGMENTS)) {
		key->length = at_most(whole_length(extent), 0xffff);
		known |= KEY_LENGTH;
	}
	key->known = known | note_layers(state, extent->data, linear);
}

/* Notes what the packet is counted by. */
static __noinline int note_key(void *ctx, struct state *state)
{
	struct extent extent;

	if (!state)
		return 0;
	extent = measure(state, context_of(ctx, state));
	note_key_of(state, &extent);
	return 0;
}

#endif
