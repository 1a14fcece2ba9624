/** The second guard's policy: rules by a linear scan, then the defaults, with the special-purpose registry typed out. */
import { addressNumber, type Cidr, cidr, contains, edges, PASS, prefixLength, uint16 } from "./bytes.ts";
import { ICMP, type Packet, TCP, UDP } from "./ipv4.ts";
import type { State } from "./state.ts";

/**
 * IANA IPv4 Special-Purpose Address Registry (RFC 6890, RFC 8190 and the RFCs named), column "Globally Reachable". An
 * address belongs to its longest entry. Multicast (RFC 5771) is not in that registry and not global either.
 */
const SPECIAL_PURPOSE: readonly [string, boolean][] = [
  ["0.0.0.0/8", false], // "this network", RFC 791
  ["0.0.0.0/32", false], // "this host on this network", RFC 1122
  ["10.0.0.0/8", false], // private use, RFC 1918
  ["100.64.0.0/10", false], // shared address space, RFC 6598
  ["127.0.0.0/8", false], // loopback, RFC 1122
  ["169.254.0.0/16", false], // link local, RFC 3927
  ["172.16.0.0/12", false], // private use, RFC 1918
  ["192.0.0.0/24", false], // IETF protocol assignments, RFC 6890
  ["192.0.0.0/29", false], // IPv4 service continuity prefix, RFC 7335
  ["192.0.0.8/32", false], // IPv4 dummy address, RFC 7600
  ["192.0.0.9/32", true], // Port Control Protocol anycast, RFC 7723
  ["192.0.0.10/32", true], // TURN anycast, RFC 8155
  ["192.0.0.170/32", false], // NAT64/DNS64 discovery, RFC 7050
  ["192.0.0.171/32", false], // NAT64/DNS64 discovery, RFC 7050
  ["192.0.2.0/24", false], // TEST-NET-1, RFC 5737
  ["192.31.196.0/24", true], // AS112-v4, RFC 7535
  ["192.52.193.0/24", true], // AMT, RFC 7450
  ["192.88.99.0/24", false], // deprecated 6to4 relay anycast, RFC 7526: no value in the registry, closed here
  ["192.168.0.0/16", false], // private use, RFC 1918
  ["192.175.48.0/24", true], // direct delegation AS112, RFC 7534
  ["198.18.0.0/15", false], // benchmarking, RFC 2544
  ["198.51.100.0/24", false], // TEST-NET-2, RFC 5737
  ["203.0.113.0/24", false], // TEST-NET-3, RFC 5737
  ["240.0.0.0/4", false], // reserved, RFC 1112
  ["255.255.255.255/32", false], // limited broadcast, RFC 919
  ["224.0.0.0/4", false], // multicast, RFC 5771
];

const SPECIAL = SPECIAL_PURPOSE.map(([text, global]) => ({ network: cidr(text), global }));
const MULTICAST = cidr("224.0.0.0/4");
const BROADCAST = addressNumber("255.255.255.255");
export const METADATA = ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16"].map(
  addressNumber,
);

export function isGloballyReachable(address: number): boolean {
  const covering = SPECIAL.filter((entry) => contains(entry.network, address));
  covering.sort((a, b) => b.network.length - a.network.length);
  return covering[0]?.global ?? true;
}

/** The last address of the binding's subnet, or without its netmask of the network's, where that leaves room for one. */
function directedBroadcast(state: State): number | undefined {
  const { address, netmask } = state.binding!;
  if (netmask === undefined) {
    if (state.subnet !== undefined) state.reach("the network's own subnet has the broadcast address");
    return state.subnet && edges(state.subnet)?.last;
  }
  const length = prefixLength(netmask);
  return length === undefined ? undefined : edges({ address, length })?.last;
}

/** "allow", "block", or undefined when no rule covers the address. */
function ruleFor(state: State, destination: number): "allow" | "block" | undefined {
  const longest = (rules: readonly (Cidr | "@host")[]): number => {
    let best = -1;
    for (const rule of rules) {
      if (rule === "@host") {
        if (state.gateway === destination) best = Math.max(best, 32);
      } else if (contains(rule, destination)) {
        best = Math.max(best, rule.length);
      }
    }
    return best;
  };
  const allowed = longest(state.allow);
  const blocked = longest(state.block);
  if (allowed === -1 && blocked === -1) return undefined;
  return allowed > blocked ? "allow" : "block";
}

/** TCP in one piece from an exposed port, but not the first segment of a connection. */
function mayAnswer(state: State, { protocol, fragment, payload }: Packet): boolean {
  if (protocol !== TCP || fragment || !state.exposedPorts.includes(uint16(payload, 0))) return false;
  const flags = payload[13]!;
  const syn = Math.floor(flags / 2) % 2 === 1;
  const ack = Math.floor(flags / 16) % 2 === 1;
  if (syn && !ack) {
    state.reach("a bare SYN from an exposed port to the blocked gateway");
    return false;
  }
  return true;
}

export function checkPolicy(state: State, packet: Packet): string {
  const { destination, protocol } = packet;
  const rule = ruleFor(state, destination);
  if (rule === "block") {
    if (destination !== state.gateway || !mayAnswer(state, packet)) return "policy.block";
    state.note = "ipv4.exposed-answer";
    return PASS;
  }
  if (rule === "allow") {
    state.note = "ipv4.rule";
    return PASS;
  }

  if (destination === state.gateway) {
    state.note = "ipv4.gateway";
    return [TCP, UDP, ICMP].includes(protocol) ? PASS : "policy.gateway";
  }

  const ports = protocol === TCP || protocol === UDP;
  if (state.binding!.dnsServers.includes(destination) && ports) {
    if (packet.fragment) {
      return checkDestination(state, destination) === PASS ? PASS : "ipv4.fragment";
    }
    if (uint16(packet.payload, 2) === 53) {
      state.note = "ipv4.dns";
      return PASS;
    }
  }
  return checkDestination(state, destination);
}

function checkDestination(state: State, destination: number): string {
  if (destination === BROADCAST || destination === directedBroadcast(state)) return "policy.broadcast";
  if (contains(MULTICAST, destination)) return "policy.multicast";
  if (METADATA.includes(destination)) return "policy.metadata";
  state.note = "ipv4.global";
  return isGloballyReachable(destination) ? PASS : "policy.destination";
}
