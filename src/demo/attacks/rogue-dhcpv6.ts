/**
 * A rogue DHCPv6 server: Mallory answers Alice's question for a DNS server before the honest server does, and names herself
 * (as the tool mitm6 does).
 */
import { formatIPv6 } from "../../wire/ipv6-address.ts";
import { endpointOf } from "../guest6.ts";
import { DNS6 } from "../plan.ts";
import type { Attack } from "./attack.ts";

const TIMEOUT = 1_500; // milliseconds

export const rogueDhcpv6: Attack = {
  title: "rogue DHCPv6 server",
  reasons: ["dhcpv6.ports"],
  needsIPv6: true,
  async attempt({ alice, mallory }) {
    const self = endpointOf(mallory);
    const victim = endpointOf(alice);
    await mallory.agent.call("startDhcpv6", { link: mallory.link, self, dns: self.address, delay: 0, victim });
    const server = await alice.agent.call("askForDns6", { link: alice.link, self: victim, timeout: TIMEOUT });
    await mallory.agent.call("stopDhcpv6");
    const fooled = server === formatIPv6(self.address);
    return {
      succeeded: fooled,
      unharmed: server === DNS6,
      evidence: fooled ? "Alice would ask Mallory for each name" : `Alice would ask ${server ?? "nobody"} for names`,
    };
  },
};
