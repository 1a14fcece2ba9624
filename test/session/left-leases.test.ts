/** Leases that the VM has left for another are given back in its name (finding G16). */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { GuardOptions } from "../../src/index.ts";
import { LeftLeases } from "../../src/session/left-leases.ts";
import { parseMac } from "../../src/wire/address.ts";
import {
  ADDRESS,
  address,
  Bench,
  bytes,
  Client,
  GATEWAY,
  GATEWAY_MAC,
  MINUTE,
  mac,
  Server,
  VM,
} from "../guard/support.ts";

const OTHER = "192.168.64.6";
const client = (xid: number, identifier?: number) =>
  new Client({ xid, ...(identifier !== undefined && { identifier: bytes(0, identifier) }) });

function leaving(options: Partial<GuardOptions> = {}) {
  const leases = new LeftLeases(parseMac(VM)!);
  const bench = new Bench({ onBinding: (change) => leases.follow(change), ...options });
  const out = new Uint8Array(700);
  const released = (): Uint8Array | undefined => {
    const length = leases.take(out, 0);
    return length === 0 ? undefined : out.slice(0, length);
  };
  return { bench, released };
}

const has = (frame: Uint8Array, part: Uint8Array): boolean => Buffer.from(frame).includes(Buffer.from(part));

test("G16 D2 a binding that moves to another address under another client identifier gives the one before back", () => {
  const { bench, released } = leaving();
  bench.bind(ADDRESS, client(1, 1));
  assert.equal(released(), undefined);
  bench.bind(OTHER, client(2, 2));
  const frame = released();
  assert.ok(frame !== undefined);
  assert.deepEqual([...frame.subarray(0, 12)], [...mac(GATEWAY_MAC), ...mac(VM)]);
  assert.deepEqual([...frame.subarray(26, 34)], [...address(ADDRESS, GATEWAY)]);
  assert.deepEqual([...frame.subarray(54, 58)], [...address(ADDRESS)]);
  assert.ok(has(frame, bytes(53, 1, 7)) && has(frame, bytes(61, 2, 0, 1)));
  assert.equal(released(), undefined);
});

test("G16 none and one client identifier are two clients", () => {
  const { bench, released } = leaving();
  bench.bind(ADDRESS, client(1));
  bench.bind(OTHER, client(2, 2));
  const frame = released();
  assert.ok(frame !== undefined && !has(frame, bytes(61, 2, 0)));
});

test("G16 D5 the same client's lease that moves, a lease that ended, and one that goes on under another name are not given back", () => {
  const same = leaving();
  same.bench.bind(ADDRESS, client(1, 1));
  same.bench.bind(OTHER, client(2, 1));
  assert.equal(same.released(), undefined);

  const ended = leaving();
  ended.bench.bind(ADDRESS, client(1, 1), new Server({ lease: 60 }));
  ended.bench.wait(2 * MINUTE);
  ended.bench.bind(OTHER, client(2, 2));
  assert.equal(ended.released(), undefined);

  const again = leaving();
  again.bench.bind(ADDRESS, client(1, 1));
  again.bench.bind(ADDRESS, client(2, 2));
  assert.equal(again.released(), undefined);
});

test("G16 what softnet's own server leases is not given back to it", () => {
  const { bench, released } = leaving({ origin: "served" });
  bench.bind(ADDRESS, client(1, 1));
  bench.bind(OTHER, client(2, 2));
  assert.equal(released(), undefined);
});

test("G16 at most four wait", () => {
  const { bench, released } = leaving();
  for (let step = 0; step < 8; step++) bench.bind(`192.168.64.${20 + step}`, client(step, step % 4));
  let count = 0;
  while (released() !== undefined) count++;
  assert.equal(count, 4);
});

test("an IPv6 address that ends gives nothing back", () => {
  const leases = new LeftLeases(parseMac(VM)!);
  const out = new Uint8Array(700);
  const bound = { family: "ipv6", address: 5n, origin: "dhcpv6", expiry: 1 } as const;
  leases.follow({ kind: "learned", bound });
  leases.follow({ kind: "lost", bound, why: "replaced" });
  leases.follow({ kind: "lost", bound, why: "declined", declined: 5 });
  assert.equal(leases.take(out, 0), 0);
});
