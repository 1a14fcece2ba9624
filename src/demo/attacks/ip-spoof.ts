/** IP spoofing: Mallory gives an order to a bank that knows its customers by their IPv4 addresses, with Alice's. */
import type { Attack } from "./attack.ts";
import { orderAsAlice } from "./bank-order.ts";

export const ipSpoof: Attack = {
  title: "IP spoof",
  reasons: ["ipv4.source"],
  natReasons: ["ipv4.source"],
  async attempt(world) {
    const believed = await orderAsAlice(world);
    return {
      succeeded: believed,
      unharmed: true,
      evidence: believed ? "the bank took Mallory's order for Alice's" : "the bank never saw the order",
    };
  },
};
