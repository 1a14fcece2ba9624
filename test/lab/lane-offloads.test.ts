/**
 * softnet attached to a TAP that the test holds as a hypervisor does: what a VM leaves to do (checksums at any place, large
 * frames, tags) arrives with the express lane as without it, byte for byte, and ordinary frames do pass in the lane.
 */
import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import { ADDRESS, GATEWAY, VM } from "../guard/support.ts";
import { CASES, opening } from "../lane/support/offload-cases.ts";
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

/** Shows every case to a softnet. */
async function play(t: TestContext, ...args: readonly string[]): Promise<Played> {
  const lab = Lab.open(t);
  const namespace = lab.namespace("wires");
  const ends = new WireEnds(namespace);
  t.after(() => ends.close());
  const control = new ControlPath(lab);
  const known = ["--vm-mac-address", VM, "--vm-ip-address", ADDRESS, "--gateway", GATEWAY];
  const softnet = Softnet.start(lab, namespace, ["attach", VM_TAP, ...known, ...control.options, ...args]);
  await softnet.ready();
  const client = await control.client();
  t.after(() => client.close());
  const open = async (): Promise<void> => {
    for (const offered of opening()) await ends.pass(offered);
  };
  await open();
  const arrived: Record<string, readonly string[]> = {};
  for (const { name, offered, group } of CASES) {
    arrived[name] = await ends.pass(offered);
    // Some of these are taken for the end of a connection.
    if (group === "places of checksums") await open();
  }
  const { lane } = (await client.ask("softnet.status")) as unknown as Played;
  await softnet.stop();
  return { arrived, lane };
}

suite("the express lane and what a sender leaves to do", { concurrency: 1 }, () => {
  test("L11 frames with hostile headers arrive with the lane as without it, and ordinary ones pass there", {
    ...labNeeds("bridge"),
    ...LIMIT,
  }, async (t) => {
    const without = await play(t, "--no-express-lane");
    const withLane = await play(t);
    assert.equal(without.lane.state, "none");
    assert.equal(withLane.lane.state, "on");
    for (const { name } of CASES) assert.deepEqual(withLane.arrived[name], without.arrived[name], name);
    const ordinary = CASES.filter(({ express }) => express === true);
    for (const { name } of ordinary) assert.ok(without.arrived[name]!.length > 0, `${name}: nothing arrives`);
    for (const way of ["egress", "ingress"] as const) {
      const least = ordinary.filter(({ offered }) => offered.direction === way).length;
      const { frames } = withLane.lane[way]!;
      assert.ok(frames >= least / 2, `${frames} frames passed in the lane, ${way}`);
      t.diagnostic(`${way}: ${frames} frames passed in the lane; ${least} cases are ordinary`);
    }
  });
});
