/** What follows the VM's binding never throws into the guard, and a fault of it ends the forwarding. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createGuard } from "../../src/guard/guard.ts";
import type { BindingChange } from "../../src/guard/types.ts";
import type { RelayEnd } from "../../src/relay/relay.ts";
import { Relay } from "../../src/relay/relay.ts";
import { followBinding } from "../../src/session/binding-followers.ts";
import { FakeGuard, FakePort, plainBatch } from "../relay/fakes.ts";

const bound = createGuard({ macAddress: "02:00:00:00:00:11", address: "192.168.64.9" }).binding.ipv4!;
const change: BindingChange = { kind: "learned", bound };

function relayOf(t: TestContext, guard: FakeGuard) {
  const [vm, network] = [new FakePort("vm"), new FakePort("network")];
  const ends: RelayEnd[] = [];
  const relay = new Relay({
    vm,
    network,
    guard,
    clock: () => 0,
    batches: [plainBatch(), plainBatch()],
    onEnd: (end) => ends.push(end),
  });
  t.after(() => relay.stop());
  return { relay, vm, network, ends };
}

test("a follower that throws keeps no other from hearing, and the guard hears nothing of it", () => {
  const heard: string[] = [];
  const faults: unknown[] = [];
  const fault = new Error("the registry's disk is full");
  const onBinding = followBinding(
    [
      () => heard.push("first"),
      () => {
        throw fault;
      },
      ({ kind }) => heard.push(kind),
    ],
    (error) => faults.push(error),
  );
  onBinding(change);
  assert.deepEqual(heard, ["first", "learned"]);
  assert.deepEqual(faults, [fault]);
});

test("a fault while a batch is judged ends the relay before a frame of it is forwarded", (t) => {
  const guard = new FakeGuard();
  const { relay, vm, network, ends } = relayOf(t, guard);
  const fault = new Error("the registry's disk is full");
  const onBinding = followBinding(
    [
      () => {
        throw fault;
      },
    ],
    (error) => relay.fail(error),
  );
  const judge = guard.judgeIngress.bind(guard);
  guard.judgeIngress = (view) => {
    onBinding(change);
    return judge(view);
  };
  relay.start();
  network.waiting = [
    [0, 1],
    [0, 2],
  ];
  network.wake(true, false);
  assert.deepEqual(vm.taken, []);
  assert.deepEqual(ends, [{ error: fault }]);
  assert.equal(relay.fail(fault), false);
});
