/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* An XDP program as older build systems still make them: compiled without -g, so without BTF. */
__attribute__((section("license"), used)) char license[] = "Dual BSD/GPL";

__attribute__((section("xdp"), used)) int nobtf(void *ctx)
{
	return 2; /* XDP_PASS */
}
