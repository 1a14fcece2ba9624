/** A lane's states: which may follow which, and what each means for the ports. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EGRESS } from "../../src/relay/direction.ts";
import { BLOCKED, HELD, IDLE, Lane, type LaneState, READY, RETRY, STOPPED } from "../../src/relay/lane.ts";
import { FakeGuard, FakePort, plainBatch } from "./fakes.ts";

const lane = (): Lane =>
  new Lane(
    {
      vm: new FakePort("vm"),
      network: new FakePort("network"),
      guard: new FakeGuard(),
      clock: () => 0,
      batches: [plainBatch(), plainBatch()],
      onEnd: () => {},
    },
    EGRESS,
  );

/** The way to each state. */
const WAYS: readonly (readonly LaneState[])[] = [
  [],
  [READY],
  [READY, BLOCKED],
  [READY, BLOCKED, RETRY],
  [READY, HELD],
  [STOPPED],
];

/** Which states may follow, by state. */
const FOLLOWING: readonly (readonly LaneState[])[] = [
  [READY, STOPPED],
  [IDLE, BLOCKED, HELD, STOPPED],
  [READY, RETRY, STOPPED],
  [READY, BLOCKED, HELD, STOPPED],
  [RETRY, STOPPED],
  [STOPPED],
];

test("only the legal transitions are possible, and a refused one changes nothing", () => {
  for (const [state, way] of WAYS.entries()) {
    for (const next of [IDLE, READY, BLOCKED, RETRY, HELD, STOPPED] as const) {
      const one = lane();
      for (const step of way) one.enter(step);
      assert.equal(one.state, state);
      if (FOLLOWING[state]!.includes(next)) {
        one.enter(next);
        assert.equal(one.state, next);
      } else {
        assert.throws(() => one.enter(next), /^Error: a lane that is \w+ cannot become \w+$/);
        assert.equal(one.state, state);
      }
    }
  }
});

test("what events say changes only the states that wait for them", () => {
  const after = (way: readonly LaneState[], event: (one: Lane) => void): LaneState => {
    const one = lane();
    for (const step of way) one.enter(step);
    event(one);
    return one.state;
  };
  const readable = WAYS.map((way) => after(way, (one) => one.sourceHasFrames()));
  assert.deepEqual(readable, [READY, READY, BLOCKED, RETRY, HELD, STOPPED]);
  const writable = WAYS.map((way) => after(way, (one) => one.destinationHasRoom()));
  assert.deepEqual(writable, [IDLE, READY, RETRY, RETRY, HELD, STOPPED]);
});
