/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a load balancer does with a packet that goes to one of its servers. */

/* An IPv4 header in front of that of an IPv4 packet of at least 34 bytes: 10.0.0.1 > 10.0.0.2, its checksum left out. */
static __always_inline int push_ipip(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u8 *end = (__u8 *)(long)ctx->data_end;
	__u16 length;

	if (data + 34 > end)
		return -1;
	length = (data[16] << 8 | data[17]) + 20;
	if (bpf_xdp_adjust_head(ctx, -20))
		return -1;
	data = (__u8 *)(long)ctx->data;
	end = (__u8 *)(long)ctx->data_end;
	if (data + 34 > end)
		return -1;
#pragma unroll
	for (int i = 0; i < 14; i++)
		data[i] = data[i + 20];
#pragma unroll
	for (int i = 14; i < 34; i++)
		data[i] = 0;
	data[14] = 0x45;
	data[16] = length >> 8;
	data[17] = length;
	data[20] = 0x40;
	data[22] = 64;
	data[23] = 4;
	data[26] = data[30] = 10;
	data[29] = 1;
	data[33] = 2;
	return 0;
}
