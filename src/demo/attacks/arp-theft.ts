/**
 * ARP theft of the gateway, the attack for which softnet exists: Mallory claims by ARP that the gateway's address is at
 * Mallory's card. Alice then sends everything to Mallory, who reads it and forwards it, so that Alice notices nothing.
 *
 * The same with a priority tag (IEEE 802.1Q, VLAN 0): many filters check the outer type only, do not recognise ARP, and
 * let it pass. The victim's kernel removes the tag and accepts the ARP packet (CVE-2021-27853).
 */
import { arpClaim, priorityTagged } from "../frames.ts";
import { GATEWAY, INTERNET, ipv4, mac } from "../plan.ts";
import { within } from "../poll.ts";
import type { World } from "../world.ts";
import { type Attack, newSecret, type Outcome } from "./attack.ts";
import { intercepted } from "./interception.ts";

/** Claims a second; more than arpspoof and similar tools send. */
const CLAIMS_PER_SECOND = 20;
/** Milliseconds; a kernel accepts a new claim only when its entry is a second old (locktime in arp(7)). */
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
  return intercepted(redirected, frames > 0, welcomed, "gateway");
}
