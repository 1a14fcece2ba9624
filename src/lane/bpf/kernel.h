/*
 * What the programs use of the kernel's interface for eBPF (linux/bpf.h): written here, so that a compiler is all that
 * a developer needs, and so that every machine compiles the same bytes.
 */
#pragma once

typedef unsigned int u32;
typedef unsigned long long u64;

/* The first members of struct __sk_buff, in their order. */
struct __sk_buff {
	u32 len;
	u32 pkt_type;
	u32 mark;
	u32 queue_mapping;
	u32 protocol;
	u32 vlan_present;
	u32 vlan_tci;
	u32 vlan_proto;
	u32 priority;
	/* The interface that the packet came in from, in this network namespace; 0: it was made by the host. */
	u32 ingress_ifindex;
	/* The interface at which the program runs. */
	u32 ifindex;
};

/* What a program returns (linux/pkt_cls.h). The first leaves the packet to the next program at the hook. */
#define TC_ACT_UNSPEC -1
#define TC_ACT_SHOT 2

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
/* Flags 0: sends the packet out of the interface. Drops it where there is no such interface, or where it is down. */
static long (*bpf_redirect)(u32 ifindex, u64 flags) = (void *)23;

#define BPF_MAP_TYPE_ARRAY 2
#define BPF_F_RDONLY_PROG (1u << 7)

#define SECTION(name) __attribute__((section(name), used))

/* How scripts/bytecode.ts reads a map: one of these, in the section "maps". */
struct map_definition {
	u32 type;
	u32 key_size;
	u32 value_size;
	u32 max_entries;
	u32 flags;
};
