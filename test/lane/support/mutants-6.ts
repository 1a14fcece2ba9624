/** As mutants.ts, of what the programs do with IPv6 (src/lane/bpf/ipv6.h). */
import { type Mutant, mutantsOf } from "./mutants.ts";

const { mutant, unseen } = mutantsOf("ipv6.h");
const ofLane = mutantsOf("lane.bpf.c").mutant;
const offload = mutantsOf("offload.h");

export const MUTANTS_6: readonly Mutant[] = [
  // Form
  ofLane("sessions", "IPv6's type", ["words[6] == net16(0x86dd)", "words[6] != net16(0x0800)"]),
  mutant("sessions", "IPv6's version", ["if (data[14] >> 4 != 6) return 0;", ""]),
  mutant("sessions", "IPv6's payload length", [
    "if (net16(*(u16 *)(data + 18)) != length - ETHERNET - IPV6) return 0;",
    "",
  ]),
  mutant("sessions", "an IPv6 payload shorter than the frame", [
    "if (net16(*(u16 *)(data + 18)) != length",
    "if (net16(*(u16 *)(data + 18)) > length",
  ]),
  mutant("sessions", "the next header", ["data[20] != PROTOCOL_TCP || ", ""]),
  offload.mutant("sessions", "an IPv6 frame longer than the MTU", [
    "return packet->len <= vm->mtu + ETHERNET;",
    "return 1;",
  ]),
  mutant("verifier", "the length of what is read of IPv6", ["if (data + ETHERNET + IPV6 + UDP > end) return 0;", ""]),
  mutant("verifier", "the length of what is read of TCP over IPv6", [" || data + ETHERNET + IPV6 + TCP > end", ""]),
  unseen("the program looks at what it can read, too, which is no less", "an IPv6 frame's least length", [
    "if (length < ETHERNET + IPV6 + UDP) return 0;",
    "",
  ]),

  // TCP
  mutant("sessions", "flags over IPv6", ["if (data[67] & FIN_SYN_RST) return 0;", ""]),
  mutant("sessions", "FIN over IPv6", ["data[67] & FIN_SYN_RST", "data[67] & FIN_SYN_RST & 6"]),
  mutant("sessions", "SYN over IPv6", ["data[67] & FIN_SYN_RST", "data[67] & FIN_SYN_RST & 5"]),
  mutant("sessions", "RST over IPv6", ["data[67] & FIN_SYN_RST", "data[67] & FIN_SYN_RST & 3"]),
  mutant("sessions", "an acknowledgement number over IPv6 without ACK", ["if (has_ack) {", "if (has_ack || !udp) {"]),
  mutant("sessions", "no acknowledgement number over IPv6", [
    "flow->acknowledgement = acknowledgement;",
    "flow->acknowledgement = acknowledgement & 0;",
  ]),
  mutant("sessions", "that there is an acknowledgement number over IPv6", [
    "if (!flow->is_acknowledged) flow->is_acknowledged = 1;",
    "",
  ]),

  // The VM's addresses
  mutant("sessions", "that the lane is open for IPv6", ["now >= vm->open_until || ", ""]),
  mutant("sessions", "the end of IPv4's lease, for what embeds an address", [" || now >= vm->expiry", ""]),
  mutant("sessions", "the VM's IPv6 address", ["if (another) continue;", "if (another && !another) continue;"]),
  mutant("sessions", "that another flow of the bucket may be of this address", [
    "if (another) continue;",
    "if (another) return 0;",
  ]),
  mutant("sessions", "the end of an IPv6 address", ["if (now >= expiry) return 0;", "if (!expiry) return 0;"]),
  mutant("sessions", "that an address is used", ["place->used = now;", ""]),
  mutant("sessions", "that what comes in uses no address", ["if (way == OUT) {\n\t\t\tplace", "{\n\t\t\tplace"]),

  // The flow
  mutant(
    "sessions",
    "the remote IPv6 address",
    ["flow->remote[3] != remote[3] || ", ""],
    ["differs |= *(volatile u32 *)&read->remote[word] ^ remote[word];", ";"],
  ),
  mutant("sessions", "the upper half of the remote IPv6 address", [
    "for (int word = 0; word < 4; word++) differs",
    "for (int word = 2; word < 4; word++) differs",
  ]),
  mutant(
    "sessions",
    "ports over IPv6",
    [" || flow->ports != ports", ""],
    ["u64 differs = *(volatile u32 *)&read->ports ^ ports;", "u64 differs = 0;"],
  ),
  unseen("the hash puts TCP and UDP with the same ports into different buckets", "TCP or UDP over IPv6", [
    "differs || (right & IS_UDP) != udp",
    "differs",
  ]),
  mutant("sessions", "the generation of IPv6 flows", ["generation != vm->generation || ", ""]),
  mutant("sessions", "the way over IPv6", [" || !(right & PASSES(way))", ""]),
  mutant("sessions", "the patience over IPv6", ["if (second - last > right >> 16) return 0;", ""]),
  mutant("sessions", "the last second of the patience over IPv6", [
    "second - last > right >> 16",
    "second - last >= (right >> 16) + 2",
  ]),
  mutant("sessions", "that the IPv6 flow lives", ["if (last != second) flow->last = second;", ""]),
  mutant("flow in change", "that softnet is changing the IPv6 flow", ["stamp & 1 || ", ""]),
  unseen("only a change in the middle of a run shows it", "that softnet has changed the IPv6 flow meanwhile", [
    " || *(volatile u32 *)&read->stamp != stamp",
    "",
  ]),
  unseen("both are compared below, once more", "remote IPv6 address and ports, at first", [
    "if (flow->remote[3] != remote[3] || flow->ports != ports) continue;",
    "",
  ]),
  mutant("sessions", "the bucket of IPv6 flows", [" ^ udp) * 0xc2b2ae3du", ") * 0xc2b2ae3du"]),
  mutant("sessions", "all but one place of a bucket of IPv6 flows", ["i < FLOWS_A_BUCKET", "i < 1"]),

  // What is left to do
  mutant("places of checksums", "that IPv6's header has 40 bytes", [
    "is_offload_ordinary(packet, vm, IPV6, header",
    "is_offload_ordinary(packet, vm, IPV4, header",
  ]),
  offload.mutant("places of checksums", "where a checksum over IPv6 starts", ["start != ETHERNET + ip", "start == 0"]),
  offload.mutant("places of checksums", "where a checksum over IPv6 is put", [
    "if (FIELD(u16, kernel, CHECKSUM_OFFSET) != (udp ? 6 : 16)) return 0;",
    "",
  ]),
  offload.mutant("places of checksums", "whose checksum over IPv6 it is", [
    "(udp ? 6 : 16)",
    "16 && FIELD(u16, kernel, CHECKSUM_OFFSET) != 6",
  ]),
  offload.mutant("large frames", "large frames of IPv6 without a checksum", [
    "if (summed != CHECKSUM_PARTIAL && (summed != CHECKSUM_UNNECESSARY || udp)) return 0;",
    "",
  ]),
  offload.mutant("large frames", "IPv6 segments longer than the MTU", ["ip + header + size > vm->mtu || ", ""]),
  offload.mutant("large frames", "IPv6's header in a segment's length", [
    "ip + header + size > vm->mtu",
    "IPV4 + header + size > vm->mtu",
  ]),
  offload.mutant("large frames", "TCP's options in an IPv6 segment's length", [
    "ip + header + size > vm->mtu",
    "ip + TCP + size > vm->mtu",
  ]),
  offload.unseen(
    "what is left of the packet is a number so large that it is too many segments",
    "TCP's header beyond the IPv6 packet",
    [" || total < ip + header", ""],
  ),
  mutant("large frames", "TCP's header too short over IPv6", ["if (packet->gso_size && header < TCP) return 0;", ""]),
  mutant("large frames", "TCP's header over IPv6", ["header = data[66] >> 4 << 2;", "header = TCP;"]),
  offload.mutant("large frames", "how many IPv6 segments", [
    "if (total - ip - header > size * (udp ? MOST_UDP_SEGMENTS : MOST_TCP_SEGMENTS)) return 0;",
    "",
  ]),
  offload.mutant("large frames", "IPv6's header among what is cut", [
    "total - ip - header > size",
    "total - IPV4 - header > size",
  ]),
  offload.unseen("the kernel takes no more of a TAP", "how many segments of UDP over IPv6", [
    "udp ? MOST_UDP_SEGMENTS : MOST_TCP_SEGMENTS",
    "MOST_TCP_SEGMENTS",
  ]),
  mutant("large frames", "the length field of large UDP over IPv6", [
    "if (packet->gso_size && net16(*(u16 *)(data + 58)) != length - ETHERNET - IPV6) return 0;",
    "",
  ]),
  offload.mutant("large frames", "how UDP over IPv6 is cut", [
    "if (udp) return (type & ~SKB_GSO_DODGY) == SKB_GSO_UDP_L4;",
    "if (udp) return 1;",
  ]),
  offload.mutant("large frames", "how TCP over IPv6 is cut", [
    "return type == (ip == IPV4 ? SKB_GSO_TCPV4 : SKB_GSO_TCPV6);",
    "return 1;",
  ]),
  offload.mutant("large frames", "that IPv6 is cut as IPv6", [
    "(ip == IPV4 ? SKB_GSO_TCPV4 : SKB_GSO_TCPV6)",
    "SKB_GSO_TCPV4",
  ]),
  mutant("DHCP's ports", "large UDP of DHCPv6's server port", [
    "#define DHCPV6_SERVER 547",
    "#define DHCPV6_SERVER 545",
  ]),
  mutant("DHCP's ports", "large UDP of DHCPv6's client port", [
    "#define DHCPV6_CLIENT 546",
    "#define DHCPV6_CLIENT 545",
  ]),
  mutant("short linear part", "what is in one piece of IPv6", [
    "bpf_skb_pull_data(packet, length < ETHERNET + IPV6 + TCP ? length : ETHERNET + IPV6 + TCP);",
    "",
  ]),
];
