/** IPv6 addresses in registrations beside each other: first come first served, and what the next softnet finds. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { readHolders } from "../../src/registry/holders.ts";
import { formatAddress } from "../../src/wire/ipv6-address.ts";
import {
  ADDRESS,
  ADDRESS_6,
  Bench,
  boundIPv6,
  LINK_LOCAL,
  learn6,
  leased,
  MINUTE,
  NETWORK,
  ONLY_LINUX,
  OTHER_ADDRESS_6,
  OTHER_VM,
  VM,
} from "./support.ts";

const SECOND = 1_000_000;
const SECOND_NETWORK = "bridge br1";
const never = Number.POSITIVE_INFINITY;

/** A clock that a test moves: microseconds beyond the real one, of both kinds. */
function movable(bench: Bench) {
  const { system } = bench;
  const state = { ahead: 0 };
  const change = {
    sinceBoot: () => system.sinceBoot() + state.ahead,
    now: () => system.now() + Math.floor(state.ahead / 1000),
  };
  return { state, change };
}

test("D6 an IPv6 address that a live softnet's VM has is held, for others and on its network only", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open6();
  const second = bench.open6(OTHER_VM);
  assert.ok(learn6(first, boundIPv6(ADDRESS_6)));
  assert.ok(learn6(first, boundIPv6(LINK_LOCAL)));
  assert.ok(bench.learn(first), "beside IPv4's");
  assert.equal(second.isHeldElsewhere6(ADDRESS_6), true);
  assert.equal(second.isHeldElsewhere6(LINK_LOCAL), true);
  assert.equal(second.isHeldElsewhere(ADDRESS), true);
  assert.equal(second.isHeldElsewhere6(OTHER_ADDRESS_6), false);
  assert.equal(bench.open6(OTHER_VM, SECOND_NETWORK).isHeldElsewhere6(ADDRESS_6), false);
  assert.equal(first.isHeldElsewhere6(ADDRESS_6), false, "its own");
  first.follow({ kind: "lost", bound: boundIPv6(ADDRESS_6), why: "expired" });
  const third = bench.open6(OTHER_VM + 1);
  assert.equal(third.isHeldElsewhere6(ADDRESS_6), true, "first asked for it again, which is a claim");
  assert.equal(third.isHeldElsewhere6(LINK_LOCAL), true, "the others stay");
});

test("D6 while an IPv6 address is tentative no other VM gets it, and only for some seconds", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const { state, change } = movable(bench);
  const first = bench.open6(VM, NETWORK, change);
  const second = bench.open6(OTHER_VM, NETWORK, change);
  assert.equal(first.isHeldElsewhere6(ADDRESS_6), false);
  assert.equal(first.isHeldElsewhere6(OTHER_ADDRESS_6), false, "several at once");
  assert.ok(bench.learn(first), "a change of another address keeps the claims");
  state.ahead = 2 * SECOND;
  assert.equal(second.isHeldElsewhere6(ADDRESS_6), true);
  assert.equal(second.isHeldElsewhere6(OTHER_ADDRESS_6), true);
  first.follow({ kind: "learned", bound: boundIPv6(ADDRESS_6) });
  state.ahead = 60 * SECOND;
  assert.equal(second.isHeldElsewhere6(ADDRESS_6), true, "it became the VM's");
  assert.equal(second.isHeldElsewhere6(OTHER_ADDRESS_6), false, "it did not");
});

test(
  "D6 of VMs that lose a claim nothing stays; twenty claims at once are too many to have one more",
  ONLY_LINUX,
  (t) => {
    const bench = new Bench(t);
    const first = bench.open6();
    const second = bench.open6(OTHER_VM);
    const third = bench.open6(OTHER_VM + 1);
    assert.ok(learn6(first, boundIPv6(ADDRESS_6)));
    assert.equal(second.isHeldElsewhere6(ADDRESS_6), true);
    first.follow({ kind: "lost", bound: boundIPv6(ADDRESS_6), why: "expired" });
    assert.equal(third.isHeldElsewhere6(ADDRESS_6), false);
    for (let number = 1n; number <= 20n; number++) assert.equal(second.isHeldElsewhere6(LINK_LOCAL + number), false);
    assert.throws(() => second.isHeldElsewhere6(LINK_LOCAL + 21n), RangeError, "which the guard takes for held");
  },
);

test("D6 an address that became the VM's long after its claim was over is another's: an error", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const { state, change } = movable(bench);
  const stopped = bench.open6(VM, NETWORK, change);
  const other = bench.open6(OTHER_VM, NETWORK, change);
  assert.equal(stopped.isHeldElsewhere6(ADDRESS_6), false);
  assert.equal(stopped.isHeldElsewhere6(OTHER_ADDRESS_6), false);
  state.ahead = 60 * SECOND;
  assert.ok(learn6(other, boundIPv6(ADDRESS_6)));
  assert.throws(() => stopped.follow({ kind: "learned", bound: boundIPv6(ADDRESS_6) }), /2001:db8:77::5/);
  stopped.follow({ kind: "learned", bound: boundIPv6(OTHER_ADDRESS_6) }); // nobody has it
  assert.equal(other.isHeldElsewhere6(OTHER_ADDRESS_6), true);
});

test("D28 the next softnet goes on with all IPv6 addresses: origins, leases and ends", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open6();
  const dhcpv6 = boundIPv6(OTHER_ADDRESS_6, leased(bench.system));
  for (const bound of [boundIPv6(LINK_LOCAL), boundIPv6(ADDRESS_6), dhcpv6]) assert.ok(learn6(first, bound));
  assert.ok(bench.learn(first));
  first.close();
  const other = bench.open6(OTHER_VM);
  assert.equal(other.isHeldElsewhere6(ADDRESS_6), false, "an ended softnet holds nothing");
  const second = bench.open6(VM);
  assert.equal(second.restored?.address, ADDRESS);
  const own = boundIPv6(LINK_LOCAL);
  assert.deepEqual(second.restored6, [own, dhcpv6]);
  assert.deepEqual(second.notRestored6, [
    { address: ADDRESS_6, why: "another softnet's VM has the address now" }, // claimed just now
  ]);
  assert.equal(bench.files().length, 2, "the earlier record is gone");
  assert.equal(other.isHeldElsewhere6(OTHER_ADDRESS_6), true, "they are held again");
  assert.equal(second.begin6([own]), undefined); // the guard did not accept the other
  assert.equal(other.isHeldElsewhere6(OTHER_ADDRESS_6), false);
});

test("D28 what is over is not gone on with: a lease, and 300 s later what SLAAC gave", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const { state, change } = movable(bench);
  const first = bench.open6(VM, NETWORK, change);
  assert.ok(learn6(first, boundIPv6(ADDRESS_6)));
  const ends = { ...leased(bench.system), expiry: bench.system.sinceBoot() + 10 * MINUTE };
  assert.ok(learn6(first, boundIPv6(OTHER_ADDRESS_6, ends)));
  first.close();
  const shown = () => readHolders({ ...bench.system, ...change }).map(({ address }) => formatAddress(address));
  assert.deepEqual(shown(), ["2001:db8:77::5", "2001:db8:77::6"]);
  state.ahead = 5 * MINUTE + SECOND;
  assert.deepEqual(shown(), ["2001:db8:77::6"]);
  const second = bench.open6(VM, NETWORK, change);
  assert.deepEqual(
    second.restored6.map(({ address }) => address),
    [OTHER_ADDRESS_6],
  );
  assert.deepEqual(second.notRestored6, [{ address: ADDRESS_6, why: "its lease is over" }]);
  second.close();
  state.ahead = 11 * MINUTE;
  assert.deepEqual(shown(), []);
  bench.open6(OTHER_VM, NETWORK, change);
  assert.equal(bench.files().length, 1, "and its record is swept");
});

test(
  "D28 a softnet without IPv6 goes on with the IPv4 address alone, one with IPv6 with a record of before",
  ONLY_LINUX,
  (t) => {
    const bench = new Bench(t);
    const first = bench.open6();
    assert.ok(learn6(first, boundIPv6(ADDRESS_6)));
    assert.ok(bench.learn(first));
    first.close();
    const second = bench.open();
    assert.equal(second.restored?.address, ADDRESS);
    assert.deepEqual([second.restored6, second.notRestored6], [[], []]);
    assert.throws(() => second.follow({ kind: "learned", bound: boundIPv6(ADDRESS_6) }), /without --ipv6/);
    const [name] = bench.files();
    assert.equal(statSync(`${bench.directory}/${name}`).size, 2048);
    assert.equal(bench.open6(OTHER_VM).isHeldElsewhere(ADDRESS), true, "each knows the other's version");
    second.close();
    assert.equal(bench.open6().restored?.address, ADDRESS);
  },
);

test("D6 a static IPv6 address is held like any other, and no record remains of it", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open6();
  const second = bench.open6(OTHER_VM);
  const fixed = boundIPv6(ADDRESS_6, { origin: "static" });
  assert.equal(first.begin6([fixed]), undefined);
  assert.equal(second.begin6([fixed]), ADDRESS_6);
  first.close();
  assert.equal(second.begin6([fixed]), undefined);
  second.close();
  assert.deepEqual(bench.files(), []);
});

test("what an address is changes with DHCPv6, which stays one address", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open6();
  assert.ok(learn6(first, boundIPv6(ADDRESS_6)));
  first.follow({ kind: "renewed", bound: boundIPv6(ADDRESS_6, leased(bench.system)) });
  const holders = readHolders(bench.system);
  assert.deepEqual(
    holders.map(({ address, origin, state }) => [address, origin, state]),
    [[ADDRESS_6, "dhcpv6", "live"]],
  );
  assert.notEqual(holders[0]!.expires, never);
});

test("a record shrinks and grows with the VM's addresses, and others read it at any time", ONLY_LINUX, (t) => {
  const bench = new Bench(t);
  const first = bench.open6();
  const many = Array.from({ length: 20 }, (_, index) => boundIPv6(ADDRESS_6 + BigInt(index), leased(bench.system)));
  for (let round = 0; round < 3; round++) {
    for (const bound of many) assert.ok(learn6(first, bound));
    assert.equal(readHolders(bench.system).length, 20);
    for (const bound of many) first.follow({ kind: "lost", bound, why: "expired" });
    assert.equal(readHolders(bench.system).length, 0);
  }
});
