/*
 * What a packet's sender has left to do (docs/guard.md, 8a; docs/guard-ipv6.md, Form, 6), looked at as guard/offload.ts does,
 * of both families. The ports of large UDP and its length field are looked at where the packet is read.
 */
#pragma once
#include "admitted.h"
#include "fields.h"
#include "numbers.h"

/* guard/offload.ts: segments that one packet may become. */
#define MOST_TCP_SEGMENTS 256
#define MOST_UDP_SEGMENTS 128

/*
 * What is left to do about checksum and length, when the packet leaves this machine, is what the guard would have seen.
 * `ip`: bytes of the IP header, IPV4 or IPV6. `header`: those of TCP's with its options, or UDP's. `total`: of the packet, as
 * its own length field says.
 */
INLINE int is_offload_ordinary(struct __sk_buff *packet, struct vm *vm, u32 ip, u32 header, u32 udp, u32 total)
{
	void *kernel = bpf_cast_to_kern_ctx(packet);
	u64 head = FIELD(u64, kernel, HEAD);
	u32 summed = (FIELD(u8, kernel, SUMMED) >> PLACE(SUMMED_SHIFT)) & 3;
	u32 size = packet->gso_size;
	u32 type = 0;

	if (summed == CHECKSUM_PARTIAL) {
		u64 start = FIELD(u16, kernel, CHECKSUM_START) - (FIELD(u64, kernel, DATA) - head);
		if (start != ETHERNET + ip) return 0;
		if (FIELD(u16, kernel, CHECKSUM_OFFSET) != (udp ? 6 : 16)) return 0;
		if (total != packet->len - ETHERNET) return 0;
	}
	if (size == 0) return packet->len <= vm->mtu + ETHERNET;

	if (total != packet->len - ETHERNET) return 0;
	if (summed != CHECKSUM_PARTIAL && (summed != CHECKSUM_UNNECESSARY || udp)) return 0;
	if (ip + header + size > vm->mtu || total < ip + header) return 0;
	if (total - ip - header > size * (udp ? MOST_UDP_SEGMENTS : MOST_TCP_SEGMENTS)) return 0;
	if (bpf_probe_read_kernel(&type, sizeof type, (void *)(head + FIELD(u32, kernel, END) + PLACE(GSO_TYPE)))) return 0;
	if (udp) return (type & ~SKB_GSO_DODGY) == SKB_GSO_UDP_L4;
	type &= ~(SKB_GSO_DODGY | SKB_GSO_TCP_ECN | SKB_GSO_TCP_FIXEDID);
	return type == (ip == IPV4 ? SKB_GSO_TCPV4 : SKB_GSO_TCPV6);
}
