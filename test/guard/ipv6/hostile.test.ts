/** Whatever a VM or a machine on its segment sends: nothing throws, no table grows, and no address is the VM's that cannot be. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FrameView } from "../../../src/wire/frame-view.ts";
import { formatIPv6 } from "../../../src/wire/ipv6-address.ts";
import { bytes, SECOND } from "../support.ts";
import {
  Bench6,
  clientId,
  dhcp6,
  dhcp6In,
  dnsOption,
  iaAddress,
  iaNa,
  icmpv6,
  inbound,
  LINK,
  mld,
  na,
  naIn,
  ns,
  nsDad,
  nsIn,
  OWN,
  prefixOption,
  ra,
  rs,
  serverId,
  sum6,
  tcp6,
  udp6,
} from "./support.ts";

const EVERY: readonly Uint8Array[] = [
  ns(),
  nsDad(OWN),
  nsDad(LINK),
  na(),
  rs(),
  ra(),
  ra({ options: dnsOption(60, "fd00::53") }),
  ra({ options: prefixOption("2001:db8:7::") }),
  nsIn(),
  naIn({ target: OWN }),
  mld(130),
  mld(143),
  dhcp6(1, [clientId(), iaNa(7)]),
  dhcp6(6, [clientId(), iaNa(7, iaAddress(OWN))]),
  dhcp6In(7, [clientId(), serverId(), iaNa(7, iaAddress("2001:db8:1::1000"))]),
  icmpv6(1, ra().subarray(14), inbound()),
  icmpv6(128, bytes(0, 1, 0, 1)),
  tcp6(),
  udp6(40_000, 53, bytes(1)),
];

/** The same with some bytes changed, and the checksum of ICMPv6 or UDP behind a plain header made right again. */
function bent(frame: Uint8Array, changes: readonly (readonly [number, number])[], mends: boolean): Uint8Array {
  const copy = frame.slice();
  for (const [at, value] of changes) copy[at % copy.length] = value;
  const protocol = copy[20]!;
  const checksum = protocol === 58 ? 56 : 60;
  if (!mends || (protocol !== 58 && protocol !== 17) || copy.length < checksum + 2) return copy;
  copy.set([0, 0], checksum);
  const text = (at: number): string =>
    formatIPv6(BigInt(`0x${Buffer.from(copy.subarray(at, at + 16)).toString("hex")}`));
  const sum = sum6(protocol, copy.subarray(54), { source: text(22), destination: text(38) });
  copy.set([sum >>> 8, sum & 255], checksum);
  return copy;
}

const OPTIONS = [{}, { ask: true }, { address6: OWN, reject: true }, { block: ["::/0"], allow: ["in 2001:db8::/32"] }];

test("S4 S9 changed and random frames in both directions: nothing throws, state keeps its bounds", () => {
  const step = fc.record({
    frame: fc.oneof(
      fc.constantFrom(...EVERY),
      fc
        .uint8Array({ minLength: 40, maxLength: 200 })
        .map((raw) => Uint8Array.from([...ns().subarray(0, 14), 0x60, ...raw])),
    ),
    changes: fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }),
    mends: fc.boolean(),
    out: fc.boolean(),
    wait: fc.constantFrom(0, 0, 0, 1, 500_000, SECOND, 61 * SECOND, 400 * SECOND),
  });
  fc.assert(
    fc.property(fc.constantFrom(...OPTIONS), fc.array(step, { minLength: 1, maxLength: 60 }), (options, steps) => {
      const bench = new Bench6(options);
      const out = new Uint8Array(2000);
      const view = new FrameView();
      for (const { frame, changes, mends, out: egress, wait } of steps) {
        bench.wait(wait);
        const hostile = bent(frame, changes, mends);
        view.read(hostile, 0, hostile.length);
        const verdict = egress ? bench.guard.judgeEgress(view) : bench.guard.judgeIngress(view);
        if (egress && verdict !== 0) assert.ok(bench.guard.answer(view, verdict, out, 0) <= 1294);
        const { ipv6 } = bench.guard.binding;
        assert.ok(ipv6.length <= 20);
        for (const { address } of ipv6) assert.ok(address > 1n && address >> 120n !== 0xffn, formatIPv6(address));
        assert.ok(bench.questions().length <= 7);
        assert.ok(bench.probes().length <= 60);
        assert.ok(bench.guard.deadline > bench.now, "nothing is due once all was done");
      }
    }),
    { numRuns: 400 },
  );
});

test("S4 every beginning of every kind of frame, in both directions", () => {
  const bench = new Bench6().start();
  for (const frame of EVERY) {
    for (let length = 0; length < frame.length; length++) {
      bench.dropsOut(bench.out(frame.subarray(0, length)), frame.subarray(0, length));
      bench.in(frame.subarray(0, length));
    }
  }
  assert.ok(bench.addresses.includes(OWN));
});

test("S5 S6 no frame from the network makes an address the VM's, or ends a valid one, but DHCPv6 that it asked for", () => {
  const bench = new Bench6().start();
  const before = bench.addresses;
  for (const frame of EVERY) {
    for (const from of ["02:00:00:00:00:64", "02:00:00:00:00:99"]) {
      const copy = frame.slice();
      copy.set(
        from.split(":").map((part) => Number.parseInt(part, 16)),
        6,
      );
      bench.in(copy);
    }
  }
  bench.wait(SECOND);
  assert.deepEqual(bench.addresses, before);
});

test("S11 a thousand advertisements with a thousand prefixes, servers and routers cost no more than the first", () => {
  const bench = new Bench6().start();
  for (let index = 0; index < 1000; index++) {
    const nth = index.toString(16);
    bench.in(ra({ options: prefixOption(`2001:db8:${nth}::`) }));
    bench.in(ra({ options: dnsOption(600, `fd00::${nth}`) }));
    bench.in(ra({ source: `fe80::${nth}:1`, from: "02:00:00:00:00:99" }));
  }
  let open = 0;
  for (let index = 0; index < 1000; index++) {
    if (bench.out(udp6(40_000, 53, bytes(1), { destination: `fd00::${index.toString(16)}` })) === "pass") open++;
  }
  assert.equal(open, 8);
});
