/** Generated sessions up to the bounds of the tables and buckets of DHCP. */
import { answer, say } from "./dhcp-talk.ts";
import { arp } from "./generate-arp.ts";
import { giveAddress } from "./generate-dhcp.ts";
import type { World } from "./world.ts";

/** DECLINEs, two in ten minutes, until the day's are used up, and one more just when the first is a day old. */
export function dayOfDeclines(world: World): void {
  const { random } = world;
  const address = world.static ? world.address! : world.hostAddress();
  const first = world.now;
  const once = () => {
    world.xid = random.uint32();
    say(world, "DISCOVER", { wrong: 0 });
    answer(world, { type: "OFFER", address, wrong: 0 });
    say(world, "DECLINE", { address, wrong: 0 });
    world.lose();
  };
  for (let count = 0; count < 10; count++) {
    once();
    world.now += random.pick([301_000_000, 301_000_000, 601_000_000]);
  }
  if (random.chance(0.5)) {
    world.now = Math.max(world.now, first + 86_400_000_000 + random.pick([-1, 0, 1]));
    once();
  }
}

/** DECLINEs or client identifiers until there are too many, and one more just when the first is 10 minutes old. */
export function tenMinutes(world: World): void {
  const { random } = world;
  if (random.chance(0.7)) world.now += 601_000_000;
  world.expire();
  const address = world.static ? world.address! : world.hostAddress();
  const offered = () => {
    world.xid = random.uint32();
    say(world, "DISCOVER", { wrong: 0 });
    answer(world, { type: "OFFER", address, wrong: 0 });
  };
  const declining = random.chance(0.5);
  const once = () => {
    if (declining) {
      say(world, "DECLINE", { address, wrong: 0 });
    } else {
      world.xid = random.uint32();
      world.identifier = new Uint8Array([0, ...random.bytes(8)]);
      say(world, random.chance(0.8) ? "DISCOVER" : "INIT-REBOOT", { address, wrong: 0 });
    }
  };
  const turns = declining ? 2 : 4;
  const times: number[] = [];
  for (let turn = 0; turn < turns; turn++) {
    if (declining) offered();
    times.push(world.now);
    once();
  }
  const edge = (random.chance(0.8) ? times[0]! : random.pick(times)) + 600_000_000;
  world.now = Math.max(world.now, edge - 1_500_000);
  if (declining) offered();
  world.now = Math.max(world.now, edge + random.pick([-1, 0, 0, 1]));
  once();
  if (random.chance(0.5)) once();
}

export function manyIdentifiers(world: World): void {
  const { random } = world;
  const count = random.between(3, 7);
  for (let turn = 0; turn < count; turn++) {
    world.identifier = world.newIdentifier();
    say(world, random.pick(["DISCOVER", "DISCOVER", "INIT-REBOOT", "RELEASE", "DECLINE"] as const), { wrong: 0.03 });
    if (random.chance(0.15)) world.jump();
  }
}

export function manyTransactions(world: World): void {
  const { random } = world;
  const count = random.between(6, 12);
  for (let turn = 0; turn < count; turn++) {
    world.xid = random.uint32();
    say(world, random.pick(["DISCOVER", "DISCOVER", "INIT-REBOOT", "INFORM", "REBINDING"] as const), { wrong: 0.03 });
    if (random.chance(0.5)) answer(world, { type: "OFFER", address: giveAddress(world) });
    if (random.chance(0.1)) world.jump();
  }
}

export function manyOffers(world: World): void {
  const { random } = world;
  world.xid = random.uint32();
  say(world, "DISCOVER", { wrong: 0 });
  const count = random.between(5, 14);
  for (let turn = 0; turn < count; turn++) {
    const server = random.pick(world.servers);
    const address = random.chance(0.1) ? 0 : world.subnet.address + random.below(12);
    const mac = random.chance(0.5) ? server.mac : random.pick(world.peerMacs);
    answer(world, { type: "OFFER", address, server: { ...server, mac }, wrong: 0.05 });
    if (random.chance(0.2)) arp(world, "egress", { operation: 1, senderAddress: 0, targetAddress: address });
    if (random.chance(0.2)) arp(world, "ingress", { operation: 2, senderAddress: address });
    if (random.chance(0.1)) {
      say(world, "SELECTING", { address, server, wrong: 0 });
      answer(world, { type: random.chance(0.8) ? "ACK" : "NAK", address, server: { ...server, mac } });
    }
  }
}

/** More addresses offered and probed at once than the tables hold, then each of them defended. */
export function manyProbes(world: World): void {
  const { random } = world;
  const instant = world.now;
  const addresses = Array.from({ length: random.between(7, 10) }, (_, index) => world.subnet.address + 2 + index);
  if (random.chance(0.5) && world.address !== undefined) addresses.unshift(world.address);
  for (const [index, address] of addresses.entries()) {
    if (index % 6 === 0) {
      world.xid = random.uint32();
      say(world, "DISCOVER", { wrong: 0 });
      world.now = instant;
    }
    answer(world, { type: "OFFER", address, wrong: 0, terse: 0 });
    world.now = instant;
  }
  const probe = (address: number) => {
    arp(world, "egress", { senderAddress: 0, targetAddress: address });
    world.now = instant;
  };
  for (const address of addresses) probe(address);
  if (random.chance(0.5)) probe(random.pick(addresses));
  world.now = instant + random.pick([0, 2_900_000, 3_000_000, 3_000_001]);
  for (const senderAddress of addresses) {
    const before = world.now;
    arp(world, "ingress", { operation: 2, senderAddress, senderHardware: random.pick(world.peerMacs) });
    world.now = before;
  }
}

export function dhcpFlood(world: World): void {
  const { random } = world;
  const count = random.between(64, 90);
  const xids = Array.from({ length: random.chance(0.5) ? 8 : 1 }, () => random.uint32());
  // A REQUEST that waits keeps what follows under its xid from passing.
  const discovers = random.chance(0.7) ? 1 : 0.9;
  for (let turn = 0; turn < count; turn++) {
    const before = world.now;
    // What drops, here for want of room, costs no token.
    const xid = random.chance(0.2) ? random.uint32() : xids[turn % xids.length]!;
    say(world, random.chance(discovers) ? "DISCOVER" : "INIT-REBOOT", { wrong: 0.02, xid });
    world.now = before + (turn < 60 ? 0 : random.pick([0, 0, 1, 99_999, 100_000, 100_001]));
  }
}
