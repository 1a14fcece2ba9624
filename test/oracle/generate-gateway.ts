/** A gateway that moves, introduces itself or is contested in a generated session. */
import { answer, say } from "./dhcp-talk.ts";
import { arp, arpGateway, gatewayReply, gatewayRequest } from "./generate-arp.ts";
import { boot, bootQuietly, lateAnswer, learned, renew } from "./generate-dhcp.ts";
import type { Server, World } from "./world.ts";

/** Requests that stay unanswered, about a second apart, until the gateway's MAC is forgotten or almost. */
export function gatewayMoves(world: World): void {
  const { random } = world;
  gatewayRequest(world);
  gatewayReply(world, world.gatewayMac);
  const newcomer = random.pick(world.peerMacs);
  const count = random.between(2, 7);
  for (let turn = 0; turn < count; turn++) {
    const base = world.now;
    gatewayRequest(world);
    if (random.chance(0.15)) gatewayReply(world, world.gatewayMac);
    if (random.chance(0.1)) gatewayReply(world, world.gatewayMac, random.pick(world.peerMacs));
    if (random.chance(0.4)) gatewayReply(world, newcomer);
    if (random.chance(0.06)) renew(world);
    const gap = random.pick([1_000_000, 1_000_000, 1_000_001, 999_999, 500_000, 2_000_000, 3_000_000, 61_000_000]);
    world.now = Math.max(world.now, base + gap);
  }
  gatewayReply(world, newcomer);
  if (random.chance(0.5)) gatewayReply(world, world.gatewayMac);
}

/** A gateway that gave the address speaks first, before or after others renewed, or the binding ended. */
export function gatewayIntroducesItself(world: World): void {
  const { random } = world;
  if (random.chance(0.5)) {
    say(world, "RELEASE", { wrong: 0 });
    world.lose();
  }
  const acknowledge = (server: Server) => {
    world.xid = random.uint32();
    const address = world.address ?? world.lastAddress;
    const kind = world.address !== undefined && random.chance(0.5) ? "REBINDING" : "INIT-REBOOT";
    say(world, kind, { address, wrong: 0.01 });
    answer(world, { type: "ACK", address, server, wrong: 0.01 });
    learned(world, address, server);
  };
  const speak = () => {
    const mac = random.pick([world.gatewayMac, world.gatewayMac, ...world.peerMacs]);
    const senderAddress = random.chance(0.85) ? world.gateway : random.pick(world.servers).id;
    const from = random.chance(0.1) ? { ethernetSource: random.pick([world.gatewayMac, ...world.peerMacs]) } : {};
    const operation = random.chance(0.9) ? 1 : 2;
    arp(world, "ingress", { operation, senderAddress, senderHardware: mac, ...from });
  };
  acknowledge(random.chance(0.7) ? world.servers[0]! : random.pick(world.servers.slice(-2)));
  speak();
  const turns = random.below(4);
  for (let turn = 0; turn < turns; turn++) {
    switch (random.below(6)) {
      case 0:
      case 1:
        acknowledge(random.pick(world.servers));
        break;
      case 2:
        say(world, random.pick(["RELEASE", "DECLINE"] as const), { wrong: 0 });
        break;
      case 3:
        world.jump();
        world.expire();
        break;
      case 4:
        arpGateway(world);
        break;
      default:
        lateAnswer(world);
    }
    speak();
  }
}

export function arpFlood(world: World): void {
  const { random } = world;
  boot(world);
  const count = random.between(230, 280);
  const frames = [world.gateway, world.hostAddress()];
  for (let turn = 0; turn < count; turn++) {
    const before = world.now;
    // What drops costs no token.
    const senderAddress = random.chance(0.1) ? { senderAddress: world.gateway } : {};
    arp(world, "egress", { operation: 1, targetAddress: random.pick(frames), padding: 0, ...senderAddress });
    world.now = before + (turn < 222 ? 0 : random.pick([0, 0, 1, 19_999, 20_000, 20_001]));
  }
}

/** A rival claims the gateway's address while the gateway is there, is silent, or has another MAC now. */
export function contestedGateway(world: World): void {
  const { random } = world;
  if (world.address === undefined) bootQuietly(world);
  if (random.chance(0.7)) {
    gatewayRequest(world);
    gatewayReply(world, world.gatewayMac);
  }
  world.holdsQuestions = random.chance(0.15);
  const rival = random.pick(world.peerMacs);
  const count = random.between(3, 9);
  const loyal = random.chance(0.4);
  for (let turn = 0; turn < count; turn++) {
    const base = world.now;
    gatewayReply(world, rival);
    if (loyal && random.chance(0.4)) gatewayReply(world, world.gatewayMac);
    if (random.chance(0.1)) gatewayRequest(world);
    if (random.chance(0.08))
      arp(world, "ingress", { operation: 1, senderAddress: world.gateway, senderHardware: world.gatewayMac });
    if (random.chance(0.04)) renew(world);
    if (random.chance(0.02)) say(world, "RELEASE", { wrong: 0 });
    if (random.chance(0.2)) world.holdsQuestions = !world.holdsQuestions;
    const gap = random.pick([1_000_000, 1_000_000, 1_000_000, 1_000_001, 999_999, 500_000, 2_000_000, 61_000_000]);
    world.now = Math.max(world.now, base + gap);
  }
  world.holdsQuestions = false;
  gatewayReply(world, rival);
  if (random.chance(0.5)) gatewayReply(world, world.gatewayMac);
}
