/** scripts/verify-on-a-mac, as far as stand-ins for Apple's libraries can tell: that its points run, find and clean up. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ownNetworkPoints } from "../../scripts/verify/own-network.ts";
import { type Finding, failed, leftOut, ok, open, type Point, runPoints } from "../../scripts/verify/points.ts";
import { socketPoints } from "../../scripts/verify/sockets.ts";
import { vmnetPoints } from "../../scripts/verify/vmnet.ts";
import { loadCoreFoundation } from "../../src/native/darwin/corefoundation.ts";
import { loadDarwinLibc } from "../../src/native/darwin/libc.ts";
import { VMNET_SHARING_SERVICE_BUSY } from "../../src/native/darwin/vmnet.ts";
import { assertNothingHeld, inject, needsTwin, twin } from "../support/twin.ts";

test("each point is told, also after one that throws, and failures are counted", async () => {
  const points: Point[] = [
    { name: "a", run: () => ok("fine") },
    {
      name: "b",
      run: () => {
        throw new Error("broken");
      },
    },
    { name: "c", run: async () => failed("one\ntwo") },
    { name: "d", run: () => open("so") },
    { name: "e", run: () => leftOut("old") },
  ];
  const lines: string[] = [];
  assert.equal(await runPoints(points, (line) => lines.push(line)), 2);
  assert.deepEqual(
    lines.filter((line) => !line.startsWith(" ")),
    ["ok        a", "FAILED    b", "FAILED    c", "open      d", "left out  e"],
  );
  assert.deepEqual(lines.slice(3, 7), ["          broken", "FAILED    c", "          one", "          two"]);
});

/** The finding of the one point whose name matches. */
async function find(points: readonly Point[], name: RegExp): Promise<Finding> {
  const found = points.filter((point) => name.test(point.name));
  assert.equal(found.length, 1);
  return await found[0]!.run();
}

test("vmnet's points: parameters, keys, frames, forwarding, and nothing is held", needsTwin(), async (t) => {
  const points = vmnetPoints(twin().native);
  const parameters = await find(points, /parameters/);
  assert.deepEqual(parameters, ok("gateway 192.168.64.1, MTU 1500, largest frame 1514, read 256, write 256"));
  assert.match((await find(points, /keys/)).details, /^maxPacketSize: "vmnet_max_packet_size"$/m);
  const bad = await find(points, /bad frame/);
  assert.equal(bad.verdict, "open");
  assert.match(bad.details, /good ones: VMNET_SUCCESS.* 3 of 3.*\n.*PACKET_TOO_BIG.*\n.*INVALID_ARGUMENT/);
  assert.equal((await find(points, /forwarded on a shared/)).verdict, "ok");
  // Nobody answers ARP there: that is a failure, and told as one.
  assert.equal((await find(points, /event comes again/)).verdict, "FAILED");
  await assertNothingHeld();
  inject(t, "start status", VMNET_SHARING_SERVICE_BUSY);
  const lines: string[] = [];
  await runPoints([points[0]!], (line) => lines.push(line));
  assert.match(lines.join("\n"), /^FAILED .*\n.*VMNET_SHARING_SERVICE_BUSY.*1009/);
});

test("the point of a network of one's own: made, started, given back", needsTwin(), async () => {
  const { native, libraries } = twin();
  const coreFoundation = () => loadCoreFoundation(libraries.coreFoundation);
  const points = ownNetworkPoints(native, coreFoundation, () => ({ networks: [], routes: [] }));
  const { verdict, details } = await find(points, /network of its own/);
  assert.equal(verdict, "open", details);
  assert.match(details, /^root needs no entitlement: [\d.]+\/30\nforwarding on the running interface: VMNET_FAILURE/);
  await assertNothingHeld();
});

test("the sockets' point sends until it is full, and receives all of it", needsTwin(), async () => {
  const { libraries } = twin();
  const libc = loadDarwinLibc(libraries.system);
  const both = { sendsBatches: true, receivesBatches: true };
  const { verdict, details } = await find(socketPoints(libc, both, libraries.system), /sockets/);
  assert.equal(verdict, "open", details);
  assert.match(
    details,
    /^sent 20000 frames in order; received [\d.]+ at once on average, \d+ at the most; ENOBUFS [1-9]/,
  );
  const old = { sendsBatches: false, receivesBatches: false };
  assert.equal((await find(socketPoints(libc, old, libraries.system), /sockets/)).verdict, "left out");
});

test("on what is no Mac it says so, and does nothing", { skip: process.platform === "darwin" }, () => {
  const script = fileURLToPath(new URL("../../scripts/verify-on-a-mac", import.meta.url));
  const { status, stdout, stderr } = spawnSync(script, { encoding: "utf8" });
  assert.deepEqual([status, stdout, stderr], [1, "", "verify-on-a-mac: this is no Mac\n"]);
});
