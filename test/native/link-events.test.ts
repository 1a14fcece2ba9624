import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { LinkEvents } from "../../src/native/linux/link-events.ts";
import { BR_STATE_FORWARDING, Links } from "../../src/native/linux/links.ts";
import { enterFreshNamespace, ip } from "../support/namespace.ts";
import { until } from "../support/patience.ts";
import { libc } from "../support/sockets.ts";
import { needs, needsRoot } from "../support/tools.ts";

const skip = { ...needsRoot(), ...needs("ip") };

let leave = (): void => {};
before(() => {
  if (skip.skip === undefined) leave = enterFreshNamespace();
});
after(() => leave());

/** Counts the calls that a link's events make. */
function listen(t: TestContext, name: string): { changes: number; events: LinkEvents } {
  const events = LinkEvents.open(libc, libc.if_nametoindex(name));
  assert.ok(events !== undefined);
  const heard = { changes: 0, events };
  events.onChange = () => heard.changes++;
  t.after(() => events.close());
  return heard;
}

test("a change of the interface is an event, one of another interface is none", skip, async (t) => {
  ip("link", "add", "a0", "type", "veth", "peer", "name", "a0x");
  ip("link", "add", "a1", "type", "veth", "peer", "name", "a1x");
  const heard = listen(t, "a0");
  ip("link", "set", "a1", "up");
  ip("link", "delete", "a1");
  await sleep(50);
  assert.equal(heard.changes, 0);
  ip("link", "set", "a0", "up");
  await until("an event", () => heard.changes > 0);
  heard.changes = 0;
  ip("link", "delete", "a0");
  await until("an event", () => heard.changes > 0);
});

test("joining and leaving a bridge, and the bridge's end, are events of its port", skip, async (t) => {
  ip("link", "add", "b0", "type", "bridge");
  ip("link", "add", "p0", "type", "veth", "peer", "name", "p0x");
  const heard = listen(t, "p0");
  for (const words of [
    ["set", "p0", "master", "b0"],
    ["set", "p0", "nomaster"],
    ["set", "p0", "master", "b0"],
    ["delete", "b0"],
  ]) {
    await sleep(20);
    heard.changes = 0;
    ip("link", ...words);
    await until("an event", () => heard.changes > 0);
  }
});

test("more events than the socket holds are one event, and later ones are heard", skip, async (t) => {
  ip("link", "add", "c0", "type", "veth", "peer", "name", "c0x");
  const heard = listen(t, "c0");
  // The event loop does not turn meanwhile: some hundred messages fill the socket (ENOBUFS).
  const storm = Array.from({ length: 1500 }, (_, index) => `link set dev c0 mtu ${1000 + (index % 2)}`);
  const { spawnSync } = await import("node:child_process");
  assert.equal(spawnSync("ip", ["-batch", "-"], { input: `${storm.join("\n")}\n` }).status, 0);
  await until("an event", () => heard.changes > 0);
  await sleep(100);
  const { changes } = heard;
  assert.ok(changes < 1500);
  ip("link", "set", "dev", "c0", "mtu", "1300");
  await until("an event", () => heard.changes > changes);
});

test("a bridge's port tells its state, other links have none", skip, () => {
  const links = new Links(libc);
  ip("link", "add", "d0", "type", "bridge", "forward_delay", "0");
  ip("link", "set", "d0", "up");
  ip("link", "add", "e0", "type", "veth", "peer", "name", "e0x");
  assert.equal(links.byName("e0")?.portState, undefined);
  ip("link", "set", "e0", "master", "d0");
  assert.equal(links.byName("e0")?.portState, 0);
  ip("link", "set", "e0x", "up");
  ip("link", "set", "e0", "up");
  assert.equal(links.byName("e0")?.portState, BR_STATE_FORWARDING);
  links.close();
});
