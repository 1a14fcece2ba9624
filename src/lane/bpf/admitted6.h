/*
 * The same as admitted.h of IPv6: the VM's addresses, each in a place, and flows, which name a place. All numbers in host
 * order.
 */
#pragma once
#include "admitted.h"

struct place {
	/* Nanoseconds since boot: nothing passes from then on. 0: there is no address here. */
	u64 expiry;
	/* When a packet from the address has passed last; the programs write it. */
	u64 used;
	u32 address[4];
};

#define PLACES 32

struct own {
	struct place places[PLACES];
};

struct flow6 {
	/* The first eight as in struct flow, with the number of a place where that has the remote address. */
	u32 stamp;
	u32 generation;
	u32 place;
	u32 ports;
	u32 right;
	u32 last;
	u32 acknowledgement;
	u32 is_acknowledged;
	u32 remote[4];
};

struct bucket6 {
	struct flow6 flows[FLOWS_A_BUCKET];
};

SECTION("maps") struct map_definition own6 = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(struct own),
	.max_entries = 1,
	.flags = BPF_F_MMAPABLE,
};

SECTION("maps") struct map_definition flows6 = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(struct bucket6),
	.max_entries = 1 << BUCKET_BITS,
	.flags = BPF_F_MMAPABLE,
};
