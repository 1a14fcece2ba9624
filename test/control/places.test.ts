/** Who keeps a place among the clients of the control socket when all are taken (threat: an operator who is locked out). */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { MOST_CLIENTS, MOST_WATCHING, SILENCE } from "../../src/control/controllers.ts";
import { until } from "../support/running.ts";
import { Controller, type House, house } from "./support.ts";

const GET = '{"jsonrpc":"2.0","id":1,"method":"softnet.policy.get"}';
const EVENTS = '{"jsonrpc":"2.0","id":1,"method":"softnet.events"}';

/** Moves the clock on which silence is measured. */
function later(t: TestContext): (milliseconds: number) => void {
  const real = performance.now.bind(performance);
  let ahead = 0;
  t.mock.method(performance, "now", () => real() + ahead);
  return (milliseconds) => {
    ahead += milliseconds;
  };
}

function fill(t: TestContext, here: House, count = MOST_CLIENTS): Controller[] {
  return Array.from({ length: count }, () => Controller.client(t, here));
}

test("sixteen silent clients do not lock a new one out: the oldest makes place and is told why", async (t) => {
  const pass = later(t);
  const here = house(t);
  const [oldest, ...others] = fill(t, here);
  pass(SILENCE + 1);
  const operator = Controller.client(t, here);
  assert.match(await operator.ask(GET), /"ruleCount":0/);
  assert.match(
    await oldest!.closing(),
    /"code":-32000,"message":"closed for a new client, because it sent no request"/,
  );
  for (const client of others) assert.match(await client.ask(GET), /"ruleCount":0/);
  assert.deepEqual(here.broken, []);
});

test("a client that asks now and then keeps its place before one that never did", async (t) => {
  const pass = later(t);
  const here = house(t);
  const [asking, silent] = fill(t, here);
  pass(SILENCE - 1);
  assert.match(await asking!.ask(GET), /"ruleCount":0/);
  pass(2);
  Controller.client(t, here);
  await silent!.closing();
  assert.match(await asking!.ask(GET), /"ruleCount":0/);
});

test("bytes without a newline are no request: who dribbles loses its place", async (t) => {
  const pass = later(t);
  const here = house(t);
  const clients = fill(t, here);
  for (let round = 0; round < 3; round++) {
    pass(SILENCE / 2);
    for (const client of clients) await client.send(" ");
  }
  const operator = Controller.client(t, here);
  assert.match(await operator.ask(GET), /"ruleCount":0/);
});

test("who hears events keeps its place, and leaves some for questions", async (t) => {
  const pass = later(t);
  const here = house(t);
  const watchers = fill(t, here, MOST_WATCHING);
  for (const watcher of watchers) assert.match(await watcher.ask(EVENTS), /"subscribed":true/);
  for (const watcher of watchers) assert.match(await watcher.ask(EVENTS), /"subscribed":true/, "a second time");
  const silent = fill(t, here, MOST_CLIENTS - MOST_WATCHING);
  pass(10 * SILENCE);
  const operator = Controller.client(t, here);
  assert.match(await operator.ask(EVENTS), /"code":-32000,"message":"12 clients receive events already"/);
  assert.match(await operator.ask(GET), /"ruleCount":0/);
  await silent[0]!.closing();
  here.target.events.tell("test", {});
  for (const watcher of watchers) assert.match(await watcher.line(), /"event":"test"/);
  watchers[0]!.end.close();
  await until("softnet has heard of it", () => here.controllers.clients < MOST_CLIENTS);
  assert.match(await operator.ask(EVENTS), /"subscribed":true/);
});

test("what nobody reads makes no deadline that spins", async (t) => {
  const here = house(t);
  const watcher = Controller.client(t, here);
  await watcher.ask(EVENTS);
  assert.equal(here.controllers.deadline, Number.POSITIVE_INFINITY);
  for (let count = 0; count < 3000; count++) here.target.events.tell("test", { text: "x".repeat(1000) });
  const time = performance.now() * 1000;
  assert.ok(here.controllers.deadline < time + 2_000_000);
  here.controllers.check(time + 10_000_000);
  assert.ok(here.controllers.deadline > time + 10_000_000);
});
