/** Routers, true and false, that come, speak and go, for the comparison of the two guards. */
import { be32, join } from "../build.ts";
import { arpGateway } from "../generate-arp.ts";
import { bootQuietly } from "../generate-dhcp.ts";
import { advertisement, dnsOption, type Header, linkOption, nat64Option, prefixOption } from "./build.ts";
import { ALL_NODES, address6, isMulticast, multicastMac, solicitedNode } from "./bytes.ts";
import { detect, from, someHeaders } from "./nd-frames.ts";
import type { Peer, World6 } from "./world.ts";

/** What a router of every day says. */
export function usualRouter(world: World6): void {
  const { random } = world;
  if (random.chance(0.25)) {
    routerSpeaks(world);
    return;
  }
  const prefixes = world.prefixes.map((prefix) => prefixOption(prefix, 64, random.chance(0.8) ? 0xc0 : 0x40, 3600));
  const options = [linkOption(1, world.router.mac), ...prefixes, dnsOption(world.dns6.slice(0, 2), 3600)];
  const more = random.chance(0.4) ? [nat64Option(world.nat64, random.below(6), 1800)] : [];
  const fields = { hopLimit: 255, ethernetDestination: multicastMac(ALL_NODES) };
  world.icmp(false, world.router.address, ALL_NODES, 134, advertisement(1800, ...options, ...more), fields);
}

export function advertiseRouter(world: World6, peer: Peer, more: { headers?: readonly Header[] } = {}): void {
  const { random } = world;
  const options: Uint8Array[] = [];
  if (random.chance(0.7)) options.push(linkOption(1, random.chance(0.95) ? peer.mac : world.peerMacs[2]!));
  for (const prefix of world.prefixes) {
    if (random.chance(0.2)) continue;
    const flags = random.pick([0xc0, 0xc0, 0xc0, 0x80, 0x40, 0]);
    const valid = random.pick([0, 1, 3, 30, 300, 3600, 86400, 0xffffffff]);
    options.push(
      prefixOption(prefix + BigInt(random.below(2)), random.pick([64, 64, 64, 64, 64, 48, 63, 80, 129]), flags, valid),
    );
  }
  if (random.chance(0.05)) options.push(prefixOption(address6("fe80::"), 64, 0xc0, 100));
  const lifetimes = [0, 1, 4, 60, 600, 0xffffffff];
  if (random.chance(0.5)) options.push(dnsOption(world.dns6.slice(random.below(2), 3), random.pick(lifetimes)));
  if (random.chance(0.4))
    options.push(
      nat64Option(
        world.nat64,
        random.chance(0.7) ? world.nat64Code : random.below(8),
        random.pick([0, 8, 64, 1800, 1800]),
      ),
    );
  if (random.chance(0.3)) options.push(join([5, 1, 0, 0], be32(1500)));
  const lifetime = random.pick([0, 1, 60, 61, 1800, 1800, 9000]);
  const destination = random.chance(0.8) ? ALL_NODES : random.pick(world.own);
  const ethernetDestination = isMulticast(destination) ? multicastMac(destination) : world.vmMac;
  const fields = { hopLimit: 255, ethernetSource: peer.mac, ethernetDestination, ...more };
  world.icmp(false, peer.address, destination, 134, advertisement(lifetime, ...options), fields);
}

export function routerSpeaks(world: World6): void {
  advertiseRouter(world, world.router);
}

export function impostorSpeaks(world: World6): void {
  const { random } = world;
  const peer = random.pick(world.impostors);
  switch (random.below(4)) {
    case 0:
      from(world, peer, 136, world.router.address, random.chance(0.5) ? ALL_NODES : world.linkLocal);
      break;
    case 1:
      from(world, peer, 135, random.pick(world.own), solicitedNode(random.pick(world.own)));
      break;
    default:
      advertiseRouter(world, peer, random.chance(0.25) ? { headers: someHeaders(world) } : {});
  }
  if (random.chance(0.3)) routerSpeaks(world);
}

/** The router goes, and somebody else would like to be one. */
export function routerEnds(world: World6): void {
  const { random } = world;
  const fields = { hopLimit: 255, ethernetDestination: multicastMac(ALL_NODES) };
  world.icmp(false, world.router.address, ALL_NODES, 134, advertisement(random.pick([0, 0, 1, 61, 64])), fields);
  for (let count = random.between(1, 3); count > 0; count--) {
    world.toBound(60, 61, 64);
    if (random.chance(0.6)) {
      const sameAddress = world.impostors[1]!;
      advertiseRouter(world, random.pick([world.router, sameAddress, sameAddress, ...world.impostors]));
    } else world.udp(true, random.pick(world.own), world.router.address, [5000, 443], new Uint8Array(3));
  }
}

/** One router after the other, and what of theirs the VM may still reach. */
export function contest(world: World6): void {
  const { random } = world;
  if (random.chance(0.5)) world.toBound(60, 1800, 3600);
  for (let count = 3; count > 0; count--) {
    advertiseRouter(world, random.pick([world.router, ...world.impostors.slice(0, 4), world.impostors[2]!]));
    const remote = random.pick([world.prefixes[0]! + 5n, world.router.address, address6("fe80::bad"), world.dns6[0]!]);
    world.udp(true, random.pick(world.own), remote, [5000, random.pick([53, 443])], new Uint8Array(3));
    detect(world, world.newAddress());
  }
}

/** The router speaks before anybody knows the IPv4 gateway's MAC, and again behind that; then another one with that MAC. */
export function gatewayComes(world: World6): void {
  routerSpeaks(world);
  bootQuietly(world);
  arpGateway(world);
  routerSpeaks(world);
  advertiseRouter(world, world.impostors[2]!);
}

/** More of everything than there are places for, forgotten and told again. */
export function fullRouter(world: World6): void {
  const { random } = world;
  const fields = { hopLimit: 255, ethernetDestination: multicastMac(ALL_NODES) };
  const first = world.prefixes[0]!;
  const prefix = (index: number) =>
    prefixOption(first + (BigInt(index) << 64n), 64, 0xc0, random.pick([0, 60, 300, 300]));
  const prefixes = Array.from({ length: random.between(8, 11) }, (_, index) =>
    prefix(random.chance(0.8) ? index : random.below(10)),
  );
  const dns = Array.from({ length: random.pick([5, 8, 9, 9, 10]) }, (_, index) => first + BigInt(0x53 + index));
  const nat64 = [0, 1, 2, 3, 4, 5]
    .slice(random.below(2))
    .map((plc) => nat64Option(world.nat64 + (1n << 95n), plc, random.pick([0, 64, 600, 600])));
  const options = [...prefixes, dnsOption(dns, random.pick([0, 60, 600])), ...nat64].filter(() => random.chance(0.9));
  world.icmp(false, world.router.address, ALL_NODES, 134, advertisement(1800, ...options), fields);
  for (let count = 3; count > 0; count--) {
    const remote = random.pick([random.pick(dns), dns[8] ?? dns[0]!, first + (BigInt(random.below(10)) << 64n) + 5n]);
    world.udp(true, random.pick(world.own), remote, [5000, random.pick([53, 443])], new Uint8Array(3));
    if (random.chance(0.3)) world.toBound(60, 64);
  }
}
