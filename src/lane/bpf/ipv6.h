/*
 * What lane.bpf.c does with IPv6 (docs/guard-ipv6.md): TCP and UDP directly behind the header. What has an extension header
 * is left to the guard, and so is all that is not TCP or UDP.
 */
#pragma once
#include "admitted6.h"
#include "numbers.h"
#include "offload.h"

#define DHCPV6_CLIENT 546
#define DHCPV6_SERVER 547

INLINE int is_dhcpv6(u32 port)
{
	return port == DHCPV6_CLIENT || port == DHCPV6_SERVER;
}

INLINE u32 mix(u32 hash, u32 word, u32 factor)
{
	return (hash ^ (hash >> 15) ^ word) * factor;
}

INLINE u32 bucket_of6(struct vm *vm, const u32 *remote, u32 ports, u32 udp)
{
	u32 hash = (remote[0] ^ vm->secret[0]) * 0x9e3779b1u;
	hash = mix(hash, remote[1] ^ vm->secret[1], 0x85ebca77u);
	hash = mix(hash, remote[2], 0xc2b2ae3du);
	hash = mix(hash, remote[3], 0x9e3779b1u);
	hash = mix(hash, ports, 0x85ebca77u);
	hash = (hash ^ (hash >> 13) ^ udp) * 0xc2b2ae3du;
	return hash >> (32 - BUCKET_BITS);
}

/* As is_admitted, of a packet of IPv6's type whose Ethernet addresses are right. */
INLINE int is_admitted6(struct __sk_buff *packet, struct vm *vm, u32 way)
{
	u32 length = packet->len;
	if (length < ETHERNET + IPV6 + UDP) return 0;
	u8 *data = (u8 *)(u64)packet->data, *end = (u8 *)(u64)packet->data_end;
	if (data + ETHERNET + IPV6 + TCP > end) {
		bpf_skb_pull_data(packet, length < ETHERNET + IPV6 + TCP ? length : ETHERNET + IPV6 + TCP);
		data = (u8 *)(u64)packet->data, end = (u8 *)(u64)packet->data_end;
		if (data + ETHERNET + IPV6 + UDP > end) return 0;
	}

	/* The packet is what the frame holds, and nothing else. */
	if (data[14] >> 4 != 6) return 0;
	if (net16(*(u16 *)(data + 18)) != length - ETHERNET - IPV6) return 0;

	/* TCP in the middle of a connection, or UDP. */
	u32 udp = data[20] == PROTOCOL_UDP ? IS_UDP : 0;
	u32 header = UDP, has_ack = 0, acknowledgement = 0;
	if (udp) {
		if (packet->gso_size && net16(*(u16 *)(data + 58)) != length - ETHERNET - IPV6) return 0;
	} else {
		if (data[20] != PROTOCOL_TCP || data + ETHERNET + IPV6 + TCP > end) return 0;
		if (data[67] & FIN_SYN_RST) return 0;
		header = data[66] >> 4 << 2;
		if (packet->gso_size && header < TCP) return 0;
		has_ack = data[67] & ACK;
		acknowledgement = net32(*(u32 *)(data + 62));
	}

	u64 now = bpf_ktime_get_boot_ns() + vm->ahead;
	/* What IPv4's lease has taught counts for addresses that embed one of IPv4, too. */
	if (now >= vm->open_until || now >= vm->expiry) return 0;
	u32 from[4], to[4];
#pragma unroll
	for (int i = 0; i < 4; i++) {
		from[i] = net32(*(u32 *)(data + 22 + 4 * i));
		to[i] = net32(*(u32 *)(data + 38 + 4 * i));
	}
	u32 *own = way == OUT ? from : to, *remote = way == OUT ? to : from;
	u32 from_port = net16(*(u16 *)(data + 54)), to_port = net16(*(u16 *)(data + 56));
	u32 ports = way == OUT ? to_port << 16 | from_port : from_port << 16 | to_port;
	/* Large UDP of DHCPv6's ports is none of DHCPv6, and nothing else that passes: the guard has the reason. */
	if (udp && packet->gso_size && (is_dhcpv6(from_port) || is_dhcpv6(to_port))) return 0;
	if (!is_offload_ordinary(packet, vm, IPV6, header, udp, length - ETHERNET)) return 0;

	/* A flow that the guard has admitted on this way, under what holds still, and that is not over. */
	u32 at = bucket_of6(vm, remote, ports, udp), first = 0;
	struct bucket6 *bucket = bpf_map_lookup_elem(&flows6, &at);
	struct own *mine = bpf_map_lookup_elem(&own6, &first);
	if (!bucket || !mine) return 0;
	u32 second = now / 1000000000;
#pragma unroll
	for (int i = 0; i < FLOWS_A_BUCKET; i++) {
		struct flow6 *flow = &bucket->flows[i];
		if (flow->remote[3] != remote[3] || flow->ports != ports) continue;
		u32 stamp = *(volatile u32 *)&flow->stamp;
		struct flow6 *read = after(flow, stamp);
		u64 differs = *(volatile u32 *)&read->ports ^ ports;
#pragma unroll
		for (int word = 0; word < 4; word++) differs |= *(volatile u32 *)&read->remote[word] ^ remote[word];
		u32 right = *(volatile u32 *)&read->right, generation = *(volatile u32 *)&read->generation;
		u32 last = *(volatile u32 *)&read->last, number = *(volatile u32 *)&read->place;
		read = after(flow, differs | right | generation | last | number);
		/* softnet has changed it meanwhile. */
		if (stamp & 1 || *(volatile u32 *)&read->stamp != stamp) return 0;
		if (differs || (right & IS_UDP) != udp) continue;

		/* The VM's own address, which it has still. Flows of its other addresses may have the same ports. */
		struct place *place = &mine->places[number & (PLACES - 1)];
		u64 expiry = *(volatile u64 *)&place->expiry;
		u32 another = 0;
#pragma unroll
		for (int word = 0; word < 4; word++) another |= *(volatile u32 *)&place->address[word] ^ own[word];
		if (another) continue;
		if (now >= expiry) return 0;

		if (generation != vm->generation || !(right & PASSES(way))) return 0;
		if (second - last > right >> 16) return 0;
		if (last != second) flow->last = second;
		if (way == OUT) {
			place->used = now;
			if (has_ack) {
				flow->acknowledgement = acknowledgement;
				if (!flow->is_acknowledged) flow->is_acknowledged = 1;
			}
		}
		return 1;
	}
	return 0;
}
