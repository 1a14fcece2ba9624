/** The VM's addresses, their states and times (docs/guard-ipv6.md, Addresses). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatIPv6, parseIPv6 } from "../../../src/wire/ipv6-address.ts";
import { bytes } from "../support.ts";
import {
  Bench6,
  CLIENT_ID,
  GLOBAL6,
  inbound,
  LINK,
  na,
  ns,
  nsDad,
  OTHER,
  OTHER_LINK,
  OWN,
  PREFIX,
  packet6,
  prefixOption,
  ROUTER,
  ra,
  rs,
  SECOND,
  SERVER_ID,
  TENTATIVE,
  tcp6,
} from "./support.ts";

const at = (index: number): string => `2001:db8:1::${(0x1000 + index).toString(16)}`;
const linkAt = (index: number): string => `fe80::${(0x1000 + index).toString(16)}`;
const IDLE = 300 * SECOND;

test("S5 a packet passes from a valid address only", () => {
  const bench = new Bench6().start();
  bench.passesOut(tcp6(), tcp6({ source: LINK, destination: ROUTER }));
  bench.dropsOut("ipv6.source", tcp6({ source: OTHER }), tcp6({ source: OTHER_LINK }), tcp6({ source: PREFIX }));
});

test("S5 tentative becomes valid after 500 ms, exactly; a second detection changes nothing", () => {
  const bench = new Bench6();
  bench.passesOut(nsDad(LINK));
  bench.wait(200_000);
  bench.passesOut(nsDad(LINK));
  bench.wait(TENTATIVE - 200_000 - 1);
  assert.deepEqual(bench.addresses, []);
  bench.dropsOut("ipv6.tentative", tcp6({ source: LINK }));
  bench.wait(1);
  assert.deepEqual(bench.addresses, [LINK]);
  assert.deepEqual(
    bench.changes.map(({ kind, bound }) => [kind, bound.family, bound.family === "ipv6" && bound.origin]),
    [["learned", "ipv6", "slaac"]],
  );
  assert.equal(bench.bound6(LINK)!.expiry, Number.POSITIVE_INFINITY);
});

test("S5 an address ends 300 s after its last use, exactly", () => {
  const bench = new Bench6().start();
  bench.wait(IDLE - 1);
  assert.deepEqual(bench.addresses, [OWN, LINK].toSorted());
  bench.passesOut(tcp6());
  bench.wait(IDLE - 1);
  assert.deepEqual(bench.addresses, [OWN, LINK].toSorted());
  bench.wait(1);
  assert.deepEqual(bench.addresses, [LINK]);
  bench.dropsOut("ipv6.source", tcp6());
  assert.deepEqual(
    bench.changes
      .filter(({ kind }) => kind === "lost")
      .map((change) => [formatOf(change.bound.address), "why" in change && change.why]),
    [[OWN, "expired"]],
  );
});

const formatOf = (address: number | bigint): string => formatIPv6(BigInt(address));

test("S5 what counts as a use: packets, solicitations, advertisements for it; not what drops, nor what comes in", () => {
  const uses: readonly ((bench: Bench6) => void)[] = [
    (bench) => bench.passesOut(tcp6()),
    (bench) => bench.passesOut(ns({ source: OWN })),
    (bench) => bench.passesOut(na({ source: LINK, target: OWN })),
    (bench) => bench.passesOut(na({ source: OWN, target: LINK })),
    (bench) => bench.passesOut(rs({ source: OWN })),
  ];
  for (const use of uses) {
    const bench = new Bench6().start();
    bench.wait(IDLE - 1);
    use(bench);
    bench.wait(1);
    assert.ok(bench.addresses.includes(OWN), use.toString());
  }
  const bench = new Bench6({ block: ["2606:4700::/32"] }).start();
  bench.wait(IDLE - 1);
  bench.dropsOut("policy.block", tcp6());
  bench.passesIn(tcp6(inbound()));
  bench.passesOut(nsDad(OWN));
  bench.wait(1);
  assert.ok(!bench.addresses.includes(OWN));
});

test("S5 the last valid link-local address stays, however idle; with another one it ends", () => {
  const bench = new Bench6();
  bench.detect(LINK);
  bench.wait(10_000 * SECOND);
  assert.deepEqual(bench.addresses, [LINK]);
  bench.passesOut(nsDad(OTHER_LINK));
  bench.wait(TENTATIVE - 1);
  assert.deepEqual(bench.addresses, [LINK]);
  bench.wait(1);
  assert.deepEqual(bench.addresses, [OTHER_LINK]);
});

test("S11 four link-local addresses: a further one takes the place of the one unused for longest", () => {
  const bench = new Bench6();
  for (let index = 0; index < 4; index++) bench.detect(linkAt(index));
  bench.passesOut(tcp6({ source: linkAt(0) }));
  bench.wait(1);
  bench.passesOut(nsDad(linkAt(4)));
  assert.deepEqual(bench.addresses, [linkAt(0), linkAt(2), linkAt(3)]);
  assert.deepEqual(
    bench.changes
      .filter(({ kind }) => kind === "lost")
      .map((change) => [formatOf(change.bound.address), "why" in change && change.why]),
    [[linkAt(1), "replaced"]],
  );
});

test("S11 sixteen others: a further one takes the place of the one unused for longest, tentative ones too", () => {
  const bench = new Bench6();
  bench.detect(LINK);
  bench.passesIn(ra());
  for (let index = 0; index < 16; index++) bench.detect(at(index));
  assert.equal(bench.addresses.length, 17);
  bench.wait(20 * SECOND);
  bench.passesOut(tcp6({ source: at(0) }));
  bench.passesOut(nsDad(at(16)));
  assert.ok(!bench.addresses.includes(at(1)));
  assert.ok(bench.addresses.includes(at(0)));
  assert.equal(bench.addresses.length, 16);
});

test("S11 new addresses: 32 at once, then one a second", () => {
  const bench = new Bench6();
  bench.passesIn(ra());
  for (let index = 0; index < 32; index++) bench.passesOut(nsDad(at(index)));
  bench.dropsOut("nd.address-rate", nsDad(at(32)));
  // What is there already costs nothing.
  bench.passesOut(nsDad(at(31)));
  bench.wait(SECOND - 1);
  bench.dropsOut("nd.address-rate", nsDad(at(32)));
  bench.wait(1);
  bench.passesOut(nsDad(at(32)));
  bench.dropsOut("nd.address-rate", nsDad(at(33)));
});

test("S5 a prefix that ends takes no address away, and no new one is made in it", () => {
  const bench = new Bench6();
  bench.detect(LINK);
  bench.passesIn(ra({ options: prefixOption(PREFIX, { valid: 10 }) }));
  bench.detect(OWN);
  bench.wait(10 * SECOND - TENTATIVE - 1);
  bench.passesOut(nsDad(at(0)));
  bench.wait(1);
  bench.dropsOut("nd.target", nsDad(at(1)));
  bench.passesOut(tcp6());
});

test("S5 a static address is valid from the start, and the only one beside link-local ones", () => {
  const bench = new Bench6({ address6: OWN });
  assert.deepEqual(bench.addresses, [OWN]);
  assert.equal(bench.bound6(OWN)!.origin, "static");
  bench.passesOut(tcp6(), nsDad(OWN), nsDad(LINK));
  bench.passesIn(ra());
  bench.dropsOut("nd.target", nsDad(OTHER));
  bench.wait(1000 * SECOND);
  assert.ok(bench.addresses.includes(OWN));
});

test("S5 an address in the network's own prefix needs no advertisement", () => {
  const bench = new Bench6({ prefix6: "fd00:1:2:3::/64" });
  bench.detect("fd00:1:2:3::5");
  bench.dropsOut("nd.target", nsDad("fd00:1:2:4::5"), nsDad("fd00:1:2:3::"));
});

test("S5 an address that another VM of this host holds drops, and so it does when that cannot be found out", () => {
  const asked: bigint[] = [];
  const bench = new Bench6({
    heldElsewhere6: (address) => {
      asked.push(address);
      if (address === parseIPv6(OTHER_LINK)) throw new Error("no registry");
      return address === parseIPv6(LINK);
    },
  });
  bench.dropsOut("nd.address-held", nsDad(LINK), nsDad(OTHER_LINK));
  bench.passesOut(nsDad("fe80::7"), nsDad("fe80::7"));
  assert.deepEqual(asked, [parseIPv6(LINK), parseIPv6(OTHER_LINK), parseIPv6("fe80::7")]);
});

const kept = { family: "ipv6", origin: "slaac", expiry: Number.POSITIVE_INFINITY } as const;
const lease = { server: SERVER_ID, client: CLIENT_ID, iaid: 7 };

test("D28 addresses of before are taken up again, valid at once and not reported", () => {
  const dhcp = { ...kept, origin: "dhcpv6" as const, expiry: 2e15, lease, address: parseIPv6(OTHER)! };
  const restored = {
    addresses: [{ ...kept, address: parseIPv6(LINK)! }, { ...kept, address: parseIPv6(OWN)! }, dhcp],
  };
  const bench = new Bench6({ restored });
  assert.deepEqual(
    bench.guard.binding.ipv6.map(({ address, origin, expiry }) => [formatIPv6(address), origin, expiry]),
    [
      [LINK, "slaac", Number.POSITIVE_INFINITY],
      [OWN, "slaac", Number.POSITIVE_INFINITY],
      [OTHER, "dhcpv6", 2e15],
    ],
  );
  assert.deepEqual(bench.changes, []);
  bench.now = IDLE - 1;
  bench.passesOut(tcp6({ source: OTHER }));
  assert.equal(bench.addresses.length, 3);
  bench.wait(1);
  assert.deepEqual(bench.addresses, [OTHER, LINK].toSorted());
  bench.now = 2e15;
  assert.deepEqual(bench.addresses, [LINK]);
});

test("D28 on a host that has run for long addresses of before live as long as others: they were used when they were taken up", () => {
  const start = 1e12;
  const addresses = [LINK, OWN].map((text) => ({ ...kept, address: parseIPv6(text)! }));
  const bench = new Bench6({ restored: { addresses, time: start } });
  bench.now = start + IDLE - 1;
  assert.deepEqual(bench.addresses, [LINK, OWN].toSorted());
  bench.wait(1);
  assert.deepEqual(bench.addresses, [LINK]);
});

test("D28 what cannot be the VM's is not taken up again", () => {
  const dhcp = { ...kept, origin: "dhcpv6" as const, lease };
  const odd = [
    "ff02::1",
    "::",
    "::1",
    "::ffff:1.2.3.4",
    "::1.2.3.4",
    "64:ff9b::1",
    "2002:102:304::5",
    "2001::5",
    "fe80:1::5",
    "fe80::",
  ];
  const addresses = [
    ...odd.map((text) => ({ ...kept, address: parseIPv6(text)! })),
    { ...kept, address: parseIPv6(ROUTER)! },
    { ...dhcp, address: parseIPv6("fe80::77")! },
    { ...dhcp, address: parseIPv6(OWN)!, expiry: 0 },
    { ...kept, origin: "dhcpv6" as const, address: parseIPv6(OWN)! },
    { ...dhcp, address: parseIPv6(OTHER)!, lease: { ...lease, client: bytes() } },
    { ...kept, origin: "static" as const, address: parseIPv6(OWN)! },
  ];
  assert.deepEqual(new Bench6({ router6: ROUTER, restored: { addresses } }).addresses, []);
  const fixed = new Bench6({ address6: GLOBAL6, restored: { addresses: [{ ...kept, address: parseIPv6(OWN)! }] } });
  assert.deepEqual(fixed.addresses, [GLOBAL6]);
});

test("D28 no more addresses are taken up again than there are places", () => {
  const addresses = Array.from({ length: 40 }, (_, index) => ({
    ...kept,
    address: parseIPv6(index % 2 === 0 ? at(index) : linkAt(index))!,
  }));
  const bench = new Bench6({ restored: { addresses } });
  assert.equal(bench.guard.binding.ipv6.length, 20);
  assert.equal(bench.guard.binding.ipv6.filter(({ address }) => address >> 112n === 0xfe80n).length, 4);
});

test("a fragment to an address that was tentative is of another packet than one to it once it is valid", () => {
  const bench = new Bench6({ allow: ["in ::/0"] }).start();
  const target = "2001:db8:1::77";
  const piece = (offset: number, more: number): Uint8Array =>
    packet6(17, new Uint8Array(24).fill(1), {
      ...inbound({ destination: target }),
      next: 44,
      headers: bytes(17, 0, 0, offset | more, 0, 0, 0, 1),
    });
  bench.passesOut(nsDad(target));
  bench.passesIn(piece(0, 1), piece(24, 1));
  bench.wait(TENTATIVE);
  bench.dropsIn("ipv6.fragment-unknown", piece(48, 0));
  bench.passesIn(piece(0, 1), piece(24, 0));
});
