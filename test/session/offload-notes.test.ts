/** What a frame's sender left to do, in a capture, so that replay judges it as it was judged. */
import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openCapture } from "../../src/capture/index.ts";
import { replay } from "../../src/commands/replay.ts";
import { createGuard, verdictObject } from "../../src/guard/guard.ts";
import { completeDhcp } from "../../src/guard/offload.ts";
import { PASS, verdictOf } from "../../src/guard/reasons.ts";
import { parseRules } from "../../src/policy/rule.ts";
import { EGRESS, INGRESS } from "../../src/relay/direction.ts";
import { LARGEST_FRAME } from "../../src/relay/port.ts";
import { OffloadNote, parseOffloadNote } from "../../src/session/offload-notes.ts";
import { Recording } from "../../src/session/recording.ts";
import { Log } from "../../src/telemetry/log.ts";
import { FrameView } from "../../src/wire/frame-view.ts";
import {
  COMPLETE,
  MALFORMED,
  PARTIAL_TCP,
  PARTIAL_TCP6,
  PARTIAL_UDP,
  PARTIAL_UDP6,
  VERIFIED_TCP,
  VERIFIED_TCP6,
} from "../../src/wire/virtio-net.ts";
import { OWN } from "../guard/ipv6/support.ts";
import { ADDRESS, VM } from "../guard/support.ts";
import { Dice, offer, takeHeader } from "../ports/offload-talk.ts";
import { temporaryFolder } from "../support/folder.ts";

const FRAMES = 3000;
const FRAME_OFFLOAD = verdictOf("frame.offload");

function noteOf(offload: number, verdict: number): string {
  const note = new OffloadNote();
  note.write(PARTIAL_TCP | 65_535, PASS); // what was there before does not show
  return Buffer.from(note.bytes.subarray(0, note.write(offload, verdict))).toString();
}

test("a note says what was left to do, and is read as that", () => {
  const notes: readonly (readonly [number, number, string])[] = [
    [COMPLETE, PASS, ""],
    [PARTIAL_TCP, PASS, ""],
    [PARTIAL_UDP, verdictOf("policy.block"), ""],
    [PARTIAL_TCP, FRAME_OFFLOAD, "offload TCP"],
    [PARTIAL_UDP, FRAME_OFFLOAD, "offload UDP"],
    [MALFORMED, FRAME_OFFLOAD, "offload malformed"],
    [MALFORMED, verdictOf("ethernet.ipv6"), "offload malformed"],
    [VERIFIED_TCP | 1448, PASS, "offload verified TCP 1448"],
    [PARTIAL_UDP | 1, PASS, "offload UDP 1"],
    [PARTIAL_TCP | 65_535, verdictOf("frame.long"), "offload TCP 65535"],
    [PARTIAL_TCP6, PASS, ""],
    [PARTIAL_TCP6, FRAME_OFFLOAD, "offload TCP6"],
    [PARTIAL_TCP6 | 1428, PASS, "offload TCP6 1428"],
    [PARTIAL_UDP6 | 1200, PASS, "offload UDP6 1200"],
    [VERIFIED_TCP6 | 65_535, PASS, "offload verified TCP6 65535"],
  ];
  for (const [offload, verdict, text] of notes) {
    assert.equal(noteOf(offload, verdict), text);
    if (text !== "") assert.equal(parseOffloadNote(text), offload);
  }
  for (let size = 1; size < 65_536; size++) {
    assert.equal(parseOffloadNote(noteOf(PARTIAL_TCP | size, PASS)), PARTIAL_TCP | size);
  }
});

test("no other comment is a note", () => {
  const others = ["", "offload", "offload TCP 0", "offload TCP 65536", "offload TCP 01", "offload malformed 5"];
  for (const text of [
    ...others,
    " offload TCP",
    "offload TCP4",
    "offload malformed6",
    "offload TCP61428",
    "offload TCP 1 2",
    "frame.offload",
  ]) {
    assert.equal(parseOffloadNote(text), undefined, text);
  }
});

for (const version of [4, 6] as const) {
  test(`a capture of ${FRAMES} frames of IPv${version} with hostile headers is replayed with the same verdicts`, (t) => {
    const folder = temporaryFolder(t);
    const path = join(folder, "large.pcapng");
    const recording = new Recording({
      path,
      files: 1,
      maximumSize: 2 ** 30,
      maximumFrame: LARGEST_FRAME + 1,
      application: "softnet test",
      epoch: Date.UTC(2026, 0) * 1000,
      log: new Log({ level: "error", format: "text", write: () => true }),
    });
    const allow = [version === 4 ? "out 0.0.0.0/0:443" : "out [::/0]:443"];
    const own = version === 4 ? { address: ADDRESS } : { ipv6: true, address6: OWN };
    const guard = createGuard({ macAddress: VM, allow, ...own });
    const dice = new Dice(3);
    const verdicts: string[] = [];
    for (let index = 0; index < FRAMES; index++) {
      const offered = offer(dice, version);
      const { direction } = offered;
      const { frame: bytes, offload } = takeHeader(offered);
      const view = FrameView.of(bytes, 0, bytes.length, offload);
      completeDhcp(view);
      guard.advance(index * 1000);
      const egress = direction === "egress";
      const verdict = egress ? guard.judgeEgress(view) : guard.judgeIngress(view);
      verdicts.push(verdictObject(verdict).reason ?? "pass");
      recording.add(egress ? EGRESS : INGRESS, verdict, index * 1000, view);
    }
    recording.close();
    const frames = [...openCapture(path)];
    assert.equal(frames.length, FRAMES);
    for (const [index, { comment }] of frames.entries()) {
      if (verdicts[index] !== "pass") assert.equal(comment, verdicts[index], "the reason comes first");
    }
    assert.ok(frames.every(({ bytes, originalLength }) => bytes.length === originalLength));
    const told = join(folder, "verdicts");
    const descriptor = openSync(told, "w");
    const vmIpAddress = version === 4 ? ADDRESS : OWN;
    const given = { vmMacAddress: VM, vmIpAddress, ipv6: version === 6, allow: parseRules(allow, []), json: true };
    replay(path, given, descriptor);
    closeSync(descriptor);
    const lines = readFileSync(told, "utf8").trimEnd().split("\n").slice(0, -1);
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).reason ?? "pass"),
      verdicts,
    );
    for (const reason of ["pass", "frame.offload", "frame.long", "flow.unknown"]) assert.ok(verdicts.includes(reason));
  });
}

test("what is not IPv4 is no DHCP datagram: nothing is written into it", () => {
  const frame = new Uint8Array(90);
  frame.set([0x86, 0xdd, 0x60, 0, 0, 0, 0, 36, 17, 64], 12);
  frame[22 + 15] = 1;
  frame[38 + 15] = 2;
  frame.set([0, 68, 0, 67, 0, 36], 54);
  const before = frame.slice();
  const view = FrameView.of(frame, 0, frame.length, PARTIAL_UDP);
  assert.equal(view.destinationPort, 67);
  completeDhcp(view);
  assert.deepEqual(frame, before);
  assert.equal(view.offload, PARTIAL_UDP);
});
