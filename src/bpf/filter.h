/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef XDPTRACE_FILTER_H
#define XDPTRACE_FILTER_H

/*
 * The place for a filter: instructions that do nothing, which user space overwrites with the filter's before load. The
 * verifier drops what is left of them. It is given `view` in r1 and answers in r0, 0 for no; it leaves r9 and r10 alone.
 */
static __always_inline bool passes_filter(struct view *view)
{
	register struct view *seen asm("r1") = view;
	register __u64 accepted asm("r0");

	asm volatile(".rept %[length]\n\tgoto +0\n\t.endr"
		     : "=r"(accepted), "+r"(seen)
		     : [length] "i"(FILTER_LEN)
		     : "r2", "r3", "r4", "r5", "r6", "r7", "r8", "memory");
	return accepted;
}

#endif
