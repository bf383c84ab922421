/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What --passthrough attaches where a NIC has no XDP program: something for fentry and fexit to sit on. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The name is what `ip link` and `bpftool net` show meanwhile, so it says whose it is. */
SEC("xdp")
int xdptrace_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}
