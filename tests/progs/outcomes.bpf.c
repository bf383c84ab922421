/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a verdict may come to: the destination port says which of the scenes that the test has written down is played. */
#include "ports.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Of include/uapi/linux/bpf.h, for the tests alone. */
enum { DEVMAP = 14, CPUMAP = 16, XSKMAP = 17 };

enum by { RETURN, DEVICES, EVERYONE, CPUS, SOCKETS, IFINDEX };

/* A verdict to return, or where to redirect to: a map's key, or a device's number. */
struct scene {
	__u32 by;
	__u32 key;
	__u64 flags;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 32);
	__type(key, __u32);
	__type(value, struct scene);
} scenes SEC(".maps");

struct {
	__uint(type, DEVMAP);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} devices SEC(".maps");

/* Another one, because a broadcast is to all that is in it. */
struct {
	__uint(type, DEVMAP);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} everyone SEC(".maps");

struct {
	__uint(type, CPUMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} cpus SEC(".maps");

struct {
	__uint(type, XSKMAP);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

/* Only datagrams to the scenes' ports; all else passes. */
SEC("xdp")
int outcomes(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u8 *end = (__u8 *)(long)ctx->data_end;
	struct scene *scene;
	__u32 port;

	if (protocol_of(ctx) != UDP || data + 38 > end)
		return XDP_PASS;
	port = (data[36] << 8 | data[37]) - FIRST_PORT;
	scene = bpf_map_lookup_elem(&scenes, &port);
	if (!scene)
		return XDP_PASS;
	count_port(ctx);
	switch (scene->by) {
	case DEVICES:
		return bpf_redirect_map(&devices, scene->key, scene->flags);
	case EVERYONE:
		return bpf_redirect_map(&everyone, scene->key, scene->flags);
	case CPUS:
		return bpf_redirect_map(&cpus, scene->key, scene->flags);
	case SOCKETS:
		return bpf_redirect_map(&sockets, scene->key, scene->flags);
	case IFINDEX:
		return bpf_redirect(scene->key, scene->flags);
	default:
		return scene->key;
	}
}

/* A devmap whose entries have programs. Apart, because 5.10 takes no generic program that has one. */

/* struct bpf_devmap_val: a device, and a program that runs before it sends. */
struct entry {
	__u32 device;
	__u32 program;
};

struct {
	__uint(type, DEVMAP);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct entry);
} entries SEC(".maps");

SEC("xdp")
int to_entry(struct xdp_md *ctx)
{
	return protocol_of(ctx) == UDP ? bpf_redirect_map(&entries, 0, 0) : XDP_PASS;
}

/* A verdict that a device which is about to send cannot follow: the kernel throws the packet away. */
SEC("xdp/devmap")
int back_at_exit(struct xdp_md *ctx)
{
	return XDP_TX;
}
