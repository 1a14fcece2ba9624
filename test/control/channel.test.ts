/** Channels over real sockets: how bytes become requests, and that no controller costs memory, frames or the policy. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MOST_UNREAD } from "../../src/control/channel.ts";
import { LONGEST_LINE } from "../../src/control/lines.ts";
import { until } from "../support/running.ts";
import { Controller, house } from "./support.ts";

const GET = '{"jsonrpc":"2.0","id":1,"method":"softnet.policy.get"}';
const EMPTY = '{"jsonrpc":"2.0","id":1,"result":{"allow":[],"block":[],"ruleCount":0}}';
const TOO_LONG =
  '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"the line is longer than 1048576 bytes"}}';
const set = (rule: string) =>
  `{"jsonrpc":"2.0","id":1,"method":"softnet.policy.set","params":{"allow":["${rule}"],"block":[]}}\n`;
/** A get that is exactly so long. */
const padded = (length: number) => GET + " ".repeat(length - GET.length);
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

test("a request in single bytes is one request", async (t) => {
  const controller = Controller.inherited(t, house(t));
  for (const byte of Buffer.from(`${GET}\n`)) {
    await controller.send(Uint8Array.of(byte));
    await pause(0);
  }
  assert.equal(await controller.line(), EMPTY);
});

test("requests in one write are answered in order, and what breaks off waits for its rest", async (t) => {
  const controller = Controller.inherited(t, house(t));
  const requests = Array.from({ length: 500 }, (_, id) => GET.replace('"id":1', `"id":${id}`));
  const bytes = `${requests.join("\n")}\n`;
  await controller.send(bytes.slice(0, -20));
  const first = await controller.lines(499);
  await controller.send(bytes.slice(-20));
  const all = [...first, await controller.line()];
  assert.deepEqual(
    all,
    requests.map((_, id) => EMPTY.replace('"id":1', `"id":${id}`)),
  );
});

test("a line of 1,048,576 bytes is read; a longer one is refused once and skipped, and the next is read", async (t) => {
  const controller = Controller.inherited(t, house(t));
  assert.equal(await controller.ask(padded(LONGEST_LINE)), EMPTY);
  assert.equal(await controller.ask(padded(LONGEST_LINE + 1)), TOO_LONG);
  assert.equal(await controller.ask(GET), EMPTY);
  await controller.send("x".repeat(5 * LONGEST_LINE));
  assert.equal(await controller.line(), TOO_LONG); // without waiting for its newline
  await controller.send("y".repeat(LONGEST_LINE));
  await controller.send(`\n${GET}\n${padded(LONGEST_LINE + 1)}\n${GET}\n`);
  assert.deepEqual(await controller.lines(3), [EMPTY, TOO_LONG, EMPTY]);
});

test("half-close: what was asked before is answered, then the channel closes; what has no newline is no request", async (t) => {
  const here = house(t);
  const controller = Controller.inherited(t, here);
  await controller.send(`${GET}\n${set("@host")}${GET}\n${set("@dns").trim()}`);
  controller.halfClose();
  const answers = (await controller.closing()).split("\n");
  assert.equal(answers.length, 4);
  assert.equal(answers[0], EMPTY);
  assert.match(answers[2]!, /"allow":\["@host"\]/);
  assert.equal(here.applied.length, 1);
  assert.deepEqual(here.target.policy.lists.allow, ["@host"]);
  assert.deepEqual(here.broken, []);
});

test("the end of the channel leaves the policy as it is, and what was sent before it counts", async (t) => {
  const here = house(t);
  const controller = Controller.inherited(t, here);
  await controller.send(set("1.0.0.0/8") + set("2.0.0.0/8") + set("3.0.0.0/8"));
  controller.end.close();
  await until("all three", () => here.applied.length === 3);
  assert.deepEqual(here.target.policy.lists.allow, ["3.0.0.0/8"]);
});

test("answers that nobody reads: up to 4 MiB they wait, beyond that the channel is closed and the policy stays", async (t) => {
  const here = house(t);
  const controller = Controller.inherited(t, here);
  const rules = Array.from({ length: 4000 }, (_, index) => `"out 10.${index >> 8}.${index & 255}.0/24:1000-2000"`);
  await controller.send(
    `{"jsonrpc":"2.0","id":1,"method":"softnet.policy.set","params":{"allow":[${rules.join(",")}],"block":[]}}\n`,
  );
  const answer = (await controller.line()).length + 1;
  const kernel = 1_048_576; // more than the socket itself holds
  const fits = Math.floor((MOST_UNREAD - answer) / answer);
  await controller.send(`${GET}\n`.repeat(fits));
  const all = await controller.lines(fits);
  assert.ok(all.every((line) => line.length + 1 === answer));
  await controller.send(`${GET}\n`.repeat(fits + Math.ceil(kernel / answer) + 2));
  await until("it is closed", () => here.broken.length > 0);
  assert.match(here.broken[0]!, /^\d+ bytes of answers were not read$/);
  const read = await controller.closing();
  assert.ok(read.length < kernel, "what waited is lost");
  assert.equal(here.target.policy.lists.allow.length, 4000);
  assert.equal(here.applied.length, 1);
});

test("ten thousand sets in one go are all done, one a turn of the event loop", async (t) => {
  const here = house(t);
  const controller = Controller.inherited(t, here);
  let turns = 0;
  let counting = true;
  const turn = () => {
    turns++;
    if (counting) setImmediate(turn);
  };
  setImmediate(turn);
  const sets = Array.from({ length: 10_000 }, (_, index) => set(`10.${index >> 8}.${index & 255}.0/24`));
  const sending = controller.send(sets.join(""));
  for (let read = 0; read < 10_000; read += 1000) await controller.lines(1000);
  await sending;
  counting = false;
  assert.equal(here.applied.length, 10_000);
  assert.ok(turns >= 10_000, `${turns} turns`);
});

test("a line of a mebibyte that says nothing makes no memory grow", async (t) => {
  const controller = Controller.inherited(t, house(t));
  const lines = ["[1,", '{"a":', '{"":1,', "[[],", '"\\"'].map((part) => part.repeat(LONGEST_LINE / part.length - 1));
  const ask = async () => {
    for (const line of lines) assert.match(await controller.ask(line), /-32700|-32600/);
  };
  const held = (): number => {
    globalThis.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  await ask();
  const before = held();
  for (let round = 0; round < 5; round++) await ask();
  await until("it is given back", () => held() < before + 2_097_152);
});

test("a fault of softnet's own is answered -32603 and told, and the channel goes on", async (t) => {
  const here = house(t);
  const controller = Controller.inherited(t, here);
  Object.assign(here.target, {
    status: () => {
      throw new TypeError("a fault");
    },
  });
  assert.equal(
    await controller.ask('{"jsonrpc":"2.0","id":5,"method":"softnet.status"}'),
    '{"jsonrpc":"2.0","id":5,"error":{"code":-32603,"message":"an error in softnet itself; see its log"}}',
  );
  assert.match(String(here.faults[0]), /TypeError: a fault/);
  assert.equal(await controller.ask(GET), EMPTY);
});

test("between batches the inherited channel is served, and a busy one waits for its share", async (t) => {
  const here = house(t);
  const controller = Controller.inherited(t, here);
  here.controllers.serveBetweenBatches();
  controller.end.send(Buffer.from(set("1.0.0.0/8") + set("2.0.0.0/8")));
  here.controllers.serveBetweenBatches();
  assert.equal(here.applied.length, 1); // without a turn of the event loop
  here.controllers.serveBetweenBatches();
  assert.equal(here.applied.length, 1); // the frames' share first
  await until("the second", () => here.applied.length === 2);
});

test("clients take turns, one request in each turn of the event loop, however much one of them sends", async (t) => {
  const here = house(t);
  const [busy, ...others] = Array.from({ length: 4 }, () => Controller.client(t, here));
  busy!.end.send(Buffer.from(set("10.0.0.0/8").repeat(100)));
  for (const [index, other] of others.entries()) other.end.send(Buffer.from(set(`10.${index}.0.0/16`)));
  await until("all are done", () => here.applied.length === 103);
  const order = here.applied.map(([rule]) => rule!.target.rank);
  assert.deepEqual(order.slice(8), Array(95).fill(8), "the others did not wait for all of the first one's");
});

test("after a request that took a while, frames have as long before the next", async (t) => {
  const spans: (readonly [begin: number, end: number])[] = [];
  const here = house(t, undefined, () => {
    const begin = performance.now();
    while (performance.now() - begin < 10);
    spans.push([begin, performance.now()]);
  });
  const controllers = [Controller.inherited(t, here), Controller.client(t, here), Controller.client(t, here)];
  for (const { end } of controllers) end.send(Buffer.from(set("10.0.0.0/8").repeat(3)));
  await until("all are done", () => {
    here.controllers.serveBetweenBatches();
    return spans.length === 9;
  });
  for (const [index, [begin]] of spans.entries()) {
    if (index > 0) assert.ok(begin - spans[index - 1]![1] >= 8, `${begin - spans[index - 1]![1]} ms after the last`);
  }
});

test("sixteen clients are served; the next one is told why not, and there is room again when one goes", async (t) => {
  const here = house(t);
  const clients = Array.from({ length: 16 }, () => Controller.client(t, here));
  for (const client of clients) assert.equal(await client.ask(GET), EMPTY);
  const refused = Controller.client(t, here);
  assert.equal(
    await refused.closing(),
    '{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"16 clients are connected already"}}\n',
  );
  clients[3]!.end.close();
  await pause(0);
  await until("softnet has heard of it", () => here.controllers.clients < 16);
  assert.equal(await Controller.client(t, here).ask(GET), EMPTY);
});
