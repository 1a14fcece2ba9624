/** A binding is a set of addresses: what it holds, and that it can be given to another guard. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createGuard } from "../../src/index.ts";
import { parseIPv4 } from "../../src/wire/address.ts";
import { ADDRESS, Bench, Client, GATEWAY, VM } from "./support.ts";

test("a binding is empty before DHCP, has one IPv4 address after it, and none after its RELEASE", () => {
  const bench = new Bench();
  const before = bench.guard.binding;
  bench.bind();
  const bound = bench.guard.binding;
  bench.passesOut(new Client().release(ADDRESS, GATEWAY));
  assert.deepEqual(before, { addresses: [], ipv4: undefined, ipv6: [] });
  assert.equal(bound.ipv4?.address, parseIPv4(ADDRESS), "what was read stays as it was");
  assert.deepEqual(bound.addresses, [bound.ipv4]);
  assert.deepEqual(bench.guard.binding, before);
});

test("a binding that was read cannot be changed", () => {
  const { binding } = createGuard({ macAddress: VM, address: ADDRESS });
  assert.throws(() => Object.assign(binding, { ipv4: undefined }), TypeError);
  assert.throws(() => Object.assign(binding.addresses, { length: 0 }), TypeError);
});

test("D28 a guard's binding may be given to the next guard as it is; of two IPv4 addresses the first counts", () => {
  const bench = new Bench();
  bench.bind();
  const bound = bench.guard.binding.ipv4;
  const other = { ...bound!, address: parseIPv4("192.168.64.6")! };
  const changed = { addresses: [bound!, other] };
  assert.deepEqual(new Bench({ restored: bench.guard.binding }).guard.binding, bench.guard.binding);
  assert.deepEqual(new Bench({ restored: changed }).guard.binding, bench.guard.binding);
});

test("D28 a restored binding without an address is none", () => {
  assert.deepEqual(new Bench({ restored: { addresses: [] } }).guard.binding.addresses, []);
});
