/** A session's part in the registry: what the guard is told at the start, and what the log says of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bindingOf } from "../../src/guard/binding.ts";
import type { Guard } from "../../src/guard/guard.ts";
import type { BoundAddress } from "../../src/guard/types.ts";
import type { Network } from "../../src/networks/network.ts";
import type { Registration } from "../../src/registry/registration.ts";
import { beginWithBinding, registryOptions } from "../../src/session/registry-entry.ts";
import { Log } from "../../src/telemetry/log.ts";
import {
  ADDRESS_6,
  Bench,
  boundIPv6,
  boundOf,
  LINK_LOCAL,
  learn6,
  leased,
  ONLY_LINUX,
  OTHER_ADDRESS,
  OTHER_ADDRESS_6,
  OTHER_VM,
  VM,
} from "../registry/support.ts";

const network = { label: "bridge br0" } as Network;
const guardWith = (...addresses: BoundAddress[]) => ({ binding: bindingOf(addresses) }) as Guard;

function logged() {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): boolean => lines.push(JSON.parse(line)) > 0;
  return { log: new Log({ level: "info", format: "json", write }), lines };
}

function begin(registration: Registration, ...addresses: BoundAddress[]) {
  const { log, lines } = logged();
  beginWithBinding(registration, guardWith(...addresses), network, log);
  return lines.map(({ message, address, origin, why }) => [message, address, origin ?? why]);
}

test("D28 the guard is given the addresses of before, and the log says of each what becomes of it", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const before = bench.open6();
  const lease = boundIPv6(OTHER_ADDRESS_6, leased(bench.system));
  for (const bound of [boundIPv6(LINK_LOCAL), boundIPv6(ADDRESS_6), lease]) assert.ok(learn6(before, bound));
  before.close();
  const other = bench.open6(OTHER_VM);
  assert.ok(learn6(other, boundIPv6(ADDRESS_6)));
  const registration = bench.open6(VM);
  const options = registryOptions(registration, 5);
  assert.deepEqual(options.restored, { addresses: [boundIPv6(LINK_LOCAL), lease], time: 5 });
  assert.equal(options.heldElsewhere6?.(ADDRESS_6), true);
  assert.deepEqual(begin(registration, lease), [
    ["binding restored", "2001:db8:77::6", "dhcpv6"],
    ["the VM's binding of before is not taken up", "2001:db8:77::5", "another softnet's VM has the address now"],
    [
      "the VM's binding of before is not taken up",
      "fe80::7c1a:ff:fe00:1",
      "it could not become the VM's with the options of now",
    ],
  ]);
  assert.equal(other.isHeldElsewhere6(LINK_LOCAL), false);
});

test("D6 a static IPv6 address that another live softnet's VM has is refused in one line", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  assert.ok(learn6(bench.open6(), boundIPv6(ADDRESS_6)));
  const second = bench.open6(OTHER_VM);
  const ipv4 = { ...boundOf(bench.system, OTHER_ADDRESS), origin: "static" as const };
  const fixed = boundIPv6(ADDRESS_6, { origin: "static" });
  assert.throws(
    () => begin(second, ipv4, fixed),
    /^UserError: --vm-ip-address 2001:db8:77::5: another .*; give another$/,
  );
  assert.deepEqual(begin(second, ipv4, { ...fixed, address: OTHER_ADDRESS_6 }), []);
});

test("without IPv6 the guard is told of none, and an IPv4 address is restored as ever", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const before = bench.open6();
  assert.ok(bench.learn(before));
  assert.ok(learn6(before, boundIPv6(ADDRESS_6)));
  before.close();
  const registration = bench.open();
  const options = registryOptions(registration, 5);
  assert.deepEqual(
    options.restored?.addresses.map(({ family }) => family),
    ["ipv4"],
  );
  assert.deepEqual(
    begin(registration, { ...registration.restored!, origin: "snooped" }).map(([message, address]) => [
      message,
      address,
    ]),
    [["binding restored", "10.77.0.5"]],
  );
});
