/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The same as floor.bpf.c for kernels that have one program for both ends of a function (7.0). */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Weak, so that the programs that call neither also load where there are none. */
extern bool bpf_session_is_return(void *ctx) __ksym __weak;
extern __u64 *bpf_session_cookie(void *ctx) __ksym __weak;

SEC("fsession/xdp")
int BPF_PROG(empty_fsession)
{
	return 0;
}

__u64 last_word;

/* Only which end it is. */
SEC("fsession/xdp")
int BPF_PROG(side_fsession)
{
	if (bpf_session_is_return(ctx))
		last_word++;
	return 0;
}

SEC("fsession/xdp")
int BPF_PROG(word_fsession)
{
	__u64 *word = bpf_session_cookie(ctx);

	if (bpf_session_is_return(ctx))
		last_word = *word;
	else
		*word = (__u64)ctx;
	return 0;
}
