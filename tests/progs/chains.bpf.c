/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Programs that consist of several: functions, tail calls, programs of devmap and cpumap entries. */
#include "ports.h"
#include "runs.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Of include/uapi/linux/bpf.h, for the tests alone. */
enum { PROG_ARRAY = 3, DEVMAP = 14, CPUMAP = 16 };

/* struct bpf_devmap_val, struct bpf_cpumap_val: a device or a queue's length, and a program. */
struct target {
	__u32 where;
	__u32 program;
};

/* Functions. Their values are made from the packet, because clang would otherwise put them in the calls' place. */

static __always_inline int is_udp(struct xdp_md *ctx)
{
	return protocol_of(ctx) == UDP;
}

/* XDP_TX for a datagram, XDP_DROP for anything else, which nobody obeys. */
__noinline int function_global(struct xdp_md *ctx)
{
	return is_udp(ctx) ? XDP_TX : XDP_DROP;
}

/* The context is its second argument. As function_global, but XDP_REDIRECT for a datagram. */
static __noinline int function_static(int length, struct xdp_md *ctx)
{
	return is_udp(ctx) && length > 0 ? XDP_REDIRECT : XDP_DROP;
}

/* clang drops what it doesn't use, and passes the context in the first one's register. */
static __noinline int function_shifted(int unused, struct xdp_md *ctx)
{
	return is_udp(ctx) ? XDP_PASS : XDP_DROP;
}

__noinline int function_without_context(int length)
{
	return length > 0 ? XDP_PASS : XDP_ABORTED;
}

SEC("xdp")
int functions(struct xdp_md *ctx)
{
	int length = (long)ctx->data_end - (long)ctx->data;

	volatile int ignored;

	count_port(ctx);
	ignored = function_global(ctx);
	ignored = function_static(length, ctx);
	ignored = function_shifted(length, ctx);
	(void)ignored;
	return function_without_context(length);
}

/* Tail calls, two deep: only the last program's verdict is ever given. */

struct {
	__uint(type, PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} jumps SEC(".maps");

SEC("xdp")
int tail_entry(struct xdp_md *ctx)
{
	count_port(ctx);
	bpf_tail_call(ctx, &jumps, 0);
	return XDP_ABORTED;
}

SEC("xdp")
int tail_first(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &jumps, 1);
	return XDP_ABORTED;
}

SEC("xdp")
int tail_second(struct xdp_md *ctx)
{
	return is_udp(ctx) ? XDP_DROP : XDP_PASS;
}

/* As deep as the kernel lets it: it calls itself until a call fails, and then counts the packet. */
SEC("xdp")
int tail_deep(struct xdp_md *ctx)
{
	count_port(ctx);
	bpf_tail_call(ctx, &jumps, 0);
	count_run();
	return XDP_DROP;
}

/* A subprogram that tail-calls: tracing that panics some kernels. */

static __noinline int tail_jump(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &jumps, 1);
	return is_udp(ctx) ? XDP_ABORTED : XDP_PASS;
}

SEC("xdp")
int tail_subprogram(struct xdp_md *ctx)
{
	count_port(ctx);
	return tail_jump(ctx);
}

/* Devices and CPUs: IPv4 is redirected, the rest passes. Only the programs that it is redirected to count. */

struct {
	__uint(type, DEVMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct target);
} devices SEC(".maps");

SEC("xdp")
int to_device(struct xdp_md *ctx)
{
	return protocol_of(ctx) ? bpf_redirect_map(&devices, 1, 0) : XDP_PASS;
}

SEC("xdp/devmap")
int at_device(struct xdp_md *ctx)
{
	count_port(ctx);
	return XDP_PASS;
}

struct {
	__uint(type, CPUMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct target);
} cpus SEC(".maps");

SEC("xdp")
int to_cpu(struct xdp_md *ctx)
{
	return protocol_of(ctx) ? bpf_redirect_map(&cpus, 0, 0) : XDP_PASS;
}

SEC("xdp/cpumap")
int at_cpu(struct xdp_md *ctx)
{
	count_port(ctx);
	return XDP_PASS;
}

/* Programs of other types. */

SEC("tc")
int at_tc(struct __sk_buff *skb)
{
	return 0; /* TC_ACT_OK */
}

/* Loaded for one of the XDP programs above: a tracing program, as others' tools leave them. */
SEC("fentry")
int others_fentry(void *ctx)
{
	return 0;
}
