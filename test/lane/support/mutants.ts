/**
 * The lane's C source with one check taken out, or one thing done wrong: each is found by a test that says so. Where
 * no test can, `unseen` says why.
 */

/** Which test finds it: sessions by BPF_PROG_TEST_RUN, or one with real frames, or the kernel's own verifier. */
export type Finder = "sessions" | "verifier" | "flow in change" | RealFrames;
/** Tests of offloads.test.ts. */
export type RealFrames =
  | "places of checksums"
  | "padding"
  | "large frames"
  | "tags"
  | "short linear part"
  | "ways"
  | "DHCP's ports"
  | "counts of large frames";

export interface Mutant {
  readonly name: string;
  /** In src/lane/bpf/. */
  readonly file: string;
  /** What stands once in the file, and what stands there instead; several changes make one mutant. */
  readonly changes: readonly (readonly [from: string, to: string])[];
  readonly finder?: Finder;
  readonly unseen?: string;
}

/** What makes mutants of a file's. */
export function mutantsOf(file: string) {
  return {
    mutant: (finder: Finder, name: string, ...changes: Mutant["changes"]): Mutant => ({ name, file, changes, finder }),
    unseen: (why: string, name: string, ...changes: Mutant["changes"]): Mutant => ({
      ...{ name, file, changes },
      unseen: why,
    }),
  };
}

const { mutant, unseen } = mutantsOf("lane.bpf.c");
const ofNumbers = mutantsOf("numbers.h").mutant;
const offload = mutantsOf("offload.h");

const GSO_TOTAL = "if (total != packet->len - ETHERNET) return 0;\n\tif (summed";

export const MUTANTS: readonly Mutant[] = [
  // Ethernet
  mutant("sessions", "a group as destination", ["(to_high | from_high) & 0x100", "from_high & 0x100"]),
  mutant("sessions", "a group as source", ["(to_high | from_high) & 0x100", "to_high & 0x100"]),
  mutant("sessions", "the VM's upper bytes as source", ["from_high == vm->mac_high && from_low", "from_low"]),
  mutant("sessions", "the VM's lower bytes as source", [
    "from_high == vm->mac_high && from_low == vm->mac_low",
    "from_high == vm->mac_high",
  ]),
  mutant("sessions", "another source than the VM", ["if (!from_vm) return 0;", ""]),
  mutant("sessions", "the VM as source of a frame to it", ["if (from_vm || to_high", "if (to_high"]),
  mutant("sessions", "upper bytes of the destination", ["to_high != vm->mac_high || ", ""]),
  mutant("sessions", "lower bytes of the destination", ["to_low != vm->mac_low", "to_low & 0"]),
  mutant("sessions", "nobody as source", ["if (from_high == 0 && from_low == 0) return 0;", ""]),
  mutant("sessions", "the type", ["words[6] != net16(0x0800) || ", ""]),
  mutant("tags", "a tag beside the bytes", [" || packet->vlan_present", ""]),

  // IPv4
  mutant("sessions", "version and options", [" || data[14] != 0x45", ""]),
  mutant("sessions", "the version", ["data[14] != 0x45", "(data[14] & 15) != 5"]),
  mutant("sessions", "options", ["data[14] != 0x45", "data[14] >> 4 != 4"]),
  mutant("sessions", "a total length beyond the frame", ["total > length - ETHERNET || ", ""]),
  mutant("sessions", "fragments", [" || words[10] & net16(0x3fff)", ""]),
  mutant("sessions", "first fragments", ["net16(0x3fff)", "net16(0x1fff)"]),
  mutant("sessions", "later fragments", ["net16(0x3fff)", "net16(0x2000)"]),
  mutant("sessions", "the lowest bits of the fragment offset", ["net16(0x3fff)", "net16(0x3ff8)"]),
  mutant("sessions", "the header's checksum", ["if (sum != 0xffff) return 0;", ""]),
  mutant("sessions", "UDP without a whole header", ["if (total < IPV4 + UDP) return 0;", ""]),
  mutant("sessions", "TCP without a whole header", [" || total < IPV4 + TCP", ""]),
  mutant("sessions", "the protocol", ["data[23] != PROTOCOL_TCP || ", ""]),
  offload.mutant("sessions", "a frame longer than the MTU", ["return packet->len <= vm->mtu + ETHERNET;", "return 1;"]),
  offload.mutant("sessions", "a frame as long as the MTU, without its header", [
    "packet->len <= vm->mtu + ETHERNET",
    "packet->len <= vm->mtu + 20",
  ]),
  mutant("verifier", "the length of what is read", ["if (data + ETHERNET + IPV4 + UDP > end) return 0;", ""]),
  mutant("verifier", "the length of what is read of TCP", [" || data + ETHERNET + IPV4 + TCP > end", ""]),
  unseen("the program looks at what it can read, too, which is no less", "a frame's least length", [
    "if (length < ETHERNET + IPV4 + UDP) return 0;",
    "",
  ]),

  // TCP
  mutant("sessions", "flags", ["if (data[47] & FIN_SYN_RST) return 0;", ""]),
  ofNumbers("sessions", "FIN", ["FIN_SYN_RST 0x07", "FIN_SYN_RST 0x06"]),
  ofNumbers("sessions", "SYN", ["FIN_SYN_RST 0x07", "FIN_SYN_RST 0x05"]),
  ofNumbers("sessions", "RST", ["FIN_SYN_RST 0x07", "FIN_SYN_RST 0x03"]),
  mutant("sessions", "an acknowledgement number without ACK", [
    "if (way == OUT && has_ack)",
    "if (way == OUT && (has_ack || !udp))",
  ]),
  mutant("sessions", "the other side's acknowledgement number", ["if (way == OUT && has_ack)", "if (has_ack)"]),
  mutant("sessions", "no acknowledgement number", [
    "flow->acknowledgement = acknowledgement;",
    "flow->acknowledgement = acknowledgement & 0;",
  ]),
  mutant("sessions", "that there is an acknowledgement number", [
    "if (!flow->is_acknowledged) flow->is_acknowledged = 1;",
    "",
  ]),

  // The VM's address, and its flow
  mutant("sessions", "that the lane is open", ["now >= vm->open_until || ", ""]),
  mutant("sessions", "the end of the lease", [" || now >= vm->expiry", ""]),
  mutant("sessions", "the VM's address as source", [
    "(way == OUT ? source : destination) != vm->address",
    "way == IN && destination != vm->address",
  ]),
  mutant("sessions", "the VM's address as destination", [
    "(way == OUT ? source : destination) != vm->address",
    "way == OUT && source != vm->address",
  ]),
  unseen("where there is none any more, flows are of another generation", "that there is an address", [
    " || !vm->address",
    "",
  ]),
  mutant(
    "sessions",
    "the remote address",
    ["flow->remote != remote || ", ""],
    ["key != ((u64)ports << 32 | remote)", "key >> 32 != ports"],
  ),
  mutant(
    "sessions",
    "the ports",
    [" || flow->ports != ports", ""],
    ["key != ((u64)ports << 32 | remote)", "(u32)key != remote"],
  ),
  unseen("the hash puts TCP and UDP with the same ports into different buckets", "TCP or UDP", [
    " || (right & IS_UDP) != udp",
    "",
  ]),
  mutant("sessions", "the generation", ["generation != vm->generation || ", ""]),
  mutant("sessions", "the way", [" || !(right & PASSES(way))", ""]),
  mutant("sessions", "the patience", ["if (second - last > right >> 16) return 0;", ""]),
  mutant("sessions", "the last second of the patience", [
    "second - last > right >> 16",
    "second - last >= (right >> 16) + 2",
  ]),
  mutant("sessions", "that the flow lives", ["if (last != second) flow->last = second;", ""]),
  mutant("flow in change", "that softnet is changing the flow", ["stamp & 1 || ", ""]),
  unseen("only a change in the middle of a run shows it", "that softnet has changed the flow meanwhile", [
    " || *(volatile u32 *)&read->stamp != stamp",
    "",
  ]),
  unseen("both are compared below, once more", "remote address and ports, at first", [
    "if (flow->remote != remote || flow->ports != ports) continue;",
    "",
  ]),
  mutant("sessions", "the bucket", [" ^ udp) * 0xc2b2ae3du", ") * 0xc2b2ae3du"]),
  mutant("sessions", "all but one place of a bucket", ["i < FLOWS_A_BUCKET", "i < 1"]),

  // Counts and ways
  mutant("sessions", "counted frames", ["of->frames[way]++;", ""]),
  mutant("sessions", "counted bytes", ["of->bytes[way] += packet->len;", "of->bytes[way] += packet->len - ETHERNET;"]),
  mutant("sessions", "the way of the counts", ["count(packet, IN);", "count(packet, OUT);"]),
  mutant("sessions", "what lane_to_vm drops", ["if (!is_admitted(packet, IN)) return TC_ACT_SHOT;", ""]),
  mutant("counts of large frames", "counted large frames", ["if (packet->gso_size) of->large[way]++;", ""]),
  mutant("ways", "where to, from the VM", ["bpf_redirect(at->network, BPF_F_INGRESS)", "bpf_redirect(at->relay, 0)"]),
  mutant("ways", "how, from the VM", ["bpf_redirect(at->network, BPF_F_INGRESS)", "bpf_redirect(at->network, 0)"]),
  mutant("ways", "where to, what is not admitted", [
    "if (!is_admitted(packet, OUT)) return bpf_redirect(at->relay, 0);",
    "if (!is_admitted(packet, OUT)) return bpf_redirect(at->network, BPF_F_INGRESS);",
  ]),
  mutant("ways", "where to, from the network", [
    "bpf_redirect(at->vm, 0) : TC_ACT_UNSPEC",
    "bpf_redirect(at->relay, 0) : TC_ACT_UNSPEC",
  ]),
  mutant("ways", "what comes from the relay", ["if (packet->ingress_ifindex == at->relay) return TC_ACT_UNSPEC;", ""]),

  // What is left to do
  offload.mutant("places of checksums", "where a checksum starts", ["start != ETHERNET + ip", "start == 0"]),
  offload.mutant("places of checksums", "where a checksum is put", [
    "if (FIELD(u16, kernel, CHECKSUM_OFFSET) != (udp ? 6 : 16)) return 0;",
    "",
  ]),
  offload.mutant("places of checksums", "whose checksum it is", [
    "(udp ? 6 : 16)",
    "16 && FIELD(u16, kernel, CHECKSUM_OFFSET) != 6",
  ]),
  offload.mutant("padding", "padding behind what a checksum covers", [
    "if (total != packet->len - ETHERNET) return 0;\n\t}",
    "}",
  ]),
  offload.unseen(
    "with a partial checksum it is looked at before, and no TAP says that a large frame was verified",
    "padding behind large frames",
    [GSO_TOTAL, "if (summed"],
  ),
  offload.mutant("large frames", "large frames without a checksum", [
    "if (summed != CHECKSUM_PARTIAL && (summed != CHECKSUM_UNNECESSARY || udp)) return 0;",
    "",
  ]),
  offload.unseen("no TAP says that a large frame was verified", "large UDP whose checksum was verified", [
    "(summed != CHECKSUM_UNNECESSARY || udp)",
    "summed != CHECKSUM_UNNECESSARY",
  ]),
  offload.mutant("large frames", "segments longer than the MTU", ["ip + header + size > vm->mtu || ", ""]),
  offload.mutant("large frames", "TCP's options in a segment's length", [
    "ip + header + size > vm->mtu",
    "ip + TCP + size > vm->mtu",
  ]),
  offload.unseen(
    "what is left of the packet is a number so large that it is too many segments",
    "TCP's header beyond the packet",
    [" || total < ip + header", ""],
  ),
  mutant("large frames", "TCP's header too short", ["if (packet->gso_size && header < TCP) return 0;", ""]),
  offload.mutant("large frames", "how many segments", [
    "if (total - ip - header > size * (udp ? MOST_UDP_SEGMENTS : MOST_TCP_SEGMENTS)) return 0;",
    "",
  ]),
  offload.unseen("the kernel takes no more of a TAP", "how many segments of UDP", [
    "udp ? MOST_UDP_SEGMENTS : MOST_TCP_SEGMENTS",
    "MOST_TCP_SEGMENTS",
  ]),
  mutant("large frames", "the length field of large UDP", [
    "if (packet->gso_size && net16(words[19]) != total - IPV4) return 0;",
    "",
  ]),
  offload.mutant("large frames", "how UDP is cut", [
    "if (udp) return (type & ~SKB_GSO_DODGY) == SKB_GSO_UDP_L4;",
    "if (udp) return 1;",
  ]),
  offload.mutant("large frames", "how TCP is cut", [
    "return type == (ip == IPV4 ? SKB_GSO_TCPV4 : SKB_GSO_TCPV6);",
    "return 1;",
  ]),
  mutant("DHCP's ports", "large UDP of DHCP's ports", ["#define DHCP_SERVER 67", "#define DHCP_SERVER 65"]),
  mutant("short linear part", "what is in one piece", [
    "bpf_skb_pull_data(packet, length < ETHERNET + IPV4 + TCP ? length : ETHERNET + IPV4 + TCP);",
    "",
  ]),
];
