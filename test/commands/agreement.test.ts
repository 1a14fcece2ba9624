/**
 * Replay and the live relay agree: generated traffic goes through a relay with its guard, which records it, and the
 * recording, replayed, gets the same verdict for every frame.
 */
import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openCapture } from "../../src/capture/index.ts";
import { replay } from "../../src/commands/replay.ts";
import { createGuard } from "../../src/guard/guard.ts";
import { parseRules } from "../../src/policy/rule.ts";
import { Batch, strideFor } from "../../src/relay/batch.ts";
import { Relay } from "../../src/relay/relay.ts";
import { Recording } from "../../src/session/recording.ts";
import { Log } from "../../src/telemetry/log.ts";
import { generateSession, type Session } from "../oracle/generate.ts";
import { FakePort } from "../relay/fakes.ts";
import { temporaryFolder } from "../support/folder.ts";

/** What the clock of a machine says that has been up for a while, against 1970. */
const EPOCH = 1_790_000_000_123_456;
const LONGEST = 65_600;

/** Runs a session's frames through a relay that records them; answers how many it judged. */
function record(session: Session, path: string): number {
  const vm = new FakePort("vm");
  const network = new FakePort("network");
  let now = 0;
  const recording = new Recording({
    files: 1,
    path,
    maximumSize: 2 ** 30,
    maximumFrame: LONGEST,
    application: "softnet test",
    epoch: EPOCH,
    log: new Log({ level: "error", format: "text", write: () => true }),
  });
  const batch = () => new Batch(new Uint8Array(4 * strideFor(LONGEST)), 0, 4, strideFor(LONGEST));
  let judged = 0;
  const relay = new Relay({
    vm,
    network,
    guard: createGuard(session.options),
    clock: () => now,
    batches: [batch(), batch()],
    onFrame: (direction, verdict, time, view) => {
      judged++;
      recording.add(direction, verdict, time, view);
    },
    onEnd: ({ error }) => assert.fail(error),
  });
  relay.start();
  for (const { direction, frame, time } of session.steps) {
    now = Math.max(now, time); // a machine's clock does not go back
    const source = direction === "egress" ? vm : network;
    source.waiting.push([...frame]);
    source.wake(true, false);
  }
  relay.stop();
  recording.close();
  return judged;
}

test("replaying what a relay recorded gives the relay's verdicts, over generated traffic", (t) => {
  const folder = temporaryFolder(t);
  const wanted = process.env.SOFTNET_TEST_ALL === "1" ? 400 : 60;
  let frames = 0;
  for (let seed = 1, done = 0; done < wanted; seed++) {
    const session = generateSession(seed);
    const {
      macAddress,
      address,
      gatewayMacAddress,
      dhcpServerMacAddress,
      hostname,
      subnet,
      restored,
      heldElsewhere,
      onBinding,
      exposedPorts,
      allow,
      block,
      ...options
    } = session.options;
    // What only a network or the registry tells has no option of replay's.
    if ([subnet, restored, heldElsewhere].some((option) => option !== undefined)) continue;
    done++;
    const path = join(folder, "session.pcapng");
    const judged = record(session, path);
    const live = [...openCapture(path)].map(({ comment }) => comment ?? "pass");
    assert.equal(live.length, judged);
    const told = join(folder, "verdicts");
    const descriptor = openSync(told, "w");
    const given = {
      ...options,
      vmMacAddress: macAddress,
      json: true,
      allow: parseRules(allow ?? [], []),
      block: parseRules([], block ?? []),
      only: [],
      // Which number it has outside says nothing about what passes.
      expose: [...new Set(exposedPorts ?? [])].map((port, index) => `${20_000 + index}:${port}`).join(","),
      ...(address !== undefined && { vmIpAddress: address }),
      ...(gatewayMacAddress !== undefined && { gatewayMac: gatewayMacAddress }),
      ...(dhcpServerMacAddress !== undefined && { dhcpServerMac: dhcpServerMacAddress }),
      ...(hostname !== undefined && { vmHostname: hostname }),
    };
    replay(path, given, descriptor);
    closeSync(descriptor);
    const lines = readFileSync(told, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    lines.pop();
    const replayed = lines.map(({ reason }) => reason ?? "pass");
    assert.deepEqual(replayed, live, `seed ${seed}`);
    frames += judged;
  }
  assert.ok(frames > wanted * 20, `${frames} frames`);
});
