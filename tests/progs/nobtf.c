/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* An XDP program as older build systems still make them: compiled without -g, so without BTF. */
#define SEC(name) __attribute__((section(name), used))

char _license[] SEC("license") = "Dual BSD/GPL";

SEC("xdp") int nobtf(void *ctx)
{
	return 2; /* XDP_PASS */
}
