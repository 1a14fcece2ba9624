/** Router advertisements: when softnet says what (RFC 4861 6.2), and the port that they go through. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Advertiser, type AdvertiserOptions } from "../../../src/networks/nat/advertiser.ts";
import { AdvertisingPort } from "../../../src/networks/nat/advertising-port.ts";
import { Batch, HEADROOM, strideFor } from "../../../src/relay/batch.ts";
import { parseMac } from "../../../src/wire/address.ts";
import { get16, get32 } from "../../../src/wire/bytes.ts";
import { parseIPv6 } from "../../../src/wire/ipv6-address.ts";
import { FakePort } from "../../relay/fakes.ts";

const VM = parseMac("7e:1a:00:00:00:01")!;
const HOST = parseMac("02:00:5e:10:20:30")!;
const FROM_VM = parseIPv6("fe80::aa")!;
const ALL = "333300000001";

function advertiser(t: TestContext, more: Partial<AdvertiserOptions> = {}): Advertiser {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const one = new Advertiser({
    routerMac: HOST,
    vmMac: VM,
    router: parseIPv6("fe80::1")!,
    prefix: parseIPv6("fd12:3456:789a:1::")!,
    mtu: 1500,
    routes: true,
    dnsServers: [],
    random: () => 0.5,
    ...more,
  });
  t.after(() => one.close());
  return one;
}

/** What is due: destination MAC and router lifetime of each. */
function due(one: Advertiser): [string, number][] {
  const found: [string, number][] = [];
  for (let frame = one.take(); frame !== undefined; frame = one.take()) {
    found.push([Buffer.from(frame.subarray(0, 6)).toString("hex"), get16(frame, 60)]);
  }
  return found;
}

/** The options of an advertisement, by type: the bytes behind type and length. */
function options(frame: Uint8Array): Map<number, Buffer[]> {
  const found = new Map<number, Buffer[]>();
  for (let at = 70; at < frame.length; at += 8 * frame[at + 1]!) {
    const value = Buffer.from(frame.subarray(at + 2, at + 8 * frame[at + 1]!));
    found.set(frame[at]!, [...(found.get(frame[at]!) ?? []), value]);
  }
  return found;
}

test("no route, not a word; with the route three advertisements 16 s apart, then one every 200 to 300 s", (t) => {
  const one = advertiser(t);
  one.solicited(FROM_VM);
  t.mock.timers.tick(600_000);
  assert.deepEqual(due(one), []);
  one.hasRoute = true;
  assert.deepEqual(due(one), [[ALL, 1800]]);
  for (const wait of [16_000, 16_000, 250_000, 250_000]) {
    t.mock.timers.tick(wait - 1);
    assert.deepEqual(due(one), []);
    t.mock.timers.tick(1);
    assert.deepEqual(due(one), [[ALL, 1800]]);
  }
});

test("who asks gets an advertisement at once; a flood of questions gets one every 3 s", (t) => {
  const one = advertiser(t);
  one.hasRoute = true;
  due(one);
  let answers = 0;
  for (let second = 0; second < 60; second++) {
    for (let index = 0; index < 100; index++) {
      one.solicited(FROM_VM);
      answers += due(one).filter(([to]) => to === "7e1a00000001").length;
    }
    t.mock.timers.tick(1000);
  }
  assert.ok(answers >= 20 && answers <= 23, String(answers));
});

test("who asks without an address gets one to all, never two within 3 s (RFC 4861 6.2.6)", (t) => {
  const one = advertiser(t);
  one.hasRoute = true;
  assert.deepEqual(due(one), [[ALL, 1800]]);
  for (let index = 0; index < 100; index++) one.solicited(0n);
  assert.deepEqual(due(one), []);
  let woken = 0;
  one.onDue = () => woken++;
  t.mock.timers.tick(2999);
  assert.deepEqual(due(one), []);
  t.mock.timers.tick(1);
  assert.equal(woken, 1);
  assert.deepEqual(due(one), [[ALL, 1800]]);
  assert.deepEqual(due(one), []);
});

test("what is not taken does not pile up", (t) => {
  const one = advertiser(t);
  one.hasRoute = true;
  one.solicited(FROM_VM);
  for (let index = 0; index < 50; index++) {
    t.mock.timers.tick(100_000);
    one.solicited(FROM_VM);
  }
  assert.equal(due(one).length, 2);
});

test("a lost route: lifetime 0 and no prefix; a route again: both", (t) => {
  const one = advertiser(t, { dnsServers: [parseIPv6("2620:fe::fe")!] });
  one.hasRoute = true;
  const before = options(one.take()!);
  assert.equal(before.get(3)?.length, 1);
  assert.equal(get32(before.get(25)![0]!, 2), 1800);
  t.mock.timers.tick(3000);
  one.hasRoute = false;
  const lost = one.take()!;
  assert.equal(get16(lost, 60), 0);
  assert.equal(options(lost).get(3), undefined);
  assert.equal(get32(options(lost).get(25)![0]!, 2), 0, "the servers are forgotten");
  one.solicited(FROM_VM);
  assert.deepEqual(due(one), [["7e1a00000001", 0]]);
  t.mock.timers.tick(16_000);
  assert.deepEqual(due(one), [[ALL, 0]]);
  one.hasRoute = true;
  t.mock.timers.tick(3000);
  const again = one.take()!;
  assert.equal(get16(again, 60), 1800);
  assert.equal(options(again).get(3)?.length, 1);
});

test("other DNS servers are said at once, and which are to be forgotten", (t) => {
  const first = parseIPv6("2001:db8::1")!;
  const second = parseIPv6("2001:db8::2")!;
  const one = advertiser(t, { dnsServers: [first] });
  one.hasRoute = true;
  due(one);
  t.mock.timers.tick(3000);
  one.dnsServers = [second];
  const [now, former] = options(one.take()!).get(25)!;
  assert.deepEqual([now![21], get32(now!, 2), former![21], get32(former!, 2)], [2, 1800, 1, 0]);
});

test("a network that leads to the host only: a prefix and no router, whatever routes there are", (t) => {
  const one = advertiser(t, { routes: false });
  const frame = one.take()!;
  assert.equal(get16(frame, 60), 0);
  assert.equal(options(frame).get(3)?.length, 1);
  one.hasRoute = true;
  t.mock.timers.tick(16_000);
  assert.deepEqual(due(one), [[ALL, 0]]);
});

function batch(...frames: readonly Uint8Array[]): Batch {
  const stride = strideFor(1514);
  const one = new Batch(new Uint8Array(16 * stride + HEADROOM), 0, 16, stride);
  for (const [index, frame] of frames.entries()) {
    one.offset[index] = one.slotOffset(index);
    one.length[index] = frame.length;
    one.bytes.set(frame, one.offset[index]);
  }
  one.count = frames.length;
  return one;
}

const SOLICITATION = Buffer.from(
  "3333000000027e1a0000000186dd6000000000083afffe8000000000000000000000000000aaff02000000000000000000000000000285007ba900000000",
  "hex",
);

test("the port: a solicitation goes on, and is answered before what the TAP has", (t) => {
  const one = advertiser(t);
  const tap = new FakePort("tap");
  const port = new AdvertisingPort(tap, one);
  one.hasRoute = true;
  due(one);
  assert.equal(port.send(batch(SOLICITATION), 0), 1);
  assert.equal(tap.taken.length, 1);
  const received = batch();
  assert.equal(port.receive(received), 1);
  const at = received.offset[0]!;
  assert.equal(Buffer.from(received.bytes.subarray(at, at + 6)).toString("hex"), "7e1a00000001");
});

test("the port: a solicitation that the TAP does not take is not answered yet", (t) => {
  const one = advertiser(t);
  const tap = new FakePort("tap");
  tap.room = 0;
  const port = new AdvertisingPort(tap, one);
  one.hasRoute = true;
  due(one);
  assert.equal(port.send(batch(SOLICITATION), 0), 0);
  assert.equal(one.isDue, false);
});

test("the port: advertisements of other programs on the TAP are not let in (S1)", (t) => {
  const one = advertiser(t);
  const tap = new FakePort("tap");
  const port = new AdvertisingPort(tap, one);
  one.hasRoute = true;
  const foreign = one.take()!;
  tap.waiting.push([...foreign], [...SOLICITATION]);
  const received = batch();
  assert.equal(port.receive(received), 1);
  assert.equal(received.length[0], SOLICITATION.length);
  assert.equal(port.refused, 1);
});
