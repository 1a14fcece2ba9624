/** Clients that sleep longer than their leases, and the servers to which they come back. */
import { answer, say } from "./dhcp-talk.ts";
import { arp, arpGateway } from "./generate-arp.ts";
import { bootQuietly, learned } from "./generate-dhcp.ts";
import { inbound, traffic } from "./generate-ipv4.ts";
import type { Server, World } from "./world.ts";

/** A VM that slept longer than its lease, or whose softnet is new: it goes on with the address that it believes in. */
export function sleeper(world: World): void {
  const { random } = world;
  if (world.address === undefined || random.chance(0.3)) bootQuietly(world);
  const address = world.address ?? world.lastAddress;
  if (random.chance(0.8)) {
    world.jump();
    world.expire();
  }
  const turns = random.between(1, 5);
  for (let turn = 0; turn < turns; turn++) {
    const target = random.pick([world.server.id, world.server.source, world.gateway, world.someAddress()]);
    const neighbour = random.chance(0.2) ? { ethernetDestination: random.pick(world.peerMacs) } : {};
    switch (random.below(9)) {
      case 0:
      case 1:
        arp(world, "egress", {
          operation: random.chance(0.8) ? 1 : 2,
          senderAddress: address,
          targetAddress: target,
          ...neighbour,
        });
        break;
      case 2:
        arp(world, "ingress", { operation: 1, senderAddress: target, targetAddress: address });
        arp(world, "egress", { operation: 2, senderAddress: address, targetAddress: target, ...neighbour });
        break;
      case 3:
        arpGateway(world);
        break;
      case 4:
        inbound(world);
        break;
      case 5:
        if (random.chance(0.3))
          arp(world, "ingress", { senderAddress: address, senderHardware: random.pick(world.peerMacs) });
        break;
      default:
        askAgain(world, address);
    }
  }
  if (random.chance(0.1)) {
    for (let count = 0; count < 14; count++) {
      arp(world, "egress", { operation: 1, senderAddress: address, targetAddress: world.server.id });
    }
  }
  traffic(world);
}

/** RENEWING or REBINDING of an address that may be bound or not, and what servers say to it. */
function askAgain(world: World, usual: number): void {
  const { random } = world;
  const address = random.chance(0.85) ? usual : world.hostAddress();
  if (random.chance(0.8)) world.xid = random.uint32();
  const kind = random.chance(0.5) ? "RENEWING" : "REBINDING";
  say(world, kind, { address, fromNobody: random.chance(0.4), wrong: 0.04 });
  if (random.chance(0.1)) world.jump();
  const answers = random.below(3);
  for (let count = 0; count < answers; count++) {
    const server = random.chance(0.7) ? world.server : random.pick(world.servers);
    if (random.chance(0.2)) {
      answer(world, { type: "NAK", address: 0, server, wrong: 0.03 });
    } else {
      answer(world, { type: "ACK", address, server, terse: 0.4, wrong: 0.03 });
      if (random.chance(0.7)) learned(world, address, server);
    }
  }
}

/** What the frames of `sleepsAmongServers` belong to. */
export const SLEEPING = "a client that sleeps, among several servers";

/** A client sleeps past its lease again and again, and comes back to several servers that may each know it, or not. */
export function sleepsAmongServers(world: World): void {
  const { random } = world;
  const others = Array.from({ length: random.between(1, 3) }, () => random.pick(world.servers));
  const servers = [world.server, ...others];
  world.topic = SLEEPING;
  const turns = random.between(2, 5);
  for (let turn = 0; turn < turns; turn++) {
    world.expire();
    if (world.address === undefined || random.chance(0.25)) leaseAmong(world, servers);
    const address = world.address ?? world.lastAddress;
    sleep(world);
    if (random.chance(0.3)) arp(world, "egress", { senderAddress: address, targetAddress: world.server.id });
    const asks = random.between(1, 4);
    for (let count = 0; count < asks; count++) {
      comesBack(world, servers, address);
      if (random.chance(0.3)) world.now += random.pick([1, 4_000_000, 30_000_000, 59_999_999, 60_000_000, 60_000_001]);
    }
    if (random.chance(0.2)) traffic(world);
  }
  world.topic = undefined;
}

/** Several servers offer, the client takes one, and the others may speak all the same. */
function leaseAmong(world: World, servers: readonly Server[]): void {
  const { random } = world;
  world.xid = random.uint32();
  say(world, "DISCOVER", { wrong: 0.01 });
  const offers = servers.map((server) => {
    const address = random.chance(0.7) ? world.lastAddress : world.hostAddress();
    if (random.chance(0.85)) answer(world, { type: "OFFER", address, server, wrong: 0.01 });
    return { address, server };
  });
  const { address, server } = random.chance(0.6) ? offers[0]! : random.pick(offers);
  say(world, "SELECTING", { address, server, wrong: 0.01 });
  if (random.chance(0.15)) answer(world, { type: "NAK", address: 0, server: random.pick(servers), wrong: 0.01 });
  if (random.chance(0.1)) answer(world, { type: "ACK", address, server: random.pick(servers), wrong: 0.01 });
  answer(world, { type: "ACK", address, server, wrong: 0.01 });
  learned(world, address, server);
}

/** To T1, T2, the lease's last microsecond, its end, the end of what is pending behind it, or any time beyond. */
function sleep(world: World): void {
  const { random } = world;
  const lease = world.leaseEnd - world.now;
  const usual = Number.isFinite(lease) && lease > 0 ? lease : 600_000_000;
  const pending = usual + 60_000_000;
  const pause = random.pick([
    usual / 2,
    (usual * 7) / 8,
    usual - 1,
    usual,
    usual,
    usual + 1,
    pending,
    pending + 1,
    2 * usual,
  ]);
  const target = world.now + Math.floor(pause) + (random.chance(0.2) ? random.below(100_000_000) : 0);
  if (target < 2 ** 52) world.now = target;
  world.expire();
}

/** RENEWING, REBINDING or INIT-REBOOT with the address of before, and what some of the servers say. */
function comesBack(world: World, servers: readonly Server[], address: number): void {
  const { random } = world;
  if (random.chance(0.75)) world.xid = random.uint32();
  const kind = random.pick(["RENEWING", "RENEWING", "REBINDING", "REBINDING", "REBINDING", "INIT-REBOOT"] as const);
  say(world, kind, { address, fromNobody: kind === "REBINDING" && random.chance(0.3), wrong: 0.02 });
  for (const server of servers) {
    if (random.chance(0.45)) continue;
    if (random.chance(0.2)) {
      answer(world, { type: "NAK", address: 0, server, wrong: 0.02 });
      continue;
    }
    answer(world, {
      type: "ACK",
      address: random.chance(0.95) ? address : world.hostAddress(),
      server,
      terse: 0.3,
      wrong: 0.02,
    });
    if (random.chance(0.7)) learned(world, address, server);
  }
}
