/** MLD (docs/guard-ipv6.md, MLD). */
import { test } from "node:test";
import { bytes, join } from "../support.ts";
import {
  ALL_NODES,
  ALL_ROUTERS,
  ANY,
  Bench6,
  icmpv6,
  LINK,
  mld,
  type NdWords,
  OTHER_LINK,
  OTHER_MAC,
  OWN,
  routerAlert,
  SECOND,
  VM,
} from "./support.ts";

const REPORTS = [131, 132, 143];
const mldIn = (type: number, words: NdWords = {}): Uint8Array =>
  mld(type, { source: OTHER_LINK, from: OTHER_MAC, ...words });

test("S8 MLD of the VM's: reports from its link-local address or ::, never a query", () => {
  const bench = new Bench6().start();
  for (const type of REPORTS) {
    bench.passesOut(mld(type), mld(type, { source: ANY }));
    bench.dropsOut("mld.addresses", mld(type, { source: OWN }), mld(type, { source: OTHER_LINK }));
    bench.dropsOut("mld.addresses", mld(type, { destination: ALL_NODES }));
  }
  bench.dropsOut("mld.addresses", mld(131, { target: "ff02::5", destination: "ff02::6" }));
  bench.dropsOut("mld.addresses", mld(131, { target: OWN }), mld(143, { destination: ALL_ROUTERS }));
  bench.dropsOut("mld.query", mld(130));
});

test("S8 an MLD report comes from :: before the VM has an address, and from a link-local one only once it is the VM's", () => {
  const bench = new Bench6();
  bench.passesOut(mld(143, { source: ANY }), mld(131, { source: ANY }));
  bench.dropsOut("mld.addresses", mld(143));
});

test("S8 form, both ways: hop limit 1, Router Alert of value 0 and nothing else, code 0, checksum, length", () => {
  const bench = new Bench6().start();
  const both = (reason: string, type: number, words: NdWords): void => {
    if (type !== 130) bench.dropsOut(reason, mld(type, words));
    bench.dropsIn(reason, mldIn(type, words));
  };
  for (const type of [130, ...REPORTS]) {
    both("mld.format", type, { hops: 255 });
    both("mld.format", type, { hops: 255, wrong: 1 });
    both("mld.format", type, { code: 1 });
    both("mld.format", type, { next: 58, headers: bytes() });
    both("mld.format", type, { next: 0, headers: bytes(58, 0, 1, 4, 0, 0, 0, 0) });
    both("mld.format", type, { next: 0, headers: routerAlert(58, 1) });
    both("mld.format", type, { next: 0, headers: join(routerAlert(60), bytes(58, 0, 1, 4, 0, 0, 0, 0)) });
    both("mld.checksum", type, { wrong: 1 });
  }
  const words = { source: LINK, destination: ALL_ROUTERS, hops: 1, next: 0, headers: routerAlert() };
  bench.dropsOut("mld.format", icmpv6(132, bytes(...new Array<number>(19).fill(0)), words));
  // Another order of the same options.
  bench.passesOut(mld(143, { headers: bytes(58, 0, 1, 0, 5, 2, 0, 0) }));
});

test("S8 MLD to the VM: from a link-local address, reports from :: too, to a group or an address of the VM's", () => {
  const bench = new Bench6().start();
  for (const type of [130, ...REPORTS]) bench.passesIn(mldIn(type), mldIn(type, { destination: LINK, to: VM }));
  bench.passesIn(mldIn(131, { source: ANY }), mldIn(143, { source: ANY }));
  bench.dropsIn("mld.addresses", mldIn(130, { source: ANY }), mldIn(132, { source: ANY }));
  for (const type of [130, ...REPORTS]) {
    bench.dropsIn("mld.addresses", mldIn(type, { source: OWN }));
    bench.dropsIn("mld.addresses", mldIn(type, { destination: OTHER_LINK, to: VM }));
  }
});

test("S11 MLD shares the bucket of neighbour discovery", () => {
  const bench = new Bench6().start();
  bench.wait(10 * SECOND);
  for (let count = 0; count < 200; count++) bench.passesOut(mld(143));
  bench.dropsOut("nd.rate", mld(143), mld(131, { source: ANY }));
  bench.wait(20_000);
  bench.passesOut(mld(143));
});
