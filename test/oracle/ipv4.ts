/** The second guard's view of IPv4 (RFC 791): the header, which fragments can be, which UDP is DHCP, the VM's source address. */
import { cidr, contains, macText, onesComplementSum, PASS, uint16, uint32 } from "./bytes.ts";
import { dhcpFromVm, dhcpToVm } from "./dhcp.ts";
import { type Direction, isGroup } from "./ethernet.ts";
import { checkOffload, type Left } from "./offload.ts";
import { checkPolicy, directedBroadcast, isForSeveral } from "./policy.ts";
import type { State } from "./state.ts";

export const ICMP = 1;
const IGMP = 2;
export const TCP = 6;
export const UDP = 17;

export interface Packet {
  readonly protocol: number;
  readonly source: number;
  readonly destination: number;
  readonly identification: number;
  /** Any part of a fragmented packet. */
  readonly fragment: boolean;
  /** The packet's first bytes are here. */
  readonly first: boolean;
  /** Where the payload stands in the whole packet's, in bytes. */
  readonly offset: number;
  readonly moreFragments: boolean;
  /** It is cut into several packets when it leaves. */
  readonly segmented: boolean;
  readonly payload: Uint8Array;
  /** The MAC address of the other end: to which the VM sent it, or from which it comes. */
  readonly neighbour: string;
  /** The addresses' 8 bytes, for the UDP checksum. */
  readonly addresses: Uint8Array;
}

const NOWHERE = [cidr("0.0.0.0/8"), cidr("127.0.0.0/8")];

/** Where no packet from a VM goes, whatever the rules say. */
export function isLoopback(destination: number): boolean {
  return NOWHERE.some((network) => contains(network, destination));
}

export function checkIpv4(state: State, direction: Direction, frame: Uint8Array, left: Left): string {
  const data = frame.slice(14);
  if (data.length < 20) return "ipv4.format";
  const version = Math.floor(data[0]! / 16);
  const headerLength = (data[0]! % 16) * 4;
  const totalLength = uint16(data, 2);
  if (version !== 4) return "ipv4.format";
  if (headerLength < 20 || headerLength > data.length) return "ipv4.format";
  if (totalLength < headerLength || totalLength > data.length) return "ipv4.format";
  if (headerLength > 20) return data[9] === IGMP ? "ipv4.igmp" : "ipv4.options";
  if (onesComplementSum(data.slice(0, 20)) !== 0xffff) return "ipv4.checksum";

  const moreFragments = Math.floor(uint16(data, 6) / 0x2000) % 2 === 1;
  const offset = uint16(data, 6) % 0x2000;
  const packet: Packet = {
    protocol: data[9]!,
    source: uint32(data, 12),
    destination: uint32(data, 16),
    identification: uint16(data, 4),
    fragment: moreFragments || offset > 0,
    first: offset === 0,
    offset: offset * 8,
    moreFragments,
    segmented: left.kind === "segmented",
    payload: data.slice(20, totalLength),
    neighbour: macText(frame, direction === "egress" ? 0 : 6),
    addresses: data.slice(12, 20),
  };

  const needed = packet.protocol === TCP ? 20 : packet.protocol === UDP || packet.protocol === ICMP ? 8 : 0;
  const cut = packet.payload.length < needed;
  if (offset * 8 + packet.payload.length > 65515) return "ipv4.fragment";
  if (offset === 1) return "ipv4.fragment";
  if (packet.first && packet.fragment && cut) return "ipv4.fragment";
  if (packet.first && !packet.fragment && cut) return "ipv4.transport";

  const offload = checkOffload(state, left, frame, packet);
  if (offload !== PASS) return offload;

  if (packet.protocol === UDP && packet.first) {
    const sourcePort = uint16(packet.payload, 0);
    const destinationPort = uint16(packet.payload, 2);
    const egress = direction === "egress";
    const dhcp = egress ? [67, 68].includes(sourcePort) || [67, 68].includes(destinationPort) : destinationPort === 68;
    if (dhcp) {
      const wanted = egress ? sourcePort === 68 && destinationPort === 67 : sourcePort === 67;
      if (!wanted) return "dhcp.ports";
      if (packet.fragment) return "dhcp.fragment";
      return egress ? dhcpFromVm(state, frame, packet) : dhcpToVm(state, frame, packet);
    }
  }

  if (direction === "ingress") {
    if (packet.destination === state.former?.address) return "ipv4.unbound";
    if (isGroup(macText(frame, 0)) && isForOneToVm(state, packet)) return "ipv4.group-frame";
    if (isIcmpError(packet) && !quotesPacketOfVm(state, packet)) return "icmp.quote";
    return checkPolicy(state, direction, packet);
  }

  if (state.binding === undefined) return "ipv4.unbound";
  if (packet.source !== state.binding.address) return "ipv4.source";
  if (isLoopback(packet.destination)) return "ipv4.loopback";
  if (isGroup(packet.neighbour) && !isForSeveral(state, packet.destination)) return "ipv4.group-frame";
  if (packet.protocol === ICMP && packet.first && [5, 9, 10].includes(packet.payload[0]!)) return "icmp.router";
  if (isIcmpError(packet) && !quotesPacketToVm(state, packet)) return "icmp.quote";
  return checkPolicy(state, direction, packet);
}

/** A packet that no group frame may carry to the VM; without a directed broadcast address it is only the VM's own that counts. */
function isForOneToVm(state: State, { destination }: Packet): boolean {
  if (directedBroadcast(state) !== undefined) return !isForSeveral(state, destination);
  const own = destination === state.binding?.address;
  if (!own && !isForSeveral(state, destination))
    state.reach("a group frame to another address where no subnet is known");
  return own;
}

export function isIcmpError({ protocol, first, payload }: Packet): boolean {
  return protocol === ICMP && first && [3, 4, 11, 12].includes(payload[0]!);
}

/** An error about a packet that the VM may have sent. */
function quotesPacketOfVm(state: State, packet: Packet): boolean {
  return packet.destination === state.binding?.address && quoted(state, packet) === PASS;
}

/** An error about a packet that may have been sent to the VM. */
function quotesPacketToVm(state: State, packet: Packet): boolean {
  if (quoted(state, packet) !== PASS) return false;
  if (uint32(packet.payload, 8 + 16) === state.binding!.address) return true;
  state.reach("a quotation of a packet to somebody else");
  return false;
}

/** What is wrong with the packet that an ICMP error quotes, whoever sent it. */
function quoted(state: State, packet: Packet): string {
  const quotation = packet.payload.slice(8);
  const wrong = [
    [packet.fragment, "a fragment with a quotation"],
    [quotation.length < 28, "a quotation that is too short"],
    [quotation[0] !== 0x45, "a quotation of a header of another length or version"],
    [uint16(quotation, 6) % 0x2000 !== 0, "a quotation of a later fragment"],
    [uint32(quotation, 12) !== packet.destination, "a quotation of a packet from somebody else"],
  ] as const;
  const first = wrong.find(([is]) => is);
  if (first === undefined) return PASS;
  state.reach(first[1]);
  return first[1];
}
