/**
 * The closed list of drop reasons. A verdict is a number on the hot path: 0 passes, any other is the index of a reason
 * here. The name is stable: it is the counter's label, the log's field, replay's output, the heading in
 * docs/drop-reasons.md and what tests are named after.
 *
 * `threats` names the rows of the threat table that a reason answers; `ordinary` marks what every ordinary guest sends
 * while it boots, which is logged at debug level only.
 */

export interface DropReason {
  /** Stable name, `layer.what`. */
  readonly name: string;
  /** One line for people. */
  readonly text: string;
  /** Rows of the threat table that it answers. */
  readonly threats: readonly string[];
  /** True when ordinary guests cause it at boot without any fault. */
  readonly ordinary: boolean;
}

const reason = (name: string, text: string, threats: string, ordinary = false): DropReason =>
  Object.freeze({ name, text, threats: Object.freeze(threats.split(" ")), ordinary });

/** The verdict that passes a frame. */
export const PASS = 0;

/** Every reason; a verdict n > 0 is `DROP_REASONS[n - 1]`. Append only: captures and logs refer to names, code to numbers. */
export const DROP_REASONS: readonly DropReason[] = Object.freeze([
  reason("frame.truncated", "the capture cut the frame short, so it cannot be judged", "L10"),
  reason("frame.short", "shorter than an Ethernet header", "L10"),
  reason("frame.long", "longer than the MTU allows", "L10 L12"),
  reason("ethernet.source", "the source MAC is not one that may stand there", "L6 L7"),
  reason("ethernet.destination", "the destination MAC is reserved, or not this VM's", "L8 L9"),
  reason("ethernet.type", "neither IPv4 nor ARP: a tag, a length, or another protocol", "L1 L2 L3 L4 L5 L7 L8"),
  reason("ethernet.ipv6", "IPv6 is off", "S10", true),
  reason("arp.format", "not exactly Ethernet and IPv4 ARP", "A3 L13"),
  reason("arp.operation", "neither request nor reply", "A6"),
  reason("arp.hardware-address", "the sender hardware address is not the VM's", "A2"),
  reason("arp.sender-address", "the sender protocol address is not the VM's", "A1 A4 A7 A8"),
  reason("arp.probe", "a probe for an address that is not the VM's", "A5"),
  reason("arp.rate", "more ARP than 50 a second", "A10"),
  reason("arp.gateway", "the gateway's address claimed by a MAC that is not known as the gateway's", "A9"),
  reason("arp.conflict", "the VM's own address claimed, without the VM having probed for it", "A1 A5"),
  reason("ipv4.format", "version, header length or total length do not fit the frame", "I3"),
  reason("ipv4.options", "IPv4 options", "I2"),
  reason("ipv4.checksum", "the IPv4 header checksum is wrong", "I3"),
  reason("ipv4.fragment", "a fragment that hides its ports, or that runs past 65,535 bytes", "I1 I3"),
  reason("ipv4.transport", "a TCP, UDP or ICMP header that is cut short", "I1 I3"),
  reason("ipv4.unbound", "the VM has no address, yet or any more", "D6 D22 D29"),
  reason("ipv4.source", "the source address is not the VM's", "A1 D11"),
  reason("ipv4.loopback", "a destination in 0.0.0.0/8 or 127.0.0.0/8", "I6"),
  reason("icmp.router", "an ICMP redirect, router advertisement or router solicitation", "I16"),
  reason("policy.block", "a block rule covers the other side", "I15"),
  reason("policy.destination", "the destination is not globally routable and no rule allows it", "I6 I15"),
  reason("policy.multicast", "a multicast destination", "I6", true),
  reason("policy.broadcast", "a broadcast destination", "I6", true),
  reason("policy.metadata", "a cloud metadata address", "I7"),
  reason("policy.gateway", "neither TCP, UDP nor ICMP to the gateway", "I4 I5"),
  reason("dhcp.ports", "UDP ports 67 and 68 in another order than the VM's role allows", "D10 D11"),
  reason("dhcp.addresses", "IPv4 or Ethernet addresses that this DHCP message may not have", "D5 D7 D11 D25"),
  reason("dhcp.fragment", "DHCP in an IPv4 fragment", "D17"),
  reason("dhcp.checksum", "the UDP checksum of a DHCP message is wrong", "D17"),
  reason("dhcp.format", "not a DHCP message, or one that can be read in two ways", "D14 D15 D16 D17 D23 D31"),
  reason("dhcp.operation", "a BOOTP reply from the VM, or a request to it", "D10"),
  reason("dhcp.hardware-address", "the client hardware address is not the VM's", "D1 D21"),
  reason("dhcp.relay", "relay fields from the VM: hops, giaddr or option 82", "D9 D19"),
  reason("dhcp.message-type", "a message type that this side may not send", "D8 D15 D19"),
  reason("dhcp.client-address", "a ciaddr that does not fit the message", "D5 D9"),
  reason("dhcp.client-identifier", "more than 4 client identifiers in 10 minutes, or one that was never used", "D2 D5"),
  reason("dhcp.server", "names no server, or names or comes from one that is not trusted here", "D13 D18 D25"),
  reason("dhcp.decline", "a DECLINE of an address not offered just now, or too many of them", "D4"),
  reason("dhcp.rate", "more DHCP than 10 a second", "D3"),
  reason("dhcp.pending", "too many DHCP transactions at once, or a REQUEST still waits for its answer", "D2 D24"),
  reason("dhcp.transaction", "answers nothing that this VM asked in the last 60 s", "D7 D12 D20 D24"),
  reason("dhcp.assigned-address", "assigns an address that a VM cannot have, or not the one asked for", "D20 D26"),
  reason("dhcp.lease-time", "an acknowledgement without a lease time, or with none left", "D8 D22"),
  reason("dhcp.other-client", "an answer to another client, which the server broadcast", "D7 D12", true),
  reason("ipv4.igmp", "IGMP, which carries IPv4 options", "I2 I6", true),
  reason("dhcp.address-held", "assigns an address that another VM of this host holds on the same network", "D6"),
  reason(
    "flow.full",
    "a new flow while 32,768 are open and had a packet in the last 300 s, or 16,384 to the VM",
    "I13",
  ),
  reason("flow.half-open", "a new connection while 256 of the same remote address are half-open", "I13"),
  reason("flow.icmp", "an ICMP error that belongs to no live flow", "I14"),
  reason("icmp.rate", "more ICMP echo than 100 a second", "I14"),
  reason("flow.cut", "what is left of a flow that a changed policy ended", "I12"),
  reason("dhcp.router", "names another router than the configured gateway", "D25"),
  reason("dhcp.hostname", "gives the VM another name than the one that it may have", "D32"),
  reason("ipv4.fragment-unknown", "a later fragment of a packet whose first one is not noted", "I1 I13"),
  reason("ipv4.fragment-rate", "more than 20 fragments a second of packets that never become whole", "I13"),
  reason("ipv4.group-frame", "IPv4 to one machine in a frame to all, or to many", "I17"),
  reason("icmp.quote", "an ICMP error about a packet that its receiver never sent", "I14"),
  reason(
    "flow.unknown",
    "belongs to no connection that is known: it was idle for too long, or never opened",
    "I12 I15",
  ),
  reason("frame.offload", "what the sender left to the network card does not fit the frame", "L11"),
  reason("host.queue", "more frames waited for softnet than the TAP's queue takes: the kernel dropped it", "L14"),
  reason("host.backlog", "it had passed, and the kernel had no room for it behind softnet's TAP", "L14"),
  reason("ipv6.loopback", "the unspecified, the loopback or an IPv4-mapped address, which no packet has", "I6"),
  reason("ipv6.fragment", "a fragment that hides its ports, overlaps another, or runs past 65,535 bytes", "I1 I3"),
  reason("policy.on-link", "a neighbour: an address of a prefix that the router advertised as on-link", "I6 I15"),
  reason("ipv6.fragment-unknown", "a later fragment of a packet whose first one is not noted", "I1 I13"),
  reason("ipv6.fragment-rate", "more than 20 fragments a second of packets that never become whole", "I13"),
  reason("ipv6.format", "version or payload length do not fit the frame, or a header is cut short", "S9"),
  reason("ipv6.source", "the source address is not one of the VM's", "S5"),
  reason(
    "ipv6.extension",
    "an extension header that is not known, stands in the wrong place, or is one too many",
    "S2 S9",
  ),
  reason("ipv6.options", "an option in an extension header that may not stand there", "S2 S9"),
  reason("ipv6.routing", "a routing header", "S9"),
  reason("ipv6.transport", "a TCP, UDP or ICMPv6 header that is cut short", "I1"),
  reason("ipv6.group-frame", "IPv6 to one machine in a frame to all, or to many", "I17"),
  reason("ipv6.unbound", "the VM has no IPv6 address, yet or any more", "S5 D22", true),
  reason("ipv6.tentative", "the address is still being tried for", "S5", true),
  reason("icmpv6.router", "a router advertisement or redirect that may not come from there", "S1 S8"),
  reason("icmpv6.type", "an ICMPv6 type that does not pass", "S13", true),
  reason("icmpv6.quote", "an ICMPv6 error about a packet that its receiver never sent", "I14"),
  reason("nd.extension", "neighbour discovery behind an extension header, or in fragments", "S2"),
  reason("nd.format", "not a message of neighbour discovery, or one that can be read in two ways", "S3 S4"),
  reason("nd.checksum", "the checksum of neighbour discovery is wrong", "S4"),
  reason("nd.source", "neighbour discovery from an address that may not send it", "S3 S5"),
  reason("nd.target", "neighbour discovery for an address that is not the VM's", "S3 S6"),
  reason("nd.destination", "neighbour discovery to a destination that does not fit the message", "S3"),
  reason("nd.link-layer", "a link-layer address that is not the sender's", "S3"),
  reason("nd.router-flag", "the VM advertises itself as a router", "S1"),
  reason("nd.rate", "more neighbour discovery and MLD than 50 a second", "S11"),
  reason("nd.address-held", "another VM of this host has this address", "S5"),
  reason("nd.address-rate", "more than 32 new addresses at once, or one a second", "S11"),
  reason("nd.address-full", "a further address while DHCPv6 and the user gave 16", "S11"),
  reason("nd.router", "a machine that is not the router speaks as the router", "S1 S3"),
  reason("nd.conflict", "the VM's address claimed, without the VM having tried for it", "S3 S6"),
  reason("mld.query", "an MLD query from the VM", "S8"),
  reason("mld.format", "not an MLD message", "S8"),
  reason("mld.checksum", "the checksum of MLD is wrong", "S8"),
  reason("mld.addresses", "addresses that this MLD message may not have", "S8"),
  reason("dhcpv6.ports", "UDP ports 546 and 547 in another order than the VM's role allows", "S7"),
  reason("dhcpv6.fragment", "DHCPv6 in a fragment", "S7"),
  reason("dhcpv6.checksum", "the UDP checksum of a DHCPv6 message is wrong", "S7"),
  reason("dhcpv6.format", "not a DHCPv6 message, or one that can be read in two ways", "S7"),
  reason("dhcpv6.message-type", "a message type that this side may not send", "S7"),
  reason("dhcpv6.addresses", "IPv6 addresses that this DHCPv6 message may not have", "S7"),
  reason("dhcpv6.identity", "more than 8 identities in 10 minutes, one that was never used, or none", "S12"),
  reason("dhcpv6.server", "names no server, or names or comes from one that is not the right one", "S7"),
  reason("dhcpv6.decline", "more than 2 DECLINEs in 10 minutes", "S12"),
  reason("dhcpv6.rate", "more DHCPv6 than 10 a second", "S12"),
  reason("dhcpv6.pending", "too many transactions, servers or addresses at once", "S12"),
  reason("dhcpv6.transaction", "answers nothing that this VM asked in the last 60 s", "S7"),
  reason("dhcpv6.assigned-address", "assigns an address that a VM cannot have, or not what was asked for", "S7"),
  reason("dhcpv6.address-held", "assigns an address that another VM of this host has", "S5 S7"),
  reason("dns.format", "not a DNS message, or one that can be read in two ways", "N1 N6"),
  reason("dns.fragment", "DNS in a fragment", "N7"),
  reason("dns.budget", "more than 20 questions a second, or a new name a second under a wildcard", "N1"),
  reason("dns.denied", "asks for a name that no rule allows, or that one blocks", "N1"),
  reason("dns.type", "asks for a type that softnet answers itself, with nothing", "N4"),
  reason("dns.answer", "answers nothing that this VM asked in the last 10 s", "N7"),
  reason("dns.checksum", "the UDP checksum of a DNS answer is wrong", "N7"),
  reason("name.resolver", "another way to look names up", "N5"),
  reason("name.quic", "QUIC, whose first bytes cannot be read: programs fall back to TCP", "N4"),
  reason("name.unpinned", "no allowed name was resolved to this address", "N3"),
  reason("name.rebind", "an allowed name was resolved to an address that no name opens", "N2"),
  reason("name.denied", "the first bytes ask for a name that is not allowed, or that has not this address", "N3 N4"),
  reason("name.missing", "the first bytes name no host", "N4"),
  reason("name.format", "the first bytes can be read in two ways, or never end", "N4"),
  reason("name.changed", "other bytes in the place of those that were read", "N4"),
  reason("name.order", "first bytes ahead of their turn: TCP sends them again", "N4"),
  reason(
    "name.segment",
    "a segment that cannot be read surely: data in a SYN, urgent data, a fragment, a wrong checksum",
    "N4",
  ),
  reason("name.full", "256 connections have not said yet whom they want", "N10"),
  reason("limit.rate", "more bytes or packets than the limit lets pass, and what may wait for it waits already", "L15"),
  reason("limit.flows", "more new flows than the limit lets the VM open", "L15"),
]);

/** The number of a reason's name. Throws for an unknown name: only code asks. */
export function verdictOf(name: string): number {
  const index = DROP_REASONS.findIndex((entry) => entry.name === name);
  if (index < 0) throw new RangeError(`no drop reason is called ${name}`);
  return index + 1;
}
