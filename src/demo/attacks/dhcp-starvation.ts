/**
 * DHCP starvation: Mallory asks for leases in the names of machines that do not exist, until the server has none left.
 * Alice, who switched her machine off and on again, finds no address.
 */
import { randomInt } from "node:crypto";
import {
  BOOT_REQUEST,
  DHCP_CLIENT_PORT,
  DHCP_RELEASE,
  DHCP_SERVER_PORT,
  emitDhcp,
  OPTION_CLIENT_IDENTIFIER,
  OPTION_MESSAGE_TYPE,
  OPTION_SERVER_IDENTIFIER,
} from "../../wire/dhcp.ts";
import { fourBytes } from "../dhcp-options.ts";
import type { Guest } from "../guest.ts";
import { GATEWAY, ipv4, mac, POOL_SIZE } from "../plan.ts";
import { within } from "../poll.ts";
import type { Attack } from "./attack.ts";

const STARVING = 1_000; // milliseconds for all leases together; one takes little more than a hundred

export const dhcpStarvation: Attack = {
  title: "DHCP starvation",
  reasons: ["dhcp.hardware-address", "dhcp.client-identifier"],
  async attempt({ host, alice, mallory }) {
    const before = await host.agent.call("freeAddresses");
    await switchOff(alice);
    const released = await within(1_000, async () => (await host.agent.call("freeAddresses")) > before);
    if (!released) throw new Error("Alice could not give her lease back");
    const taken = await mallory.agent.call("starve", {
      link: mallory.link,
      mac: mac(mallory.mac),
      count: POOL_SIZE,
      timeout: STARVING,
    });
    const lease = await alice.askForLease();
    // Where nothing is left the administrator cleans up. Elsewhere he must not: Mallory's softnet keeps the address that
    // she was given last, and would not let a forgetful server give it to Alice (threat row D6). Both guests start again.
    if (lease === null) await host.agent.call("forgetLeases");
    await alice.boot();
    await mallory.boot();
    return {
      succeeded: lease === null,
      unharmed: lease?.server === GATEWAY,
      evidence:
        lease === null
          ? `Mallory took ${taken} leases, and Alice got none`
          : `Mallory got ${taken} leases more, and Alice got hers`,
    };
  },
};

/** Gives the lease back, as a machine does that is switched off. */
async function switchOff(guest: Guest): Promise<void> {
  const payload = emitDhcp({
    op: BOOT_REQUEST,
    xid: randomInt(2 ** 32),
    chaddr: mac(guest.mac),
    ciaddr: ipv4(guest.address),
    options: [
      [OPTION_MESSAGE_TYPE, Uint8Array.of(DHCP_RELEASE)],
      [OPTION_SERVER_IDENTIFIER, fourBytes(ipv4(GATEWAY))],
      [OPTION_CLIENT_IDENTIFIER, guest.clientIdentifier],
    ],
  });
  const to = { address: GATEWAY, port: DHCP_SERVER_PORT, sourcePort: DHCP_CLIENT_PORT };
  await guest.agent.call("sendDatagram", { ...to, payload });
}
