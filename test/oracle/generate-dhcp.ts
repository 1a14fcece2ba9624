/** DHCP conversations of a generated session: leases as clients get, keep and give them up. */
import { answer, say } from "./dhcp-talk.ts";
import { arpGateway, arpProbe } from "./generate-arp.ts";
import { traffic } from "./generate-ipv4.ts";
import type { Server, World } from "./world.ts";

export function learned(world: World, address: number, server: Server): void {
  world.lastAddress = address;
  world.server = server;
  if (!world.static) world.address = address;
  world.leaseEnd = world.now + world.lastLease * 1_000_000;
  world.mark();
}

export function someServer(world: World): Server {
  const usual = world.options.dhcpServer === undefined ? 0.7 : 0.95;
  return world.random.chance(usual) ? world.server : world.random.pick(world.servers);
}

/** The address that a server gives: the static one where there is one. */
export function giveAddress(world: World): number {
  const { random } = world;
  if (world.static && random.chance(0.85)) return world.address!;
  if (random.chance(0.5)) return world.lastAddress;
  if (random.chance(0.05)) return random.pick([world.gateway, ...world.told]);
  return random.chance(0.93) ? world.hostAddress() : world.someAddress();
}

export function boot(world: World): void {
  const { random } = world;
  if (random.chance(0.85)) world.xid = random.uint32();
  if (random.chance(0.1)) world.identifier = world.newIdentifier();
  const discovers = random.chance(0.8) ? 1 : random.between(2, 4);
  for (let count = 0; count < discovers; count++) say(world, "DISCOVER");
  const server = someServer(world);
  const address = giveAddress(world);
  const others = random.chance(0.75) ? 0 : random.between(1, 3);
  answer(world, { type: "OFFER", address, server });
  for (let count = 0; count < others; count++) {
    answer(world, { type: "OFFER", address: giveAddress(world), server: random.pick(world.servers) });
  }
  if (random.chance(0.05)) world.jump();
  say(world, "SELECTING", { address, server });
  if (random.chance(0.1)) world.jump();
  if (random.chance(0.1)) {
    answer(world, { type: "NAK", address: 0, server: random.chance(0.8) ? server : random.pick(world.servers) });
    return;
  }
  if (random.chance(0.15)) answer(world, { type: "ACK", address, server: random.pick(world.servers) });
  answer(world, { type: "ACK", address, server });
  learned(world, address, server);
  if (random.chance(0.2)) answer(world, { type: "ACK", address, server });
  if (random.chance(0.5)) arpProbe(world);
  if (random.chance(0.3)) arpGateway(world);
}

/** A lease without surprises, of the address that the VM had before more often than not. */
export function bootQuietly(world: World): void {
  const { random, server } = world;
  world.xid = random.uint32();
  const address = world.static || random.chance(0.8) ? world.lastAddress : world.hostAddress();
  say(world, "DISCOVER", { wrong: 0 });
  answer(world, { type: "OFFER", address, server, wrong: 0 });
  say(world, "SELECTING", { address, server, wrong: 0 });
  answer(world, { type: "ACK", address, server, wrong: 0, rogue: random.chance(0.1) ? 0.5 : 0 });
  learned(world, address, server);
}

export function initReboot(world: World): void {
  const { random } = world;
  if (random.chance(0.9)) world.xid = random.uint32();
  const address = random.chance(0.8) ? world.lastAddress : giveAddress(world);
  say(world, "INIT-REBOOT", { address });
  const answers = random.between(0, 3);
  for (let count = 0; count < answers; count++) {
    const server = random.pick(world.servers);
    if (random.chance(0.25)) {
      answer(world, { type: "NAK", address: 0, server });
    } else {
      const given = random.chance(0.9) ? address : giveAddress(world);
      answer(world, { type: "ACK", address: given, server });
      if (given === address) learned(world, address, server);
    }
    if (random.chance(0.15)) say(world, "INIT-REBOOT", { address });
    if (random.chance(0.15)) world.jump();
  }
}

export function renew(world: World): void {
  const { random } = world;
  if (random.chance(0.9)) world.xid = random.uint32();
  say(world, "RENEWING");
  if (random.chance(0.1)) world.jump();
  const server = random.chance(0.7) ? world.server : random.pick(world.servers);
  const via = random.chance(0.8)
    ? server
    : { ...server, mac: random.pick(world.peerMacs), source: world.hostAddress() };
  const address = world.address ?? world.lastAddress;
  if (random.chance(0.2)) answer(world, { type: "NAK", address: 0, server: via });
  else if (random.chance(0.9)) answer(world, { type: "ACK", address, server: via, terse: 0.3 });
  else answer(world, { type: "OFFER", address, server: via });
}

export function rebind(world: World): void {
  const { random } = world;
  if (random.chance(0.9)) world.xid = random.uint32();
  say(world, "REBINDING", { fromNobody: random.chance(0.3) });
  const address = world.address ?? world.lastAddress;
  const answers = random.between(1, 4);
  for (let count = 0; count < answers; count++) {
    const server = random.chance(0.5) ? world.server : random.pick(world.servers);
    if (random.chance(0.2)) answer(world, { type: "NAK", address: 0, server });
    else answer(world, { type: "ACK", address: random.chance(0.9) ? address : giveAddress(world), server, terse: 0.3 });
    if (random.chance(0.15)) say(world, "REBINDING");
    if (random.chance(0.1)) say(world, "RENEWING");
    if (random.chance(0.3)) world.server = server;
  }
}

/** Clients that take a new xid for each message. */
export function otherXid(world: World): void {
  const { random } = world;
  const count = random.between(1, 3);
  const offers = Array.from({ length: count }, () => {
    world.xid = random.uint32();
    const server = someServer(world);
    const address = giveAddress(world);
    say(world, "DISCOVER", { wrong: 0.02 });
    answer(world, { type: "OFFER", address, server, wrong: 0.02 });
    return { xid: world.xid, server, address };
  });
  const { xid, server, address } = random.pick(offers);
  if (random.chance(0.1)) world.jump();
  world.xid = random.chance(0.7) ? random.uint32() : random.chance(0.5) ? xid : random.pick(offers).xid;
  say(world, "SELECTING", { address, server, wrong: 0.02 });
  answer(world, { type: "ACK", address, server, xid: random.chance(0.85) ? world.xid : xid, wrong: 0.02 });
  learned(world, address, server);
  if (random.chance(0.3)) say(world, "SELECTING", { address, server, xid });
}

/** A short lease: a new transaction each time, most of them answered. */
export function manyRenewals(world: World): void {
  const { random } = world;
  if (world.address === undefined) bootQuietly(world);
  const address = world.address ?? world.lastAddress;
  for (let count = 0; count < 11; count++) {
    world.xid = random.uint32();
    say(world, random.chance(0.8) ? "RENEWING" : "INFORM", { wrong: 0 });
    if (random.chance(0.75)) answer(world, { type: "ACK", address, wrong: 0 });
    if (random.chance(0.1)) world.now += 1;
  }
}

export function inform(world: World): void {
  const { random } = world;
  if (random.chance(0.9)) world.xid = random.uint32();
  say(world, "INFORM");
  const server = random.chance(0.7) ? world.server : random.pick(world.servers);
  const address = random.pick([0, 0, world.address ?? 0, world.hostAddress()]);
  const type = random.chance(0.9) ? "ACK" : random.pick(["OFFER", "NAK"] as const);
  answer(world, { type, address, server, lease: random.chance(0.7) ? -1 : 600 });
}

export function release(world: World): void {
  if (world.random.chance(0.4)) say(world, "RELEASE", { wrong: 1 });
  say(world, "RELEASE");
  if (world.random.chance(0.7)) world.lose();
  if (world.random.chance(0.5)) arpProbe(world);
  traffic(world);
}

export function rapidCommit(world: World): void {
  const { random } = world;
  if (random.chance(0.9)) world.xid = random.uint32();
  say(world, "DISCOVER", { rapidCommit: random.chance(0.8) });
  const answers = random.between(1, 2);
  for (let count = 0; count < answers; count++) {
    const server = someServer(world);
    const address = giveAddress(world);
    if (random.chance(0.2)) answer(world, { type: "OFFER", address, server });
    answer(world, { type: "ACK", address, server, rapidCommit: random.chance(0.85) });
    if (count === 0) learned(world, address, server);
  }
}

export function proxyOffer(world: World): void {
  const { random } = world;
  world.xid = random.uint32();
  say(world, "DISCOVER");
  const proxy = random.pick(world.servers);
  answer(world, { type: "OFFER", address: 0, server: proxy, lease: -1 });
  const server = someServer(world);
  const address = giveAddress(world);
  answer(world, { type: "OFFER", address, server });
  if (random.chance(0.2)) say(world, "SELECTING", { address: 0, server: proxy });
  if (random.chance(0.2)) answer(world, { type: "ACK", address: 0, server: proxy });
  say(world, "SELECTING", { address, server });
  answer(world, { type: "ACK", address, server });
  learned(world, address, server);
}

/** Answers that nobody asked for, or that come too late. */
export function lateAnswer(world: World): void {
  const { random } = world;
  if (random.chance(0.6)) world.jump();
  const type = random.pick(["OFFER", "ACK", "ACK", "NAK"] as const);
  const xid = random.chance(0.7) ? world.xid : random.uint32();
  answer(world, { type, address: giveAddress(world), server: random.pick(world.servers), xid });
}

/** One xid, several kinds of message one after another, with answers in between (D20). */
export function changedMind(world: World): void {
  const { random } = world;
  const kinds = ["DISCOVER", "SELECTING", "INIT-REBOOT", "RENEWING", "REBINDING", "INFORM"] as const;
  const count = random.between(2, 8);
  for (let turn = 0; turn < count; turn++) {
    const address = random.chance(0.7) ? world.lastAddress : world.hostAddress();
    say(world, random.pick(kinds), { rapidCommit: random.chance(0.2), ...(random.chance(0.5) && { address }) });
    if (random.chance(0.7)) {
      const type = random.pick(["OFFER", "OFFER", "ACK", "ACK", "ACK", "NAK"] as const);
      const server = random.chance(0.6) ? world.server : random.pick(world.servers);
      answer(world, { type, address, server, rapidCommit: random.chance(0.2) });
      if (type === "ACK") learned(world, address, server);
    }
  }
}

export function decline(world: World): void {
  const { random } = world;
  arpProbe(world);
  if (random.chance(0.3)) world.xid = random.uint32();
  if (random.chance(0.2)) world.jump();
  const times = random.chance(0.8) ? 1 : 3;
  for (let count = 0; count < times; count++) {
    say(world, "DECLINE", { address: random.chance(0.85) ? world.lastAddress : giveAddress(world), wrong: 0.1 });
    if (times > 1) boot(world);
  }
}
