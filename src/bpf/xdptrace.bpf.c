/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fentry and fexit of one XDP program. fentry notes the packet in a slot of this CPU, fexit finds the note, adds
 * the verdict and sends the pair as one record.
 *
 * The first argument of both is struct xdp_buff, not struct xdp_md: xdp_md is only the face that the verifier shows
 * to the program's author, and it rewrites each access to one of xdp_buff (xdp_convert_ctx_access in
 * net/core/filter.c). What the compiled program receives, and so what the trampoline passes on, is xdp_buff.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ETH_P_IP 0x0800
#define IPPROTO_ICMP 1

/* Set by user space before load; the verifier then drops the branches that these exclude. */
const volatile __u32 target = 0;
const volatile __u32 program_id = 0;
const volatile enum devices only_devices = DEVICES_ALL;
const volatile struct device only_device = {};
const volatile bool only_icmp = false;
const volatile bool exit_only = false;	/* there is no fentry */
const volatile __u32 context = 0;	/* which of the function's parameters is the packet's context */
const volatile __u32 parameters = 1;	/* how many it has; its return value follows them */
const volatile bool typed = true;	/* the context is declared as struct xdp_md *, not as void * */
const volatile bool returns = true;	/* it returns an integer */

/*
 * Set by user space once both probes are attached, cleared before they are taken off: the runs in between are those
 * that are noted, so that the order of attaching makes no unpaired halves beyond one run a CPU.
 */
volatile bool tracing;

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

/* The run that this CPU is in. XDP runs with bottom halves off, so a CPU is in one run of a program at a time. */
struct run {
	__u64 xdp;		/* its xdp_buff between fentry and fexit, else 0 */
	__u32 wanted;
	__u32 _reserved;
	struct record record;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct run);
} runs SEC(".maps");

/* These three, `events` and the two below, are shared by the objects of all targets. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counts);
} counted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct device);
	__type(value, __u8);
} devices SEC(".maps");

/*
 * A member of the context. The verifier knows the type of a parameter declared as struct xdp_md *; one declared as
 * void * is a number to it, and read as any address is. `typed` is constant, so one of the two is dropped at load.
 */
#define CONTEXT(xdp, member) (typed ? (xdp)->member : BPF_CORE_READ(xdp, member))

static __always_inline bool note_device(struct record *record, const struct xdp_buff *xdp)
{
	const struct net_device *dev = BPF_CORE_READ(xdp, rxq, dev);
	struct device device = {
		.netns = BPF_CORE_READ(dev, nd_net.net, ns.inum),
		.ifindex = BPF_CORE_READ(dev, ifindex),
	};

	record->ifindex = device.ifindex;
	record->netns = device.netns;
	record->queue = BPF_CORE_READ(xdp, rxq, queue_index);
	switch (only_devices) {
	case DEVICES_ALL:
		return true;
	case DEVICES_NETNS:
		return device.netns == only_device.netns;
	case DEVICES_ONE:
		return device.ifindex == only_device.ifindex && device.netns == only_device.netns;
	default:
		return bpf_map_lookup_elem(&devices, &device);
	}
}

static __always_inline void note_packet(struct snap *snap, const struct xdp_buff *xdp)
{
	__u64 data = (__u64)CONTEXT(xdp, data);
	__u64 meta = (__u64)CONTEXT(xdp, data_meta);
	__u64 length = (__u64)CONTEXT(xdp, data_end) - data;
	/* 64 bits unsigned from start to end: 7.3's verifier loses the lower bound of anything narrower. */
	__u64 captured = length;

	if (captured > SNAP_LEN)
		captured = SNAP_LEN;
	snap->length = length;
	/* A driver without metadata says so by data_meta = data + 1 (xdp_set_data_meta_invalid). */
	snap->metadata = meta < data ? data - meta : 0;
	if (bpf_probe_read_kernel(snap->bytes, captured, (void *)data))
		captured = 0;
	snap->captured = captured;
}

/* pcap-filter(7)'s `icmp`: IPv4 right behind the Ethernet header, protocol 1. ICMPv6 is another protocol. */
static __always_inline bool is_icmp(const struct snap *snap)
{
	return snap->captured > 23 && *(const __u16 *)&snap->bytes[12] == bpf_htons(ETH_P_IP) &&
	       snap->bytes[23] == IPPROTO_ICMP;
}

static __always_inline bool is_wanted(const struct snap *snap)
{
	return !only_icmp || is_icmp(snap);
}

static __always_inline void begin_run(struct run *run, struct counts *counts, const struct xdp_buff *xdp)
{
	if (run->xdp)
		counts->unpaired++;	/* its fexit never came: the kernel skipped it */
	note_packet(&run->record.before, xdp);
	run->wanted = is_wanted(&run->record.before);
	run->xdp = (__u64)xdp;
	/* Last, so that what fentry itself costs is not in the latency. */
	run->record.time_ns = bpf_ktime_get_ns();
}

static __always_inline void end_run(void *ctx, struct run *run, struct counts *counts, const struct xdp_buff *xdp,
				    __u32 verdict, __u64 now)
{
	struct record *record = &run->record;
	bool paired = run->xdp == (__u64)xdp;

	if (!paired && !tracing)
		return;
	run->xdp = 0;
	counts->seen++;
	if (paired && !run->wanted) {
		counts->filtered++;
		return;
	}
	note_packet(&record->after, xdp);
	if (paired) {
		record->latency_ns = now - record->time_ns;
		record->halves = HALF_BOTH;
	} else {
		if (!exit_only)
			counts->unpaired++;
		if (!is_wanted(&record->after)) {
			counts->filtered++;
			return;
		}
		record->time_ns = now;
		record->halves = HALF_EXIT;
	}
	record->target = target;
	record->program_id = program_id;
	record->cpu = bpf_get_smp_processor_id();
	record->verdict = verdict;
	record->halves |= returns ? HALF_VERDICT : 0;
	if (bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, record, sizeof(*record)))
		counts->lost++;
	else
		counts->sent++;
}

static __always_inline int handle_xdp(void *ctx, const struct xdp_buff *xdp, enum half half, __u32 verdict)
{
	/* First of all at exit, so that what fexit itself costs is not in the latency. */
	__u64 now = half == HALF_EXIT ? bpf_ktime_get_ns() : 0;
	__u32 zero = 0;
	struct run *run = bpf_map_lookup_elem(&runs, &zero);
	struct counts *counts = bpf_map_lookup_elem(&counted, &zero);

	/* Keeps the verifier happy: an array's element 0 is always there. */
	if (!run || !counts)
		return 0;
	if (!note_device(&run->record, xdp))
		return 0;
	if (half == HALF_EXIT)
		end_run(ctx, run, counts, xdp, verdict, now);
	else if (tracing)
		begin_run(run, counts, xdp);
	return 0;
}

/*
 * BPF_PROG hides the real parameter, `unsigned long long *ctx`, which holds the traced function's arguments in a row
 * and its return value behind them. BPF_PROG could name them, but where the context and the return value are depends on
 * the target, and the verifier refuses to have an argument read that isn't there or isn't of a type that it knows. So
 * each possible place has a load of its own, with the constant offset that the verifier wants, and all but the target's
 * are dropped at load.
 */
#define ARGUMENT(number)                                                                                               \
	({                                                                                                             \
		__u64 argument;                                                                                        \
		asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(argument) : "r"(ctx), "i"((number) * 8));                 \
		argument;                                                                                              \
	})

static __always_inline struct xdp_buff *context_of(void *ctx)
{
	switch (context) {
	case 0: return (struct xdp_buff *)ARGUMENT(0);
	case 1: return (struct xdp_buff *)ARGUMENT(1);
	case 2: return (struct xdp_buff *)ARGUMENT(2);
	case 3: return (struct xdp_buff *)ARGUMENT(3);
	default: return (struct xdp_buff *)ARGUMENT(4);
	}
}

static __always_inline __u32 verdict_of(void *ctx)
{
	if (!returns)
		return 0;
	switch (parameters) {
	case 1: return ARGUMENT(1);
	case 2: return ARGUMENT(2);
	case 3: return ARGUMENT(3);
	case 4: return ARGUMENT(4);
	default: return ARGUMENT(5);
	}
}

SEC("fentry/xdp")
int BPF_PROG(fentry_xdp)
{
	return handle_xdp(ctx, context_of(ctx), HALF_ENTRY, 0);
}

SEC("fexit/xdp")
int BPF_PROG(fexit_xdp)
{
	return handle_xdp(ctx, context_of(ctx), HALF_EXIT, verdict_of(ctx));
}
