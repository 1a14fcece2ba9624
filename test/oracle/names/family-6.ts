/** IPv6 as names see it. */
import { inPrefix, sum6 } from "../ipv6/bytes.ts";
import { keyOf6 } from "../ipv6/policy.ts";
import { embeddedIn, isGlobal6 } from "../ipv6/registry.ts";
import type { State6 } from "../ipv6/state.ts";
import { decide } from "../policy.ts";
import type { Address, Family } from "./family.ts";
import { isPinnable } from "./family-4.ts";

export function namesOf6(six: State6): Family {
  return {
    bits: 128,
    flows: six.flows,
    keyOf: (way, { protocol, payload, source, destination }) => {
      const [own, remote] = way === "out" ? [source, destination] : [destination, source];
      return keyOf6(way, protocol, BigInt(own), BigInt(remote), payload);
    },
    isDnsServer: (address: Address) => six.dnsServers.includes(BigInt(address)),
    embeddedRule: (address, protocol, port) => {
      const remote = embeddedIn(BigInt(address), six.nat64);
      if (remote === undefined) return undefined;
      return decide(six.state, { way: "out", protocol, remote, port, fragment: false }).rule;
    },
    sum: ({ protocol, payload, source, destination }) => sum6(BigInt(source), BigInt(destination), protocol, payload),
  };
}

/** Globally routable; and so is the IPv4 address that it embeds. */
export function isPinnable6(six: State6, address: bigint): boolean {
  const embedded = embeddedIn(address, six.nat64);
  const onLink = six.prefixes.some((one) => one.onLink && inPrefix(one, address));
  if (!isGlobal6(address) || onLink || six.routerAddresses.includes(address)) return false;
  return embedded === undefined || isPinnable(six.state, embedded);
}
