/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What user space sets before load, for each target anew.
 *
 * Not by `const volatile`: the verifier drops the branches that a constant excludes, but not the loads of the constants,
 * which would be a good part of what a packet costs. Instead the places where a setting is used are instructions that user
 * space finds by a number in them and overwrites before load (src/probe/settings.rs). A value is the operand of a
 * move, or of what else has a constant. A flag is a jump, which is made to be always or never taken: so, where the verifier
 * doesn't object to what then can't be reached; elsewhere by comparing with 0 a pointer that it knows to be none but a
 * valid one, and then it drops the branch itself.
 */
#ifndef XDPTRACE_CONFIG_H
#define XDPTRACE_CONFIG_H

/* In the upper half of an operand, says that the lower one is a setting's number. */
#define SETTING 0x7eed
/* Added to a flag's number where the jump is taken if it is not set. */
#define UNLESS 0x100
/* Added to the number of a place for a filter. */
#define PLACES 0x300
/* Added to a value's number where it is the operand of anything but a move of 64 bits. */
#define OPERAND 0x200

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
	FLAG_HAS_FRAGMENTS,	/* a packet may have more buffers than one: since Linux 5.18 */
	FLAG_NESTS,		/* a program may run within itself: before Linux 5.12 */
	FLAG_CAN_READ,		/* there is bpf_probe_read_kernel: lockdown=confidentiality takes it away */
	/* What is told, and of which runs. */
	FLAG_HAS_ENTRY,		/* fentry is attached */
	FLAG_HAS_EXIT,		/* fexit is attached */
	FLAG_TELLS_ENTRY,	/* records tell how packets arrived */
	FLAG_TELLS_EXIT,	/* … how they left */
	FLAG_TELLS_BOTH,
	FLAG_FILTERS_ENTRY,
	FLAG_FILTERS_EXIT,
	FLAG_FILTERS_LENGTH,	/* the filter asks for the packet's whole length */
	FLAG_LEAVES_OUT,	/* there is a sample or a rate */
	FLAG_RATED,
	FLAG_BY_VERDICT,
	FLAG_BY_LATENCY,
	FLAG_BY_CHANGE,
	FLAG_BY_QUEUE,
	FLAG_BY_NETNS,		/* packets of the devices of one network namespace */
	FLAG_BY_DEVICE,		/* of one device */
	FLAG_BY_DEVICES,	/* of those in the map `devices` */
	FLAG_DIRECT,		/* packets leave by bpf_xdp_output, which reads them itself: long ones … */
	FLAG_ALL_DIRECT,	/* … or all */
	FLAG_SHORT,		/* … less than what is read of a packet */
	FLAG_COUNTS,		/* runs are counted, and not told of */
	FLAG_TELLS_DROPS,	/* … but for those that drop their packets, as far as the rate goes */
	FLAG_UNTIMED,		/* … and not timed */
	FLAG_BY_KEY,		/* they are counted by what packets have in common, too */
	FLAG_KEY_SOURCE,	/* … by these */
	FLAG_KEY_DESTINATION,
	FLAG_KEY_SOURCE_PORT,
	FLAG_KEY_DESTINATION_PORT,
	FLAG_KEY_PROTOCOL,
	FLAG_KEY_VLAN,
	FLAG_KEY_LENGTH,
	FLAG_ONLY_FAILED,	/* a record stays only if its verdict came to nothing */
};

enum value {
	VALUE_TARGET,		/* its number */
	VALUE_CPU_MASK,		/* one less than the states that there are, a power of two */
	VALUE_BATCH_SIZE,	/* of a CPU's, its head included */
	VALUE_BATCH_FILL,	/* bytes of records in it with which another one may be too many */
	VALUE_SNAP_LEN,
	VALUE_READ_LEN,		/* bytes of a packet that are read into a batch: those shown there, and those compared */
	VALUE_LOOK_LEN,		/* bytes of a packet that are read for the filter, at first */
	VALUE_VERDICTS,		/* bit 1 << action, and 1 << OTHER_VERDICT */
	VALUE_SLOWER_NS,
	VALUE_QUEUE,
	VALUE_NETNS,
	VALUE_IFINDEX,
	VALUE_SAMPLE,		/* one in so many runs */
	VALUE_RATE,		/* so many a second */
	VALUE_STATE_SIZE,	/* of a CPU's state and its cells, in bytes */
	VALUE_CELL_MASK,	/* one less than a CPU's cells, a power of two */
	VALUE_KEY_SETS,		/* a CPU's places for keys */
	VALUE_KEY_MASK,		/* one less than those, a power of two */
	VALUE_KEY_SEED,
	VALUE_PREFIX4,		/* the bits of an IPv4 address that matter, as it lies in memory */
	VALUE_PREFIX6_HIGH,	/* … and of an IPv6 address, of its first eight bytes, and its last */
	VALUE_PREFIX6_LOW,
};

enum place {
	PLACE_QUICK,		/* for packets that have VALUE_LOOK_LEN bytes */
	PLACE_CLOSE,
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
		asm volatile("%0 = %1 ll" : "=r"(value) : "i"((__u64)SETTING << 48 | VALUE_##name));                            \
		value;                                                                                                 \
	})

/* As a constant of an instruction, a value of 31 bits at most, or of 32 where 32 bits are compared. */
#define CONSTANT(name) "i"(SETTING << 16 | OPERAND | VALUE_##name)
#define MASK(variable, name) asm("%0 &= %1" : "+r"(variable) : CONSTANT(name))
#define MULTIPLY(variable, name) asm("%0 *= %1" : "+r"(variable) : CONSTANT(name))
#define LIMIT(variable, name)                                                                                          \
	asm("if %0 <= %1 goto +1\n\t%0 = %1" : "+r"(variable) : CONSTANT(name))
#define EXCEEDS(variable, name)                                                                                        \
	({                                                                                                             \
		__label__ exceeds;                                                                                     \
		bool is_more = true;                                                                                   \
		asm goto("if %[value] > %[setting] goto %l[exceeds]"                                                   \
			 : : [value] "r"(variable), [setting] CONSTANT(name) : : exceeds);                             \
		is_more = false;                                                                                       \
	exceeds:                                                                                                       \
		is_more;                                                                                               \
	})
#define FALLS_SHORT(variable, name)                                                                                    \
	({                                                                                                             \
		__label__ is_short;                                                                                    \
		bool is_less = true;                                                                                   \
		asm goto("if %[value] < %[setting] goto %l[is_short]"                                                  \
			 : : [value] "r"(variable), [setting] CONSTANT(name) : : is_short);                            \
		is_less = false;                                                                                       \
	is_short:                                                                                                      \
		is_less;                                                                                               \
	})
#define EQUALS(variable, name)                                                                                         \
	({                                                                                                             \
		__label__ differ;                                                                                      \
		bool equal = false;                                                                                    \
		asm goto("if %[value] != %[setting] goto %l[differ]"                                                  \
			 : : [value] "w"(variable), [setting] CONSTANT(name) : : differ);                              \
		equal = true;                                                                                          \
	differ:                                                                                                        \
		equal;                                                                                                 \
	})

/* Never used: the skeleton has the types because of these. */
const struct record *const volatile record_type = 0;
const volatile enum flag flag_type = 0;
const volatile enum value value_type = 0;
const volatile enum told told_type = 0;
const volatile enum run run_type = 0;
const volatile enum answer answer_type = 0;
const volatile enum place place_type = 0;
const struct outcome *const volatile outcome_type = 0;
const volatile enum source source_type = 0;
const struct key_set *const volatile key_set_type = 0;
const struct failure *const volatile failure_type = 0;
const struct forward *const volatile forward_type = 0;
const volatile enum known known_type = 0;
const volatile enum verdict_kind verdict_kind_type = 0;
const volatile enum batch_kind batch_kind_type = 0;

#endif
