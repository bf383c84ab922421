/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The kernel's types as far as the BPF side reads them, and no further.
 *
 * preserve_access_index makes every access a CO-RE relocation: libbpf looks up the member's place in the
 * running kernel's BTF at load, so neither the order nor the completeness of the members here matters, and no
 * build step needs the build host's kernel. Members are named as the kernel names them (include/net/xdp.h,
 * include/linux/netdevice.h, include/linux/skbuff.h, include/net/net_namespace.h, include/linux/ns_common.h); what follows the pragma is layout of
 * this header only, what comes before it is user-space ABI (include/uapi/linux/bpf.h) and does not move.
 */
#ifndef XDPTRACE_VMLINUX_H
#define XDPTRACE_VMLINUX_H

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;

typedef __u16 __le16;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __sum16;
typedef __u32 __wsum;

typedef _Bool bool;
enum { false = 0, true = 1 };

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_PERCPU_HASH = 10,
	BPF_MAP_TYPE_DEVMAP = 14,
	BPF_MAP_TYPE_DEVMAP_HASH = 25,
};

enum {
	BPF_F_CURRENT_CPU = 0xffffffffULL,
	BPF_F_NO_PREALLOC = 1 << 0,
	BPF_NOEXIST = 1,
	BPF_F_MMAPABLE = 1 << 10,
};

enum xdp_action {
	XDP_ABORTED = 0,
	XDP_DROP,
	XDP_PASS,
	XDP_TX,
	XDP_REDIRECT,
};

/* What an XDP program is given, as its author sees it; the verifier turns each access into one of xdp_buff's. */
struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
};

struct bpf_prog_aux {
	__u32 id;
};

struct bpf_prog {
	struct bpf_prog_aux *aux;
};

struct bpf_map {
	enum bpf_map_type map_type;
	__u32 id;
};

/* What a devmap holds for a device. */
struct bpf_dtab_netdev {
	struct net_device *dev;
};

struct bpf_redirect_info {
	__u32 map_id;		/* since 5.13 */
};

struct xdp_rxq_info {
	struct net_device *dev;
	__u32 queue_index;
};

struct xdp_txq_info {
	struct net_device *dev;
};

/* What the program is really given, and so what fentry and fexit receive. */
struct xdp_buff {
	void *data;
	void *data_end;
	void *data_meta;
	void *data_hard_start;
	struct xdp_rxq_info *rxq;
	struct xdp_txq_info *txq;
	__u32 frame_sz;
	__u32 flags;		/* since 5.18 */
};

/* Stands at the end of a packet's first buffer. */
struct skb_shared_info {
	unsigned int xdp_frags_size;	/* since 5.18 */
};

#pragma clang attribute pop

#endif
