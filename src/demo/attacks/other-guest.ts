/** Reaching the other guest: Mallory opens a page on Alice's machine, which is for the host only. */
import { ALICE_PAGE } from "../plan.ts";
import type { Attack } from "./attack.ts";

const TIMEOUT = 700; // milliseconds; the way takes less than one

export const otherGuest: Attack = {
  title: "reaching the other guest",
  // The bridge passes nothing between two isolated ports, not even the question for her card: there is nothing to drop.
  reasons: [],
  natReasons: ["policy.destination"],
  async attempt({ host, alice, mallory }) {
    const { address } = alice;
    await alice.agent.call("serveWeb", { address, page: ALICE_PAGE });
    const page = await mallory.agent.call("askWeb", { address, timeout: TIMEOUT });
    // The page is there, and who may see it does: else an attack that fails would prove nothing.
    const forHost = await host.agent.call("askWeb", { address, timeout: TIMEOUT });
    const opened = page === ALICE_PAGE;
    return {
      succeeded: opened,
      unharmed: forHost === ALICE_PAGE,
      evidence: opened ? `Mallory read "${page}" on ${address}` : `Mallory could not connect to ${address}`,
    };
  },
};
