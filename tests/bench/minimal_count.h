/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What of minimal.bpf.c counts: packets and bytes by device, queue and verdict, of the first queue that a CPU sees; those of
 * others are not this program's business, nor is a packet of many buffers, or a verdict that is no action. What is looked at of
 * a packet is what says whether it is one of those.
 */
#define ACTIONS 5
#define STEPS 128
#define SHORT 1024

struct tally {
	__u64 packets;
	__u64 bytes;
};

struct cell {
	__u64 run;
	__u64 time_ns;
	const struct net *net;
	__u32 ifindex;
	__u32 queue;
	__u64 sum_ns;
	__u64 max_ns;
	struct tally tallies[ACTIONS];
	__u64 latencies[STEPS];
	__u64 others;
};

struct cell cells[CPUS];
__u8 short_steps[SHORT];

static __always_inline struct cell *this_cell(void)
{
	__u64 cpu = ((__u64 (*)(void))bpf_get_smp_processor_id)() & (CPUS - 1);
	struct cell *cell = cells;

	/* Keeps clang from counting up addresses in between. */
	asm("%0 *= %2\n\t%1 += %0" : "+r"(cpu), "+r"(cell) : "i"(sizeof(struct cell)));
	return cell;
}

/* The address of a namespace is all that is asked for here: it is what has to be compared for each packet. */
static __always_inline bool is_its(struct cell *cell, const struct xdp_buff *xdp)
{
	const struct xdp_rxq_info *rxq = xdp->rxq;
	const struct net_device *dev = rxq->dev;
	__u32 ifindex = dev->ifindex, queue = rxq->queue_index;
	const struct net *net = dev->nd_net.net;

	if (cell->net == net && cell->ifindex == ifindex && cell->queue == queue)
		return true;
	if (cell->net)
		return false;
	cell->net = net;
	cell->ifindex = ifindex;
	cell->queue = queue;
	return true;
}

static __always_inline bool tally(unsigned long long *ctx, struct cell *cell, const struct xdp_buff *xdp)
{
	struct tally *tally;
	__u64 action;

	if (!is_its(cell, xdp) || xdp->flags)
		return false;
	action = ctx[1];
	if (action >= ACTIONS)
		return false;
	tally = &cell->tallies[action];
	tally->packets++;
	tally->bytes += xdp->data_end - xdp->data;
	return true;
}

SEC("fexit/xdp")
int BPF_PROG(least_count, struct xdp_buff *xdp)
{
	struct cell *cell = this_cell();

	if (!tally(ctx, cell, (struct xdp_buff *)ctx[0]))
		cell->others++;
	return 0;
}

SEC("fentry/xdp")
int BPF_PROG(least_begin)
{
	struct cell *cell = this_cell();

	if (cell->run)
		return 0;
	cell->run = ctx[0];
	cell->time_ns = bpf_ktime_get_ns();
	return 0;
}

/* A log histogram of four steps an octave, as a table has them; longer ones are not this program's business. */
SEC("fexit/xdp")
int BPF_PROG(least_timed, struct xdp_buff *unused)
{
	__u64 ns = bpf_ktime_get_ns(), step;
	struct cell *cell = this_cell();
	struct xdp_buff *xdp = (struct xdp_buff *)ctx[0];

	if (cell->run != ctx[0])
		return 0;
	cell->run = 0;
	ns -= cell->time_ns;
	if (ns >= SHORT || !tally(ctx, cell, xdp)) {
		cell->others++;
		return 0;
	}
	cell->sum_ns += ns;
	if (ns > cell->max_ns)
		cell->max_ns = ns;
	step = short_steps[ns];
	asm("%0 &= %1" : "+r"(step) : "i"(STEPS - 1));
	cell->latencies[step]++;
	return 0;
}
