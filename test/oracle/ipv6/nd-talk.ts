/** Conversations of neighbour discovery, routers and MLD for the comparison of the two guards. */
import { be16, be32, join } from "../build.ts";
import {
  advertisement,
  dnsOption,
  fragmentHeader,
  type Header,
  linkOption,
  nat64Option,
  optionsHeader,
  prefixOption,
  ROUTER_ALERT,
  routingHeader,
} from "./build.ts";
import { ALL_NODES, ALL_ROUTERS, address6, addressBytes, isMulticast, multicastMac, solicitedNode } from "./bytes.ts";
import type { Peer, World6 } from "./world.ts";
import { NOTABLE6 } from "./world.ts";

type Scenario = (world: World6) => void;

const ALL_MLD = address6("ff02::16");
const ROUTER_FLAG = 0x80;
const SOLICITED = 0x40;
const OVERRIDE = 0x20;

export const ND_SCENARIOS: readonly [Scenario, number][] = [
  [join6, 8],
  [newAddresses, 8],
  [conflict, 9],
  [routerSpeaks, 10],
  [impostorSpeaks, 8],
  [neighbours, 12],
  [vmIsRouter, 4],
  [hidden, 5],
  [listeners, 12],
  [idle, 7],
  [silent, 9],
  [manyAddresses, 4],
  [ndFlood, 1],
  [detectionFlood, 4],
  [routerEnds, 4],
  [fullRouter, 2],
  [contest, 3],
  [oddNd, 8],
];

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

function advertise(world: World6, target: bigint, destination: bigint, flags: number, mac = world.vmMac): void {
  const body = join([flags, 0, 0, 0], addressBytes(target), world.random.chance(0.85) ? linkOption(2, mac) : []);
  const source = world.random.chance(0.8) ? target : world.ownAddress();
  world.icmp(true, source, destination, 136, body, { hopLimit: 255 });
}

/** A solicitation or an advertisement from somebody in the network. */
function from(world: World6, peer: Peer, type: 135 | 136, target: bigint, destination: bigint, more = {}): void {
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

const stranger = (world: World6): Peer => ({ address: 0n, mac: world.random.pick(world.peerMacs) });

/** Becomes valid, or nearly. */
function settle(world: World6): void {
  if (world.random.chance(0.85)) world.now += 500_000 + world.random.pick([0, 0, 1, 1000, 400_000]);
  else world.toBound(0.5);
}

/** The link-local address, the router, one or two addresses of its prefixes. */
export function join6(world: World6): void {
  const { random } = world;
  detect(world, world.linkLocal);
  if (random.chance(0.5)) report(world, 0n);
  settle(world);
  if (random.chance(0.8)) {
    const unspecified = random.chance(0.4);
    const link = random.chance(unspecified ? 0.1 : 0.9) ? linkOption(1, world.vmMac) : [];
    const source = unspecified ? 0n : world.linkLocal;
    world.icmp(true, source, ALL_ROUTERS, 133, join(be32(0), link), { hopLimit: 255 });
  }
  usualRouter(world);
  newAddresses(world);
}

/** The VM's addresses once more, after a long silence. */
export function revive(world: World6): void {
  const { random } = world;
  usualRouter(world);
  for (const address of random.chance(0.9) ? world.own : []) detect(world, address);
  settle(world);
}

/** What a router of every day says. */
function usualRouter(world: World6): void {
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

function newAddresses(world: World6): void {
  const { random } = world;
  for (let count = random.between(1, 3); count > 0; count--) {
    const address = world.newAddress();
    detect(world, address);
    world.learnOwn(address);
    if (random.chance(0.3)) report(world, random.chance(0.5) ? 0n : world.linkLocal);
  }
  settle(world);
}

/** Somebody answers the VM's duplicate address detection, in time or too late. */
function conflict(world: World6): void {
  const { random } = world;
  const target = random.chance(0.5) ? world.newAddress() : world.ownAddress();
  if (random.chance(0.85)) detect(world, target);
  if (random.chance(0.3)) settle(world);
  if (random.chance(0.4)) world.toBound(3, 0.5, 3, 3.5);
  for (let count = random.between(1, 2); count > 0; count--) {
    const peer = stranger(world);
    switch (random.below(4)) {
      case 0:
        from(world, peer, 135, target, solicitedNode(target));
        break;
      case 1:
        from(world, { ...peer, address: target }, 135, random.pick(world.own), solicitedNode(target));
        break;
      default:
        from(world, { ...peer, address: target }, 136, target, random.chance(0.8) ? ALL_NODES : random.pick(world.own));
    }
  }
  if (random.chance(0.4)) settle(world);
  if (random.chance(0.5)) solicit(world, target, world.router.address);
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
      prefixOption(prefix + BigInt(random.below(2)), random.pick([64, 64, 64, 64, 48, 63, 129]), flags, valid),
    );
  }
  if (random.chance(0.05)) options.push(prefixOption(address6("fe80::"), 64, 0xc0, 100));
  const lifetimes = [0, 1, 4, 60, 600, 0xffffffff];
  if (random.chance(0.5)) options.push(dnsOption(world.dns6.slice(random.below(2), 3), random.pick(lifetimes)));
  if (random.chance(0.4))
    options.push(
      nat64Option(world.nat64, random.below(random.chance(0.9) ? 6 : 8), random.pick([0, 8, 64, 1800, 1800])),
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

function impostorSpeaks(world: World6): void {
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

/** The VM and its router, or a neighbour, look for each other. */
function neighbours(world: World6): void {
  const { random } = world;
  const neighbour = { address: world.prefixes[0]! + BigInt(random.between(1, 9)), mac: world.peerMacs[0]! };
  const peer = random.pick([world.router, world.router, { ...world.router, mac: world.peerMacs[2]! }, neighbour]);
  const own = world.ownAddress();
  solicit(world, own, peer.address, random.chance(0.95) ? world.vmMac : world.peerMacs[0]!);
  if (random.chance(0.7)) from(world, peer, 136, peer.address, random.chance(0.9) ? own : ALL_NODES);
  if (random.chance(0.6)) {
    const target = random.pick(world.own);
    from(world, peer, 135, target, random.chance(0.7) ? solicitedNode(target) : target);
    advertise(world, target, peer.address, SOLICITED | OVERRIDE | (random.chance(0.1) ? ROUTER_FLAG : 0));
  }
  const host = world.options6.hostAddresses6?.[0];
  if (host !== undefined && random.chance(0.5)) {
    const as = random.pick([world.router, world.impostors[0]!]);
    from(world, { ...as, address: address6(host) }, random.pick([135, 136]), address6(host), random.pick(world.own));
  }
  if (random.chance(0.4)) {
    const target = random.chance(0.8) ? random.pick(world.own) : world.router.address;
    advertise(
      world,
      target,
      random.pick([ALL_NODES, ALL_NODES, ALL_ROUTERS, address6("ff02::3")]),
      random.pick([OVERRIDE, 0, SOLICITED, ROUTER_FLAG]),
    );
  }
}

/** What a VM never says, whatever stands before it. */
function vmIsRouter(world: World6): void {
  const { random } = world;
  const headers = random.chance(0.5) ? someHeaders(world) : [];
  const source = world.ownAddress();
  const type = random.pick([134, 134, 137, 130, 138, 151]);
  const body = type === 134 ? advertisement(1800, prefixOption(world.prefixes[0]!, 64, 0xc0, 600)) : new Uint8Array(36);
  world.icmp(true, source, ALL_NODES, type, body, { hopLimit: 255, headers });
}

/** ND behind headers and in fragments, both ways. */
function hidden(world: World6): void {
  const { random } = world;
  const target = random.pick(world.own);
  const headers = someHeaders(world);
  const kind = random.below(4);
  if (kind < 2) detect(world, target, { headers });
  else if (kind === 2) advertiseRouter(world, random.pick([world.router, ...world.impostors]), { headers });
  else from(world, { address: target, mac: world.peerMacs[1]! }, 136, target, ALL_NODES, { headers });
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

function listeners(world: World6): void {
  const { random } = world;
  const group = random.pick([solicitedNode(random.pick(world.own)), address6("ff02::fb"), world.router.address]);
  const body = join(be32(0), addressBytes(group));
  const fields = {
    hopLimit: random.chance(0.95) ? 1 : 255,
    headers: random.chance(0.85) ? [ROUTER_ALERT] : random.chance(0.5) ? [] : [ROUTER_ALERT, ...someHeaders(world)],
  };
  const source = random.pick([0n, world.linkLocal, world.linkLocal, world.ownAddress()]);
  switch (random.below(7)) {
    case 0:
      report(world, source, fields);
      break;
    case 1:
      world.icmp(true, source, random.chance(0.9) ? group : ALL_MLD, 131, body, fields);
      break;
    case 2:
      world.icmp(true, source, random.chance(0.9) ? ALL_ROUTERS : group, 132, body, fields);
      break;
    case 3:
    case 6: {
      const asker = random.pick([
        world.router.address,
        world.router.address,
        world.router.address,
        0n,
        world.remotes6[0]!,
      ]);
      const to = random.pick([ALL_NODES, ALL_NODES, group, random.pick(world.own)]);
      world.icmp(false, asker, to, random.pick([130, 130, 131, 132]), body, fields);
      break;
    }
    case 4:
      world.icmp(
        false,
        random.pick([0n, world.router.address, world.remotes6[0]!]),
        ALL_MLD,
        143,
        join(be32(0)),
        fields,
      );
      break;
    default:
      world.icmp(true, source, ALL_NODES, 130, body, fields);
  }
}

/** Nobody uses an address until it ends; or it is defended when softnet asks. */
function idle(world: World6): void {
  const { random } = world;
  if (random.chance(0.7)) solicit(world, random.pick(world.own), world.router.address);
  for (const seconds of [300, 301, 302, 303]) {
    if (random.chance(0.3)) continue;
    world.toBound(seconds);
    if (random.chance(0.6)) routerSpeaks(world);
    const target = random.pick(world.own);
    if (random.chance(0.3)) advertise(world, target, ALL_NODES, OVERRIDE);
  }
  if (random.chance(0.5)) solicit(world, random.pick(world.own), world.router.address);
}

/** An address that softnet does not know speaks. */
function silent(world: World6): void {
  const { random } = world;
  let count = random.pick([1, 1, 2, 6, 7]);
  world.leavesQuestions = random.chance(count > 4 ? 0.6 : 0.2);
  for (; count > 0; count--) {
    const address = random.chance(0.85) ? world.newAddress() : random.pick(NOTABLE6);
    if (random.chance(0.4)) solicit(world, address, world.router.address);
    else world.udp(true, address, world.remotes6[0]!, [5000, 53], new Uint8Array(3));
    const then = random.below(7);
    if (then < 2) from(world, { address, mac: world.peerMacs[1]! }, 136, address, ALL_NODES);
    else if (then === 2) from(world, stranger(world), 135, address, solicitedNode(address));
    else if (then === 3) detect(world, address);
    world.learnOwn(address);
  }
  world.leavesQuestions = false;
  settle(world);
  world.udp(true, random.pick(world.own), world.remotes6[0]!, [5000, 443], new Uint8Array(3));
}

/** More addresses than there are places for. */
function manyAddresses(world: World6): void {
  const { random } = world;
  const linkLocal = random.chance(0.3);
  const prefix = linkLocal ? address6("fe80::") : world.prefixes[0]!;
  if (!linkLocal) {
    const option = prefixOption(prefix, 64, 0xc0, 3600);
    const fields = { hopLimit: 255, ethernetDestination: multicastMac(ALL_NODES) };
    world.icmp(false, world.router.address, ALL_NODES, 134, advertisement(1800, option), fields);
  }
  const first = BigInt(random.pick([0x5000, 0x5000, 0x5008]));
  for (let index = 0; index < (linkLocal ? 6 : random.between(14, 20)); index++) {
    const address = prefix + first + BigInt(index);
    detect(world, address);
    world.learnOwn(address);
    if (random.chance(0.2)) settle(world);
    if (random.chance(0.3)) solicit(world, random.pick(world.own), world.router.address);
  }
  for (let count = 4; count > 0; count--) solicit(world, random.pick(world.own), world.router.address);
}

/** Up to the buckets of ND and of new addresses. */
function ndFlood(world: World6): void {
  const { random } = world;
  const own = random.pick(world.own);
  const { now } = world;
  const fresh = random.chance(0.5);
  for (let count = 0; count < (fresh ? 60 : 230); count++) {
    world.now = now + count;
    if (fresh) detect(world, world.prefixes[0]! + BigInt(0x20000 + random.below(1000)));
    else solicit(world, own, world.router.address);
  }
}

/** Up to the bucket of answers to duplicate address detection. */
function detectionFlood(world: World6): void {
  const { random } = world;
  for (let count = 0; count < 7; count++) {
    const target = random.chance(0.6) ? world.prefixes[0]! + BigInt(0x7000 + count) : random.pick(world.own);
    detect(world, target);
    from(world, { address: target, mac: world.peerMacs[1]! }, 136, target, ALL_NODES);
    if (random.chance(0.2)) world.toBound(1, 3);
  }
}

/** The router goes, and somebody else would like to be one. */
function routerEnds(world: World6): void {
  const { random } = world;
  const fields = { hopLimit: 255, ethernetDestination: multicastMac(ALL_NODES) };
  world.icmp(false, world.router.address, ALL_NODES, 134, advertisement(random.pick([0, 0, 1, 61, 64])), fields);
  for (let count = random.between(1, 3); count > 0; count--) {
    world.toBound(60, 61, 64);
    if (random.chance(0.5)) advertiseRouter(world, random.pick([world.router, ...world.impostors]));
    else world.udp(true, random.pick(world.own), world.router.address, [5000, 443], new Uint8Array(3));
  }
}

/** One router after the other, and what of theirs the VM may still reach. */
function contest(world: World6): void {
  const { random } = world;
  if (random.chance(0.5)) world.toBound(60, 1800, 3600);
  for (let count = 3; count > 0; count--) {
    advertiseRouter(world, random.pick([world.router, ...world.impostors.slice(0, 4), world.impostors[2]!]));
    const remote = random.pick([world.prefixes[0]! + 5n, world.router.address, address6("fe80::bad"), world.dns6[0]!]);
    world.udp(true, random.pick(world.own), remote, [5000, random.pick([53, 443])], new Uint8Array(3));
    detect(world, world.newAddress());
  }
}

/** More of everything than there are places for, forgotten and told again. */
function fullRouter(world: World6): void {
  const { random } = world;
  const fields = { hopLimit: 255, ethernetDestination: multicastMac(ALL_NODES) };
  const first = world.prefixes[0]!;
  const prefix = (index: number) =>
    prefixOption(first + (BigInt(index) << 64n), 64, 0xc0, random.pick([0, 60, 300, 300]));
  const prefixes = Array.from({ length: random.between(8, 11) }, (_, index) =>
    prefix(random.chance(0.8) ? index : random.below(10)),
  );
  const dns = Array.from({ length: random.between(5, 10) }, (_, index) => first + BigInt(0x53 + index));
  const nat64 = [0, 1, 2, 3, 4, 5]
    .slice(random.below(2))
    .map((plc) => nat64Option(world.nat64 + (1n << 95n), plc, random.pick([0, 64, 600, 600])));
  const options = [...prefixes, dnsOption(dns, random.pick([0, 60, 600])), ...nat64].filter(() => random.chance(0.9));
  world.icmp(false, world.router.address, ALL_NODES, 134, advertisement(1800, ...options), fields);
  for (let count = 3; count > 0; count--) {
    const remote = random.pick([random.pick(dns), first + (BigInt(random.below(10)) << 64n) + 5n]);
    world.udp(true, random.pick(world.own), remote, [5000, random.pick([53, 443])], new Uint8Array(3));
    if (random.chance(0.3)) world.toBound(60, 64);
  }
}

/** Every kind of message with one field that is seldom so. */
function oddNd(world: World6): void {
  const { random } = world;
  const fromVm = random.chance(0.5);
  const type = random.pick([133, 134, 135, 136, 137]);
  const target = random.pick([random.pick(world.own), world.router.address, ALL_NODES, 0n, 1n, random.pick(NOTABLE6)]);
  const length = { 133: 4, 134: 12, 135: 20, 136: 20, 137: 36 }[type]!;
  const start = new Uint8Array(length);
  if (length >= 20) start.set(addressBytes(target), 4);
  if (type === 136) start[0] = random.pick([0, 0x20, 0x40, 0x60, 0x80, 0xe0]);
  const mac = random.pick([world.vmMac, world.router.mac, world.peerMacs[2]!]);
  const options = random.pick([
    [],
    [linkOption(1, mac)],
    [linkOption(2, mac)],
    [linkOption(1, mac), linkOption(2, world.vmMac)],
    [linkOption(1, mac), linkOption(1, mac)],
    [[1, 2], new Uint8Array(14)],
    [[9, 0, 0, 0, 0, 0, 0, 0]],
    [[9, 9, 0, 0, 0, 0, 0, 0]],
    [[9]],
    Array.from({ length: random.between(31, 34) }, () => [9, 1, 0, 0, 0, 0, 0, 0]),
  ] as (Uint8Array | number[])[][]);
  const whole = join(start, ...options);
  const body = random.chance(0.1) ? whole.slice(0, random.between(4, whole.length)) : whole;
  const peer = random.pick([world.router, ...world.impostors]);
  const source = random.chance(0.25) ? 0n : fromVm ? world.ownAddress() : peer.address;
  const destination = random.pick([
    ALL_NODES,
    ALL_ROUTERS,
    solicitedNode(target),
    target,
    random.pick(world.own),
    peer.address,
  ]);
  const hopLimit = random.chance(0.9) ? 255 : 254;
  const ethernetDestination = isMulticast(destination) ? multicastMac(destination) : fromVm ? peer.mac : world.vmMac;
  const ethernetSource = fromVm ? world.vmMac : peer.mac;
  const code = random.chance(0.95) ? 0 : 1;
  world.icmp(fromVm, source, destination, type, body, { hopLimit, ethernetDestination, ethernetSource, code });
}
