/** ARP of a generated session: neighbours, probes, and who the gateway is. */
import { type ArpFields, arpFrame, BROADCAST_MAC } from "./build.ts";
import type { World } from "./world.ts";

export function arp(world: World, direction: "egress" | "ingress", fields: Partial<ArpFields>): void {
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

export function arpTalk(world: World): void {
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
export function arpProbe(world: World): void {
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

export function gatewayRequest(world: World): void {
  arp(world, "egress", { operation: 1, targetAddress: world.gateway });
}

export function gatewayReply(world: World, mac: string, ethernetSource = mac): void {
  arp(world, "ingress", { operation: 2, senderAddress: world.gateway, senderHardware: mac, ethernetSource });
}

export function arpGateway(world: World): void {
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

export function arpOdd(world: World): void {
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
