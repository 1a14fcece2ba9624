/** Stops that vmnet does not confirm. A file of its own: what they hold on to, they hold for good. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { VmnetInterface } from "../../src/networks/vmnet/interface.ts";
import { inject, needsTwin, twin } from "../support/twin.ts";

test("a stop that is refused, fails or never ends is told, and softnet goes on", needsTwin(), async (t) => {
  const stop = async (what: string, value: number): Promise<string | undefined> => {
    const vmnet = await VmnetInterface.start(twin().native, {
      label: "vmnet",
      on: { mode: 1001 },
      isolated: true,
      stopTimeout: 50,
    });
    twin().control.inject(what, value);
    return await vmnet.stop();
  };
  assert.match((await stop("stop status", 1))!, /did not stop: VMNET_FAILURE/);
  assert.match((await stop("lost stop", 1))!, /did not stop within 0\.05 s/);
  inject(t, "stop handler status", 1001);
  assert.match((await stop("stop handler status", 1001))!, /not stop in order: VMNET_FAILURE/);
});
