/** What the default policy says of a packet from the VM (docs/guard.md, Policy), once the table has said its destination's kind. */
import {
  ALLOWED,
  BLOCKED,
  BROADCAST,
  DNS_SERVER,
  GATEWAY,
  GLOBAL,
  INBOUND,
  LOOPBACK,
  METADATA,
  MULTICAST_GROUP,
  ON_LINK,
} from "../policy/default-layer.ts";
import { PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ipv4.ts";
import { PROTOCOL_ICMPV6 } from "../wire/ipv6.ts";
import { PASS, verdictOf } from "./reasons.ts";

const FRAGMENT = verdictOf("ipv4.fragment");
const BLOCK = verdictOf("policy.block");
const NOT_GLOBAL = verdictOf("policy.destination");
const MULTICAST = verdictOf("policy.multicast");
const BROADCAST_DROP = verdictOf("policy.broadcast");
const METADATA_DROP = verdictOf("policy.metadata");
const GATEWAY_PROTOCOL = verdictOf("policy.gateway");
const NEVER = verdictOf("ipv4.loopback");
const FRAGMENT_6 = verdictOf("ipv6.fragment");
const NEVER_6 = verdictOf("ipv6.loopback");
const ON_LINK_DROP = verdictOf("policy.on-link");

export const DNS_PORT = 53;

/** Judges a packet by what the table says of it; `port`: its destination port where it is at hand. */
export function judgeKind(kind: number, protocol: number, port: number, fragmented: boolean): number {
  if (kind === GLOBAL || kind === ALLOWED || kind === INBOUND) return PASS;
  if (kind === BLOCKED) return BLOCK;
  const knowsPorts = protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP;
  if (kind === GATEWAY) return knowsPorts || protocol === PROTOCOL_ICMP ? PASS : GATEWAY_PROTOCOL;
  if ((kind & DNS_SERVER) === 0) return withoutRule(kind);
  const otherwise = kind & ~DNS_SERVER;
  if (otherwise === GLOBAL) return PASS;
  if (!knowsPorts) return withoutRule(otherwise);
  // The verdict needs the port, and later fragments have none (threat row I1).
  if (fragmented) return FRAGMENT;
  return port === DNS_PORT ? PASS : withoutRule(otherwise);
}

/** The same for IPv6, by what PolicyTable6 says. */
export function judgeKind6(kind: number, protocol: number, port: number, fragmented: boolean): number {
  if (kind === GLOBAL || kind === ALLOWED || kind === INBOUND) return PASS;
  if (kind === BLOCKED) return BLOCK;
  const knowsPorts = protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP;
  if (kind === GATEWAY) return knowsPorts || protocol === PROTOCOL_ICMPV6 ? PASS : GATEWAY_PROTOCOL;
  if ((kind & DNS_SERVER) === 0) return withoutRule6(kind);
  const otherwise = kind & ~DNS_SERVER;
  if (otherwise === GLOBAL) return PASS;
  if (!knowsPorts) return withoutRule6(otherwise);
  if (fragmented) return FRAGMENT_6;
  return port === DNS_PORT ? PASS : withoutRule6(otherwise);
}

function withoutRule6(kind: number): number {
  if (kind === ON_LINK) return ON_LINK_DROP;
  return kind === LOOPBACK ? NEVER_6 : withoutRule(kind);
}

function withoutRule(kind: number): number {
  switch (kind) {
    case MULTICAST_GROUP:
      return MULTICAST;
    case BROADCAST:
      return BROADCAST_DROP;
    case METADATA:
      return METADATA_DROP;
    case LOOPBACK:
      return NEVER;
    default:
      return NOT_GLOBAL;
  }
}

/** Which line of the default policy decides, in a word. */
export type DefaultLine =
  | "global"
  | "not-global"
  | "gateway"
  | "dns-server"
  | "metadata"
  | "multicast"
  | "broadcast"
  | "on-link"
  | "inbound"
  | "loopback";

/** The line of the default policy for a kind that no rule gave. */
export function defaultLine(kind: number, protocol: number, port: number): DefaultLine {
  const knowsPorts = protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP;
  if ((kind & DNS_SERVER) !== 0 && knowsPorts && port === DNS_PORT) return "dns-server";
  switch (kind & ~DNS_SERVER) {
    case GLOBAL:
      return "global";
    case GATEWAY:
      return "gateway";
    case MULTICAST_GROUP:
      return "multicast";
    case BROADCAST:
      return "broadcast";
    case METADATA:
      return "metadata";
    case LOOPBACK:
      return "loopback";
    case ON_LINK:
      return "on-link";
    case INBOUND:
      return "inbound";
    default:
      return "not-global";
  }
}
