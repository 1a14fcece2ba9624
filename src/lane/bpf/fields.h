/*
 * What the kernel's own struct sk_buff says of a packet and struct __sk_buff does not: where a checksum will be written
 * later, and how the packet will be cut. Where the members are differs from kernel to kernel. So each place is a number
 * that softnet fills in when it loads the program, from the kernel's type information (src/lane/fields.ts): PLACE(n) is an
 * instruction that loads the constant 0x50f70000 + n.
 */
#pragma once
#include "kernel.h"

#define HEAD 0
#define DATA 1
#define END 2
#define CHECKSUM_START 3
#define CHECKSUM_OFFSET 4
/* The byte with ip_summed, and where in it its two bits are. */
#define SUMMED 5
#define SUMMED_SHIFT 6
/* In struct skb_shared_info, at the buffer's end. */
#define GSO_TYPE 7

#define PLACE(n)                                                                   \
	({                                                                         \
		u64 place;                                                         \
		__asm__ volatile("%0 = %1" : "=r"(place) : "i"(0x50f70000 + (n))); \
		place;                                                             \
	})
#define FIELD(type, packet, n) (*(type *)((void *)(packet) + PLACE(n)))

/* include/linux/skbuff.h: ip_summed. */
#define CHECKSUM_UNNECESSARY 1
#define CHECKSUM_PARTIAL 3
/* The same: gso_type. */
#define SKB_GSO_TCPV4 (1 << 0)
#define SKB_GSO_DODGY (1 << 1)
#define SKB_GSO_TCP_ECN (1 << 2)
#define SKB_GSO_TCP_FIXEDID (1 << 3)
#define SKB_GSO_TCPV6 (1 << 4)
#define SKB_GSO_UDP_L4 (1 << 17)

/* A function of the kernel's (6.2): the struct sk_buff of a packet. */
extern void *bpf_cast_to_kern_ctx(void *packet);
