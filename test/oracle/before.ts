/** What a softnet may know of before and of others: a binding to go on with, and addresses that other VMs hold. */
import type { GuardOptions, RestoredAddress } from "../../src/guard/types.ts";
import type { World } from "./world.ts";

const SECOND = 1_000_000;

/** Options that some sessions have. With a restored binding, the VM of that world believes in it. */
export function before(world: World): Partial<GuardOptions> {
  const { random } = world;
  const restored = random.chance(0.2) ? kept(world) : undefined;
  return {
    ...(restored && { restored: { addresses: [restored] } }),
    ...(random.chance(0.15) && { heldElsewhere: registry(world) }),
  };
}

function kept(world: World): RestoredAddress {
  const { random, server } = world;
  const odd = random.chance(0.3);
  const address = odd && random.chance(0.3) ? world.someAddress() : world.lastAddress;
  const seconds = random.pick([...world.leases, 3600]);
  const ends = seconds === 0xffffffff ? Number.POSITIVE_INFINITY : world.now + seconds * SECOND;
  const dnsServers = odd ? Array.from({ length: random.below(11) }, () => world.impostor()) : world.dnsServers;
  const netmask = 2 ** 32 - 2 ** (32 - world.subnet.length);
  world.tell(...dnsServers.slice(0, 8));
  if (!world.static) {
    world.address = address;
    world.lastAddress = address;
    world.leaseEnd = ends;
  }
  return {
    family: "ipv4",
    address,
    server: odd && random.chance(0.6) ? random.pick([world.impostor(), 0, random.pick(world.servers).id]) : server.id,
    expiry: odd && random.chance(0.2) ? random.pick([0, -1, Number.NaN, world.now]) : ends,
    netmask: odd ? random.pick([0, netmask, 0xffffff01, 0xfffffffc, 0xffffffff]) : netmask,
    router: odd ? random.pick([0, world.impostor(), world.gateway, world.hostAddress()]) : world.gateway,
    dnsServers,
    ...(random.chance(0.9) && { acknowledged: acknowledged(world, odd) }),
  };
}

function acknowledged(world: World, odd: boolean): NonNullable<RestoredAddress["acknowledged"]> {
  const { random, server, identifier } = world;
  return {
    source: odd && random.chance(0.3) ? random.pick([0, world.hostAddress()]) : server.source,
    sourceMac: Number.parseInt(server.mac.replaceAll(":", ""), 16),
    ...(identifier.length > 0 && { clientIdentifier: identifier }),
  };
}

/** Holds few of the addresses that servers here like to give, and cannot be asked about another one. */
function registry(world: World): (address: number) => boolean {
  const held = new Set([world.hostAddress(), ...(world.random.chance(0.3) ? [world.lastAddress] : [])]);
  const unknown = world.random.chance(0.3) ? world.hostAddress() : undefined;
  return (address) => {
    if (address === unknown) throw new Error("the registry cannot be read");
    return held.has(address);
  };
}
