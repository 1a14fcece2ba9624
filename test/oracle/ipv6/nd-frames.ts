/** Messages of neighbour discovery and MLD, from a few words, for the comparison of the two guards. */
import { be16, be32, join } from "../build.ts";
import { fragmentHeader, type Header, linkOption, optionsHeader, ROUTER_ALERT, routingHeader } from "./build.ts";
import { address6, addressBytes, isMulticast, multicastMac, solicitedNode } from "./bytes.ts";
import type { Peer, World6 } from "./world.ts";

const ALL_MLD = address6("ff02::16");

/** Extension headers that may stand before anything. */
export function someHeaders(world: World6): Header[] {
  const { random } = world;
  const kinds: (() => Header[])[] = [
    () => [optionsHeader(60, [])],
    () => [optionsHeader(0, [])],
    () => [ROUTER_ALERT],
    () => [fragmentHeader(0, true, random.below(4))],
    () => [optionsHeader(60, []), fragmentHeader(0, true, random.below(4))],
    () => [fragmentHeader(0, false, 1)],
    () => [routingHeader(random.below(5))],
    () => [optionsHeader(0, [5, 2, 0, random.below(2)])],
    () => [optionsHeader(0, [0xc2, 4, 0, 1, 0, 0])],
    () => [optionsHeader(60, [0xc9, 16, ...new Uint8Array(16)])],
    () => Array.from({ length: random.between(7, 10) }, () => optionsHeader(60, [])),
    () => [optionsHeader(60, [1, random.pick([100, 200, 230, 250]), ...new Uint8Array(250)].slice(0, 240))],
    () => [optionsHeader(60, []), optionsHeader(0, [])],
    () => [fragmentHeader(0, true, 1), fragmentHeader(0, true, 2)],
    () => [optionsHeader(0, [5, 2, 0, 0, 5, 2, 0, 0])],
  ];
  return random.pick(kinds)();
}

export function detect(world: World6, target: bigint, more = {}): void {
  const nonce = world.random.chance(0.5) ? [14, 1, 1, 2, 3, 4, 5, 6] : [];
  const body = join(be32(0), addressBytes(target), nonce);
  world.icmp(true, 0n, solicitedNode(target), 135, body, { hopLimit: 255, ...more });
  if (world.random.chance(0.3)) world.learnOwn(target);
}

export function solicit(world: World6, source: bigint, target: bigint, mac = world.vmMac): void {
  const { random } = world;
  const to = random.chance(0.85) ? solicitedNode(target) : target;
  const link = random.chance(0.9) ? linkOption(1, mac) : [];
  world.icmp(true, source, to, 135, join(be32(0), addressBytes(target), link), { hopLimit: 255 });
}

export function advertise(world: World6, target: bigint, destination: bigint, flags: number, mac = world.vmMac): void {
  const body = join([flags, 0, 0, 0], addressBytes(target), world.random.chance(0.85) ? linkOption(2, mac) : []);
  const source = world.random.chance(0.8) ? target : world.ownAddress();
  world.icmp(true, source, destination, 136, body, { hopLimit: 255 });
}

/** A solicitation or an advertisement from somebody in the network. */
export function from(world: World6, peer: Peer, type: 135 | 136, target: bigint, destination: bigint, more = {}): void {
  const { random } = world;
  const link = random.chance(0.8)
    ? linkOption(type === 135 ? 1 : 2, random.chance(0.85) ? peer.mac : world.peerMacs[2]!)
    : [];
  const flags = type === 136 ? random.pick([0x60, 0x20, 0x40, 0xe0, 0]) : 0;
  const body = join([flags, 0, 0, 0], addressBytes(target), peer.address === 0n ? [] : link);
  const ethernetDestination = isMulticast(destination) ? multicastMac(destination) : world.vmMac;
  const fields = { hopLimit: 255, ethernetSource: peer.mac, ethernetDestination, ...more };
  world.icmp(false, peer.address, destination, type, body, fields);
}

export const stranger = (world: World6): Peer => ({ address: 0n, mac: world.random.pick(world.peerMacs) });

/** Becomes valid, or nearly. */
export function settle(world: World6): void {
  if (world.random.chance(0.85)) world.now += 500_000 + world.random.pick([0, 0, 1, 1000, 400_000]);
  else world.toBound(0.5);
}

/** A listener's report (RFC 3810 5.2). */
export function report(world: World6, source: bigint, more = {}): void {
  const group = solicitedNode(world.random.pick(world.own));
  const record = join([4, 0], be16(0), addressBytes(group));
  world.icmp(true, source, ALL_MLD, 143, join(be16(0), be16(1), record), {
    hopLimit: 1,
    headers: [ROUTER_ALERT],
    ...more,
  });
}
