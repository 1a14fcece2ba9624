/*
 * The programs that lead the interface of a hypervisor or a container to softnet alone.
 *
 *                     ingress: from_vm                egress: the relay reads it
 *     VM ── interface ──────────────────────────► TAP ──────────────────────────► softnet
 *                     egress: to_vm                   ingress: from_relay
 *     VM ◄─ interface ◄────────────────────────── TAP ◄────────────────────────── softnet
 *
 * The TAP is softnet's and ends with it, and its number was chosen at random from a thousand million: no other interface
 * gets it later, and no interface of another namespace has it. So where the TAP is gone, from_vm drops everything, as
 * to_vm does. The programs stay at the interface until they are taken away: that is what keeps it closed.
 *
 * Nothing that is written on a packet decides, such as a mark: only the interface that the kernel received it from.
 */
#include "interfaces.h"

/* Whatever comes from the VM, in whatever form, goes to the relay. */
SECTION("tc/from_vm") int from_vm(struct __sk_buff *packet)
{
	struct interfaces *at = known_interfaces();
	return at ? bpf_redirect(at->relay, 0) : TC_ACT_SHOT;
}

/* What the host sends, or a bridge that the interface was put into, does not reach the VM: only the relay's packets do. */
SECTION("tc/to_vm") int to_vm(struct __sk_buff *packet)
{
	struct interfaces *at = known_interfaces();
	return at && packet->ingress_ifindex == at->relay ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

SECTION("tc/from_relay") int from_relay(struct __sk_buff *packet)
{
	struct interfaces *at = known_interfaces();
	return at ? bpf_redirect(at->vm, 0) : TC_ACT_SHOT;
}
