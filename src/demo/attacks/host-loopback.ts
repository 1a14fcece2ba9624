/**
 * Reaching the host's loopback: Mallory sends to 127.0.0.1 through the gateway's card, where a service for the host's
 * own programs listens. The kernel accepts such packets on hosts with `route_localnet` (CVE-2020-8558), which container
 * hosts often set, and the demo's host, too.
 */
import { LOOPBACK, LOOPBACK_PORT } from "../plan.ts";
import { within } from "../poll.ts";
import { type Attack, newSecret } from "./attack.ts";
import { giveOrder } from "./bank-order.ts";

const TIMEOUT = 600; // milliseconds; the way takes less than one

export const hostLoopback: Attack = {
  title: "reaching the host's loopback",
  reasons: ["ipv4.loopback"],
  natReasons: ["ipv4.loopback"],
  async attempt({ host, mallory }) {
    await host.agent.call("openBank", { address: LOOPBACK, port: LOOPBACK_PORT });
    const to = { address: LOOPBACK, port: LOOPBACK_PORT };
    const obeyed = (await giveOrder(mallory, mallory.address, to, host.agent)) !== null;
    // The service is there for the host's own programs: else an attack that fails would prove nothing.
    const own = newSecret();
    await host.agent.call("sendDatagram", { ...to, payload: new TextEncoder().encode(own) });
    const serves = await within(TIMEOUT, async () => (await host.agent.call("sourceOfOrder", own)) === LOOPBACK);
    return {
      succeeded: obeyed,
      unharmed: serves,
      evidence: obeyed
        ? `a service on the host's ${LOOPBACK} obeyed Mallory`
        : `the service on the host's ${LOOPBACK} received nothing from Mallory`,
    };
  },
};
