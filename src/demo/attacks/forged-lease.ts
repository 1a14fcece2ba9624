/**
 * A forged lease, against filters that learn addresses from DHCP: Mallory asks for Alice's address. The honest server
 * refuses, but an accomplice on the Internet, who knows the transaction id, sends a forged acknowledgement. Then
 * Mallory sends with Alice's address.
 */
import { randomInt } from "node:crypto";
import { BROADCAST_MAC, LIMITED_BROADCAST } from "../../wire/address.ts";
import {
  BOOT_REPLY,
  BOOT_REQUEST,
  DHCP_ACK,
  DHCP_CLIENT_PORT,
  DHCP_REQUEST,
  DHCP_SERVER_PORT,
  emitDhcp,
  OPTION_CLIENT_IDENTIFIER,
  OPTION_MESSAGE_TYPE,
  OPTION_REQUESTED_ADDRESS,
} from "../../wire/dhcp.ts";
import { fourBytes, serverOptions } from "../dhcp-options.ts";
import { udpFrame } from "../frames.ts";
import type { Guest } from "../guest.ts";
import * as plan from "../plan.ts";
import type { Attack } from "./attack.ts";
import { orderAsAlice } from "./bank-order.ts";

const TIMEOUT = 700; // milliseconds; the way takes less than one

export const forgedLease: Attack = {
  title: "forged lease",
  reasons: ["dhcp.addresses", "ipv4.source"],
  // The forged acknowledgement ends in the host, and softnet's own server refuses: Mallory has no address at all then.
  natReasons: ["ipv4.unbound"],
  async attempt(world) {
    const { alice, mallory, internet } = world;
    const { link } = mallory;
    const xid = randomInt(2 ** 32);
    const awaited = mallory.agent.call("awaitLease", { link, xid, timeout: TIMEOUT });
    await mallory.agent.call("startSending", {
      link,
      frames: [question(mallory, alice, xid)],
      perSecond: 5,
      seconds: 1,
    });
    const frames = [forgery(mallory, alice, xid)];
    await internet.agent.call("startSending", { link: "up0", frames, perSecond: 20, seconds: 1 });
    const lease = await awaited;
    await internet.agent.call("stopSending");
    const believed = await orderAsAlice(world);
    // A client that was refused starts anew.
    if (world.way === "nat") await mallory.boot();
    const arrived = lease?.address === alice.address;
    return {
      succeeded: arrived && believed,
      unharmed: !arrived && !believed,
      evidence: believed ? "Mallory has a lease for Alice's address, and the bank believes it" : describe(arrived),
    };
  },
};

function describe(arrived: boolean): string {
  return arrived ? "the forged lease arrived, and was of no use" : "the forged lease never arrived";
}

/** INIT-REBOOT (RFC 2131 4.3.2): "I had this address before, may I have it again?" */
function question(mallory: Guest, alice: Guest, xid: number): Uint8Array {
  const hardware = plan.mac(mallory.mac);
  return udpFrame(
    { mac: hardware, address: 0, port: DHCP_CLIENT_PORT },
    { mac: BROADCAST_MAC, address: LIMITED_BROADCAST, port: DHCP_SERVER_PORT },
    emitDhcp({
      op: BOOT_REQUEST,
      xid,
      chaddr: hardware,
      options: [
        [OPTION_MESSAGE_TYPE, Uint8Array.of(DHCP_REQUEST)],
        [OPTION_REQUESTED_ADDRESS, fourBytes(plan.ipv4(alice.address))],
        [OPTION_CLIENT_IDENTIFIER, mallory.clientIdentifier],
      ],
    }),
  );
}

/** The acknowledgement in the honest server's name, as a datagram across the Internet. */
function forgery(mallory: Guest, alice: Guest, xid: number): Uint8Array {
  const gateway = plan.ipv4(mallory.gateway.address);
  const answer = {
    server: gateway,
    netmask: plan.ipv4(plan.NETMASK),
    router: gateway,
    dns: gateway,
    leaseSeconds: 600,
  };
  return udpFrame(
    { mac: plan.mac(plan.UPLINK_INTERNET_MAC), address: plan.ipv4(plan.INTERNET), port: DHCP_SERVER_PORT },
    { mac: plan.mac(plan.UPLINK_HOST_MAC), address: plan.ipv4(mallory.address), port: DHCP_CLIENT_PORT },
    emitDhcp({
      op: BOOT_REPLY,
      xid,
      chaddr: plan.mac(mallory.mac),
      yiaddr: plan.ipv4(alice.address),
      options: serverOptions(DHCP_ACK, answer),
    }),
  );
}
