/** DHCP of a generated session that should teach nothing: races, rogue servers and networks, answers to others. */
import { answer, say } from "./dhcp-talk.ts";
import { arp } from "./generate-arp.ts";
import { boot, giveAddress, learned, someServer } from "./generate-dhcp.ts";
import { ipv4, traffic, transport } from "./generate-ipv4.ts";
import type { Server, World } from "./world.ts";

/** The VM asks, gives its address up while the answer is on its way, and gets it nevertheless. */
export function race(world: World): void {
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
export function rogueNetwork(world: World): void {
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
export function rogueServer(world: World): void {
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
export function otherClients(world: World): void {
  const { random } = world;
  const count = random.between(1, 3);
  for (let turn = 0; turn < count; turn++) {
    const type = random.pick(["OFFER", "ACK", "ACK", "NAK"] as const);
    const xid = random.chance(0.5) ? world.xid : random.uint32();
    const address = random.chance(0.5) ? world.hostAddress() : (world.address ?? world.lastAddress);
    answer(world, { type, address, server: someServer(world), xid, client: random.pick(world.peerMacs), wrong: 0.2 });
  }
}

/** Answers to the VM's own address, or to the one that it had, from near and far. */
export function farAnswers(world: World): void {
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
