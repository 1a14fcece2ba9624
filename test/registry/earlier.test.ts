/** Which of the networks that a VM had before a softnet that is started again should choose. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { earlierNetworks } from "../../src/registry/earlier.ts";
import { parseIPv6 } from "../../src/wire/ipv6-address.ts";
import { Bench, boundIPv6, LINK_LOCAL, learn6, MINUTE, ONLY_LINUX, OTHER_VM, VM } from "./support.ts";

const FIRST = "nat 10.1.2.0/30";
const SECOND = "nat 10.1.2.4/30";
const UNIQUE_LOCAL = parseIPv6("fd12:3456:789a:5::7")!;

test(
  "the subnet of the newest softnet that has ended, with an IPv6 address that is not link-local",
  ONLY_LINUX,
  (t) => {
    const bench = new Bench(t);
    const { system } = bench;
    assert.deepEqual(earlierNetworks(system, "nat", VM), []);
    const first = bench.open(VM, FIRST);
    bench.learn(first);
    assert.deepEqual(earlierNetworks(system, "nat", VM), [], "its softnet runs");
    first.close();
    const second = bench.open6(VM, SECOND);
    bench.learn(second);
    learn6(second, boundIPv6(LINK_LOCAL));
    learn6(second, boundIPv6(UNIQUE_LOCAL));
    second.close();
    assert.deepEqual(earlierNetworks(system, "nat", VM), [
      { subnet: "10.1.2.4/30", address6: UNIQUE_LOCAL },
      { subnet: "10.1.2.0/30", address6: undefined },
    ]);
    assert.deepEqual(earlierNetworks(system, "host", VM), []);
    assert.deepEqual(earlierNetworks(system, "nat", OTHER_VM), []);
  },
);

test("a VM that had IPv6 only has its networks again, while one of its addresses counts", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const { system } = bench;
  const before = bench.open6(VM, FIRST);
  learn6(before, boundIPv6(LINK_LOCAL));
  learn6(before, boundIPv6(UNIQUE_LOCAL));
  before.close();
  assert.deepEqual(earlierNetworks(system, "nat", VM), [{ subnet: "10.1.2.0/30", address6: UNIQUE_LOCAL }]);
  const later = { ...system, sinceBoot: () => system.sinceBoot() + 10 * MINUTE };
  assert.deepEqual(earlierNetworks(later, "nat", VM), []);
});
