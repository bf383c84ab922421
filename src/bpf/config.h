/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What user space sets before load, for each target anew; the verifier then drops the branches that these exclude.
 */
#ifndef XDPTRACE_CONFIG_H
#define XDPTRACE_CONFIG_H

#define BOTH (TOLD_ENTRY | TOLD_EXIT)
#define ANY_VERDICT (~0U)
/* The bit for all return values that are no XDP action. */
#define OTHER_VERDICT 5

/* Never set: the skeleton has the type because of it. */
const struct record *const volatile record_type = 0;

/* The target. */
const volatile __u32 target = 0;
const volatile enum place place = PLACE_DEVICE;
const volatile __u32 context = 0;	/* which of the function's parameters is the packet's context */
const volatile __u32 parameters = 1;	/* how many it has; its return value follows them */
const volatile bool typed = true;	/* the context is declared as struct xdp_md *, not as void * */
const volatile bool returns = true;	/* it returns an integer */

/* The machine. */
const volatile __u32 cpus = 1;		/* possible ones */
const volatile bool can_read = true;	/* bpf_probe_read_kernel is there: lockdown=confidentiality takes it away */

/* What is told, and of which runs. */
const volatile enum told attached = BOTH;	/* probes */
const volatile enum told shown = BOTH;	/* halves of a run that a record tells of */
const volatile __u32 snap_len = HEAD_LEN;
const volatile bool filters_entry = false;
const volatile bool filters_exit = false;
const volatile enum devices only_devices = DEVICES_ALL;
const volatile struct device only_device = {};
const volatile __s64 only_queue = -1;	/* -1: any */
const volatile __u32 verdicts = ANY_VERDICT;	/* bit 1 << action; 1 << OTHER_VERDICT */
const volatile bool only_changed = false;
const volatile __u64 slower_ns = 0;	/* 0: however fast */
const volatile __u32 sample = 1;	/* one in so many runs */
const volatile __u64 rate = 0;		/* so many a second; 0: however many */

#endif
