/** Policies for generated sessions: few addresses, ports and names, so that rules overlap and meet the traffic. */
import { addressText } from "./build.ts";
import type { World } from "./world.ts";

export interface Policy {
  readonly allow: readonly string[];
  readonly block: readonly string[];
}

/** Ports that rules and services like. */
export const SERVICES = [22, 53, 80, 443, 1, 65535, 1000, 1001, 1002];

const NAMES = ["@host", "@dns", "@metadata", "@private", "@global"];

function target(world: World): string {
  const { random } = world;
  if (random.chance(0.25)) return random.pick(NAMES);
  const length = random.pick([0, 0, 8, 16, 24, 31, 32, 32, 32, random.between(0, 32)]);
  const address = random.chance(0.85) ? random.pick(world.remotes) : world.someAddress();
  const size = 2 ** (32 - length);
  return `${addressText(random.chance(0.9) ? Math.floor(address / size) * size : address)}/${length}`;
}

function ports(world: World): string {
  const { random } = world;
  const port = random.pick(SERVICES);
  const last = random.pick([port, port, port, port + 1, 1023, 1001, 65535]);
  if (last > port && last <= 65535) return `:${random.pick([port, 1])}-${last}`;
  return random.chance(0.9) ? `:${port}` : `:${port}-${port}`;
}

interface Style {
  readonly ways: number;
  readonly ports: number;
}

function rule(world: World, { ways, ports: withPorts }: Style): string {
  const { random } = world;
  const way = random.chance(ways) ? random.pick(["in ", "out ", "in ", "out ", "in   "]) : "";
  return `${way}${target(world)}${random.chance(withPorts) ? ports(world) : ""}`;
}

/** A block rule for an alias, and rules with ports that open a part of it, or would. */
function closeAnAlias(world: World, allow: string[], block: string[]): void {
  const { random } = world;
  const way = () => random.pick(["", "", "out ", "in "]);
  const alias = random.pick(["@private", "@metadata"]);
  block.push(`${way()}${alias}`);
  const parts =
    alias === "@private"
      ? ["10.1.0.0/16", "10.0.0.0/8", "8.0.0.0/6", "192.168.0.0/16", "172.16.0.0/12", "172.0.0.0/8", "192.168.0.0/15"]
      : ["169.254.169.254/32", "169.254.169.254/31", "100.100.100.200/32", "168.63.129.16/32", "169.254.0.0/16"];
  const count = random.between(1, 3);
  for (let turn = 0; turn < count; turn++) {
    allow.push(`${way()}${random.pick([...parts, ...parts, ...NAMES, "0.0.0.0/0"])}${ports(world)}`);
  }
}

/** Some policy: stateless, by port, or stateful; now and then the rules that decide everything else. */
export function somePolicy(world: World): Policy {
  const { random } = world;
  const style = random.pick<Style>([
    { ways: 0, ports: 0 },
    { ways: 0, ports: 0.5 },
    { ways: 0.7, ports: 0.3 },
    { ways: 0.7, ports: 0.5 },
    { ways: 0.8, ports: 0.9 },
    { ways: 1, ports: 0 },
  ]);
  const most = random.chance(0.002) ? 2040 : random.chance(0.04) ? 150 : 5;
  const some = () => Array.from({ length: random.below(most + 1) }, () => rule(world, style));
  const allow = some();
  const block = some();
  if (random.chance(0.35)) allow.push(`${style.ways > 0 ? random.pick(["", "in ", "out ", "out "]) : ""}0.0.0.0/0`);
  if (random.chance(0.3)) block.push(`${style.ways > 0 ? random.pick(["", "in ", "in ", "out "]) : ""}0.0.0.0/0`);
  if (style.ports > 0 && random.chance(0.25)) closeAnAlias(world, allow, block);
  if (allow.length > 0 && random.chance(0.2)) block.push(random.pick(allow));
  return { allow, block };
}

/** Another policy than the one before, mostly near to it. */
export function nextPolicy(world: World, before: Policy): Policy {
  const { random } = world;
  const without = (list: readonly string[]) => list.filter((_, index) => index !== random.below(list.length));
  switch (random.below(9)) {
    case 0:
      return before;
    case 1:
      return { allow: without(before.allow), block: before.block };
    case 2:
      return { allow: before.allow, block: without(before.block) };
    case 3:
      return { allow: before.block, block: before.allow };
    case 4:
      return { allow: before.allow, block: [...before.block, rule(world, { ways: 0.5, ports: 0.5 })] };
    case 5: {
      const bare = (list: readonly string[]) => list.map((text) => text.replace(/^(in|out) +/, ""));
      return { allow: bare(before.allow), block: bare(before.block) };
    }
    case 6:
      return { allow: [], block: [] };
    default:
      return somePolicy(world);
  }
}

/** A policy that lets nearly everything pass: stateful, by port, or neither. */
export function openPolicy(world: World): Policy {
  const allow = world.random.pick([
    ["out 0.0.0.0/0", "in 0.0.0.0/0"],
    ["0.0.0.0/0", "in @host:1"],
    ["out 0.0.0.0/0"],
    ["0.0.0.0/0"],
    ["0.0.0.0/0"],
    ["0.0.0.0/0", "10.0.0.0/8:9"],
  ]);
  return { allow, block: [] };
}
