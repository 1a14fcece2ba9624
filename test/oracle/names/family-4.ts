/** IPv4 as names see it. */
import { be16, be32, join } from "../build.ts";
import { onesComplementSum } from "../bytes.ts";
import { flowKey } from "../flows.ts";
import { isGloballyReachable, METADATA } from "../registry.ts";
import type { State } from "../state.ts";
import type { Address, Family } from "./family.ts";

export function namesOf4(state: State): Family {
  return {
    bits: 32,
    flows: state.flows,
    keyOf: (way, { protocol, payload, source, destination }) =>
      flowKey(way, protocol, Number(way === "out" ? destination : source), payload),
    isDnsServer: (address: Address) => state.binding?.dnsServers.includes(Number(address)) ?? false,
    sum: ({ protocol, payload, source, destination }) => {
      const addresses = join(be32(Number(source)), be32(Number(destination)));
      return onesComplementSum(join(addresses, [0, protocol], be16(payload.length), payload));
    },
  };
}

/** The default policy lets packets to it pass because it is globally routable. */
export function isPinnable(state: State, address: number): boolean {
  return (
    address !== state.gateway && isGloballyReachable(address) && !METADATA.includes(address) && address < 0xe0000000
  );
}
