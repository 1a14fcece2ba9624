/** Neighbour discovery to the VM, but for router advertisements (docs/guard-ipv6.md, Neighbour discovery). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, join, word } from "../support.ts";
import {
  ALL_NODES,
  ANY,
  address6,
  Bench6,
  icmpv6,
  inbound,
  LINK,
  naIn,
  nsDad,
  nsIn,
  OTHER,
  OTHER_LINK,
  OTHER_MAC,
  OWN,
  ROUTER,
  ROUTER_MAC,
  rs,
  SECOND,
  solicited,
  sourceLink,
  TENTATIVE,
  targetLink,
  tcp6,
} from "./support.ts";

const ANSWERS = 3 * SECOND;
/** Another machine's duplicate address detection. */
const dadIn = (target: string, words = {}): Uint8Array => nsIn({ source: ANY, target, ...words });

test("S8 router solicitations and redirects to the VM drop; form comes first", () => {
  const bench = new Bench6().start();
  bench.dropsIn("icmpv6.type", rs({ source: OTHER_LINK, from: OTHER_MAC }));
  const redirect = join(word(0), address6(OTHER, OTHER));
  const words = inbound({ source: ROUTER, hops: 255 });
  bench.dropsIn("icmpv6.router", icmpv6(137, redirect, words));
  bench.dropsIn(
    "nd.format",
    icmpv6(137, redirect, { ...words, hops: 64 }),
    icmpv6(137, redirect.subarray(0, 35), words),
  );
  bench.dropsIn("nd.checksum", icmpv6(137, redirect, { ...words, wrong: 1 }), nsIn({ wrong: 1 }), naIn({ wrong: 1 }));
});

test("S3 the neighbours' own discovery passes", () => {
  const bench = new Bench6().start();
  bench.passesIn(nsIn(), nsIn({ options: sourceLink(OTHER_MAC) }), nsIn({ destination: OWN }), nsIn({ target: OTHER }));
  bench.passesIn(naIn(), naIn({ destination: OWN, flags: 0x60 }), dadIn(OTHER));
});

test("S3 form of solicitations and advertisements (RFC 4861 7.1)", () => {
  const bench = new Bench6().start();
  bench.dropsIn(
    "nd.format",
    dadIn(OTHER, { options: sourceLink(OTHER_MAC) }),
    dadIn(OTHER, { destination: ALL_NODES }),
  );
  bench.dropsIn("nd.target", nsIn({ target: "ff02::1" }), dadIn("ff02::1"));
  bench.dropsIn("nd.format", naIn({ target: "ff02::1" }), naIn({ flags: 0x60 }));
});

test("S3 nobody else has the VM's addresses", () => {
  const bench = new Bench6().start();
  bench.wait(ANSWERS + 1);
  bench.dropsIn("nd.conflict", nsIn({ source: OWN, target: OTHER }), nsIn({ source: LINK, target: OWN }));
  bench.dropsIn("nd.conflict", naIn({ target: OWN }), naIn({ target: LINK, from: ROUTER_MAC }));
  bench.passesOut(tcp6());
});

test("S6 the VM defends a valid address itself: another's detection of it passes", () => {
  const bench = new Bench6().start();
  bench.wait(ANSWERS + 1);
  bench.passesIn(dadIn(OWN), dadIn(LINK), dadIn(OWN), dadIn(OWN), dadIn(OWN));
  assert.deepEqual(bench.addresses, [OWN, LINK].toSorted());
});

test("S6 a claim passes as an answer within 3 s, at most 4 at once, and ends no valid address", () => {
  const bench = new Bench6().start();
  bench.wait(60 * SECOND);
  bench.passesOut(nsDad(OWN));
  bench.wait(ANSWERS);
  for (let count = 0; count < 4; count++) bench.passesIn(naIn({ target: OWN }));
  bench.dropsIn("nd.conflict", naIn({ target: OWN }));
  assert.ok(bench.addresses.includes(OWN));
  bench.wait(SECOND);
  bench.dropsIn("nd.conflict", naIn({ target: OWN }));
  bench.passesOut(nsDad(OWN));
  bench.passesIn(naIn({ target: OWN }));
  bench.dropsIn("nd.conflict", naIn({ target: OWN }));
});

test("S6 after 3 s and a microsecond nothing is an answer", () => {
  const bench = new Bench6().start();
  bench.passesOut(nsDad(OWN));
  bench.wait(ANSWERS + 1);
  bench.dropsIn("nd.conflict", naIn({ target: OWN }));
});

test("S6 an answer ends a tentative address: by advertisement, by detection at the same time, by a claim of its source", () => {
  for (const frame of [naIn({ target: OTHER }), dadIn(OTHER), nsIn({ source: OTHER, target: OWN })]) {
    const bench = new Bench6().start();
    const changes = bench.changes.length;
    bench.passesOut(nsDad(OTHER));
    bench.wait(TENTATIVE - 1);
    bench.passesIn(frame);
    bench.wait(1);
    assert.deepEqual(bench.addresses, [OWN, LINK].toSorted());
    bench.dropsOut("ipv6.source", tcp6({ source: OTHER }));
    assert.equal(bench.changes.length, changes);
  }
});

test("S3 the router's address is spoken for from its MAC alone", () => {
  const bench = new Bench6().start();
  bench.passesIn(nsIn({ source: ROUTER, from: ROUTER_MAC, options: sourceLink(ROUTER_MAC) }));
  bench.dropsIn("nd.router", nsIn({ source: ROUTER }), nsIn({ source: ROUTER, options: sourceLink(ROUTER_MAC) }));
  bench.dropsIn("nd.router", nsIn({ source: ROUTER, from: ROUTER_MAC, options: sourceLink(OTHER_MAC) }));
  const answer = { source: ROUTER, target: ROUTER, destination: LINK, flags: 0xe0 };
  bench.passesIn(naIn({ ...answer, from: ROUTER_MAC }), naIn({ ...answer, from: ROUTER_MAC, options: bytes() }));
  bench.dropsIn("nd.router", naIn(answer), naIn({ ...answer, options: targetLink(ROUTER_MAC) }));
  bench.dropsIn("nd.router", naIn({ ...answer, from: ROUTER_MAC, options: targetLink(OTHER_MAC) }));
  bench.dropsIn("nd.router", naIn({ ...answer, options: bytes(), destination: ALL_NODES, flags: 0x20 }));
});

test("S3 so are the router's other addresses; while its MAC is not known nobody's is it", () => {
  const bench = new Bench6({ hostAddresses6: ["2001:db8:1::1"], router6: ROUTER });
  bench.detect(LINK);
  const claims = [
    naIn({ target: "2001:db8:1::1", from: ROUTER_MAC }),
    nsIn({ source: "2001:db8:1::1", from: ROUTER_MAC, target: LINK }),
    nsIn({ source: ROUTER, from: ROUTER_MAC, target: LINK }),
  ];
  bench.dropsIn("nd.router", ...claims);
  const known = new Bench6({ hostAddresses6: ["2001:db8:1::1"], router6: ROUTER, router6MacAddress: ROUTER_MAC });
  known.detect(LINK);
  known.passesIn(...claims);
  known.dropsIn("nd.router", naIn({ target: "2001:db8:1::1" }), nsIn({ source: "2001:db8:1::1", target: LINK }));
  known.dropsOut("nd.target", nsDad("2001:db8:1::1"));
});

test("S6 a claim of the VM's tentative address that the router check drops ends nothing and takes no token", () => {
  const bench = new Bench6().start();
  bench.passesOut(nsDad(OTHER));
  bench.dropsIn("nd.format", naIn({ target: OTHER, flags: 0x60 }), dadIn(OTHER, { destination: solicited(OWN) }));
  bench.wait(TENTATIVE);
  assert.ok(bench.addresses.includes(OTHER));
});
