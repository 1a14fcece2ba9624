/**
 * What BPF_PROG_TEST_RUN cannot give, at real interfaces: places of checksums, large frames, tags, packets whose bytes are
 * not in one piece, and where frames come out. Each frame goes through the lane, and once more with the lane closed: what
 * arrives at the other side is the same, byte for byte, cut and with its checksums completed. And ordinary ones do pass there.
 *
 * SOFTNET_LANE_OFFLOADS=1000000 SOFTNET_LANE_SEED=7 node scripts/test.ts test/lane/offloads.test.ts
 */
import assert from "node:assert/strict";
import { after, before, suite, type TestContext, test } from "node:test";
import { WITH_IPV6 } from "../../scripts/bytecode.ts";
import type { LaneCode } from "../../src/lane/relay-tap.ts";
import { OTHER, OWN } from "../guard/ipv6/support.ts";
import { Dice, type Offered, offer } from "../ports/offload-talk.ts";
import { enterFreshNamespace } from "../support/namespace.ts";
import { LONG_LIMIT } from "../support/patience.ts";
import { needs, needsTun } from "../support/tools.ts";
import { needsLane } from "./support/kernel-lane.ts";
import { MUTANTS, type Mutant, type RealFrames } from "./support/mutants.ts";
import { MUTANTS_6 } from "./support/mutants-6.ts";
import { compileMutant } from "./support/mutate.ts";
import { CASES, type Case, fromDhcpPort, LONG_CASES, opening } from "./support/offload-cases.ts";
import { CASES_6, fromDhcpv6Port, LONG_CASES_6, opening6 } from "./support/offload-cases-6.ts";
import { WireComposite } from "./support/wire-composite.ts";
import { Wires } from "./support/wires.ts";

const FRAMES = Number(process.env.SOFTNET_LANE_OFFLOADS ?? 15_000);
const SEED = Number(process.env.SOFTNET_LANE_SEED ?? 1);
const ACK = 0x10;

const skip = { ...needs("ip", "bridge"), ...needsTun(), ...needsLane() };
const NAME = "lane";
/** Bytes of the MTU, so that what is not cut is longer than a page. */
const LONG = 9000;
const IPV6 = { ipv6: true, address6: OWN, allow: ["out [::/0]:443", "in [::/0]:80"], block: [] };
/** The VM may be spoken to from any port. */
const ANYONE = { allow: ["0.0.0.0/0"] };
const ANYONE_6 = { ...IPV6, allow: ["::/0"] };

let leave = (): void => {};
before(() => {
  if (skip.skip === undefined) leave = enterFreshNamespace();
});
after(() => leave());

function withWires(run: (wires: Wires) => void, code?: LaneCode, mtu?: number, ipv6?: boolean): void {
  const wires = new Wires(NAME, code, mtu, ipv6);
  try {
    run(wires);
  } finally {
    wires.close(NAME);
  }
}

const playOrdinary = (wires: Wires): void => playCases(new WireComposite(wires), CASES, opening);
const playLong = (wires: Wires): void => playCases(new WireComposite(wires, { mtu: LONG }), LONG_CASES, opening);
const playOrdinary6 = (wires: Wires): void => playCases(new WireComposite(wires, IPV6), CASES_6, opening6);
const playLong6 = (wires: Wires): void =>
  playCases(new WireComposite(wires, { ...IPV6, mtu: LONG }), LONG_CASES_6, opening6);

function playCases(composite: WireComposite, cases: readonly Case[], openingOf: () => readonly Offered[]): void {
  const open = (): void => {
    for (const offered of openingOf()) composite.step(offered);
  };
  open();
  for (const { name, offered, express } of cases) {
    let passed = false;
    try {
      passed = composite.step(offered);
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`);
    }
    if (express !== undefined) assert.equal(passed, express, name);
    open(); // the guard may have taken the case for an end
  }
  composite.checkCounts();
}

function playDhcpPorts(wires: Wires): void {
  const composite = new WireComposite(wires, ANYONE);
  const passed = [0, 0, 0, 1000].map((size) => composite.step(fromDhcpPort(size)));
  assert.deepEqual(passed, [false, false, true, false]);
}

function playDhcpv6Ports(wires: Wires): void {
  const composite = new WireComposite(wires, ANYONE_6);
  for (const port of [546, 547]) {
    const passed = [0, 0, 0, 1000].map((size) => composite.step(fromDhcpv6Port(port, size)));
    assert.deepEqual(passed, [false, false, true, false], `${port}`);
  }
}

/** Where it is not by the ordinary cases. */
const HOW: Partial<Record<RealFrames, readonly [(wires: Wires) => void, number?]>> = {
  "DHCP's ports": [playDhcpPorts],
  "short linear part": [playLong, LONG],
};

/** The same of IPv6. */
const HOW_6: typeof HOW = { "DHCP's ports": [playDhcpv6Ports], "short linear part": [playLong6, LONG] };

/** Where a frame has its protocol and, of TCP, its flags. */
const PLACES = { 4: { protocol: 23, flags: 47 }, 6: { protocol: 20, flags: 67 } } as const;

function fuzz(t: TestContext, wires: Wires, version: 4 | 6): void {
  const composite = new WireComposite(wires, version === 6 ? { ...IPV6, block: [`${OTHER}/128`] } : {});
  const dice = new Dice(SEED);
  const { protocol, flags } = PLACES[version];
  for (let index = 0; index < FRAMES; index++) {
    const offered = offer(dice, version);
    const { direction, header, frame } = offered;
    // Most segments end no connection.
    if (frame[protocol] === 6 && frame.length > flags && dice.chance(95)) frame[flags] = (frame[flags]! & 0xe8) | ACK;
    try {
      composite.step(offered);
    } catch (cause) {
      const [one, other] = [header, frame].map((part) => Buffer.from(part).toString("hex").slice(0, 200));
      throw new Error(`seed ${SEED}, frame ${index}, ${direction}: ${one} ${other}`, { cause });
    }
  }
  composite.checkCounts();
  t.diagnostic(
    `${composite.frames} frames, ${composite.express} passed in the kernel, ${composite.large} of them large`,
  );
  assert.ok(composite.express > FRAMES / 10 && composite.large > FRAMES / 30, "few frames passed in the kernel");
}

suite("the lane and what a sender leaves to do", { ...skip, ...LONG_LIMIT }, () => {
  test("L11 what the kernel passes arrives as what the guard passes: places of checksums, large frames, tags, padding", () =>
    withWires(playOrdinary));

  test("what the kernel has not in one piece passes all the same", () => withWires(playLong, undefined, LONG));

  test("L11 the same of IPv6: places of checksums, large frames, tags, padding", () =>
    withWires(playOrdinary6, undefined, undefined, true));

  test("what the kernel has not in one piece of IPv6 passes all the same", () =>
    withWires(playLong6, undefined, LONG, true));

  test("large UDP from DHCP's port is left to the guard, which drops it: frame.offload", () =>
    withWires(playDhcpPorts));

  test("large UDP from DHCPv6's ports is left to the guard, which drops it: frame.offload", () =>
    withWires(playDhcpv6Ports, undefined, undefined, true));

  for (const version of [4, 6] as const) {
    test(`L11 ${FRAMES.toLocaleString("en")} hostile headers of IPv${version} arrive as without the lane`, (t) =>
      withWires((wires) => fuzz(t, wires, version), undefined, undefined, version === 6));
  }

  for (const [mutants, ipv6] of [
    [MUTANTS, false],
    [MUTANTS_6, true],
  ] as const) {
    for (const mutant of mutants.filter(isForRealFrames)) {
      test(`real frames find it (${mutant.finder}): ${mutant.name}`, needs("clang"), (t) => {
        const code = compileMutant(mutant, ...(ipv6 ? [WITH_IPV6] : []));
        const how = (ipv6 ? HOW_6 : HOW)[mutant.finder as RealFrames];
        const [play, mtu] = how ?? [ipv6 ? playOrdinary6 : playOrdinary];
        assert.throws(
          () => withWires(play, code, mtu, ipv6),
          (error: Error) => {
            t.diagnostic(error.message.slice(0, 160));
            return true;
          },
        );
      });
    }
  }
});

function isForRealFrames({ finder }: Mutant): boolean {
  return finder !== undefined && !["sessions", "verifier", "flow in change"].includes(finder);
}
