/**
 * ARP theft of the gateway, the attack for which softnet exists: Mallory tells Alice that the gateway's address is at
 * Mallory's card. Alice then sends everything to Mallory, who reads it and passes it on, so that nothing seems wrong.
 *
 * The same with a priority tag (IEEE 802.1Q, VLAN 0) in front: many filters look at the outer type only, see no ARP, and
 * let it pass; the victim's kernel takes the tag off and believes what is behind it (CVE-2021-27853).
 */
import { arpClaim, priorityTagged } from "../frames.ts";
import { GATEWAY, INTERNET, ipv4, mac } from "../plan.ts";
import { within } from "../poll.ts";
import type { World } from "../world.ts";
import { type Attack, newSecret, type Outcome } from "./attack.ts";

/** Claims a second, as arpspoof and its like send them only quicker. */
const CLAIMS_PER_SECOND = 20;
/** A kernel believes a new claim only when its last knowledge is a second old (locktime in arp(7)); milliseconds. */
const TIMEOUT = 2_000;
const REQUEST_TIMEOUT = 2_000; // milliseconds

export const arpTheft: Attack = {
  title: "ARP theft of the gateway",
  reasons: ["arp.sender-address"],
  attempt: (world) => steal(world, (claim) => claim),
};

export const taggedArpTheft: Attack = {
  title: "VLAN-tagged ARP theft",
  reasons: ["ethernet.type"],
  attempt: (world) => steal(world, priorityTagged),
};

async function steal(world: World, disguise: (claim: Uint8Array) => Uint8Array): Promise<Outcome> {
  const { alice, mallory } = world;
  const secret = newSecret();
  const claim = arpClaim(mac(mallory.mac), ipv4(GATEWAY), mac(alice.mac));
  const { link } = mallory;
  await mallory.agent.call("startListening", { link, secret });
  await mallory.agent.call("startSending", {
    link,
    frames: [disguise(claim)],
    perSecond: CLAIMS_PER_SECOND,
    seconds: 10,
  });
  const redirected = await within(TIMEOUT, () => alice.namespace.macOf(GATEWAY) === mallory.mac);
  const body = `password=${secret}`;
  const welcomed = (await alice.agent.call("askWeb", { address: INTERNET, body, timeout: REQUEST_TIMEOUT })) !== null;
  const frames = await mallory.agent.call("heardSoFar");
  await mallory.agent.call("stopSending");
  const read = frames > 0;
  return {
    succeeded: redirected && read,
    unharmed: welcomed && !redirected && !read,
    evidence: tell(redirected, read, welcomed),
  };
}

function tell(redirected: boolean, read: boolean, welcomed: boolean): string {
  if (read) return `Mallory read Alice's password${welcomed ? ", and Alice noticed nothing" : ""}`;
  if (redirected) return "Alice's traffic went to Mallory";
  return welcomed ? "Alice's password went to the gateway only" : "Alice could not log in";
}
