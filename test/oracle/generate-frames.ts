/** Frames of a generated session below and beside IPv4, noise, and earlier frames once more. */
import { BROADCAST_MAC, be16, ethernet } from "./build.ts";
import { ipv4 } from "./generate-ipv4.ts";
import type { World } from "./world.ts";

export function layerTwo(world: World): void {
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

export function noise(world: World): void {
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
export function replay(world: World): void {
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
