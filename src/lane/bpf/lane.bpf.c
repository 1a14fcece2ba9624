/*
 * The express lane: packets of flows that softnet's guard has admitted pass here, and only those. Everything else goes to
 * the relay as without the lane (attach.bpf.c), which alone drops, counts reasons and opens flows.
 *
 *                     ingress: lane_from_vm          as if it came in
 *     VM ── interface ──────────────────────────► TAP on the network ──► bridge, or the host's network stack
 *                     egress: lane_to_vm              egress: lane_from_network
 *     VM ◄─ interface ◄────────────────────────── TAP on the network ◄──
 *
 * "Admitted" never says more than that the guard would pass this packet, too (docs/guard.md): whatever is not quite
 * ordinary is left to it.
 *
 * Compiled twice: as it is, and with WITH_IPV6 for a guard that judges IPv6, too.
 */
#include "admitted.h"
#include "fields.h"
#include "interfaces.h"
#include "numbers.h"
#include "offload.h"
#ifdef WITH_IPV6
#include "ipv6.h"
#endif

#define DHCP_SERVER 67
#define DHCP_CLIENT 68

INLINE int is_dhcp(u32 port)
{
	return port == DHCP_SERVER || port == DHCP_CLIENT;
}

INLINE u32 bucket_of(struct vm *vm, u32 remote, u32 ports, u32 udp)
{
	u32 hash = (remote ^ vm->secret[0]) * 0x9e3779b1u;
	hash = (hash ^ (hash >> 15) ^ ports ^ vm->secret[1]) * 0x85ebca77u;
	hash = (hash ^ (hash >> 13) ^ udp) * 0xc2b2ae3du;
	return hash >> (32 - BUCKET_BITS);
}

/* Whether the guard would pass this packet, too. Notes that its flow lives. */
INLINE int is_admitted(struct __sk_buff *packet, u32 way)
{
	u32 first = 0;
	struct vm *vm = bpf_map_lookup_elem(&vm_state, &first);
	if (!vm || packet->vlan_present) return 0;

	u32 length = packet->len;
	if (length < ETHERNET + IPV4 + UDP) return 0;
	u8 *data = (u8 *)(u64)packet->data, *end = (u8 *)(u64)packet->data_end;
	if (data + ETHERNET + IPV4 + TCP > end) {
		bpf_skb_pull_data(packet, length < ETHERNET + IPV4 + TCP ? length : ETHERNET + IPV4 + TCP);
		data = (u8 *)(u64)packet->data, end = (u8 *)(u64)packet->data_end;
		if (data + ETHERNET + IPV4 + UDP > end) return 0;
	}

	/* Ethernet: both addresses are one machine's. */
	u16 *words = (u16 *)data;
	u32 to_high = net16(words[0]), to_low = net32(*(u32 *)(data + 2));
	u32 from_high = net16(words[3]), from_low = net32(*(u32 *)(data + 8));
	if ((to_high | from_high) & 0x100) return 0;
	int from_vm = from_high == vm->mac_high && from_low == vm->mac_low;
	if (way == OUT) {
		if (!from_vm) return 0;
	} else {
		if (from_vm || to_high != vm->mac_high || to_low != vm->mac_low) return 0;
		if (from_high == 0 && from_low == 0) return 0;
	}

#ifdef WITH_IPV6
	if (words[6] == net16(0x86dd)) return is_admitted6(packet, vm, way);
#endif

	/* IPv4: no options, no fragment, and the header's checksum is right. */
	if (words[6] != net16(0x0800) || data[14] != 0x45) return 0;
	u32 total = net16(words[8]);
	if (total > length - ETHERNET || words[10] & net16(0x3fff)) return 0;
	u32 sum = 0;
#pragma unroll
	for (int i = 7; i < 17; i++) sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	if (sum != 0xffff) return 0;

	/* TCP in the middle of a connection, or UDP. */
	u32 udp = data[23] == PROTOCOL_UDP ? IS_UDP : 0;
	u32 header = UDP, has_ack = 0, acknowledgement = 0;
	if (udp) {
		if (total < IPV4 + UDP) return 0;
		if (packet->gso_size && net16(words[19]) != total - IPV4) return 0;
	} else {
		if (data[23] != PROTOCOL_TCP || total < IPV4 + TCP || data + ETHERNET + IPV4 + TCP > end) return 0;
		if (data[47] & FIN_SYN_RST) return 0;
		header = data[46] >> 4 << 2;
		if (packet->gso_size && header < TCP) return 0;
		has_ack = data[47] & ACK;
		acknowledgement = net32(*(u32 *)(data + 42));
	}

	/* The VM's own address, which it has still. */
	u64 now = bpf_ktime_get_boot_ns() + vm->ahead;
	if (now >= vm->open_until || now >= vm->expiry || !vm->address) return 0;
	u32 source = net32(*(u32 *)(data + 26)), destination = net32(*(u32 *)(data + 30));
	u32 from_port = net16(words[17]), to_port = net16(words[18]);
	/* Large UDP of DHCP's ports is none of DHCP, and nothing else that passes: the guard has the reason. */
	if (udp && packet->gso_size && (is_dhcp(from_port) || is_dhcp(to_port))) return 0;
	if ((way == OUT ? source : destination) != vm->address) return 0;
	u32 remote = way == OUT ? destination : source;
	u32 ports = way == OUT ? to_port << 16 | from_port : from_port << 16 | to_port;
	if (!is_offload_ordinary(packet, vm, IPV4, header, udp, total)) return 0;

	/* A flow that the guard has admitted on this way, under what holds still, and that is not over. */
	u32 at = bucket_of(vm, remote, ports, udp);
	struct bucket *bucket = bpf_map_lookup_elem(&flows, &at);
	if (!bucket) return 0;
	u32 second = now / 1000000000;
#pragma unroll
	for (int i = 0; i < FLOWS_A_BUCKET; i++) {
		struct flow *flow = &bucket->flows[i];
		if (flow->remote != remote || flow->ports != ports) continue;
		u32 stamp = *(volatile u32 *)&flow->stamp;
		struct flow *read = after(flow, stamp);
		u64 key = *(volatile u64 *)&read->remote;
		u32 right = *(volatile u32 *)&read->right, generation = *(volatile u32 *)&read->generation;
		u32 last = *(volatile u32 *)&read->last;
		read = after(flow, key | right | generation | last);
		/* softnet has changed it meanwhile. */
		if (stamp & 1 || *(volatile u32 *)&read->stamp != stamp) return 0;
		if (key != ((u64)ports << 32 | remote) || (right & IS_UDP) != udp) continue;
		if (generation != vm->generation || !(right & PASSES(way))) return 0;
		if (second - last > right >> 16) return 0;
		if (last != second) flow->last = second;
		if (way == OUT && has_ack) {
			flow->acknowledgement = acknowledgement;
			if (!flow->is_acknowledged) flow->is_acknowledged = 1;
		}
		return 1;
	}
	return 0;
}

INLINE void count(struct __sk_buff *packet, u32 way)
{
	u32 processor = bpf_get_smp_processor_id();
	struct counts *of = bpf_map_lookup_elem(&counts, &processor);
	if (!of) return;
	of->frames[way]++;
	of->bytes[way] += packet->len;
	if (packet->gso_size) of->large[way]++;
}

/* At the ingress of the VM's interface. */
SECTION("tc/lane_from_vm") int lane_from_vm(struct __sk_buff *packet)
{
	struct interfaces *at = known_interfaces();
	if (!at) return TC_ACT_SHOT;
	if (!is_admitted(packet, OUT)) return bpf_redirect(at->relay, 0);
	count(packet, OUT);
	return bpf_redirect(at->network, BPF_F_INGRESS);
}

/* At the egress of softnet's TAP on the network: what is not admitted is read by the relay. */
SECTION("tc/lane_from_network") int lane_from_network(struct __sk_buff *packet)
{
	struct interfaces *at = known_interfaces();
	return at && is_admitted(packet, IN) ? bpf_redirect(at->vm, 0) : TC_ACT_UNSPEC;
}

/*
 * At the egress of the VM's interface. Nothing on a packet could say safely that the program before has admitted it, so
 * this one looks, too: then it does not matter where it comes from.
 */
SECTION("tc/lane_to_vm") int lane_to_vm(struct __sk_buff *packet)
{
	struct interfaces *at = known_interfaces();
	if (!at) return TC_ACT_SHOT;
	if (packet->ingress_ifindex == at->relay) return TC_ACT_UNSPEC;
	if (!is_admitted(packet, IN)) return TC_ACT_SHOT;
	count(packet, IN);
	return TC_ACT_UNSPEC;
}

/* bpf_cast_to_kern_ctx is for programs under the kernel's licence. This source is under MIT, and may be used under either. */
SECTION("license") char dual_license[] = "Dual MIT/GPL";
