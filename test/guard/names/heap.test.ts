/** What a packet of a connection by name leaves on the heap: nothing, once its first bytes were judged. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameView } from "../../../src/wire/frame-view.ts";
import { grownBy } from "../../support/heap.ts";
import { udp } from "../support.ts";
import { fromVm, helloFor, START, text, toVm } from "./segments.ts";
import { World } from "./world.ts";

const NAME = "registry.npmjs.org";
const CDN = "104.16.0.1";

test("packets of connections by name, and refused ones, leave nothing on the heap", async () => {
  const world = new World([NAME, `${NAME}:123`]);
  world.resolve(NAME, CDN);
  world.connect(CDN);
  world.accepted(CDN);
  const hello = await helloFor(NAME);
  assert.equal(world.say(CDN, hello), "pass");
  const acknowledgement = (START + 1 + hello.length) >>> 0;
  world.passesIn(toVm({ source: CDN, sequence: 9000, acknowledgement }));
  assert.equal(world.out(udp(4000, 123, { destination: CDN })), "pass");
  const turns = [
    [true, fromVm(hello.length, text("more"), { destination: CDN, acknowledgement: 9000 })],
    [false, toVm({ source: CDN, sequence: 9000, acknowledgement, data: text("data") })],
    [true, udp(4000, 123, { destination: CDN })],
    [true, udp(4000, 443, { destination: "9.9.9.9" })],
    [true, udp(4000, 80, { destination: "9.9.9.9" })],
  ] as const;
  const views = turns.map(([out, frame]) => ({ out, view: FrameView.of(frame) }));
  const { guard } = world;
  const judge = (times: number): number => {
    let sum = 0;
    for (let turn = 0; turn < times; turn++) {
      const { out, view } = views[turn % views.length]!;
      sum += out ? guard.judgeEgress(view) : guard.judgeIngress(view);
    }
    return sum;
  };
  assert.equal(judge(3), 0);
  const grown = grownBy(300_000, judge);
  assert.ok(grown < 1_000_000, `${grown} bytes`);
});
