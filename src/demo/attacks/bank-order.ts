/** An order to the bank in Alice's name: a datagram from Mallory's card with Alice's IPv4 address as its source. */
import { udpFrame } from "../frames.ts";
import { BANK_PORT, GATEWAY_MAC, INTERNET, ipv4, mac } from "../plan.ts";
import { within } from "../poll.ts";
import type { World } from "../world.ts";
import { newSecret } from "./attack.ts";

const PATIENCE = 600; // milliseconds; an order that arrives does so in less than one

/** Sends it a few times, and answers whether the bank took it for Alice's. */
export async function orderAsAlice({ alice, mallory, internet }: World): Promise<boolean> {
  const text = `pay 1000 to Mallory, number ${newSecret()}`;
  const frame = udpFrame(
    { mac: mac(mallory.mac), address: ipv4(alice.address), port: 4_000 },
    { mac: mac(GATEWAY_MAC), address: ipv4(INTERNET), port: BANK_PORT },
    new TextEncoder().encode(text),
  );
  await mallory.agent.call("startSending", { link: mallory.link, frames: [frame], perSecond: 20, seconds: 2 });
  const believed = async () => (await internet.agent.call("sourceOfOrder", text)) === alice.address;
  const arrived = await within(PATIENCE, believed);
  await mallory.agent.call("stopSending");
  return arrived;
}
