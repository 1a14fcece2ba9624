/**
 * A rogue DHCP server: Mallory answers Alice's search for an address before the honest server does, and names herself as
 * gateway and DNS server.
 */
import { GATEWAY, ipv4, mac, NETMASK } from "../plan.ts";
import type { Attack } from "./attack.ts";

const GIVEN = "192.168.64.66";

export const rogueDhcp: Attack = {
  title: "rogue DHCP server",
  reasons: ["dhcp.ports"],
  async attempt({ alice, mallory }) {
    await mallory.agent.call("startRogueDhcp", {
      link: mallory.link,
      mac: mac(mallory.mac),
      address: ipv4(mallory.address),
      netmask: ipv4(NETMASK),
      given: ipv4(GIVEN),
      victimMac: mac(alice.mac),
    });
    const lease = await alice.askForLease();
    await mallory.agent.call("stopRogueDhcp");
    const fooled = lease?.router === mallory.address;
    return {
      succeeded: fooled,
      unharmed: lease?.server === GATEWAY,
      evidence: fooled
        ? "Alice would use Mallory as her gateway and DNS server"
        : `Alice got her lease from ${lease?.server ?? "nobody"}`,
    };
  },
};
