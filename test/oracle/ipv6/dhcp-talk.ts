/** Conversations of DHCPv6 for the comparison of the two guards. */
import { be16, join } from "../build.ts";
import { addressOption, association, message6, option6, statusOption } from "./build.ts";
import { address6, addressBytes, multicastMac } from "./bytes.ts";
import { detect } from "./nd-frames.ts";
import { NOTABLE6, type World6 } from "./world.ts";

type Scenario = (world: World6) => void;
type Bytes = Uint8Array | readonly number[];

const ALL_SERVERS = address6("ff02::1:2");

export const DHCP_SCENARIOS: readonly [Scenario, number][] = [
  [whole, 10],
  [renewing, 8],
  [givingUp, 5],
  [declining, 2],
  [rapid, 4],
  [asking, 4],
  [registering, 3],
  [rogue, 6],
  [manyTransactions, 1.5],
  [manyIdentities, 1.5],
  [dhcpFlood, 0.6],
  [manyAssigned, 2.5],
  [outliving, 4],
  [manyServers, 1],
  [askingAgain, 3],
  [oddDhcp, 8],
];

/** Servers by number: DUID and source. */
const serverOf = (world: World6, index: number) => ({
  duid: new Uint8Array([0, 1, index]),
  source: [world.router.address, address6("fe80::d"), world.prefixes[0]! + 0xdn][index % 3]!,
});

const client = (world: World6): Uint8Array => option6(1, world.duid);
const server = (world: World6, index: number): Uint8Array => option6(2, serverOf(world, index).duid);

function fromVm(
  world: World6,
  type: number,
  xid: number,
  options: readonly Bytes[],
  more: { to?: bigint; from?: bigint } = {},
) {
  const data = message6(type, xid, ...options);
  world.udp(true, more.from ?? world.linkLocal, more.to ?? ALL_SERVERS, [546, 547], data);
}

function toVm(
  world: World6,
  index: number,
  type: number,
  xid: number,
  options: readonly Bytes[],
  more: { to?: bigint } = {},
) {
  const data = message6(type, xid, ...options);
  world.udp(false, serverOf(world, index).source, more.to ?? world.linkLocal, [547, 546], data);
}

const newXid = (world: World6): number => world.random.below(world.random.chance(0.5) ? 12 : 2 ** 24);

function newLease({ random, options6, prefixes }: World6): bigint {
  const fixed = options6.address6;
  if (fixed !== undefined && random.chance(0.6)) return address6(fixed);
  return prefixes[0]! + BigInt(0xd00 + random.below(6));
}

const lifetimes = (world: World6): [number, number] => {
  const valid = world.random.pick([1, 4, 60, 300, 600, 3600, 0xffffffff]);
  return [world.random.chance(0.95) ? Math.min(valid, 100) : valid + 1, valid];
};

/** SOLICIT, ADVERTISE, REQUEST, REPLY. */
export function whole(world: World6): void {
  const { random } = world;
  const index = random.chance(0.8) ? 0 : random.below(3);
  const iaid = random.pick([1, 1, 2, random.below(9)]);
  const kind = random.chance(0.9) ? 3 : 4;
  let xid = newXid(world);
  const asked = [association(kind, iaid), ...(random.chance(0.1) ? [association(25, 7)] : [])];
  fromVm(world, 1, xid, [client(world), ...asked]);
  const address = random.chance(0.85)
    ? newLease(world)
    : random.pick([...NOTABLE6, world.newAddress(), world.router.address]);
  const given = () => association(kind, iaid, addressOption(address, ...lifetimes(world)));
  toVm(world, index, 2, xid, [client(world), server(world, index), given()]);
  if (random.chance(0.2)) toVm(world, index + 1, 2, xid, [client(world), server(world, index + 1), given()]);
  if (random.chance(0.7)) xid = newXid(world);
  fromVm(world, 3, xid, [client(world), server(world, random.chance(0.9) ? index : index + 1), given()]);
  const dns = random.chance(0.4) ? [option6(23, ...world.dns6.slice(0, 2).map(addressBytes))] : [];
  const replies = random.chance(0.9) ? index : index + 1;
  toVm(world, replies, 7, xid, [client(world), server(world, replies), given(), ...dns, ...status(world)]);
  if (random.chance(0.2)) toVm(world, replies, 7, xid, [client(world), server(world, replies), given()]);
  world.leased = { address, iaid, server: index };
  world.learnOwn(address);
}

const status = (world: World6): Uint8Array[] =>
  world.random.chance(0.85) ? [] : [statusOption(world.random.pick([0, 1, 2, 3]))];

const leased = (world: World6) => world.leased ?? { address: newLease(world), iaid: 1, server: 0 };

/** RENEW, REBIND or CONFIRM, and what comes back. */
function renewing(world: World6): void {
  const { random } = world;
  if (random.chance(0.3)) whole(world);
  const lease = leased(world);
  if (random.chance(0.5)) world.toBound(1, 4, 60, 300, 600);
  const type = random.pick([5, 5, 6, 6, 4]);
  const names = type === 5 ? [server(world, random.chance(0.9) ? lease.server : lease.server + 1)] : [];
  const xid = newXid(world);
  const to = type === 5 && random.chance(0.3) ? serverOf(world, lease.server).source : ALL_SERVERS;
  const iaid = random.chance(0.95) ? lease.iaid : lease.iaid + 1;
  fromVm(world, type, xid, [client(world), ...names, association(3, iaid, addressOption(lease.address, 0, 0))], { to });
  const by = random.chance(0.85) ? lease.server : random.below(3);
  const [preferred, valid] = random.chance(0.25) ? [0, 0] : lifetimes(world);
  const inner = addressOption(lease.address, preferred, valid, ...status(world));
  const second = random.chance(0.2) ? [addressOption(newLease(world), 10, 600)] : [];
  const giving = random.chance(0.9) ? lease.iaid : lease.iaid + 1;
  const reply = association(3, giving, inner, ...second, ...status(world));
  toVm(world, by, 7, xid, [client(world), server(world, by), reply, ...status(world)]);
}

function givingUp(world: World6): void {
  const { random } = world;
  const lease = leased(world);
  const type = random.pick([8, 9]);
  const xid = newXid(world);
  const other = newXid(world);
  if (random.chance(0.4)) fromVm(world, 6, other, [client(world), association(3, lease.iaid)]);
  for (let count = random.pick([1, 1, 1, 4]); count > 0; count--) {
    const iaid = random.chance(0.9) ? lease.iaid : 77;
    const named = random.chance(0.8) ? [addressOption(lease.address, 0, 0)] : [];
    const from = random.chance(0.95) ? world.linkLocal : random.pick(world.own);
    const to = random.chance(0.8) ? ALL_SERVERS : serverOf(world, lease.server).source;
    const names = server(world, random.chance(0.9) ? lease.server : 9);
    fromVm(world, type, xid, [client(world), names, association(3, iaid, ...named)], { from, to });
    toVm(world, lease.server, 7, xid, [
      client(world),
      server(world, random.chance(0.9) ? lease.server : 9),
      statusOption(0),
    ]);
    if (random.chance(0.4)) world.toBound(600, 60);
  }
  const given = association(3, lease.iaid, addressOption(lease.address, 10, 600));
  if (random.chance(0.4)) toVm(world, lease.server, 7, other, [client(world), server(world, lease.server), given]);
}

/** One DECLINE after the other, up to the bound. */
function declining(world: World6): void {
  const { random } = world;
  for (let count = 0; count < 4; count++) {
    const xid = newXid(world);
    const address = world.prefixes[0]! + BigInt(0xdd0 + count);
    fromVm(world, 6, xid, [client(world), association(3, 1)]);
    const named = [client(world), server(world, 0), association(3, 1, addressOption(address, 10, 600))];
    toVm(world, 0, 7, xid, named);
    fromVm(world, 9, xid, named);
    if (random.chance(0.15)) world.toBound(600, 300);
  }
}

/** SOLICIT and REPLY with Rapid Commit in both, or not. */
function rapid(world: World6): void {
  const { random } = world;
  const xid = newXid(world);
  const commit = () => (random.chance(0.85) ? [option6(14)] : []);
  fromVm(world, 1, xid, [client(world), ...commit(), association(3, 1)]);
  const address = newLease(world);
  const given = association(3, 1, addressOption(address, ...lifetimes(world)));
  toVm(world, 0, 7, xid, [client(world), server(world, 0), ...commit(), given]);
  if (random.chance(0.3)) toVm(world, 1, 7, xid, [client(world), server(world, 1), ...commit(), given]);
  if (random.chance(0.2)) toVm(world, 1, 2, xid, [client(world), server(world, 1), given]);
  world.leased = { address, iaid: 1, server: 0 };
  world.learnOwn(address);
}

/** INFORMATION-REQUEST. */
function asking(world: World6): void {
  const { random } = world;
  const xid = newXid(world);
  const identity = random.chance(0.7) ? [client(world)] : [];
  fromVm(world, 11, xid, [...identity, ...(random.chance(0.2) ? [server(world, 0)] : [])]);
  const count = random.pick([1, 2, 10]);
  const dns = Array.from({ length: count }, (_, at) =>
    random.chance(0.8) ? world.dns6[at % 4]! + BigInt(at) : random.pick(NOTABLE6),
  );
  const back = random.chance(0.9) ? identity : [option6(1, [1, 2])];
  toVm(world, 0, 7, xid, [
    ...back,
    server(world, 0),
    option6(23, ...dns.map(addressBytes), random.chance(0.1) ? [1] : []),
  ]);
  world.udp(true, random.pick(world.own), random.pick(dns), [5000, 53], new Uint8Array(2));
}

/** ADDR-REG-INFORM (RFC 9686). */
function registering(world: World6): void {
  const { random } = world;
  const xid = newXid(world);
  const address = random.pick(world.own);
  const from = random.chance(0.9) ? address : random.pick(world.own);
  const inner = () => addressOption(address, 100, 200);
  const wrapped = random.chance(0.9) ? [inner()] : random.pick([[], [inner(), inner()], [association(3, 1, inner())]]);
  fromVm(world, 36, xid, [...(random.chance(0.8) ? [client(world)] : []), ...wrapped], { from });
  toVm(world, 0, random.chance(0.9) ? 37 : 7, xid, [client(world), inner()], {
    to: random.chance(0.9) ? address : world.linkLocal,
  });
}

/** Answers to nothing, to others, of other kinds. */
function rogue(world: World6): void {
  const { random } = world;
  const xid = newXid(world);
  const type = random.pick([1, 3, 5, 6, 4, 11]);
  const names = type === 3 || type === 5 ? [server(world, 0)] : [];
  if (random.chance(0.8)) fromVm(world, type, xid, [client(world), ...names, association(3, 1)]);
  const identity = random.chance(0.75) ? client(world) : option6(1, [9, 9, 9]);
  const iaid = random.chance(0.8) ? 1 : 2;
  const address = random.chance(0.7) ? newLease(world) : random.pick(NOTABLE6);
  const given = association(random.chance(0.9) ? 3 : 4, iaid, addressOption(address, ...lifetimes(world)));
  const by = random.below(3);
  const reply = [identity, ...(random.chance(0.9) ? [server(world, by)] : []), given];
  const to = random.chance(0.9) ? world.linkLocal : random.pick(world.own);
  toVm(world, by, random.pick([7, 7, 7, 2, 10, 13, 37]), random.chance(0.9) ? xid : xid + 1, reply, { to });
  const [from, into] = random.pick([
    [547, 546],
    [546, 546],
    [546, 548],
    [5000, 547],
    [547, 5000],
  ] as const);
  if (random.chance(0.3))
    world.udp(random.chance(0.5), random.pick(world.own), world.router.address, [from, into], new Uint8Array(8));
}

function manyTransactions(world: World6): void {
  const { random } = world;
  for (let xid = 100; xid < 112; xid++) {
    fromVm(world, random.pick([1, 6]), xid, [client(world), association(3, 1)]);
    if (random.chance(0.3))
      toVm(world, 0, 7, random.between(100, xid), [client(world), server(world, 0), association(3, 1)]);
    // Once more, so that the order of their last messages is another than that of their first.
    if (random.chance(0.3)) {
      const again = random.between(100, xid);
      fromVm(world, 6, again, [client(world), association(3, 1)]);
      toVm(world, 0, 7, again, [client(world), server(world, 0), association(3, 1)]);
    }
    if (random.chance(0.15)) world.toBound(60);
  }
  for (let count = 4; count > 0; count--)
    toVm(world, 0, 7, random.between(100, 111), [client(world), server(world, 0), association(3, 1)]);
}

function manyIdentities(world: World6): void {
  const { random } = world;
  for (let iaid = 20; iaid < 31; iaid++) {
    const ias = Array.from({ length: random.pick([1, 1, 2, 3]) }, (_, more) =>
      association(random.pick([3, 4, 25]), iaid + more),
    );
    fromVm(world, 1, 5, [client(world), ...ias]);
    if (random.chance(0.15)) world.toBound(600);
  }
  // Old ones and new ones together.
  for (let count = 3; count > 0; count--) {
    if (random.chance(0.4)) world.toBound(600);
    const ias = Array.from({ length: random.between(2, 8) }, () => association(3, random.between(22, 40)));
    fromVm(world, 1, 5, [client(world), ...ias]);
  }
}

function dhcpFlood(world: World6): void {
  const { now } = world;
  for (let count = 0; count < 56; count++) {
    world.now = now + count;
    fromVm(world, 1, 5, [client(world), association(3, 1)]);
  }
}

/** One REPLY with more addresses than there are places. */
function manyAssigned(world: World6): void {
  const { random } = world;
  const xid = newXid(world);
  fromVm(world, 6, xid, [client(world), association(3, 1)]);
  const first = random.pick([0xe00, 0xe08, 0xe10]);
  const addresses = Array.from(
    { length: random.pick([10, 16, 17]) },
    (_, index) => world.prefixes[0]! + BigInt(first + index * 16),
  );
  const given = association(
    3,
    1,
    ...addresses.map((address) => addressOption(address, 10, random.pick([60, 600, 3600]))),
  );
  toVm(world, 0, 7, xid, [client(world), server(world, 0), given]);
  for (const address of addresses.slice(0, 2)) world.learnOwn(address);
  if (random.chance(0.7)) detect(world, world.newAddress());
  if (random.chance(0.4)) world.udp(true, world.newAddress(), world.remotes6[0]!, [5000, 443], new Uint8Array(3));
  world.leased = { address: addresses[0]!, iaid: 1, server: 0 };
}

/** Packets to addresses whose leases are over, to more than are remembered, and to one that is the VM's again. */
function outliving(world: World6): void {
  const { random } = world;
  const first = world.prefixes[0]! + BigInt(0xd00 + random.below(4) * 0x100);
  const addresses: bigint[] = [];
  for (let count = random.pick([1, 1, 2]); count > 0; count--) {
    const xid = newXid(world);
    fromVm(world, 6, xid, [client(world), association(3, 1)]);
    const given = Array.from(
      { length: random.pick([1, 2, 15, 16]) },
      (_, index) => first + BigInt(addresses.length + index),
    );
    const options = given.map((address) => addressOption(address, 1, 4));
    toVm(world, 0, 7, xid, [client(world), server(world, 0), association(3, 1, ...options)]);
    addresses.push(...given);
    world.toBound(4);
  }
  if (random.chance(0.3)) detect(world, random.pick(addresses));
  for (const address of [addresses[0]!, random.pick(addresses), addresses.at(-1)!]) {
    world.udp(false, random.pick(world.remotes6), address, [5000, 443], new Uint8Array(3));
    if (random.chance(0.3)) world.icmp(false, random.pick(world.remotes6), address, 128, new Uint8Array([0, 1, 0, 1]));
  }
}

/** One SOLICIT that more servers answer than are remembered, and a REQUEST to one of them. */
function manyServers(world: World6): void {
  const { random } = world;
  const xid = newXid(world);
  const asked = association(3, 1, addressOption(newLease(world), 10, 600));
  fromVm(world, 1, xid, [client(world), asked]);
  const count = random.between(8, 11);
  for (let index = 20; index < 20 + count; index++)
    toVm(world, index, 2, xid, [client(world), server(world, index), asked]);
  fromVm(world, 3, xid, [client(world), server(world, random.between(20, 30)), asked]);
}

/** The VM asks again within a transaction that has its REPLY, and another server answers. */
function askingAgain(world: World6): void {
  const { random } = world;
  const xid = newXid(world);
  const asked = association(3, 1, addressOption(newLease(world), 10, 600));
  const type = random.pick([6, 4, 11]);
  for (const index of [0, random.below(2), random.below(2)]) {
    const again = random.chance(0.6) ? type : random.pick([6, 4, 11, 5]);
    if (random.chance(0.85)) {
      const names = again === 5 ? [server(world, index)] : [];
      fromVm(world, again, xid, [client(world), ...names, ...(again === 11 ? [] : [asked])]);
    }
    if (random.chance(0.2)) world.toBound(60);
    toVm(world, index, 7, xid, [client(world), server(world, index), ...(again === 11 ? [] : [asked])]);
  }
}

/** Messages that can be read in two ways, or not at all; and other types. */
function oddDhcp(world: World6): void {
  const { random } = world;
  const lease = leased(world);
  const inner = addressOption(lease.address, 1, 2);
  const odd: readonly Bytes[] = random.pick([
    [client(world), client(world)],
    [option6(1)],
    [option6(1, random.bytes(random.pick([130, 131])))],
    [client(world), option6(3, [0, 0, 0, 1])],
    [client(world), option6(25, new Uint8Array(random.pick([4, 11, 12])))],
    [client(world), inner],
    [client(world), association(3, 1, association(3, 2))],
    [client(world), association(3, 1, addressOption(lease.address, 1, 2, inner))],
    [client(world), association(3, 1, option6(13, [0]))],
    [client(world), option6(13, [0])],
    [
      client(world),
      ...Array.from({ length: random.between(8, 9) }, (_, iaid) => association(random.pick([3, 4, 25]), iaid)),
    ],
    [client(world), association(3, 1, ...Array.from({ length: random.between(16, 17) }, () => inner))],
    [client(world), [0, 8, 0]],
    [client(world), join(be16(8), be16(9), [1])],
    [client(world), association(3, 1, [0, 5, 0])],
    [client(world), association(3, 1, option6(5, new Uint8Array(23)))],
    [client(world), server(world, 0), association(3, 1)],
    [association(3, 1)],
    [client(world)],
  ] as Bytes[][]);
  const type = random.pick([1, 1, 3, 4, 5, 6, 8, 9, 11, 2, 7, 10, 12, 36, 37, 0]);
  if (random.chance(0.75)) {
    fromVm(
      world,
      type,
      newXid(world),
      odd,
      random.chance(0.1) ? { to: random.pick([world.router.address, address6("ff05::1:3")]) } : {},
    );
    return;
  }
  const xid = newXid(world);
  fromVm(world, 6, xid, [client(world), association(3, 1)]);
  toVm(world, 0, random.pick([7, 2, type]), xid, [...odd, server(world, 0)]);
  if (random.chance(0.2)) {
    const headers = {
      headers: [{ number: 44, bytes: [0, 0, 0, 1, 0, 0, 0, 1] }],
      ethernetDestination: multicastMac(ALL_SERVERS),
    };
    world.udp(true, world.linkLocal, ALL_SERVERS, [546, 547], new Uint8Array(16), headers);
  }
}
