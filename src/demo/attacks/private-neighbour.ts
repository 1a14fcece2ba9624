/** Reaching a private neighbour: Mallory opens a page on a machine of the same network that is none of her business. */
import { NEIGHBOUR, NEIGHBOUR_PAGE } from "../plan.ts";
import type { Attack } from "./attack.ts";

const TIMEOUT = 1_200; // milliseconds: the kernel tries to connect twice

export const privateNeighbour: Attack = {
  title: "reaching a private neighbour",
  reasons: ["policy.destination"],
  natReasons: ["policy.destination"],
  async attempt({ mallory }) {
    const page = await mallory.agent.call("askWeb", { address: NEIGHBOUR, timeout: TIMEOUT });
    const opened = page === NEIGHBOUR_PAGE;
    return {
      succeeded: opened,
      unharmed: true,
      evidence: opened ? `Mallory read "${page}" on ${NEIGHBOUR}` : `Mallory could not connect to ${NEIGHBOUR}`,
    };
  },
};
