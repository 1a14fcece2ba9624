/** Whether a match of a rule applies to a packet, as far as the packet is known beforehand. */
import { covers, parseCidr } from "../../policy/rule.ts";
import { parseIPv4 } from "../../wire/address.ts";

/** What is known of a packet. Addresses in host order. */
export interface Packet {
  readonly iifname?: string;
  readonly oifname?: string;
  readonly saddr?: number;
  readonly daddr?: number;
  readonly protocol: "tcp" | "udp";
  readonly state: "new" | "established";
  /** Whether its connection was redirected to the VM (`ct status dnat`). */
  readonly redirected: boolean;
  /** The ports of a bridge, where a bridge passes it on and br_netfilter shows it to the firewall. */
  readonly bridged?: { readonly in?: string; readonly out?: string };
}

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
      return values.includes("ipv4");
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
  if (payload?.protocol === "ip" && payload.field === "saddr") return anyAddress(packet.saddr, values);
  if (payload?.protocol === "ip" && payload.field === "daddr") return anyAddress(packet.daddr, values);
  if (payload?.protocol === "ip" && payload.field === "protocol") return anyProtocol(packet, values);
  if (payload?.protocol === "ip6") return false;
  if (payload !== undefined && PROTOCOLS.has(payload.protocol!) && payload.protocol !== packet.protocol) return false;
  return undefined;
}

function anyProtocol({ protocol }: Packet, values: readonly unknown[]): boolean {
  return values.includes(protocol) || values.includes(protocol === "tcp" ? 6 : 17);
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

function anyAddress(address: number | undefined, values: readonly unknown[]): boolean | undefined {
  if (address === undefined) return undefined;
  return some(values.map((value) => coversAddress(value, address)));
}

function coversAddress(value: unknown, address: number): boolean | undefined {
  if (typeof value === "string") {
    const single = parseIPv4(value);
    return single === undefined ? undefined : single === address;
  }
  const { prefix, range } = value as { prefix?: { addr: string; len: number }; range?: [string, string] };
  if (prefix !== undefined) {
    const cidr = parseCidr(`${prefix.addr}/${prefix.len}`);
    return cidr && covers(cidr, address);
  }
  const [first, last] = (range ?? []).map(parseIPv4);
  return first === undefined || last === undefined ? undefined : address >= first && address <= last;
}
