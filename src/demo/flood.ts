/**
 * The flood that Mallory sends while Alice uses her network: a thousand frames a second of each kind, ARP, DHCP, and
 * spoofed. Some are valid, but too many.
 */
import { randomInt } from "node:crypto";
import { BROADCAST_MAC, LIMITED_BROADCAST } from "../wire/address.ts";
import { ARP_REQUEST, emitArp } from "../wire/arp.ts";
import {
  BOOT_REPLY,
  BOOT_REQUEST,
  DHCP_CLIENT_PORT,
  DHCP_DISCOVER,
  DHCP_OFFER,
  DHCP_SERVER_PORT,
  emitDhcp,
  OPTION_CLIENT_IDENTIFIER,
  OPTION_MESSAGE_TYPE,
} from "../wire/dhcp.ts";
import { emitEthernet, TYPE_ARP } from "../wire/ethernet.ts";
import type { Sent } from "./agent/frame-sender.ts";
import { serverOptions } from "./dhcp-options.ts";
import { arpClaim, udpFrame } from "./frames.ts";
import type { Guest } from "./guest.ts";
import { GATEWAY, GATEWAY_MAC, INTERNET, ipv4, mac, NETMASK } from "./plan.ts";
import { within } from "./poll.ts";
import type { World } from "./world.ts";

const KINDS = 3;
export const FLOOD_PER_KIND = 1_000; // frames a second
/** Different frames of each kind before they repeat. */
const VARIETY = 200;
/** Seconds of flood before Alice begins: by then tables and rate allowances, softnet's too, are used up. */
const HEAD_START = { bare: 0.5, guarded: 2 } as const;
/** The flood ends by itself after this, in seconds. */
const LONGEST = 20;

/** Has Mallory flood the network, and `work` done in the middle of it; returns what was really sent. */
export async function duringFlood({ alice, mallory, way }: World, work: () => Promise<void>): Promise<Sent> {
  const frames = Array.from({ length: VARIETY }, (_, index) => [
    arpFrame(index, alice, mallory),
    dhcpFrame(index, alice, mallory),
    spoofedFrame(index, alice, mallory),
  ]).flat();
  const perSecond = KINDS * FLOOD_PER_KIND;
  await mallory.agent.call("startSending", { link: mallory.link, frames, perSecond, seconds: LONGEST });
  const headStart = way === "bare" ? HEAD_START.bare : HEAD_START.guarded;
  const isUnderWay = async () => (await mallory.agent.call("sentSoFar")) >= perSecond * headStart;
  await within(2 * headStart * 1_000, isUnderWay);
  await work();
  return await mallory.agent.call("stopSending");
}

/** In turn: the gateway claimed from Alice, the gateway claimed from all, and Mallory's own honest questions. */
function arpFrame(index: number, alice: Guest, mallory: Guest): Uint8Array {
  const hardware = mac(mallory.mac);
  if (index % 3 === 0) return arpClaim(hardware, ipv4(GATEWAY), mac(alice.mac));
  if (index % 3 === 1) return arpClaim(hardware, ipv4(GATEWAY));
  const question = emitArp({
    operation: ARP_REQUEST,
    senderHardware: hardware,
    senderProtocol: ipv4(mallory.address),
    targetHardware: 0,
    targetProtocol: ipv4(GATEWAY) + index,
  });
  return emitEthernet(BROADCAST_MAC, hardware, TYPE_ARP, question);
}

/** In turn: a lease for a machine that does not exist, an offer to Alice, and Mallory's own honest question. */
function dhcpFrame(index: number, alice: Guest, mallory: Guest): Uint8Array {
  const hardware = mac(mallory.mac);
  const xid = randomInt(2 ** 32);
  if (index % 3 === 1) {
    const self = ipv4(mallory.address);
    const answer = { server: self, netmask: ipv4(NETMASK), router: self, dns: self, leaseSeconds: 600 };
    return udpFrame(
      { mac: hardware, address: self, port: DHCP_SERVER_PORT },
      { mac: BROADCAST_MAC, address: LIMITED_BROADCAST, port: DHCP_CLIENT_PORT },
      emitDhcp({
        op: BOOT_REPLY,
        xid,
        chaddr: mac(alice.mac),
        yiaddr: self,
        options: serverOptions(DHCP_OFFER, answer),
      }),
    );
  }
  const invented = index % 3 === 0;
  return udpFrame(
    { mac: hardware, address: 0, port: DHCP_CLIENT_PORT },
    { mac: BROADCAST_MAC, address: LIMITED_BROADCAST, port: DHCP_SERVER_PORT },
    emitDhcp({
      op: BOOT_REQUEST,
      xid,
      chaddr: invented ? 0x020000000000 + randomInt(2 ** 40) : hardware,
      options: [
        [OPTION_MESSAGE_TYPE, Uint8Array.of(DHCP_DISCOVER)],
        ...(invented ? [] : [[OPTION_CLIENT_IDENTIFIER, mallory.clientIdentifier] as const]),
      ],
    }),
  );
}

/** In turn: Alice's MAC address, and Alice's IPv4 address. */
function spoofedFrame(index: number, alice: Guest, mallory: Guest): Uint8Array {
  const source = index % 2 === 0 ? mac(alice.mac) : mac(mallory.mac);
  return udpFrame(
    { mac: source, address: ipv4(alice.address), port: 4_000 },
    { mac: mac(GATEWAY_MAC), address: ipv4(INTERNET), port: 4_000 },
    new TextEncoder().encode("spoofed"),
  );
}
