/** The second guard's reading of an IPv6 packet: the header, the walk of the extension headers, the upper layer. */
import { macText, uint16, uint32 } from "../bytes.ts";
import { addressAt, inPrefix, isMulticast, prefix6 } from "./bytes.ts";
import type { State6 } from "./state.ts";

export const TCP = 6;
export const UDP = 17;
export const ICMPV6 = 58;

export interface Packet6 {
  readonly source: bigint;
  readonly destination: bigint;
  readonly hopLimit: number;
  /** The upper layer's; of a later fragment what its fragment header says. */
  readonly protocol: number;
  /** Of the upper layer; of a later fragment what is behind its fragment header. */
  readonly payload: Uint8Array;
  /** The numbers of the extension headers, in their order. */
  readonly headers: readonly number[];
  /** The value of the Router Alert option, where there is one. */
  readonly routerAlert: number | undefined;
  readonly fragment: boolean;
  readonly first: boolean;
  readonly offset: number;
  readonly moreFragments: boolean;
  readonly identification: number;
  /** It is cut into several packets when it leaves. */
  readonly segmented: boolean;
  /** Bytes behind the fragment header. */
  readonly fragmentLength: number;
  /** The MAC address of the other end. */
  readonly neighbour: string;
  readonly ethernetSource: string;
  readonly ethernetDestination: string;
  /** The whole packet without padding. */
  readonly whole: Uint8Array;
}

const MAPPED = prefix6("::ffff:0:0/96");
const MLD_TYPES = [130, 131, 132, 143];

/** The packet, or what is wrong with it. */
export function readPacket(six: State6, fromVm: boolean, frame: Uint8Array, segmented = false): Packet6 | string {
  const data = frame.slice(14);
  if (data.length < 40) return "ipv6.format";
  const length = uint16(data, 4);
  if (Math.floor(data[0]! / 16) !== 6 || length === 0 || 40 + length > data.length) return "ipv6.format";

  const source = addressAt(data, 8);
  const destination = addressAt(data, 24);
  if (isMulticast(source) && !six.fault("a multicast source passes")) return "ipv6.source";
  if (source === 1n || destination === 1n || destination === 0n) return "ipv6.loopback";
  if (inPrefix(MAPPED, source) || inPrefix(MAPPED, destination)) return "ipv6.loopback";

  const walked = walk(six, data[6]!, data.slice(40, 40 + length));
  if (typeof walked === "string") return walked;
  const [ethernetDestination, ethernetSource] = [macText(frame, 0), macText(frame, 6)];
  const packet: Packet6 = {
    ...walked,
    segmented,
    source,
    destination,
    hopLimit: data[7]!,
    neighbour: fromVm ? ethernetDestination : ethernetSource,
    ethernetSource,
    ethernetDestination,
    whole: data.slice(0, 40 + length),
  };
  const needed: Record<number, number> = { [TCP]: 20, [UDP]: 8, [ICMPV6]: 8 };
  if (packet.first && packet.payload.length < (needed[packet.protocol] ?? 0)) {
    return packet.fragment ? "ipv6.fragment" : "ipv6.transport";
  }
  const isMld = packet.first && packet.protocol === ICMPV6 && MLD_TYPES.includes(packet.payload[0]!);
  if (packet.routerAlert !== undefined && !isMld) return "ipv6.options";
  return packet;
}

type Walked = Pick<
  Packet6,
  | "protocol"
  | "payload"
  | "headers"
  | "routerAlert"
  | "fragment"
  | "first"
  | "offset"
  | "moreFragments"
  | "identification"
  | "fragmentLength"
>;

const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const DESTINATION_OPTIONS = 60;
/** No next header, AH, mobility, HIP, Shim6, two for experiments; ICMP and IGMP of IPv4. */
const CLOSED = [59, 51, 135, 139, 140, 253, 254, 1, 2];

function walk(six: State6, firstHeader: number, payload: Uint8Array): Walked | string {
  let next = firstHeader;
  let at = 0;
  let total = 0;
  const headers: number[] = [];
  let routerAlert: number | undefined;
  let fragment: Pick<Packet6, "offset" | "moreFragments" | "identification" | "fragmentLength"> | undefined;
  const done = (): Walked => ({
    protocol: next,
    payload: payload.slice(at),
    headers,
    routerAlert,
    fragment: fragment !== undefined,
    first: fragment === undefined || fragment.offset === 0,
    ...(fragment ?? { offset: 0, moreFragments: false, identification: 0, fragmentLength: 0 }),
  });

  for (;;) {
    if (CLOSED.includes(next)) return "ipv6.extension";
    if (![HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS].includes(next)) return done();
    if (next === ROUTING) return "ipv6.routing";
    if (next === HOP_BY_HOP && headers.length > 0) return "ipv6.extension";
    if (next === FRAGMENT && fragment !== undefined) return "ipv6.extension";
    if (headers.length === (six.fault("9 extension headers pass") ? 9 : 8)) return "ipv6.extension";
    const cut = fragment === undefined ? "ipv6.format" : "ipv6.fragment";
    const left = payload.length - at;
    if (left < 8) return cut;
    const length = next === FRAGMENT ? 8 : (payload[at + 1]! + 1) * 8;
    total += length;
    if (total > 256) return "ipv6.extension";
    if (length > left) return cut;
    const header = payload.slice(at, at + length);

    if (next === HOP_BY_HOP) {
      const options = readOptions(header, true);
      if (options === undefined) return "ipv6.options";
      routerAlert = options.routerAlert;
    } else if (next === DESTINATION_OPTIONS) {
      if (readOptions(header, false) === undefined) return "ipv6.options";
    } else {
      const bits = uint16(header, 2);
      const offset = Math.floor(bits / 8) * 8;
      const moreFragments = bits % 2 === 1;
      const rest = left - 8;
      if (offset === 0 && !moreFragments && !six.fault("atomic fragments pass")) return "ipv6.fragment";
      if (moreFragments && rest % 8 !== 0) return "ipv6.fragment";
      if (offset + rest > 65_535) return "ipv6.fragment";
      fragment = { offset, moreFragments, identification: uint32(header, 4), fragmentLength: rest };
    }
    headers.push(next);
    next = header[0]!;
    at += length;
    if (fragment !== undefined && fragment.offset > 0) return done();
  }
}

/** The options behind the first two bytes; undefined where one of them may not stand there. */
function readOptions(header: Uint8Array, hopByHop: boolean): { routerAlert: number | undefined } | undefined {
  let routerAlert: number | undefined;
  let at = 2;
  while (at < header.length) {
    const type = header[at]!;
    if (type === 0) {
      at += 1;
      continue;
    }
    if (at + 1 >= header.length) return undefined;
    const length = header[at + 1]!;
    if (at + 2 + length > header.length) return undefined;
    if (type === 5 && hopByHop) {
      if (length !== 2 || routerAlert !== undefined) return undefined;
      routerAlert = uint16(header, at + 2);
    } else if (type !== 1) {
      return undefined;
    }
    at += 2 + length;
  }
  return { routerAlert };
}
