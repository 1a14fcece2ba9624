/** Clients that sleep longer than their leases, and the servers to which they come back. */
import { answer, say } from "./dhcp-talk.ts";
import { arp, arpGateway } from "./generate-arp.ts";
import { bootQuietly, learned } from "./generate-dhcp.ts";
import { inbound, traffic } from "./generate-ipv4.ts";
import type { World } from "./world.ts";

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
