/** What policy says of a packet's destination (docs/guard.md, Policy), once the table has told what kind it is. */
import {
  ALLOWED,
  BLOCKED,
  BROADCAST,
  DNS_SERVER,
  GATEWAY,
  GLOBAL,
  METADATA,
  MULTICAST_GROUP,
} from "../policy/destinations.ts";
import { fragmentBits, IPV4_HEADER, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ipv4.ts";
import { tcpDestinationPort } from "../wire/tcp.ts";
import { udpDestinationPort } from "../wire/udp.ts";
import { PASS, verdictOf } from "./reasons.ts";

const FRAGMENT = verdictOf("ipv4.fragment");
const BLOCK = verdictOf("policy.block");
const NOT_GLOBAL = verdictOf("policy.destination");
const MULTICAST = verdictOf("policy.multicast");
const BROADCAST_DROP = verdictOf("policy.broadcast");
const METADATA_DROP = verdictOf("policy.metadata");
const GATEWAY_PROTOCOL = verdictOf("policy.gateway");

const DNS_PORT = 53;

/** Judges a packet without options by the kind of its destination; answers PASS or a drop reason's number. */
export function judgeDestination(kind: number, bytes: Uint8Array, packet: number, protocol: number): number {
  if (kind === GLOBAL || kind === ALLOWED) return PASS;
  if (kind === BLOCKED) return BLOCK;
  const knowsPorts = protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP;
  if (kind === GATEWAY) return knowsPorts || protocol === PROTOCOL_ICMP ? PASS : GATEWAY_PROTOCOL;
  if ((kind & DNS_SERVER) === 0) return withoutRule(kind);
  const otherwise = kind & ~DNS_SERVER;
  if (otherwise === GLOBAL) return PASS;
  if (!knowsPorts) return withoutRule(otherwise);
  // The verdict needs the port, and later fragments have none (threat row I1).
  if (fragmentBits(bytes, packet) !== 0) return FRAGMENT;
  const payload = packet + IPV4_HEADER;
  const port = protocol === PROTOCOL_UDP ? udpDestinationPort(bytes, payload) : tcpDestinationPort(bytes, payload);
  return port === DNS_PORT ? PASS : withoutRule(otherwise);
}

function withoutRule(kind: number): number {
  switch (kind) {
    case MULTICAST_GROUP:
      return MULTICAST;
    case BROADCAST:
      return BROADCAST_DROP;
    case METADATA:
      return METADATA_DROP;
    default:
      return NOT_GLOBAL;
  }
}
