/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What user space sets before load, for each target anew.
 *
 * Not by `const volatile`: the verifier drops the branches that a constant excludes, but not the loads of the constants,
 * which would be a good part of what a packet costs. Instead the places where a setting is used are instructions that user
 * space finds by a number in them and overwrites in the opened object (src/probe/settings.rs). A value is the operand of a
 * move. A flag is a comparison of a pointer that the verifier knows to be none but a valid one: with 0, which it drops
 * together with the branch that it excludes.
 */
#ifndef XDPTRACE_CONFIG_H
#define XDPTRACE_CONFIG_H

/* In the upper half of an operand, says that the lower one is a setting's number. */
#define SETTING 0x7eed
/* Added to a flag's number where the jump is taken if it is not set. */
#define UNLESS 0x100

enum flag {
	/* The target. */
	FLAG_CONTEXT_1,		/* which of the function's parameters is the packet's context; without these, the first */
	FLAG_CONTEXT_2,
	FLAG_CONTEXT_3,
	FLAG_CONTEXT_4,
	FLAG_PARAMETERS_2,	/* how many it has; its return value follows them; without these, one */
	FLAG_PARAMETERS_3,
	FLAG_PARAMETERS_4,
	FLAG_PARAMETERS_5,
	FLAG_TYPED,		/* the context is declared as struct xdp_md *, not as void * */
	FLAG_RETURNS,		/* it returns an integer */
	FLAG_IN_DEVMAP,		/* where the kernel runs it: it knows the device to leave by */
	FLAG_IN_CPUMAP,		/* … the receive queue is forgotten */
	/* The machine. */
	FLAG_CAN_READ,		/* there is bpf_probe_read_kernel: lockdown=confidentiality takes it away */
	/* What is told, and of which runs. */
	FLAG_HAS_ENTRY,		/* fentry is attached */
	FLAG_HAS_EXIT,		/* fexit is attached */
	FLAG_TELLS_ENTRY,	/* records tell how packets arrived */
	FLAG_TELLS_EXIT,	/* … how they left */
	FLAG_FILTERS_ENTRY,
	FLAG_FILTERS_EXIT,
	FLAG_LEAVES_OUT,	/* there is a sample or a rate */
	FLAG_RATED,
	FLAG_BY_VERDICT,
	FLAG_BY_LATENCY,
	FLAG_BY_CHANGE,
	FLAG_BY_QUEUE,
	FLAG_BY_NETNS,		/* packets of the devices of one network namespace */
	FLAG_BY_DEVICE,		/* of one device */
	FLAG_BY_DEVICES,	/* of those in the map `devices` */
	FLAG_LONG,		/* the snap length is more than a record in a batch holds */
};

enum value {
	VALUE_TARGET,		/* its number */
	VALUE_CPUS,		/* that may be */
	VALUE_SNAP_LEN,
	VALUE_READ_LEN,		/* bytes of a packet that are read into a batch: those shown there, and those compared */
	VALUE_VERDICTS,		/* bit 1 << action, and 1 << OTHER_VERDICT */
	VALUE_SLOWER_NS,
	VALUE_QUEUE,
	VALUE_NETNS,
	VALUE_IFINDEX,
	VALUE_SAMPLE,		/* one in so many runs */
	VALUE_RATE,		/* so many a second */
};

/* The bit for all return values that are no XDP action. */
#define OTHER_VERDICT 5

/* Whether a flag is set; `valid` is a pointer into a map's value, in a register if possible. */
static __always_inline bool is(const void *valid, const enum flag flag)
{
	asm goto("if %[valid] == %[flag] goto %l[set]" : : [valid] "r"(valid), [flag] "i"(SETTING << 16 | flag) : : set);
	return false;
set:
	return true;
}

/* The same, where the code for a flag that is set goes straight on. */
static __always_inline bool is_mostly(const void *valid, const enum flag flag)
{
	asm goto("if %[valid] == %[flag] goto %l[unset]"
		 : : [valid] "r"(valid), [flag] "i"(SETTING << 16 | UNLESS | flag) : : unset);
	return true;
unset:
	return false;
}

/* A value. */
#define VALUE(name)                                                                                                    \
	({                                                                                                             \
		__u64 value;                                                                                           \
		asm("%0 = %1 ll" : "=r"(value) : "i"((__u64)SETTING << 48 | VALUE_##name));                            \
		value;                                                                                                 \
	})

/* Never used: the skeleton has the types because of these. */
const struct record *const volatile record_type = 0;
const volatile enum flag flag_type = 0;
const volatile enum value value_type = 0;
const volatile enum told told_type = 0;

#endif
