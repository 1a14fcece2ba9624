/**
 * Traffic sessions for the comparison of the two guards: each is made from one seed, plays a random row of scenarios in
 * one world, and is a list of frames with direction and time, and in sessions of flows of changed policies.
 */
import type { GuardOptions } from "../../src/guard/types.ts";
import { before } from "./before.ts";
import {
  type ArpFields,
  arpFrame,
  BROADCAST,
  BROADCAST_MAC,
  be16,
  ethernet,
  type Ipv4Fields,
  ipv4Frame,
  join,
  udpPayload,
} from "./build.ts";
import { answer, say } from "./dhcp-talk.ts";
import { FLOW_SCENARIOS } from "./flow-talk.ts";
import { type FrameStep, type Server, type Step, World } from "./world.ts";

export type { FrameStep, Step } from "./world.ts";

export interface Session<Kind extends Step = FrameStep> {
  readonly seed: number;
  readonly options: GuardOptions;
  readonly steps: readonly Kind[];
}

/** Frames only, under one policy, with much DHCP and ARP. */
export function generateSession(seed: number): Session {
  const world = new World(seed);
  const { random } = world;
  const options = { ...world.options, ...before(world) };
  if (random.chance(options.restored ? 0.2 : 0.8)) boot(world);
  const scenarios = random.between(3, 22);
  for (let count = 0; count < scenarios; count++) {
    world.expire();
    const scenario = world.address === undefined && random.chance(0.6) ? boot : pick(world, SCENARIOS);
    scenario(world);
    if (random.chance(0.35)) world.jump();
  }
  return { seed, options, steps: framesOf(world) };
}

/** Mostly connections, with policies that change and questions in between. */
export function generateFlowSession(seed: number): Session<Step> {
  const world = new World(seed, "flows");
  const { random } = world;
  if (random.chance(0.9)) bootQuietly(world);
  const scenarios = random.between(6, 30);
  for (let count = 0; count < scenarios; count++) {
    world.expire();
    const scenario = world.address === undefined && random.chance(0.85) ? bootQuietly : pick(world, FLOW_MIX);
    scenario(world);
    if (random.chance(0.05)) world.jump();
  }
  return { seed, options: world.options, steps: world.steps };
}

function framesOf(world: World): FrameStep[] {
  return world.steps.filter((step) => step.kind === "frame");
}

type Scenario = (world: World) => void;

/** Scenario and weight. */
const SCENARIOS: readonly [Scenario, number][] = [
  [boot, 10],
  [initReboot, 6],
  [renew, 8],
  [rebind, 7],
  [sleeper, 9],
  [otherXid, 4],
  [manyRenewals, 1],
  [inform, 5],
  [release, 2],
  [race, 5],
  [rogueNetwork, 8],
  [rogueServer, 3],
  [otherClients, 3],
  [farAnswers, 4],
  [gatewayIntroducesItself, 4],
  [igmp, 2],
  [decline, 4],
  [tenMinutes, 2],
  [dayOfDeclines, 0.6],
  [rapidCommit, 4],
  [proxyOffer, 3],
  [lateAnswer, 4],
  [changedMind, 3],
  [manyIdentifiers, 2],
  [manyTransactions, 2],
  [manyOffers, 2],
  [arpTalk, 10],
  [arpProbe, 6],
  [arpGateway, 8],
  [gatewayMoves, 6],
  [arpOdd, 4],
  [traffic, 16],
  [fragments, 6],
  [strangeIpv4, 5],
  [dnsTraffic, 5],
  [exposedTraffic, 4],
  [inbound, 5],
  [layerTwo, 5],
  [noise, 3],
  [replay, 6],
  [manyProbes, 1.5],
  [arpFlood, 0.5],
  [dhcpFlood, 1],
];
/** Connections, and enough of everything else that the binding, gateway and DNS servers change beneath them. */
const FLOW_MIX: readonly [Scenario, number][] = [
  ...FLOW_SCENARIOS,
  [boot, 0.7],
  [bootQuietly, 1],
  [initReboot, 1],
  [renew, 3],
  [rebind, 1],
  [sleeper, 1],
  [release, 0.7],
  [rogueNetwork, 3],
  [race, 0.5],
  [arpTalk, 1],
  [traffic, 5],
  [dnsTraffic, 4],
  [fragments, 3],
  [inbound, 4],
  [strangeIpv4, 1],
  [noise, 0.5],
  [replay, 5],
];

function pick(world: World, scenarios: readonly [Scenario, number][]): Scenario {
  const total = scenarios.reduce((sum, [, weight]) => sum + weight, 0);
  let left = (world.random.uint32() / 2 ** 32) * total;
  for (const [scenario, weight] of scenarios) {
    left -= weight;
    if (left < 0) return scenario;
  }
  return traffic;
}

// DHCP

function learned(world: World, address: number, server: Server): void {
  world.lastAddress = address;
  world.server = server;
  if (!world.static) world.address = address;
  world.leaseEnd = world.now + world.lastLease * 1_000_000;
  world.mark();
}

function someServer(world: World): Server {
  const usual = world.options.dhcpServer === undefined ? 0.7 : 0.95;
  return world.random.chance(usual) ? world.server : world.random.pick(world.servers);
}

/** The address that a server gives: the static one where there is one. */
function giveAddress(world: World): number {
  const { random } = world;
  if (world.static && random.chance(0.85)) return world.address!;
  if (random.chance(0.5)) return world.lastAddress;
  if (random.chance(0.05)) return random.pick([world.gateway, ...world.told]);
  return random.chance(0.93) ? world.hostAddress() : world.someAddress();
}

function boot(world: World): void {
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
function bootQuietly(world: World): void {
  const { random, server } = world;
  world.xid = random.uint32();
  const address = world.static || random.chance(0.8) ? world.lastAddress : world.hostAddress();
  say(world, "DISCOVER", { wrong: 0 });
  answer(world, { type: "OFFER", address, server, wrong: 0 });
  say(world, "SELECTING", { address, server, wrong: 0 });
  answer(world, { type: "ACK", address, server, wrong: 0, rogue: random.chance(0.1) ? 0.5 : 0 });
  learned(world, address, server);
}

function initReboot(world: World): void {
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

function renew(world: World): void {
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

function rebind(world: World): void {
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

/** A VM that slept longer than its lease, or whose softnet is new: it goes on with the address that it believes in. */
function sleeper(world: World): void {
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

/** Clients that take a new xid for each message. */
function otherXid(world: World): void {
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
function manyRenewals(world: World): void {
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

function inform(world: World): void {
  const { random } = world;
  if (random.chance(0.9)) world.xid = random.uint32();
  say(world, "INFORM");
  const server = random.chance(0.7) ? world.server : random.pick(world.servers);
  const address = random.pick([0, 0, world.address ?? 0, world.hostAddress()]);
  const type = random.chance(0.9) ? "ACK" : random.pick(["OFFER", "NAK"] as const);
  answer(world, { type, address, server, lease: random.chance(0.7) ? -1 : 600 });
}

function release(world: World): void {
  if (world.random.chance(0.4)) say(world, "RELEASE", { wrong: 1 });
  say(world, "RELEASE");
  if (world.random.chance(0.7)) world.lose();
  if (world.random.chance(0.5)) arpProbe(world);
  traffic(world);
}

/** The VM asks, gives its address up while the answer is on its way, and gets it nevertheless. */
function race(world: World): void {
  const { random } = world;
  if (world.address === undefined) boot(world);
  const address = world.address ?? world.lastAddress;
  const questions = Array.from({ length: random.between(1, 3) }, () => {
    const xid = random.uint32();
    const server = random.chance(0.8) ? world.server : random.pick(world.servers);
    const kind = random.pick(["SELECTING", "INIT-REBOOT", "RENEWING", "REBINDING", "DISCOVER", "INFORM"] as const);
    if (kind === "SELECTING") {
      say(world, "DISCOVER", { xid, wrong: 0 });
      answer(world, { type: "OFFER", address, server, xid, wrong: 0 });
    }
    say(world, kind, { xid, server, address, rapidCommit: true, wrong: 0.02 });
    if (random.chance(0.2)) answer(world, { type: "ACK", address, server, xid, rapidCommit: true });
    return { xid, server };
  });
  const server = random.chance(0.7) ? world.server : questions[0]!.server;
  if (random.chance(0.7)) say(world, "RELEASE", { server, wrong: 0.02 });
  else say(world, "DECLINE", { address: random.chance(0.8) ? address : world.hostAddress(), server, wrong: 0.02 });
  for (const { xid, server } of questions) {
    const type = random.pick(["ACK", "ACK", "ACK", "OFFER", "NAK"] as const);
    answer(world, { type, address, server, xid, rapidCommit: random.chance(0.5), wrong: 0.02 });
  }
  if (random.chance(0.5)) arp(world, "egress", {});
  ipv4(world, "egress", { protocol: 6, payload: transport(world, 6), source: address });
  if (random.chance(0.5)) world.lose();
}

/** Leases that name impossible routers, DNS servers and netmasks; then the VM turns to all of them. */
function rogueNetwork(world: World): void {
  const { random } = world;
  const turns = random.between(1, 3);
  for (let turn = 0; turn < turns; turn++) {
    world.expire();
    const kind = random.pick(["SELECTING", "INIT-REBOOT", "RENEWING", "REBINDING"] as const);
    const server = random.chance(0.7) ? world.server : someServer(world);
    const bound = kind === "RENEWING" || kind === "REBINDING";
    const address = bound ? (world.address ?? world.lastAddress) : giveAddress(world);
    world.xid = random.uint32();
    if (kind === "SELECTING") {
      say(world, "DISCOVER", { wrong: 0.01 });
      answer(world, { type: "OFFER", address, server, rogue: 0.2, wrong: 0.01 });
    }
    say(world, kind, { address, ...(kind !== "REBINDING" && { server }), wrong: 0.01 });
    const without = random.pick([[], [], [1], [1], [1, 6], [3], [1, 3, 6]]);
    answer(world, { type: "ACK", address, server, rogue: 0.5, terse: 0, without, wrong: 0.01 });
    if (kind !== "REBINDING" || random.chance(0.5)) learned(world, address, server);
    turnTo(world, [world.gateway, ...world.told, ...world.told, ...world.dnsServers]);
  }
}

/** Traffic and ARP to these addresses, as to a gateway, a DNS server or nobody in particular. */
function turnTo(world: World, addresses: readonly number[]): void {
  const { random } = world;
  const count = random.between(2, 7);
  for (let turn = 0; turn < count; turn++) {
    const destination = random.pick(addresses);
    const protocol = random.pick([47, 47, 17, 6, 1]);
    const port = random.chance(0.6) ? 53 : 80;
    ipv4(world, "egress", { protocol, destination, payload: transport(world, protocol, port) });
    if (random.chance(0.3)) {
      const mac = random.pick([world.gatewayMac, ...world.peerMacs]);
      if (random.chance(0.8)) arp(world, "egress", { operation: 1, targetAddress: destination });
      arp(world, "ingress", { operation: random.pick([1, 2, 2]), senderAddress: destination, senderHardware: mac });
    }
  }
}

/** A server that names itself by an address that no server has, and goes on as if it had been believed. */
function rogueServer(world: World): void {
  const { random } = world;
  const id = world.impostor();
  const server: Server = { id, source: random.chance(0.5) ? id : world.gateway, mac: random.pick(world.peerMacs) };
  world.tell(id);
  world.xid = random.uint32();
  const address = giveAddress(world);
  const kind = random.pick(["SELECTING", "INIT-REBOOT", "DISCOVER", "REBINDING", "INFORM"] as const);
  if (kind === "SELECTING") {
    say(world, "DISCOVER", { wrong: 0.01 });
    answer(world, { type: "OFFER", address, server, wrong: 0.01 });
  }
  say(world, kind, { address, server, rapidCommit: true, wrong: 0.01 });
  const type = random.chance(0.8) ? "ACK" : "NAK";
  answer(world, { type, address, server, rapidCommit: true, wrong: 0.01 });
  if (random.chance(0.3)) learned(world, address, server);
  traffic(world);
}

/** What the server broadcasts to others. */
function otherClients(world: World): void {
  const { random } = world;
  const count = random.between(1, 3);
  for (let turn = 0; turn < count; turn++) {
    const type = random.pick(["OFFER", "ACK", "ACK", "NAK"] as const);
    const xid = random.chance(0.5) ? world.xid : random.uint32();
    const address = random.chance(0.5) ? world.hostAddress() : (world.address ?? world.lastAddress);
    answer(world, { type, address, server: someServer(world), xid, client: random.pick(world.peerMacs), wrong: 0.2 });
  }
}

/** A gateway that gave the address speaks first, before or after others renewed, or the binding ended. */
function gatewayIntroducesItself(world: World): void {
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

/** Answers to the VM's own address, or to the one that it had, from near and far. */
function farAnswers(world: World): void {
  const { random } = world;
  const count = random.between(1, 4);
  for (let turn = 0; turn < count; turn++) {
    const address = world.address ?? world.lastAddress;
    const near = [world.gateway, world.server.source, world.server.id, world.hostAddress()];
    const source = random.chance(0.4) ? random.pick(near) : random.chance(0.5) ? world.impostor() : world.someAddress();
    const id = random.chance(0.6) ? world.server.id : source;
    const server: Server = { id, source, mac: random.chance(0.7) ? world.gatewayMac : random.pick(world.peerMacs) };
    world.xid = random.uint32();
    if (random.chance(0.5)) {
      say(world, "DISCOVER", { wrong: 0 });
      answer(world, { type: "OFFER", address, server, wrong: 0 });
      say(world, "SELECTING", { address, server, wrong: 0 });
    } else {
      const kind = world.address === undefined ? "INIT-REBOOT" : random.pick(["INIT-REBOOT", "RENEWING", "REBINDING"]);
      say(world, kind as "INIT-REBOOT", { address, wrong: 0 });
    }
    answer(world, { type: random.chance(0.9) ? "ACK" : "NAK", address, server, terse: 0.2, wrong: 0 });
    if (random.chance(0.4)) learned(world, address, server);
    if (random.chance(0.3)) {
      world.jump();
      world.expire();
    }
  }
}

function decline(world: World): void {
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

/** DECLINEs, two in ten minutes, until the day's are used up, and one more just when the first is a day old. */
function dayOfDeclines(world: World): void {
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
function tenMinutes(world: World): void {
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

function rapidCommit(world: World): void {
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

function proxyOffer(world: World): void {
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
function lateAnswer(world: World): void {
  const { random } = world;
  if (random.chance(0.6)) world.jump();
  const type = random.pick(["OFFER", "ACK", "ACK", "NAK"] as const);
  const xid = random.chance(0.7) ? world.xid : random.uint32();
  answer(world, { type, address: giveAddress(world), server: random.pick(world.servers), xid });
}

/** One xid, several kinds of message one after another, with answers in between (D20). */
function changedMind(world: World): void {
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

function manyIdentifiers(world: World): void {
  const { random } = world;
  const count = random.between(3, 7);
  for (let turn = 0; turn < count; turn++) {
    world.identifier = world.newIdentifier();
    say(world, random.pick(["DISCOVER", "DISCOVER", "INIT-REBOOT", "RELEASE", "DECLINE"] as const), { wrong: 0.03 });
    if (random.chance(0.15)) world.jump();
  }
}

function manyTransactions(world: World): void {
  const { random } = world;
  const count = random.between(6, 12);
  for (let turn = 0; turn < count; turn++) {
    world.xid = random.uint32();
    say(world, random.pick(["DISCOVER", "DISCOVER", "INIT-REBOOT", "INFORM", "REBINDING"] as const), { wrong: 0.03 });
    if (random.chance(0.5)) answer(world, { type: "OFFER", address: giveAddress(world) });
    if (random.chance(0.1)) world.jump();
  }
}

function manyOffers(world: World): void {
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
function manyProbes(world: World): void {
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

// ARP

function arp(world: World, direction: "egress" | "ingress", fields: Partial<ArpFields>): void {
  const { random } = world;
  const egress = direction === "egress";
  const operation = fields.operation ?? 1;
  const sender = egress ? world.vmMac : world.gatewayMac;
  const whole: ArpFields = {
    ethernetDestination: operation === 1 ? BROADCAST_MAC : egress ? world.gatewayMac : world.vmMac,
    ethernetSource: fields.senderHardware ?? sender,
    hardwareType: 1,
    protocolType: 0x0800,
    hardwareLength: 6,
    protocolLength: 4,
    operation,
    senderHardware: sender,
    senderAddress: egress ? (world.address ?? world.lastAddress) : world.gateway,
    targetHardware: operation === 1 ? "00:00:00:00:00:00" : egress ? world.gatewayMac : world.vmMac,
    targetAddress: egress ? world.gateway : (world.address ?? world.lastAddress),
    padding: random.chance(0.5) ? 18 : 0,
    ...fields,
  };
  if (random.chance(0.06)) {
    const odd: (() => Partial<ArpFields>)[] = [
      () => ({ hardwareType: random.pick([0, 6, 256]) }),
      () => ({ protocolType: random.pick([0x0806, 0x86dd, 0x0801]) }),
      () => ({ hardwareLength: random.pick([0, 5, 8]) }),
      () => ({ protocolLength: random.pick([0, 3, 16]) }),
      () => ({ operation: random.pick([0, 1, 2, 3, 4, 8, 9, 256]) }),
      () => ({ senderHardware: world.someMac() }),
      () => ({ ethernetSource: world.someMac() }),
      () => ({ ethernetDestination: world.someMac() }),
      () => ({ targetHardware: world.someMac() }),
      () => ({ senderAddress: random.chance(0.3) ? 0 : world.someAddress() }),
      () => ({ targetAddress: random.chance(0.2) ? 0 : world.someAddress() }),
      () => ({ padding: -random.between(1, 28) }),
    ];
    Object.assign(whole, random.pick(odd)());
  }
  world.emit(direction, arpFrame(whole), "ARP");
}

function arpTalk(world: World): void {
  const { random } = world;
  const count = random.between(1, 6);
  for (let turn = 0; turn < count; turn++) {
    switch (random.below(6)) {
      case 0:
        arp(world, "egress", { targetAddress: world.someAddress() });
        break;
      case 1:
        arp(world, "egress", { operation: 2, targetAddress: world.hostAddress() });
        break;
      case 2: // announcement
        arp(world, "egress", { targetAddress: world.address ?? world.lastAddress, operation: random.between(1, 2) });
        break;
      case 3: // somebody else's address
        arp(world, "egress", { senderAddress: random.chance(0.5) ? world.gateway : world.someAddress() });
        break;
      case 4: // a neighbour asks or answers
        arp(world, "ingress", {
          senderAddress: world.hostAddress(),
          senderHardware: random.pick(world.peerMacs),
          operation: random.between(1, 2),
        });
        break;
      default:
        arp(world, "ingress", { senderAddress: 0, senderHardware: random.pick(world.peerMacs) });
    }
  }
}

/** Probes for the own or another address, and a neighbour that defends it, in time or not. */
function arpProbe(world: World): void {
  const { random } = world;
  const target = random.chance(0.85) ? (world.address ?? world.lastAddress) : world.someAddress();
  const count = random.between(1, 3);
  for (let turn = 0; turn < count; turn++) {
    arp(world, "egress", { senderAddress: 0, targetAddress: target });
    if (random.chance(0.25)) world.jump();
    if (random.chance(0.35)) {
      arp(world, "ingress", {
        operation: random.chance(0.8) ? 2 : 1,
        senderAddress: target,
        senderHardware: random.pick(world.peerMacs),
        targetAddress: 0,
      });
    }
  }
  if (random.chance(0.6)) arp(world, "egress", { targetAddress: target, senderAddress: target });
}

function gatewayRequest(world: World): void {
  arp(world, "egress", { operation: 1, targetAddress: world.gateway });
}

function gatewayReply(world: World, mac: string, ethernetSource = mac): void {
  arp(world, "ingress", { operation: 2, senderAddress: world.gateway, senderHardware: mac, ethernetSource });
}

function arpGateway(world: World): void {
  const { random } = world;
  const count = random.between(1, 4);
  for (let turn = 0; turn < count; turn++) {
    const mac = random.chance(0.7) ? world.gatewayMac : random.pick(world.peerMacs);
    switch (random.below(5)) {
      case 0: // the gateway speaks first
        arp(world, "ingress", { operation: 1, senderAddress: world.gateway, senderHardware: mac });
        break;
      case 1: // a claim out of nothing
        gatewayReply(world, mac);
        break;
      default:
        gatewayRequest(world);
        if (random.chance(0.15)) world.jump();
        if (random.chance(0.1)) world.now += random.pick([2_999_999, 3_000_000, 3_000_001]);
        if (random.chance(0.04)) gatewayReply(world, "01:00:5e:00:00:12", world.gatewayMac);
        gatewayReply(world, mac, random.chance(0.9) ? mac : random.pick(world.peerMacs));
    }
  }
}

/** Requests that stay unanswered, about a second apart, until the gateway's MAC is forgotten or almost. */
function gatewayMoves(world: World): void {
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

function arpOdd(world: World): void {
  const { random } = world;
  arp(world, random.chance(0.5) ? "egress" : "ingress", {
    operation: random.pick([1, 2, 3, 4, 8, 9, 0, 512]),
    hardwareLength: random.pick([6, 6, 6, 0, 8]),
    protocolLength: random.pick([4, 4, 4, 0, 16]),
    padding: random.pick([0, 18, -1, -28, 100]),
    senderHardware: random.chance(0.6) ? world.vmMac : world.someMac(),
    ethernetSource: random.chance(0.6) ? world.vmMac : world.someMac(),
  });
}

function arpFlood(world: World): void {
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

function dhcpFlood(world: World): void {
  const { random } = world;
  const count = random.between(64, 90);
  const xids = Array.from({ length: random.chance(0.5) ? 8 : 1 }, () => random.uint32());
  for (let turn = 0; turn < count; turn++) {
    const before = world.now;
    // What drops, here for want of room, costs no token.
    const xid = random.chance(0.2) ? random.uint32() : xids[turn % xids.length]!;
    say(world, random.chance(0.9) ? "DISCOVER" : "INIT-REBOOT", { wrong: 0.02, xid });
    world.now = before + (turn < 60 ? 0 : random.pick([0, 0, 1, 99_999, 100_000, 100_001]));
  }
}

// IPv4

function ipv4(world: World, direction: "egress" | "ingress", fields: Partial<Ipv4Fields>, label = "IPv4"): void {
  const { random } = world;
  const egress = direction === "egress";
  const address = world.address ?? world.lastAddress;
  const whole: Ipv4Fields = {
    ethernetDestination: egress ? world.gatewayMac : world.vmMac,
    ethernetSource: egress ? world.vmMac : world.gatewayMac,
    version: 4,
    options: new Uint8Array(0),
    totalLengthError: 0,
    identification: random.below(65536),
    flags: random.chance(0.5) ? 2 : 0,
    offset: 0,
    ttl: random.pick([0, 1, 64, 255]),
    protocol: 17,
    badChecksum: false,
    source: egress ? address : world.someAddress(),
    destination: egress ? world.someAddress() : address,
    payload: new Uint8Array(0),
    padding: random.chance(0.2) ? random.below(30) : 0,
    ...fields,
  };
  world.emit(direction, ipv4Frame(whole), label);
}

const PORTS = [53, 53, 80, 443, 67, 68, 4011, 123, 5353, 4789, 3544, 1023, 65535, 0];

function transport(world: World, protocol: number, destinationPort?: number): Uint8Array {
  const { random } = world;
  const data = random.bytes(random.below(random.chance(0.05) ? 600 : 24));
  const sourcePort = random.chance(0.95) ? random.between(1024, 65535) : random.pick(PORTS);
  const port = destinationPort ?? random.pick(PORTS);
  switch (protocol) {
    case 6:
      return join(
        be16(sourcePort),
        be16(port),
        random.bytes(8),
        [0x50, random.pick([2, 16, 24, 4])],
        random.bytes(6),
        data,
      );
    case 17:
      return udpPayload({
        source: 0,
        destination: 0,
        sourcePort,
        destinationPort: port,
        lengthError: random.chance(0.05) ? 3 : 0,
        checksum: random.chance(0.3) ? "zero" : "right",
        data,
      });
    case 1:
      return join([random.pick([8, 0, 3, 5, 9, 10, 11, 13]), random.below(2)], random.bytes(6), data);
    default:
      return random.bytes(random.below(40));
  }
}

function someProtocol(world: World): number {
  return world.random.pick([6, 6, 6, 17, 17, 17, 1, 1, 0, 2, 4, 41, 47, 50, 132, 255]);
}

function traffic(world: World): void {
  const count = world.random.between(1, 12);
  for (let turn = 0; turn < count; turn++) {
    const protocol = someProtocol(world);
    const source = world.random.chance(0.04) ? { source: world.someAddress() } : {};
    ipv4(world, "egress", { protocol, payload: transport(world, protocol), ...source });
  }
}

/** TCP from exposed ports and their neighbours, mostly to the gateway, with flags of all kinds. */
function exposedTraffic(world: World): void {
  const { random } = world;
  const count = random.between(1, 6);
  const ports = world.options.exposedPorts ?? [22];
  for (let turn = 0; turn < count; turn++) {
    const port = (random.pick(ports) + random.pick([0, 0, 0, 0, 1])) % 65536;
    const flags = random.pick([0x02, 0x12, 0x10, 0x18, 0x11, 0x14, 0x04, 0x01, 0, 0x03, 0x06, 0xc2, 0x52, 0x3f, 0xff]);
    const payload = join(be16(port), be16(random.pick(PORTS)), random.bytes(8), [0x50, flags], random.bytes(10));
    const destination = random.chance(0.7) ? world.gateway : world.someAddress();
    const protocol = random.chance(0.95) ? 6 : someProtocol(world);
    const fragment = random.chance(0.1) ? { flags: random.below(2), offset: random.pick([0, 0, 2]) } : {};
    ipv4(world, "egress", { protocol, destination, payload, ...fragment });
  }
}

function dnsTraffic(world: World): void {
  const { random } = world;
  const count = random.between(1, 5);
  for (let turn = 0; turn < count; turn++) {
    const protocol = random.pick([17, 17, 6, 1, 47]);
    const destination = world.dnsServers.length > 0 ? random.pick(world.dnsServers) : world.someAddress();
    const fragment = random.chance(0.2) ? { flags: 1, offset: random.pick([0, 0, 2, 3]) } : {};
    const payload = transport(world, protocol, random.chance(0.8) ? 53 : 853);
    ipv4(world, "egress", { protocol, destination, payload, ...fragment });
  }
}

function fragments(world: World): void {
  const { random } = world;
  const count = random.between(1, 6);
  const identification = random.below(65536);
  const direction = random.chance(0.75) ? "egress" : "ingress";
  for (let turn = 0; turn < count; turn++) {
    const protocol = someProtocol(world);
    const whole = transport(world, protocol, random.chance(0.2) ? 67 : undefined);
    const offset = random.pick([0, 0, 1, 1, 2, 3, 100, 8187, 8188, 8189, 8190, 8191]);
    // Around the last byte that a packet can have, or around the ends of transport headers.
    const last = 65_515 - offset * 8;
    const ends = offset > 8000 ? [last - 1, last, last + 1, last + 2] : [0, 1, 7, 8, 16, 19, 20];
    const payload = random.chance(0.5) ? join(whole, random.bytes(40)).slice(0, random.pick(ends)) : whole;
    ipv4(world, direction, { identification, protocol, payload, flags: random.pick([0, 1, 1, 3, 4]), offset });
  }
}

/** Headers that lie, are cut short, carry options or have a wrong checksum. */
function strangeIpv4(world: World): void {
  const { random } = world;
  const count = random.between(1, 4);
  for (let turn = 0; turn < count; turn++) {
    const protocol = someProtocol(world);
    const whole = transport(world, protocol);
    const odd: Partial<Ipv4Fields>[] = [
      { version: random.pick([0, 5, 6, 15]) },
      {
        options: random
          .pick([
            [0x94, 4, 0, 0],
            [7, 7, 4, 0, 0, 0, 0, 0],
            [1, 1, 1, 0],
          ])
          .map(Number) as never,
      },
      {
        totalLengthError: random.pick([1, -1, 100, -20, -whole.length, -whole.length - 1]),
        padding: random.pick([0, 120]),
      },
      { badChecksum: true },
      { payload: whole.slice(0, random.below(21)) },
      { destination: BROADCAST, ethernetDestination: BROADCAST_MAC },
      { destination: 0xe00000fb, ethernetDestination: "01:00:5e:00:00:fb" },
      { ethernetDestination: world.someMac() },
      { ethernetSource: world.someMac() },
    ];
    const chosen = random.pick(odd);
    if (chosen.options !== undefined) chosen.options = new Uint8Array(chosen.options);
    ipv4(world, random.chance(0.75) ? "egress" : "ingress", { protocol, payload: whole, ...chosen });
  }
}

/** Membership reports and queries, most with the router alert option (RFC 2236). */
function igmp(world: World): void {
  const { random } = world;
  const count = random.between(1, 3);
  for (let turn = 0; turn < count; turn++) {
    const options = random.pick([[0x94, 4, 0, 0], [0x94, 4, 0, 0], [0x94, 4, 0, 0, 1, 1, 1, 0], []]);
    const protocol = random.pick([2, 2, 2, 17, 3]);
    const group = random.pick([0xe0000016, 0xe0000001, 0xe00000fb, world.gateway]);
    ipv4(world, random.chance(0.6) ? "egress" : "ingress", {
      protocol,
      options: new Uint8Array(options),
      destination: group,
      ethernetDestination: "01:00:5e:00:00:16",
      payload: random.bytes(8),
      badChecksum: random.chance(0.1),
    });
  }
}

function inbound(world: World): void {
  const { random } = world;
  const count = random.between(1, 4);
  for (let turn = 0; turn < count; turn++) {
    const protocol = someProtocol(world);
    const group = random.chance(0.2) ? { ethernetDestination: random.pick([BROADCAST_MAC, "01:00:5e:00:00:fb"]) } : {};
    const stranger = random.chance(0.15) ? { ethernetDestination: world.someMac() } : {};
    const from = random.chance(0.15) ? { ethernetSource: world.someMac() } : {};
    ipv4(world, "ingress", { protocol, payload: transport(world, protocol), ...group, ...stranger, ...from });
  }
}

// Below and beside IPv4

function layerTwo(world: World): void {
  const { random } = world;
  const count = random.between(1, 4);
  for (let turn = 0; turn < count; turn++) {
    const egress = random.chance(0.7);
    const source = egress ? world.vmMac : world.gatewayMac;
    const destination = egress ? (random.chance(0.5) ? BROADCAST_MAC : world.gatewayMac) : world.vmMac;
    const inner = random.pick([0x0800, 0x0806, 0x86dd]);
    const body = random.bytes(random.below(80));
    const snap = new Uint8Array([0xaa, 0xaa, 3, 0, 0, random.pick([0, 0xf8]), ...be16(inner)]);
    const tag = new Uint8Array([...be16(random.pick([0, 0x2000, 5])), ...be16(inner)]);
    const type = random.pick([0, 1, 0x2e, 0x5dc, 0x5ff, 0x600, 0x8100, 0x88a8, 0x9100, 0x86dd, 0x8035, 0x0835, 0x8808]);
    const other = random.pick([0x8870, 0x88b7, 0x88cc, 0x9000, 0x8863, 0x8864, 0x888e, 0x0801, 0x0805, 0x0807]);
    const chosen = random.chance(0.7) ? type : other;
    const front = chosen < 0x600 || random.chance(0.2) ? snap : random.chance(0.6) ? tag : new Uint8Array(0);
    const to = random.chance(0.1) ? world.someMac() : destination;
    world.emit(egress ? "egress" : "ingress", ethernet(to, source, chosen, front, body), "layer two");
  }
}

function noise(world: World): void {
  const { random } = world;
  const direction = random.chance(0.5) ? "egress" : "ingress";
  const source = direction === "egress" ? world.vmMac : world.gatewayMac;
  switch (random.below(5)) {
    case 0:
      world.emit(direction, random.bytes(random.below(100)), "noise");
      break;
    case 1:
      world.emit(
        direction,
        ethernet(world.vmMac, source, random.pick([0x0800, 0x0806]), random.bytes(random.below(90))),
        "noise",
      );
      break;
    case 2: // right at the largest size
      {
        const mtu = world.options.mtu ?? 1500;
        const size = mtu + random.pick([-1, 0, 1, 5]);
        const payload = new Uint8Array(Math.max(8, size - 20));
        if (size <= 65535) ipv4(world, direction, { protocol: 6, payload, padding: 0 }, "largest");
      }
      break;
    case 3:
      world.emit(direction, ethernet(world.vmMac, source, 0x0800).slice(0, random.between(0, 14)), "runt");
      break;
    default:
      ipv4(world, direction, { protocol: 17, payload: random.bytes(random.below(300)) }, "noise");
  }
}

/** Earlier frames of the same conversation once more, damaged or not, in the same or the other direction, later. */
function replay(world: World): void {
  const { random } = world;
  const late = world.steps.slice(-40).filter((step) => step.kind === "frame");
  if (late.length === 0) return;
  const count = random.between(1, 5);
  for (let turn = 0; turn < count; turn++) {
    const step = random.pick(late);
    const frame = random.chance(0.6) && step.frame.length > 0 ? world.damage(step.frame) : step.frame;
    const direction = random.chance(0.95) ? step.direction : step.direction === "egress" ? "ingress" : "egress";
    world.emit(direction, frame, `replayed ${step.label}`);
  }
}
