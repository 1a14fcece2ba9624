/** Verdicts and changes of the binding on node:diagnostics_channel, and callbacks that throw. */
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type BindingMessage, createGuard, FrameView, type VerdictMessage } from "../../src/index.ts";
import { collectUncaught } from "../support/uncaught.ts";
import { ADDRESS, Bench, bytes, Client, SECOND, VM } from "./support.ts";

/** The messages of a channel until the test ends; a test subscribes while others of this file do not run. */
function follow<T>(t: TestContext, name: string, onMessage: (message: T) => void = () => {}): readonly T[] {
  const messages: T[] = [];
  const listen = (message: unknown): void => {
    messages.push(message as T);
    onMessage(message as T);
  };
  subscribe(name, listen);
  t.after(() => unsubscribe(name, listen));
  return messages;
}

test("a subscriber gets each verdict with the frame, its direction, its VM and the guard's time", (t) => {
  const bench = new Bench({ address: ADDRESS });
  const frames: Uint8Array[] = [];
  const messages = follow<VerdictMessage>(t, "softnet:verdict", ({ frame }) => frames.push(frame.slice()));
  const client = new Client();
  bench.passesOut(client.discover());
  bench.dropsIn("frame.short", bytes());
  bench.guard.egress(bytes(), bench.now - SECOND); // a clock that goes back stands still
  assert.deepEqual(
    messages.map(({ frame: _, ...rest }) => rest),
    [
      { macAddress: VM, direction: "egress", verdict: "pass", time: bench.now },
      { macAddress: VM, direction: "ingress", verdict: "drop", reason: "frame.short", time: bench.now },
      { macAddress: VM, direction: "egress", verdict: "drop", reason: "frame.short", time: bench.now },
    ],
  );
  assert.deepEqual(frames[0], client.discover());
});

test("a subscriber gets each change of the binding once the guard follows it", (t) => {
  const bench = new Bench();
  const bound: boolean[] = [];
  const messages = follow<BindingMessage>(t, "softnet:binding", () =>
    bound.push(bench.guard.binding.ipv4 !== undefined),
  );
  bench.bind();
  bench.wait(365 * 86_400 * SECOND);
  bench.guard.advance(bench.now);
  assert.deepEqual(
    messages.map(({ macAddress, change: { kind } }) => [macAddress, kind]),
    [
      [VM, "learned"],
      [VM, "lost"],
    ],
  );
  assert.deepEqual(bound, [true, false]);
  assert.deepEqual(
    messages.map(({ change }) => change),
    bench.changes,
  );
});

test("judging in batches publishes nothing of its own", (t) => {
  const messages = follow<VerdictMessage>(t, "softnet:verdict");
  const guard = createGuard({ macAddress: VM });
  guard.advance(1);
  assert.notEqual(guard.judgeEgress(FrameView.of(bytes())), 0);
  assert.notEqual(guard.judgeIngress(FrameView.of(bytes())), 0);
  assert.deepEqual(messages, []);
});

test("what subscribers throw reaches neither the guard's caller nor other subscribers", async (t) => {
  const thrown = collectUncaught(t);
  const fault = new Error("a subscriber's own");
  for (const name of ["softnet:verdict", "softnet:binding"]) {
    follow(t, name, () => {
      throw fault;
    });
  }
  const verdicts = follow<VerdictMessage>(t, "softnet:verdict");
  const bench = new Bench();
  bench.bind();
  assert.equal(bench.bound, ADDRESS);
  assert.deepEqual(
    bench.changes.map(({ kind }) => kind),
    ["learned"],
  );
  await turn();
  assert.equal(thrown.length, verdicts.length + 1);
  assert.ok(thrown.every((error) => error === fault));
});

test("D29 what onBinding throws does not reach the frame that changed the binding, and is not lost", async (t) => {
  const thrown = collectUncaught(t);
  const fault = new Error("the caller's own");
  const bench = new Bench({
    onBinding: () => {
      throw fault;
    },
  });
  const messages = follow<BindingMessage>(t, "softnet:binding");
  bench.bind(); // every frame of it passes
  assert.equal(bench.bound, ADDRESS);
  assert.equal(messages.length, 1);
  await turn();
  assert.deepEqual(thrown, [fault]);
});
