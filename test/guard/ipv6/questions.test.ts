/** What softnet itself asks (docs/guard-ipv6.md, What softnet asks). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIPv6 } from "../../../src/wire/ipv6-address.ts";
import { hex } from "../support.ts";
import { ANY, Bench6, GLOBAL6, LINK, na, naIn, ns, nsDad, OTHER, OWN, ra, SECOND, TENTATIVE, tcp6 } from "./support.ts";

const IDLE = 300 * SECOND;
const asking = (options = {}): Bench6 => new Bench6({ ask: true, ...options });
/** The same, past the questions for a router. */
const started = (options = {}): Bench6 => {
  const bench = asking(options).start();
  assert.equal(bench.questions().length, 0);
  return bench;
};
const hexOf = (frame: Uint8Array): string => Buffer.from(frame).toString("hex");

test("a router solicitation from ::, byte by byte: at once, and twice more, 4 s apart", () => {
  const bench = asking();
  assert.equal(bench.guard.deadline, 0);
  const [first, ...more] = bench.questions();
  assert.deepEqual(more, []);
  assert.deepEqual(
    first,
    hex(`333300000002 7e1a00000001 86dd 60000000 0008 3a ff 00000000000000000000000000000000
      ff020000000000000000000000000002 8500 7bb8 00000000`),
  );
  assert.equal(bench.guard.deadline, bench.now + 4 * SECOND);
  bench.wait(4 * SECOND - 1);
  assert.deepEqual(bench.questions(), []);
  bench.wait(1);
  assert.deepEqual(bench.questions(), [first]);
  bench.wait(100 * SECOND);
  assert.deepEqual(bench.questions(), [first]);
  bench.wait(100 * SECOND);
  assert.deepEqual(bench.questions(), []);
  assert.equal(bench.guard.deadline, Number.POSITIVE_INFINITY);
});

test("no router is looked for where one advertises itself, the network gave a prefix, or nothing is to be asked", () => {
  const found = asking();
  found.passesIn(ra());
  assert.deepEqual(found.questions(), []);
  assert.deepEqual(asking({ prefix6: "fd00:1:2:3::/64" }).questions(), []);
  assert.deepEqual(new Bench6().questions(), []);
  assert.equal(asking({ router6: "fe80::1" }).questions().length, 1);
});

test("S5 a frame from an address that may be the VM's drops, and softnet asks whether somebody has it", () => {
  const bench = started();
  bench.dropsOut("ipv6.source", tcp6({ source: OTHER }));
  bench.dropsOut("ipv6.tentative", tcp6({ source: OTHER }));
  assert.deepEqual(bench.questions(), [nsDad(OTHER)]);
  assert.deepEqual(bench.questions(), []);
  bench.wait(TENTATIVE - 1);
  bench.dropsOut("ipv6.tentative", tcp6({ source: OTHER }));
  bench.wait(1);
  bench.passesOut(tcp6({ source: OTHER }));
  assert.equal(bench.bound6(OTHER)!.origin, "slaac");
});

test("S5 a solicitation from such an address does so, too, also while the VM has none", () => {
  const bench = asking();
  bench.questions();
  bench.dropsOut("nd.source", ns());
  assert.deepEqual(bench.questions(), [nsDad(LINK)]);
  bench.wait(TENTATIVE);
  assert.deepEqual(bench.addresses, [LINK]);
});

test("S5 nothing is asked for an address that cannot be the VM's, for other reasons to drop, and without the option", () => {
  const bench = started();
  bench.dropsOut(
    "ipv6.source",
    tcp6({ source: "2001:db8:2::5" }),
    tcp6({ source: GLOBAL6 }),
    tcp6({ source: "fe80::1" }),
  );
  bench.dropsOut("nd.target", na({ target: OTHER }));
  bench.dropsOut("nd.source", na({ source: OTHER }));
  assert.deepEqual(bench.questions(), []);
  const silent = new Bench6().start();
  silent.dropsOut("ipv6.source", tcp6({ source: OTHER }), tcp6({ source: OTHER }));
  assert.deepEqual(silent.questions(), []);
});

test("S5 an address is not valid before 500 ms after its question was sent", () => {
  const bench = started();
  bench.dropsOut("ipv6.source", tcp6({ source: OTHER }));
  bench.wait(10 * SECOND);
  bench.dropsOut("ipv6.tentative", tcp6({ source: OTHER }));
  assert.equal(bench.questions().length, 1);
  bench.wait(TENTATIVE - 1);
  bench.dropsOut("ipv6.tentative", tcp6({ source: OTHER }));
  bench.wait(1);
  bench.passesOut(tcp6({ source: OTHER }));
});

test("S6 an answer to softnet's own question drops, and the address ends", () => {
  for (const frame of [naIn({ target: OTHER }), ns({ source: ANY, target: OTHER, from: "02:00:00:00:00:99" })]) {
    const bench = started();
    bench.dropsOut("ipv6.source", tcp6({ source: OTHER }));
    bench.questions();
    bench.dropsIn("nd.conflict", frame);
    bench.wait(TENTATIVE);
    assert.ok(!bench.addresses.includes(OTHER));
  }
});

test("S6 where the VM asks as well, the answer is for the VM", () => {
  const bench = started();
  bench.dropsOut("ipv6.source", tcp6({ source: OTHER }));
  bench.passesOut(nsDad(OTHER));
  assert.deepEqual(bench.questions(), []);
  bench.passesIn(naIn({ target: OTHER }));
  bench.wait(TENTATIVE);
  assert.ok(!bench.addresses.includes(OTHER));
});

test("S11 four questions wait at most; each takes a token of new addresses, before the registry is asked", () => {
  const asked: bigint[] = [];
  const bench = started({
    heldElsewhere6: (address: bigint) => {
      asked.push(address);
      return address >> 16n === parseIPv6("2001:db8:1::bad:0")! >> 16n;
    },
  });
  const nth = (index: number): string => `2001:db8:1::${index + 0x100}`;
  for (let index = 0; index < 4; index++) bench.out(tcp6({ source: nth(index) }));
  bench.dropsOut("ipv6.source", tcp6({ source: nth(4) }), tcp6({ source: nth(4) }));
  assert.equal(bench.questions().length, 4);
  bench.wait(100 * SECOND);
  asked.length = 0;
  for (let index = 0; index < 100; index++) bench.dropsOut("ipv6.source", tcp6({ source: "2001:db8:1::bad:1" }));
  assert.equal(asked.length, 32);
  bench.dropsOut("nd.address-rate", nsDad(nth(9)));
});

test("an idle address is probed after 300, 301 and 302 s, and ends after 303", () => {
  const bench = started();
  bench.wait(IDLE - 1);
  bench.passesOut(tcp6({ source: LINK }));
  assert.deepEqual(bench.probes(), []);
  bench.wait(1);
  // That of the probed address began to count when it became valid.
  const [probe, ...more] = bench.probes();
  assert.deepEqual(more, []);
  assert.deepEqual(
    hexOf(probe!),
    hexOf(
      hex(`3333ff000005 020000000000 86dd 60000000 0018 3a ff 00000000000000000000000000000000
        ff0200000000000000000001ff000005 8700 4ce4 00000000 20010db8000100000000000000000005`),
    ),
  );
  assert.equal(bench.guard.deadline, bench.now + SECOND);
  bench.wait(SECOND - 1);
  assert.deepEqual(bench.probes(), []);
  bench.wait(1);
  assert.deepEqual(bench.probes(), [probe]);
  bench.wait(SECOND);
  assert.deepEqual(bench.probes(), [probe]);
  bench.wait(SECOND - 1);
  assert.ok(bench.addresses.includes(OWN));
  assert.deepEqual(bench.probes(), []);
  bench.wait(1);
  assert.deepEqual(bench.addresses, [LINK]);
});

test("a VM that defends the address keeps it, for another 300 s", () => {
  const bench = started();
  bench.wait(IDLE + 2 * SECOND);
  bench.probes();
  bench.passesOut(na({ source: LINK, target: OWN, destination: "ff02::1", flags: 0x20 }));
  bench.wait(IDLE - 1);
  assert.deepEqual(bench.probes().length, 0);
  bench.wait(1);
  assert.ok(bench.probes().length > 0);
  assert.ok(bench.addresses.includes(OWN));
});

test("the last link-local address is probed as well, and stays", () => {
  const bench = asking();
  bench.detect(LINK);
  for (const _ of [1, 2, 3]) bench.questions();
  bench.wait(IDLE);
  const probes = [];
  for (let second = 0; second < 10; second++) {
    probes.push(...bench.probes());
    bench.wait(SECOND);
  }
  assert.equal(probes.length, 3);
  assert.deepEqual(bench.addresses, [LINK]);
});

test("without the option nothing is probed, and nothing is due but ends", () => {
  const bench = new Bench6().start();
  assert.equal(bench.guard.deadline, bench.now + IDLE);
  bench.wait(IDLE);
  assert.deepEqual(bench.probes(), []);
});
