/* Numbers of packets, and their order in memory. */
#pragma once
#include "kernel.h"

/* Bytes of headers. */
#define ETHERNET 14
#define IPV4 20
#define IPV6 40
#define UDP 8
#define TCP 20
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define FIN_SYN_RST 0x07
#define ACK 0x10

INLINE u32 net16(u16 value)
{
	return __builtin_bswap16(value);
}

INLINE u32 net32(u32 value)
{
	return __builtin_bswap32(value);
}

/* Makes the address of what is read next depend on what was read: no processor reads that earlier then. */
INLINE void *after(void *next, u64 read)
{
	__asm__ volatile("%[read] &= 0\n%[next] += %[read]" : [next] "+r"(next), [read] "+r"(read));
	return next;
}
