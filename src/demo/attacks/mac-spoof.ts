/**
 * MAC spoofing: Mallory sends frames with Alice's MAC address as their source. The bridge learns that this address is
 * now behind Mallory's port, and delivers there what is meant for Alice.
 */
import { LETTERS } from "../agent/mail.ts";
import { arpClaim } from "../frames.ts";
import { GATEWAY_MAC, INTERNET, ipv4, MAIL_PORT, mac } from "../plan.ts";
import { type Attack, newSecret } from "./attack.ts";

export const macSpoof: Attack = {
  title: "MAC spoof",
  reasons: ["ethernet.source"],
  async attempt({ alice, mallory }) {
    const word = newSecret();
    const { link } = mallory;
    // What Alice herself might say to the gateway, from the wrong card.
    const frames = [arpClaim(mac(alice.mac), ipv4(alice.address), mac(GATEWAY_MAC))];
    await mallory.agent.call("startListening", { link, secret: word });
    await mallory.agent.call("startSending", { link, frames, perSecond: 200, seconds: 5 });
    const letters = await alice.agent.call("readMail", { address: INTERNET, port: MAIL_PORT, word });
    const stolen = await mallory.agent.call("heardSoFar");
    await mallory.agent.call("stopSending");
    return {
      succeeded: stolen > 0,
      unharmed: letters === LETTERS,
      evidence:
        stolen > 0
          ? `Mallory got ${stolen} of Alice's ${LETTERS} letters`
          : `Alice got ${letters} of her ${LETTERS} letters`,
    };
  },
};
