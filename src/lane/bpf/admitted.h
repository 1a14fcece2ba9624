/*
 * What softnet has told the programs: who the VM is, and which flows its guard has admitted. softnet writes all of it
 * through shared memory (src/lane/); the programs write counts, and a flow's last packet.
 */
#pragma once
#include "kernel.h"

/* The ways of a packet, as in src/policy/rule-tree.ts. */
#define OUT 0
#define IN 1

struct vm {
	/* Nanoseconds since boot: nothing passes from then on, unless softnet says that it is alive. */
	u64 open_until;
	/* The same, of the VM's address. */
	u64 expiry;
	/* Nanoseconds that the guard's clock is ahead of the kernel's; 0 but in tests. */
	u64 ahead;
	/* In host order; 0: none. */
	u32 address;
	/* Flows of another generation were admitted under what no longer holds. */
	u32 generation;
	/* The VM's MAC address: the upper 16 bits, the lower 32. */
	u32 mac_high;
	u32 mac_low;
	/* Bytes of the longest packet. */
	u32 mtu;
	/* Of the hash; nobody else knows it. */
	u32 secret[2];
	u32 spare;
};

/* All numbers in host order. */
struct flow {
	/* Odd while softnet changes it, and another one after each change. */
	u32 stamp;
	u32 generation;
	u32 remote;
	/* The remote port in the upper half, the VM's in the lower. */
	u32 ports;
	/* Bits 0 and 1: the ways on which it passes; bit 2: UDP, else TCP; upper half: seconds without a packet that it may have. */
	u32 right;
	/* Second of its last packet. */
	u32 last;
	/* The last acknowledgement number from the VM, and whether there is one. */
	u32 acknowledgement;
	u32 is_acknowledged;
};

#define PASSES(way) (1u << (way))
#define IS_UDP 4u

#define FLOWS_A_BUCKET 4
#define BUCKET_BITS 13

struct bucket {
	struct flow flows[FLOWS_A_BUCKET];
};

/* What one processor has passed, by way. */
struct counts {
	u64 frames[2];
	u64 bytes[2];
	u64 large[2];
	u64 spare[2];
};

SECTION("maps") struct map_definition vm_state = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(struct vm),
	.max_entries = 1,
	.flags = BPF_F_MMAPABLE,
};

SECTION("maps") struct map_definition flows = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(struct bucket),
	.max_entries = 1 << BUCKET_BITS,
	.flags = BPF_F_MMAPABLE,
};

/* One entry for each processor that the machine may have: softnet says how many when it makes the map. */
SECTION("maps") struct map_definition counts = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(struct counts),
	.max_entries = 1,
	.flags = BPF_F_MMAPABLE,
};
