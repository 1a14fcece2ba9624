/**
 * softnet attached to a TAP that the test holds as a hypervisor does: what a VM leaves to do (checksums at any place, large
 * frames, tags) arrives with the express lane as without it, byte for byte, and ordinary frames do pass in the lane.
 */
import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import { OWN } from "../guard/ipv6/support.ts";
import { ADDRESS, GATEWAY, VM } from "../guard/support.ts";
import { CASES, type Case, opening } from "../lane/support/offload-cases.ts";
import { CASES_6, opening6 } from "../lane/support/offload-cases-6.ts";
import type { Offered } from "../ports/offload-talk.ts";
import { LIMIT } from "../support/patience.ts";
import { ControlPath } from "./harness/control.ts";
import { Softnet } from "./harness/softnet.ts";
import { Lab, labNeeds } from "./harness/topology.ts";
import { VM_TAP, WireEnds } from "./harness/wire-ends.ts";

interface Played {
  /** By the case's name. */
  readonly arrived: Readonly<Record<string, readonly string[]>>;
  /** What `status` says of the lane. */
  readonly lane: { readonly state: string; readonly egress?: Passed; readonly ingress?: Passed };
}

interface Passed {
  readonly frames: number;
  readonly bytes: number;
}

interface Family {
  readonly cases: readonly Case[];
  /** Opens the flows of the cases. */
  readonly opening: () => readonly Offered[];
  readonly args: readonly string[];
}

const FAMILIES: Readonly<Record<string, Family>> = {
  IPv4: { cases: CASES, opening, args: ["--vm-ip-address", ADDRESS] },
  IPv6: { cases: CASES_6, opening: opening6, args: ["--ipv6", "--vm-ip-address", `${ADDRESS},${OWN}`] },
};

/** Shows every case to a softnet. */
async function play(t: TestContext, family: Family, ...more: readonly string[]): Promise<Played> {
  const { cases, opening: openingOf, args } = family;
  const lab = Lab.open(t);
  const namespace = lab.namespace("wires");
  const ends = new WireEnds(namespace);
  t.after(() => ends.close());
  const control = new ControlPath(lab);
  const known = ["--vm-mac-address", VM, "--gateway", GATEWAY, ...args];
  const softnet = Softnet.start(lab, namespace, ["attach", VM_TAP, ...known, ...control.options, ...more]);
  await softnet.ready();
  const client = await control.client();
  t.after(() => client.close());
  const open = async (): Promise<void> => {
    for (const offered of openingOf()) await ends.pass(offered);
  };
  await open();
  const arrived: Record<string, readonly string[]> = {};
  for (const { name, offered, group } of cases) {
    arrived[name] = await ends.pass(offered);
    // Some of these are taken for the end of a connection.
    if (group === "places of checksums") await open();
  }
  const { lane } = (await client.ask("softnet.status")) as unknown as Played;
  await softnet.stop();
  return { arrived, lane };
}

suite("the express lane and what a sender leaves to do", { concurrency: 1 }, () => {
  for (const [name, family] of Object.entries(FAMILIES)) {
    test(
      `L11 ${name}: frames with hostile headers arrive with the lane as without it, and ordinary ones pass there`,
      {
        ...labNeeds("bridge"),
        ...LIMIT,
      },
      (t) => compare(t, family),
    );
  }
});

async function compare(t: TestContext, family: Family): Promise<void> {
  const { cases } = family;
  const without = await play(t, family, "--no-express-lane");
  const withLane = await play(t, family);
  assert.equal(without.lane.state, "none");
  assert.equal(withLane.lane.state, "on");
  for (const { name } of cases) assert.deepEqual(withLane.arrived[name], without.arrived[name], name);
  const ordinary = cases.filter(({ express }) => express === true);
  for (const { name } of ordinary) assert.ok(without.arrived[name]!.length > 0, `${name}: nothing arrives`);
  for (const way of ["egress", "ingress"] as const) {
    const expected = ordinary.filter(({ offered }) => offered.direction === way);
    const { frames, bytes } = withLane.lane[way]!;
    assert.ok(frames >= expected.length / 2, `${frames} frames passed in the lane, ${way}`);
    const least = expected.reduce((sum, { offered }) => sum + offered.frame.length, 0);
    assert.ok(bytes >= least / 2, `${bytes} bytes passed in the lane, ${way}`);
    t.diagnostic(`${way}: ${frames} frames, ${bytes} bytes in the lane; ${expected.length}, ${least} are ordinary`);
  }
}
