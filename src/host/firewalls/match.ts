/** Whether a match of a rule applies to a packet, as far as the packet is known beforehand. */
import { lastOf, parseCidr } from "../../policy/cidr.ts";
import { lastOf6, parseCidr6 } from "../../policy/cidr-6.ts";
import { parseIPv4 } from "../../wire/address.ts";
import { parseIPv6 } from "../../wire/ipv6-address.ts";

export type Family = "ipv4" | "ipv6";

/** Addresses in a row, from the first to the last: numbers in host order, or IPv6's. */
export type Addresses = readonly [first: number | bigint, last: number | bigint];

/** What is known of a packet. */
export interface Packet {
  readonly family: Family;
  readonly iifname?: string;
  readonly oifname?: string;
  /** It has one of these. */
  readonly saddr?: Addresses;
  readonly daddr?: Addresses;
  readonly protocol: keyof typeof PROTOCOLS_OF;
  /** Neighbour discovery belongs to no connection: the kernel does not track it. */
  readonly state: "new" | "established" | "untracked";
  /** Whether its connection was redirected to the VM (`ct status dnat`). */
  readonly redirected: boolean;
  /** The ports of a bridge, where a bridge passes it on and br_netfilter shows it to the firewall. */
  readonly bridged?: { readonly in?: string; readonly out?: string };
}

/** How a protocol is called in rules. */
const PROTOCOLS_OF = { tcp: ["tcp", 6], udp: ["udp", 17], icmpv6: ["icmpv6", "ipv6-icmp", 58] } as const;

/** Headers that a packet has one of (libnftables-json(5)). */
const PROTOCOLS = new Set(["tcp", "udp", "icmp", "icmpv6", "igmp", "sctp", "dccp", "udplite", "ah", "esp", "comp"]);

export interface Match {
  readonly op: string;
  readonly left: unknown;
  readonly right: unknown;
}

/** True, false, or undefined where it is not known beforehand. */
export function matchOf({ op, left, right }: Match, packet: Packet): boolean | undefined {
  const values = valuesOf(right);
  const found = values === undefined ? undefined : compareAll(left, values, packet);
  if (found === undefined) return undefined;
  return op === "!=" ? !found : op === "==" || op === "in" ? found : undefined;
}

function valuesOf(right: unknown): unknown[] | undefined {
  if (typeof right === "string" && right.startsWith("@")) return undefined;
  if (Array.isArray(right)) return right;
  const set = (right as { set?: unknown } | null)?.set;
  return Array.isArray(set) ? set : [right];
}

/** Whether a packet's field is one of the values; `left` may be several fields in a row (`concat`). */
export function compareAll(left: unknown, values: readonly unknown[], packet: Packet): boolean | undefined {
  const fields = (left as { readonly concat?: unknown }).concat;
  if (!Array.isArray(fields)) return compare(left, values, packet);
  const found = values.map((value) => {
    const parts = (value as { readonly concat?: unknown }).concat;
    if (!Array.isArray(parts)) return undefined;
    return every(fields.map((field, index) => compare(field, [parts[index]], packet)));
  });
  return some(found);
}

function every(found: readonly (boolean | undefined)[]): boolean | undefined {
  return found.includes(false) ? false : found.includes(undefined) ? undefined : true;
}

function some(found: readonly (boolean | undefined)[]): boolean | undefined {
  return found.includes(true) ? true : found.includes(undefined) ? undefined : false;
}

function compare(left: unknown, values: readonly unknown[], packet: Packet): boolean | undefined {
  const { meta, ct, payload, fib } = left as Readonly<Record<string, Readonly<Record<string, string>> | undefined>>;
  switch (meta?.key) {
    case "iifname":
    case "iif":
      return anyName(packet.iifname, values);
    case "oifname":
    case "oif":
      return anyName(packet.oifname, values);
    case "nfproto":
      return values.includes(packet.family);
    case "protocol":
      return values.includes(packet.family === "ipv4" ? "ip" : "ip6");
    case "l4proto":
      return anyProtocol(packet, values);
    case "ibrport":
      return packet.bridged === undefined ? false : anyName(packet.bridged.in, values);
    case "obrport":
      return packet.bridged === undefined ? false : anyName(packet.bridged.out, values);
    case "bridged":
      return packet.bridged !== undefined;
  }
  if (fib?.result === "type" && String(fib.flags) === "daddr") return anyType(packet, values);
  if (ct?.key === "state") return anyState(packet, values);
  if (ct?.key === "status" && values.every((value) => value === "dnat")) return packet.redirected;
  if (payload?.protocol === "ip" || payload?.protocol === "ip6") return anyField(payload, values, packet);
  if (payload !== undefined && PROTOCOLS.has(payload.protocol!) && payload.protocol !== packet.protocol) return false;
  return undefined;
}

/** A field of the header of IPv4 or IPv6. */
function anyField(
  { protocol, field }: Readonly<Record<string, string>>,
  values: readonly unknown[],
  packet: Packet,
): boolean | undefined {
  if ((protocol === "ip") !== (packet.family === "ipv4")) return false;
  if (field === "saddr") return anyAddress(packet.saddr, values);
  if (field === "daddr") return anyAddress(packet.daddr, values);
  return field === "protocol" || field === "nexthdr" ? anyProtocol(packet, values) : undefined;
}

function anyProtocol({ protocol }: Packet, values: readonly unknown[]): boolean {
  return PROTOCOLS_OF[protocol].some((name) => values.includes(name));
}

/** iptables counts `DNAT` and `SNAT` among the states. */
function anyState({ state, redirected }: Packet, values: readonly unknown[]): boolean | undefined {
  if (values.includes(state) || (redirected && values.includes("dnat"))) return true;
  return values.includes("snat") ? undefined : false;
}

/** Forwarded to a single address elsewhere; what a bridge passes on may go to all. */
function anyType({ bridged }: Packet, values: readonly unknown[]): boolean | undefined {
  return bridged === undefined ? values.includes("unicast") || values.includes(1) : undefined;
}

function anyName(name: string | undefined, values: readonly unknown[]): boolean | undefined {
  if (name === undefined) return undefined;
  return values.some((value) => {
    const pattern = String(value);
    return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
  });
}

function anyAddress(addresses: Addresses | undefined, values: readonly unknown[]): boolean | undefined {
  if (addresses === undefined) return undefined;
  return some(values.map((value) => coversAll(value, addresses)));
}

/** Undefined also where a value covers some of the addresses. */
function coversAll(value: unknown, [first, last]: Addresses): boolean | undefined {
  const range = rangeOf(value);
  if (range === undefined) return undefined;
  if (first >= range[0] && last <= range[1]) return true;
  return last < range[0] || first > range[1] ? false : undefined;
}

/** The addresses of a value as nft lists it; undefined for what is none. */
function rangeOf(value: unknown): Addresses | undefined {
  if (typeof value === "string") {
    const single = parseAddress(value);
    return single === undefined ? undefined : [single, single];
  }
  const { prefix, range } = value as { prefix?: { addr: string; len: number }; range?: [string, string] };
  if (prefix !== undefined) {
    const text = `${prefix.addr}/${prefix.len}`;
    const cidr = parseCidr(text);
    const cidr6 = parseCidr6(text);
    if (cidr6 !== undefined) return [cidr6.address, lastOf6(cidr6)];
    return cidr && [cidr.address, lastOf(cidr)];
  }
  const [first, last] = (range ?? []).map(parseAddress);
  return first === undefined || last === undefined ? undefined : [first, last];
}

const parseAddress = (text: string): number | bigint | undefined => parseIPv4(text) ?? parseIPv6(text);
