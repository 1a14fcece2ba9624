/*
 * What the programs use of the kernel's interface for eBPF (linux/bpf.h): written here, so that a compiler is all that
 * a developer needs, and so that every machine compiles the same bytes.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

/* struct __sk_buff, in the order of its members. */
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
	u32 tc_index;
	u32 cb[5];
	u32 hash;
	u32 tc_classid;
	u32 data;
	u32 data_end;
	u32 napi_id;
	u32 family;
	u32 remote_ip4;
	u32 local_ip4;
	u32 remote_ip6[4];
	u32 local_ip6[4];
	u32 remote_port;
	u32 local_port;
	u32 data_meta;
	u64 flow_keys;
	u64 tstamp;
	u32 wire_len;
	u32 gso_segs;
	u64 sk;
	u32 gso_size;
};

/* What a program returns (linux/pkt_cls.h). The first leaves the packet to the next program at the hook. */
#define TC_ACT_UNSPEC -1
#define TC_ACT_SHOT 2

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static u32 (*bpf_get_smp_processor_id)(void) = (void *)8;
/*
 * Flags 0: sends the packet out of the interface. BPF_F_INGRESS: as if it came in there. Drops it where there is no such
 * interface, or where it is down.
 */
static long (*bpf_redirect)(u32 ifindex, u64 flags) = (void *)23;
/* Makes the first bytes of a packet readable in one piece. */
static long (*bpf_skb_pull_data)(void *packet, u32 length) = (void *)39;
static long (*bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
/* Nanoseconds since boot, also while the machine slept. */
static u64 (*bpf_ktime_get_boot_ns)(void) = (void *)125;

#define BPF_F_INGRESS 1

#define BPF_MAP_TYPE_ARRAY 2
#define BPF_F_RDONLY_PROG (1u << 7)
#define BPF_F_MMAPABLE (1u << 10)

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

/* How scripts/bytecode.ts reads a map: one of these, in the section "maps". */
struct map_definition {
	u32 type;
	u32 key_size;
	u32 value_size;
	u32 max_entries;
	u32 flags;
};
