/** An order to the bank in Alice's name: a datagram from Mallory's card with Alice's IPv4 address as its source. */
import type { Agent } from "../agent-process.ts";
import { udpFrame } from "../frames.ts";
import type { Guest } from "../guest.ts";
import { BANK_PORT, INTERNET, ipv4, mac } from "../plan.ts";
import { within } from "../poll.ts";
import type { World } from "../world.ts";
import { newSecret } from "./attack.ts";

const TIMEOUT = 600; // milliseconds; an order that arrives does so in less than one

/** Sends it a few times, and returns whether the bank took it for Alice's. */
export async function orderAsAlice(world: World): Promise<boolean> {
  const { alice, mallory, internet } = world;
  const bank = { address: INTERNET, port: BANK_PORT };
  return (await giveOrder(mallory, alice.address, bank, internet.agent)) === world.knownAs(alice);
}

/** Sends an order from Mallory's card in the name of `from`; returns from whom the bank had it, null when it never came. */
export async function giveOrder(
  mallory: Guest,
  from: string,
  to: { readonly address: string; readonly port: number },
  bank: Agent,
): Promise<string | null> {
  const text = `pay 1000 to Mallory, number ${newSecret()}`;
  const frame = udpFrame(
    { mac: mac(mallory.mac), address: ipv4(from), port: 4_000 },
    { mac: mac(mallory.gateway.mac), address: ipv4(to.address), port: to.port },
    new TextEncoder().encode(text),
  );
  await mallory.agent.call("startSending", { link: mallory.link, frames: [frame], perSecond: 20, seconds: 2 });
  let source: string | null = null;
  await within(TIMEOUT, async () => {
    source = await bank.call("sourceOfOrder", text);
    return source !== null;
  });
  await mallory.agent.call("stopSending");
  return source;
}
