/* Between which interfaces the programs move packets: all by number, as the kernel knows them, and chosen by softnet alone. */
#pragma once
#include "kernel.h"

struct interfaces {
	u32 vm;
	/* The TAP from which the relay reads. */
	u32 relay;
	/* Softnet's TAP on the VM's network; where there is none, a number that no interface has. */
	u32 network;
};

SECTION("maps") struct map_definition interfaces = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(struct interfaces),
	.max_entries = 1,
	.flags = BPF_F_RDONLY_PROG,
};

INLINE struct interfaces *known_interfaces(void)
{
	u32 first = 0;
	return bpf_map_lookup_elem(&interfaces, &first);
}
