/** Events: what is told once, what is left out for one who does not read, and that the count of it comes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FirstDrops, MOST_FIRST_DROPS } from "../../src/control/first-drops.ts";
import { remoteOf } from "../../src/control/remote.ts";
import { EGRESS, INGRESS } from "../../src/relay/direction.ts";
import { emitArp } from "../../src/wire/arp.ts";
import { emitEthernet } from "../../src/wire/ethernet.ts";
import { FrameView } from "../../src/wire/frame-view.ts";
import { emitIPv4 } from "../../src/wire/ipv4.ts";
import { until } from "../support/running.ts";
import { Controller, house } from "./support.ts";

const SUBSCRIBE = '{"jsonrpc":"2.0","id":1,"method":"softnet.events"}';
const to = (destination: number): FrameView =>
  FrameView.of(
    emitEthernet(1, 2, 0x0800, emitIPv4({ source: 0x0a000002, destination, protocol: 17 }, new Uint8Array(8))),
  );
const params = (line: string) => JSON.parse(line).params;

test("a first drop is one of its reason and remote address, until the policy changes", async (t) => {
  const here = house(t);
  const { events } = here.target;
  assert.equal(events.wanted, false);
  events.drop(EGRESS, 25, to(1)); // nobody listens
  const controller = Controller.client(t, here);
  await controller.ask(SUBSCRIBE);
  await controller.ask(SUBSCRIBE); // no second subscription
  for (let round = 0; round < 3; round++) {
    for (const verdict of [25, 26]) {
      for (const address of [1, 2, 0xffffffff]) events.drop(EGRESS, verdict, to(address));
    }
  }
  const told = (await controller.lines(6)).map(params);
  assert.deepEqual(
    told.map(({ event, verdict }) => [event, verdict]),
    [25, 25, 25, 26, 26, 26].map((verdict) => ["drop", verdict]),
  );
  await controller.quiet();
  events.policyChanged({ by: "file" });
  events.drop(EGRESS, 25, to(1));
  assert.deepEqual(
    (await controller.lines(2)).map((line) => params(line).event),
    ["policy", "drop"],
  );
  const late = Controller.client(t, here);
  await late.ask(SUBSCRIBE);
  events.drop(EGRESS, 25, to(1));
  assert.equal(params(await late.line()).verdict, 25);
  await controller.quiet();
  late.end.close();
  await until("softnet has heard of it", () => here.controllers.clients === 1);
  events.tell("binding", { change: "lost" });
  assert.equal(params(await controller.line()).change, "lost");
});

test("I13 who does not read loses events, not softnet its memory, and the count comes when there is room", async (t) => {
  const here = house(t);
  const controller = Controller.inherited(t, here);
  await controller.ask(SUBSCRIBE);
  const count = 50_000;
  for (let index = 0; index < count; index++) {
    here.target.events.tell("binding", { change: "renewed", index });
    if (index % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  let last = -1;
  let read = 0;
  let skipped = 0;
  while (read + skipped < count) {
    const event = params(await controller.line());
    if (event.event === "skipped") {
      skipped += event.count;
      continue;
    }
    assert.ok(event.index > last, "in order");
    last = event.index;
    read++;
  }
  assert.equal(read + skipped, count);
  assert.ok(skipped > count / 2, `${skipped} skipped`);
  assert.deepEqual(here.broken, []);
});

test("first drops beyond the table's room are counted", async (t) => {
  const here = house(t);
  const controller = Controller.inherited(t, here);
  await controller.ask(SUBSCRIBE);
  for (let address = 0; address < MOST_FIRST_DROPS + 500; address++) here.target.events.drop(EGRESS, 25, to(address));
  const lines = (await controller.lines(MOST_FIRST_DROPS + 1)).map(params);
  assert.deepEqual({ ...lines.at(-1), time: undefined }, { event: "skipped", time: undefined, count: 500 });
});

test("half-closed, a subscriber stays until it is gone, and then leaves its place", async (t) => {
  const here = house(t);
  const controller = Controller.client(t, here);
  await controller.ask(SUBSCRIBE);
  controller.halfClose();
  await new Promise((resolve) => setTimeout(resolve, 100));
  here.target.events.tell("binding", { change: "lost" });
  assert.equal(params(await controller.line()).change, "lost");
  controller.end.close();
  await until("softnet has noticed", () => here.controllers.clients === 0 && !here.target.events.wanted);
});

test("the table of first drops agrees with a set, also when it is full", () => {
  const table = new FirstDrops();
  const known = new Set<string>();
  let seed = 1;
  const next = (): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return seed >>> 8;
  };
  for (let index = 0; index < 20_000; index++) {
    const verdict = 1 + (next() % 60);
    const address = index % 2 === 0 ? next() % 40 : next() * 256;
    const key = `${verdict} ${address >>> 0}`;
    const wanted = known.has(key) ? 0 : known.size < MOST_FIRST_DROPS ? 1 : -1;
    if (wanted === 1) known.add(key);
    assert.equal(table.note(verdict, address >>> 0), wanted);
  }
  table.clear();
  assert.equal(table.note(1, 0xffffffff), 1);
  assert.equal(table.note(1, 0xffffffff), 0);
});

test("the remote address of a frame: the other side's, 0 where none can be read", () => {
  const packet = emitEthernet(
    1,
    2,
    0x0800,
    emitIPv4({ source: 7, destination: 0xfffffffe, protocol: 17 }, new Uint8Array(8)),
  );
  assert.equal(remoteOf(EGRESS, FrameView.of(packet)), 0xfffffffe);
  assert.equal(remoteOf(INGRESS, FrameView.of(packet)), 7);
  const fields = { operation: 1, senderHardware: 1, senderProtocol: 5, targetHardware: 0, targetProtocol: 6 };
  const arp = emitEthernet(1, 2, 0x0806, emitArp(fields));
  assert.equal(remoteOf(EGRESS, FrameView.of(arp)), 6);
  assert.equal(remoteOf(INGRESS, FrameView.of(arp)), 5);
  for (const length of [0, 13, 14, 33]) assert.equal(remoteOf(EGRESS, FrameView.of(packet, 0, length)), 0);
  assert.equal(remoteOf(EGRESS, FrameView.of(arp, 0, 41)), 0);
});
