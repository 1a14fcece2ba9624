/** Between frames there is time for something else, however many there are. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Relay } from "../../src/relay/relay.ts";
import { FakeGuard, FakePort, plainBatch } from "./fakes.ts";

for (const [what, both] of [
  ["one direction is busy", false],
  ["both are", true],
] as const) {
  test(`while ${what}, onSlice is called between batches, at the latest after 128 frames`, (t) => {
    const vm = new FakePort("vm");
    const network = new FakePort("network");
    const guard = new FakeGuard();
    const seen: number[] = [];
    const relay = new Relay({
      vm,
      network,
      guard,
      clock: () => 0,
      batches: [plainBatch(64), plainBatch(64)],
      onSlice: () => seen.push(guard.judged.length),
      onEnd: ({ error }) => assert.fail(error),
    });
    t.after(() => relay.stop());
    relay.start();
    const many = Array.from({ length: 1000 }, () => [0]);
    vm.waiting = [...many];
    if (both) network.waiting = [...many];
    vm.wake(true, false);
    const all = guard.judged.length;
    assert.ok(all >= 1000, `${all} frames`);
    for (const [index, at] of [...seen, all].entries()) {
      assert.ok(at - (seen[index - 1] ?? 0) <= 128, `${seen} of ${all}`);
    }
    assert.ok(seen.length <= all / 65 + 1, `no more often than it must: ${seen}`);
  });
}
