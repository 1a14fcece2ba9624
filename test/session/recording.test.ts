import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openCapture } from "../../src/capture/index.ts";
import { PASS, verdictOf } from "../../src/guard/reasons.ts";
import { EGRESS, INGRESS } from "../../src/relay/direction.ts";
import { Recording } from "../../src/session/recording.ts";
import { Log } from "../../src/telemetry/log.ts";
import { FrameView } from "../../src/wire/frame-view.ts";
import { temporaryFolder } from "../support/folder.ts";

function setUp(t: TestContext, files: number) {
  const path = join(temporaryFolder(t), "capture.pcapng");
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): boolean => lines.push(JSON.parse(line)) > 0;
  const log = new Log({ level: "info", format: "json", write });
  const options = { path, files, maximumSize: 2 ** 24, maximumFrame: 1515, application: "softnet", epoch: 0, log };
  const recording = new Recording(options);
  t.after(() => recording.close());
  return { path, recording, lines };
}

const FRAME = new Uint8Array(60);
const SECOND = 1_000_000;

/** A flood of one reason, 10,000 frames in 5 s, and a frame of another reason and one that passes behind it. */
function flood(recording: Recording): void {
  for (let index = 0; index < 10_000; index++) {
    recording.add(EGRESS, verdictOf("ethernet.source"), index * 500, FrameView.of(FRAME, 0, 60));
  }
  recording.add(EGRESS, verdictOf("arp.probe"), 5 * SECOND, FrameView.of(FRAME, 0, 60));
  recording.add(INGRESS, PASS, 5 * SECOND, FrameView.of(FRAME, 0, 60));
  recording.close();
}

test("a flood that is dropped does not push the last minutes out of several files", (t) => {
  const { path, recording, lines } = setUp(t, 2);
  flood(recording);
  const frames = [...openCapture(path)];
  const written = frames.filter(({ comment }) => comment === "ethernet.source").length;
  assert.ok(written >= 1000 && written <= 1000 + 501, `${written} frames`);
  assert.deepEqual(
    frames.slice(-2).map(({ comment }) => comment),
    ["arp.probe", undefined],
  );
  assert.deepEqual(
    lines.map(({ message, reason, frames: count }) => [message, reason ?? count]),
    [
      ["the capture leaves out most of a flood", "ethernet.source"],
      ["the capture left out frames of floods", 10_000 - written],
    ],
  );
});

test("one file has every frame", (t) => {
  const { path, recording, lines } = setUp(t, 1);
  flood(recording);
  assert.equal([...openCapture(path)].length, 10_002);
  assert.deepEqual(lines, []);
});
